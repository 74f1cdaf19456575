"""A call, as written down at the moment of its decision."""

from __future__ import annotations

import datetime
import inspect
from collections.abc import Mapping
from typing import Any, Protocol

from sideeffects._core.calls import process
from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.calls.given import Given, as_json
from sideeffects._core.calls.outcome import Outcome, RemoteError, outcome_from_record, outcome_to_record
from sideeffects._core.calls.process import Identity
from sideeffects._core.calls.row import Besides, Row, row_of
from sideeffects._core.values import describe
from sideeffects._core.values.callers import line_of


class HasFate(Protocol):
    """The transactions in which a call was made."""

    @property
    def fate(self) -> str:
        """What became of them."""
        ...


class Call(Given):
    """One call of an effect, as written down at the moment of its decision.

    It cannot be changed; its `outcome` is added once. What it shows is redacted: sensitive values read
    `[redacted]` in `arguments`, `args`, `kwargs` and `outcome`. Assertions compare the true values, in the process in
    which the call was made; these are never shown, stored or pickled.

    Example:
        >>> with capture() as calls:
        ...     _ = charge(cents=990, token="tok_visa")
        >>> calls[0]
        <Call card.charge(cents=990, token=[redacted]) RECORD at ...>
    """

    __slots__ = (
        "__weakref__",
        "_at",
        "_decision",
        "_is_foreign",
        "_is_read",
        "_origin",
        "_outcome",
        "_process",
        "_serial",
        "_site",
        "_transaction",
    )

    def __init__(self, row: Row, outcome: Outcome | None = None) -> None:
        (
            self._effect,
            self._decision,
            bound,
            self._args,
            self._kwargs,
            self._instance,
            self._site,
            self._names,
            self._besides,
            self._at,
            self._serial,
            self._process,
            self._origin,
        ) = row
        if not isinstance(bound, dict):
            bound = bound.bind(self._instance, self._args, self._kwargs)
        self._bound = bound
        self._outcome = outcome
        self._transaction: HasFate | None = None
        self._is_read = False
        self._is_foreign = False

    # -- what was called

    @property
    def name(self) -> str:
        """The effect's name."""
        return self._effect.name

    @property
    def effect(self) -> SideEffect:
        """The declared effect."""
        return self._effect

    # -- what was decided

    @property
    def mode(self) -> Mode:
        """What was decided."""
        return self._decision.mode

    @property
    def reason(self) -> str:
        """Why it was decided so."""
        return self.decision.reason

    @property
    def decision(self) -> Decision:
        """The decision, with its origin."""
        decision = self._decision
        # A rule on arguments may have failed with their values in its words.
        reason = self.scrubbed(decision.reason)
        if reason == decision.reason:
            return decision
        return Decision(decision.mode, reason, decision.origin, decision.conditional)

    @property
    def is_async(self) -> bool:
        """Whether the call was handed to the background."""
        return self._besides.is_async

    # -- when and where

    @property
    def caller(self) -> str:
        """The file and line that called it, with a colon between them.

        If a thread, an executor, an event loop, asgiref or Django called it, this is the line of yours that handed it
        over. `<no Python code>:0` if no line did: a greenlet or `_thread` was given the effect itself.
        """
        code, place = self._site
        if isinstance(code, str):
            return f"{code}:{place}"
        return f"{code.co_filename}:{line_of(code, place)}"

    @property
    def site(self) -> tuple[str, str, tuple[Any, ...]]:
        """The file and the function that called it, and what is the same for all calls from there."""
        code, _ = self._site
        assert not isinstance(code, str)  # noqa: S101 - calls that were read from elsewhere are asked nothing
        return code.co_filename, code.co_qualname, self._site

    @property
    def origin(self) -> str:
        """What started the code: a request, a command, a task or a test; empty where that is not known."""
        return str(self._origin)

    def take_origin(self, origin: object) -> None:
        """Note what started the code. In a worker, this comes along with the enqueued call."""
        self._origin = origin

    @property
    def run_id(self) -> str | None:
        """The run list that it belongs to, if any."""
        return self._besides.run_id

    @property
    def pid(self) -> int:
        """The process in which it was decided."""
        return self._process.pid

    @property
    def racer(self) -> int | None:
        """The index of the racer that made it, from 0 on; `None` outside races."""
        return self._process.racer

    def handed_on(self) -> Call:
        """The same call, for readers in the parent process: if races are nested, its racer is the outer one."""
        outer = process.current.racer
        return Call.from_record({**self.to_record(), "racer": self.racer if outer is None else outer})

    def mark_racer(self, index: int) -> None:
        """Note which racer made it: for racers in threads this is known when the race is over."""
        self._process = Identity(self._process.pid, self._process.token, index)

    @property
    def id(self) -> str:
        """Unique among all processes of a test run."""
        return f"{self._process.pid}-{self._process.token}-{self._serial}"

    def take_id(self, number: str) -> None:
        """Take the id under which another process wrote this call down: the outcome is added to that record."""
        pid, token, serial = number.split("-")
        self._process = Identity(int(pid), token, self._process.racer)
        self._serial = int(serial)

    @property
    def at(self) -> datetime.datetime:
        """When it was decided (UTC)."""
        return datetime.datetime.fromtimestamp(self._at, datetime.UTC)

    # -- what came of it

    @property
    def outcome(self) -> Outcome | None:
        """What came of it, redacted; `None` while it is running, waiting for a commit, or in the background."""
        outcome = self._outcome
        if outcome is None or outcome.result is None:
            return outcome
        return outcome._replace(result=self._clean(outcome.result))

    @property
    def transaction(self) -> str | None:
        """What became of the transaction in which it was called: `committed`, `rolled back` or `pending`.

        `None` when the application had none open: those in which tests are wrapped do not count. It is known in a test
        run, in the process that made the call.
        """
        return None if self._transaction is None else self._transaction.fate

    def take_transaction(self, transaction: HasFate) -> None:
        """Note in which transaction it was called."""
        self._transaction = transaction

    def finish(self, outcome: Outcome) -> None:
        """Add the outcome. It can be added once."""
        if self._outcome is not None:
            raise RuntimeError(f"call {self.id} of {self.name!r} has its outcome already")
        self._outcome = outcome

    # -- reading

    @property
    def is_foreign(self) -> bool:
        """Whether it was made in another process, so that its values are JSON-safe stand-ins."""
        return self._is_foreign

    @property
    def is_read(self) -> bool:
        """Whether somebody looked at this call through `Calls`."""
        return self._is_read

    def mark_read(self) -> None:
        """Note that somebody looked at this call."""
        self._is_read = True

    def as_data(self) -> dict[str, Any]:
        """The call as JSON-safe data without what changes from run to run, redacted."""
        outcome = self.outcome
        return {
            "name": self.name,
            "arguments": as_json(self.arguments),
            **({} if self._besides.asked is None else {"asked": as_json(self._shown(self._besides.asked))}),
            **({} if self._besides.details is None else {"details": self._details_record()}),
            "mode": self.mode.value,
            "is_async": self.is_async,
            "run_id": self.run_id,
            "result": None if outcome is None else describe.jsonable(outcome.result),
            "error": None if outcome is None or outcome.error is None else type(outcome.error).__name__,
        }

    def as_line(self) -> dict[str, Any]:
        """What `SIDE_EFFECTS_LIVE` shows of it, in one line: JSON-safe, redacted, without its outcome."""
        data = self.as_data()
        return {
            "at": self.at.isoformat(),
            "pid": self.pid,
            "id": self.id,
            "name": self.name,
            "mode": self.mode.value,
            "reason": self.reason,
            "rule": self.decision.origin,
            "arguments": data["arguments"],
            "asked": data.get("asked"),
            "details": data.get("details"),
            "caller": self.caller,
            "origin": self.origin,
            "is_async": self.is_async,
            "run_id": self.run_id,
        }

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={describe.describe(value)}" for name, value in self.arguments.items())
        return f"<Call {self.name}({shown}{self.details_shown}) {self.mode.name} at {self.caller}>"

    def to_record(self) -> dict[str, Any]:
        """The call as JSON-safe, redacted data, from which `from_record` makes an equal-looking call elsewhere."""
        outcome = self.outcome
        return {
            "name": self.name,
            "mode": self.mode.value,
            "reason": self.reason,
            "origin": self._decision.origin,
            "arguments": as_json(self.arguments),
            "asked": None if self._besides.asked is None else as_json(self._shown(self._besides.asked)),
            "details": self._details_record(),
            "args": [describe.jsonable(value) for value in self.args],
            "kwargs": as_json(self.kwargs),
            "instance": None if self._instance is None else describe.describe(self._clean(self._instance)),
            "by_reference": list(self._besides.by_reference),
            "caller": self.caller,
            "set_going_by": self.origin,
            "is_async": self._besides.is_async,
            "run_id": self._besides.run_id,
            "at": self._at,
            "serial": self._serial,
            "process": [self._process.pid, self._process.token],
            "racer": self._process.racer,
            "sensitive": [name for name in (*self._bound, *self._extras()) if self._hides(name)],
            "names": sorted(self._names),
            "extra_keywords": self._extra_keywords(),
            "outcome": None if outcome is None else outcome_to_record(outcome, self.scrubbed),
        }

    def outcome_record(self) -> dict[str, Any]:
        """The record of the outcome, for those who have read the call's record before it had one."""
        outcome = self.outcome
        return {
            "process": [self._process.pid, self._process.token],
            "serial": self._serial,
            "outcome": None if outcome is None else outcome_to_record(outcome, self.scrubbed),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Call:
        """The call that another process wrote down with `to_record`."""
        effect = SideEffect(
            name=record["name"],
            dotted_path="",
            kind="elsewhere",
            file="",
            line=0,
            # All that is known of it is how it calls its further keywords.
            signature=inspect.Signature([inspect.Parameter(record["extra_keywords"], inspect.Parameter.VAR_KEYWORD)]),
            doc="",
            sensitive=tuple(record["sensitive"]),
        )
        path, _, line = record["caller"].rpartition(":")
        outcome = record["outcome"]
        row = row_of(
            effect,
            Decision(Mode(record["mode"]), record["reason"], record["origin"]),
            bound=dict(record["arguments"]),
            args=tuple(record["args"]),
            kwargs=dict(record["kwargs"]),
            instance=record["instance"],
            site=(path, int(line or 0)),
            names=frozenset(record["names"]),
            besides=Besides(
                record["is_async"],
                record["run_id"],
                tuple(record["by_reference"]),
                _details_from(record["details"]),
                record["asked"],
            ),
        )
        call = cls(row, None if outcome is None else outcome_from_record(outcome))
        call._at, call._serial = record["at"], record["serial"]
        call._process = Identity(record["process"][0], record["process"][1], record["racer"])
        call._origin = record["set_going_by"]
        call._is_foreign = True
        return call

    def __reduce__(self) -> tuple[Any, ...]:
        return Call.from_record, (self.to_record(),)


def _details_from(record: Any) -> Mapping[str, Any] | RemoteError | None:
    return RemoteError(*record) if isinstance(record, list) else record
