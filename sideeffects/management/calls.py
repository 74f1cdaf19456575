"""`python manage.py side_effects --calls`: what was called, on a terminal."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from django.apps import apps
from django.db import DatabaseError

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.registry import matches
from sideeffects._core.values import describe
from sideeffects._core.values.tables import printable
from sideeffects.errors import LedgerError
from sideeffects.ledgers.shared import Shared
from sideeffects.management.command import Command, wrong
from sideeffects.project import live_settings

#: Colours a text for its role.
Paint = Callable[[str, str], str]

#: Seconds between two looks.
_PAUSE: Final = 1.0
#: Characters of one argument.
_LONGEST: Final = 80
_NEEDED: Final = (
    "--calls shows the ledger that processes share, or the outbox, and this project has neither: set "
    "SIDE_EFFECTS['LEDGER'] to a BACKEND of 'file' or 'cache', or add 'sideeffects.outbox' to INSTALLED_APPS"
)


class Shown(NamedTuple):
    """A call as it is shown, from whichever source.

    Attributes:
        id: it stays the same when something becomes of the call.
        at: when it was decided.
        name: the effect's.
        arguments: redacted.
        mode: what was decided, or the state of a held call.
        reason: why.
        origin: what set the code going.
        caller: the file and line that called.
        came_of: the error or the time that it took; empty while nothing came of it.
        is_error: whether it is an error.
    """

    id: str
    at: datetime
    name: str
    arguments: Mapping[str, Any]
    mode: str
    reason: str
    origin: str
    caller: str
    came_of: str
    is_error: bool


#: Gives what is new, and what something has come of, since it was asked the last time.
Source = Callable[[], Iterator[Shown]]


def run(command: Command, patterns: Sequence[str], options: Mapping[str, Any], paint: Paint) -> None:
    """Show the calls there are, and with `--follow` those that come, until Ctrl-C."""
    if options["format"] == "markdown":
        raise wrong("--calls takes --format json (a line for each call), or no --format")
    source = _source()
    show = _as_json if options["format"] == "json" else _as_line
    wanted = _wanted(patterns)
    count = 0
    try:
        while True:
            for call in source():
                if wanted(call.name):
                    count += 1
                    command.write(show(call, paint, explain=options["explain"]), keeps_width=True)
            command.stdout.flush()
            if not options["follow"]:
                break
            time.sleep(_PAUSE)
    except LedgerError as error:
        raise wrong(str(error)) from error
    except DatabaseError as error:
        raise wrong(f"the outbox cannot be read: {error}. Has manage.py migrate been run?") from error
    except KeyboardInterrupt:  # which is how following ends
        return
    if not count and options["verbosity"]:
        command.stderr.write("No calls.")


def _wanted(patterns: Sequence[str]) -> Callable[[str], bool]:
    return lambda name: not patterns or any(matches(pattern, name) for pattern in patterns)


def _source() -> Source:
    shared = live_settings.current_rules().shared
    if isinstance(shared, Shared):
        return _Ledger(shared).new
    if apps.is_installed("sideeffects.outbox"):
        return _Outbox().new
    raise wrong(_NEEDED)


class _Ledger:
    """The ledger that processes share."""

    def __init__(self, shared: Shared) -> None:
        self._news = shared.follow()
        self._open: list[Call] = []

    def new(self) -> Iterator[Shown]:
        """As `Source`."""
        news = self._news()
        changed = [call for call in self._open if call.outcome is not None]
        self._open = [call for call in (*self._open, *news) if call.outcome is None]
        for call in (*changed, *news):
            yield _shown(call)


def _shown(call: Call) -> Shown:
    outcome = call.outcome
    error = None if outcome is None else outcome.error
    came_of = str(error) if error is not None else ""
    if outcome is not None and error is None and call.mode.name == "EXECUTE":
        came_of = f"{outcome.duration * 1000:.0f} ms"
    caller = call.caller.removesuffix(":0")  # no line of the user's: a worker's call
    about = (call.mode.name, call.reason, call.origin, caller, came_of, error is not None)
    return Shown(call.id, call.at, call.name, call.arguments, *about)


class _Outbox:
    """The held calls."""

    def __init__(self) -> None:
        #: The state of each, and how often it has run: one that fails again is news.
        self._seen: dict[int, tuple[str, int]] = {}

    def new(self) -> Iterator[Shown]:
        """As `Source`."""
        from sideeffects.outbox import choosing  # only where the app is installed

        now = {pk: (state, attempts) for pk, state, attempts in choosing.states()}
        changed = [pk for pk, found in now.items() if self._seen.get(pk) != found]
        self._seen = now
        for row in choosing.read(changed):
            about = (row.state.upper(), row.reason, row.origin, row.caller, row.error, bool(row.error))
            yield Shown(row.call_id, row.at, row.effect, row.arguments, *about)


def _as_json(call: Shown, paint: Paint, *, explain: bool) -> str:
    del paint, explain
    data = call._asdict() | {
        "at": call.at.astimezone(UTC).isoformat(),
        "arguments": {name: describe.jsonable(value) for name, value in call.arguments.items()},
    }
    return json.dumps(data)


_ROLES: Final = {
    "EXECUTE": "SUCCESS",
    "DONE": "SUCCESS",
    "HOLD": "NOTICE",
    "HELD": "NOTICE",
    "RAISE": "ERROR",
    "FAILED": "ERROR",
    "UNKNOWN": "ERROR",
}


def _as_line(call: Shown, paint: Paint, *, explain: bool) -> str:
    arguments = ", ".join(f"{name}={describe.describe(value, _LONGEST)}" for name, value in call.arguments.items())
    parts = [
        call.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
        paint(_ROLES.get(call.mode, "WARNING"), f"{call.mode:<8}"),
        printable(f"{call.name}({arguments})"),
    ]
    if call.origin:
        parts.append(f"by {printable(call.origin)}")
    if call.came_of:
        parts.append(paint("ERROR", printable(call.came_of)) if call.is_error else call.came_of)
    line = "  ".join(parts)
    return f"{line}\n    {printable(call.reason)}, at {call.caller}" if explain else line
