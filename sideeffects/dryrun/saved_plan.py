"""A plan as a file: JSON that says what would happen, for people and for `--apply`.

It is signed: what was reviewed is what is applied. It is applied once: whoever applies it first takes it away, and puts
it back with a note.
"""

from __future__ import annotations

import datetime
import json
import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from django.utils.crypto import constant_time_compare, salted_hmac

from sideeffects.dryrun.made_by import databases
from sideeffects.dryrun.plan import Plan
from sideeffects.dryrun.plan_data import as_data
from sideeffects.dryrun.planned_calls import Digest, Ignored, PlannedCall, from_data, planned
from sideeffects.dryrun.strands import Place

#: The layout of the file.
_LAYOUT: Final = 1
_SALT: Final = "sideeffects.dryrun.saved_plan"
#: What is added to a file when it is applied.
_APPLIED: Final = "applied"
_SIGNATURE: Final = "signature"


class NotApplicable(Exception):
    """A plan's file cannot be used, in a sentence that says why and what to do."""


class SavedPlan(NamedTuple):
    """A plan as read from its file.

    Attributes:
        path: the file.
        data: what stands in it.
    """

    path: Path
    data: Mapping[str, Any]

    @property
    def command(self) -> Sequence[str]:
        """The command and its arguments."""
        line: Sequence[str] = self.data["command"]
        return line

    @property
    def exit_code(self) -> int:
        """How the command ended."""
        code: int = self.data["exit_code"]
        return code

    @property
    def ignored(self) -> Sequence[Ignored]:
        """The arguments that are not compared."""
        return [Ignored(*one) for one in self.data["ignore"]]

    @property
    def digest(self) -> Digest:
        """Makes this plan's digests."""
        return _digest_of(self.data["id"])

    def calls(self) -> Iterable[tuple[Place, PlannedCall]]:
        """The calls, each with where in the run it was made."""
        for one in self.data["effects"]:
            yield Place(one["strand"], one["after_commit"]), from_data(one)

    @property
    def applied_at(self) -> str:
        """When it was applied; empty if it was not."""
        return str(self.data.get(_APPLIED, {}).get("at", ""))

    def check(self, max_age: datetime.timedelta, code: Mapping[str, str]) -> None:
        """Refuse to apply it if it is too old, was applied, or was made by other code or on other databases.

        Raises:
            NotApplicable: one of these.
        """
        data = self.data
        if self.applied_at:
            raise NotApplicable(f"it was applied before, at {self.applied_at}: make a new one")
        age = _now() - datetime.datetime.fromisoformat(data["made_at"])
        if age > max_age:
            raise NotApplicable(
                f"it was made at {data['made_at']}, which is {age} ago, and --max-age is {max_age}: make a new one"
            )
        for what, made, now in (
            ("by other code", data["code"], code),
            ("on another database", data["databases"], databases()),
        ):
            differing = [name for name in {**made, **now} if made.get(name) != now.get(name)]
            if differing:
                said = ", ".join(f"{name}: {made.get(name, '-')}, now {now.get(name, '-')}" for name in differing)
                raise NotApplicable(f"it was made {what} ({said}): make a new one")

    def claim(self) -> None:
        """Note in the file that it is being applied; of two who try, one can.

        Raises:
            NotApplicable: somebody else was first.
        """
        taken = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            self.path.rename(taken)
        except OSError as error:
            raise NotApplicable("somebody else is applying it") from error
        again = SavedPlan(taken, _read(taken))
        if again.applied_at:
            taken.rename(self.path)
            raise NotApplicable(f"it was applied before, at {again.applied_at}: make a new one")
        _write(taken, _signed({**self.data, _APPLIED: {"at": _now().isoformat(timespec="seconds")}}))
        taken.rename(self.path)


def save(
    path: Path, plan: Plan, line: Sequence[str], exit_code: int, ignored: Sequence[Ignored], code: Mapping[str, str]
) -> None:
    """Write a plan down.

    Args:
        path: the file.
        plan: the plan; complete, with all of its calls.
        line: the command and its arguments.
        exit_code: how the command ended.
        ignored: the arguments that are not compared.
        code: see `made_by.code_of`.

    Raises:
        NotApplicable: it has a call that could be held against no plan.
    """
    number = uuid.uuid4().hex
    digest = _digest_of(number)
    said = as_data(plan)
    for shown, (call, place) in zip(said["effects"], plan.placed(), strict=True):
        kept = planned(call, ignored, digest)
        if kept.untold:
            raise NotApplicable(f"{call.name}, called at {kept.caller}: {kept.why_untold()}")
        shown.update(
            strand=place.strand, after_commit=place.after, compared=dict(kept.arguments), digests=dict(kept.digests)
        )
    data = {
        "sideeffects_plan": _LAYOUT,
        "id": number,
        "made_at": _now().isoformat(timespec="seconds"),
        "command": list(line),
        "exit_code": exit_code,
        "ignore": [list(one) for one in ignored],
        "code": dict(code),
        "databases": databases(),
        **said,
    }
    _write(path, _signed(data))


def is_plan(path: str) -> bool:
    """Whether a file is one of these."""
    try:
        return _LAYOUT_KEY in _read(Path(path))
    except (OSError, ValueError, TypeError):
        return False


_LAYOUT_KEY: Final = "sideeffects_plan"


def load(path: str) -> SavedPlan:
    """Read a plan's file.

    Raises:
        NotApplicable: it cannot be read, or was changed since it was written.
    """
    try:
        data = _read(Path(path))
    except OSError as error:
        raise NotApplicable(f"it cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise NotApplicable(f"it is no plan: {error}") from error
    if not isinstance(data, dict) or data.get(_LAYOUT_KEY) != _LAYOUT:
        raise NotApplicable("it is no plan that this version of sideeffects can read")
    if not constant_time_compare(str(data.get(_SIGNATURE)), _signed(data)[_SIGNATURE]):
        raise NotApplicable("it was changed after it was saved, or made with another SECRET_KEY: make a new one")
    return SavedPlan(Path(path), data)


def _digest_of(number: str) -> Digest:
    return lambda text: salted_hmac(f"{_SALT}.{number}", text, algorithm="sha256").hexdigest()[:32]


def _signed(data: Mapping[str, Any]) -> dict[str, Any]:
    said = {name: value for name, value in data.items() if name != _SIGNATURE}
    return {**said, _SIGNATURE: salted_hmac(_SALT, json.dumps(said, sort_keys=True), algorithm="sha256").hexdigest()}


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _write(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
