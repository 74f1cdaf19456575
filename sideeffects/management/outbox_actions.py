"""What `manage.py outbox` does: finds the calls, acts, and says what came of it."""

from __future__ import annotations

import datetime
import getpass
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from django.core.management.base import CommandError
from django.db import DatabaseError
from django.utils import timezone

from sideeffects._core.values import clock
from sideeffects._core.values.describe import text_of
from sideeffects.errors import SideEffectError
from sideeffects.management import held_calls
from sideeffects.management.command import Command, wrong
from sideeffects.management.output import kept_clean
from sideeffects.outbox import actions
from sideeffects.outbox.choosing import chosen, read
from sideeffects.outbox.rows import call_of
from sideeffects.outbox.states import State

#: Days before which nothing has happened.
_LONGEST: Final = 36600
#: Seconds between two lines of progress.
_EVERY: Final = 2.0
#: Whether each action may take a call that is in a state.
_FROM: Final = {
    "release": actions.RELEASED_FROM,
    "retry": actions.RETRIED_FROM,
    "reject": actions.REJECTED_FROM,
    "prune": actions.PRUNED_FROM,
}
_DID: Final = {"release": "released", "retry": "released again", "reject": "rejected", "prune": "deleted"}


def run(command: Command, action: str, options: Mapping[str, Any]) -> None:
    """Run one action of the command.

    Raises:
        CommandError: with the exit code that the help tells.
        UnknownChoice: what was chosen means nothing.
    """
    try:
        dead = actions.note_dead()
    except DatabaseError as error:
        raise wrong(f"nothing was done: {error}. Has manage.py migrate been run?") from error
    if dead:
        command.stderr.write(f"{_calls(dead)} ran in a worker that has died: perhaps done (unknown).")
    if action == "list":
        _list(command, options)
    elif action == "show":
        _show(command, chosen(options["numbers"]), options["format"])
    else:
        _act(command, action, options)


def _list(command: Command, options: Mapping[str, Any]) -> None:
    states = options["state"] or [state for state in State if options["all"] or state not in actions.PRUNED_FROM]
    ids = chosen(options["numbers"], effects=options["effect"], where=options["where"], states=states)
    limit: int = options["limit"] or len(ids)
    if options["format"] == "json" or ids:
        _table(command, ids[:limit], options["format"])
    else:
        command.stderr.write("Nothing is held.")
    if len(ids) > limit:
        command.stderr.write(f"... and {_calls(len(ids) - limit, more=True)}; --limit 0 shows all.")


def _table(command: Command, ids: Sequence[int], form: str) -> None:
    rows = list(read(ids))
    if form == "json":
        _json(command, [held_calls.as_data(row) for row in rows])
    else:
        is_known = command.stdout.isatty() or os.environ.get("COLUMNS")
        width = shutil.get_terminal_size().columns if is_known else None
        command.write(held_calls.as_table(rows, _paint(command), width), keeps_width=True)


def _show(command: Command, ids: Sequence[int], form: str) -> None:
    if form == "json":
        _json(command, [held_calls.as_data(row) for row in read(ids)])
    else:
        command.write(held_calls.as_details(read(ids), _paint(command)), keeps_width=True)


def _json(command: Command, data: object) -> None:
    command.write(json.dumps(data, indent=2, ensure_ascii=not command.can_write("\u00fc")), keeps_width=True)


def _paint(command: Command) -> held_calls.Paint:
    def paint(role: str, text: str) -> str:
        painted: str = getattr(command.style, role)(text) if role else text
        return painted if command.stdout.isatty() else text

    return paint


# -- acting


def _act(command: Command, action: str, options: Mapping[str, Any]) -> None:
    ids = _meant(action, options)
    if options["dry_run"]:
        _show_only(command, action, ids, options["format"])
        return
    with kept_clean():  # what effects print is no part of the report
        result, error = _done(command, action, ids, options)
    left = _said(command, action, result, options)
    if isinstance(error, KeyboardInterrupt):
        raise CommandError("stopped: the call that ran is perhaps done, and the others wait as before", returncode=130)
    if error is not None:
        said = f"{type(error).__name__}: {text_of(error)}"
        raise CommandError(f"stopped by {said}; the others wait as before", returncode=1) from error
    if left:
        raise CommandError(left, returncode=1)


def _meant(action: str, options: Mapping[str, Any]) -> list[int]:
    if action == "prune":
        ids = chosen(options["numbers"], effects=options["effect"], where=options["where"], states=_FROM[action])
        since = timezone.now() - datetime.timedelta(days=min(options["older_than"], _LONGEST))
        return [row.pk for row in read(ids) if row.changed_at is not None and row.changed_at <= since]
    if not (options["numbers"] or options["effect"] or options["where"] or options["all"]):
        raise wrong(f"which calls? Give their ids, --effect, --where, or --all to {action} all")
    # Those that somebody names are looked at whatever their state, to say why nothing is done with them.
    states = None if options["numbers"] else _FROM[action]
    return chosen(options["numbers"], effects=options["effect"], where=options["where"], states=states)


def _show_only(command: Command, action: str, ids: Sequence[int], form: str) -> None:
    rows = [row for row in read(ids) if row.state in _FROM[action]]
    if action in ("release", "retry"):
        for row in rows:
            try:
                call_of(row)
            except SideEffectError as error:
                row.error = f"cannot be executed: {error}"
    if form == "json":
        _json(command, [held_calls.as_data(row) for row in rows])
    elif rows:
        command.write(held_calls.as_table(rows, _paint(command), None), keeps_width=True)
    command.stderr.write(f"{_calls(len(rows))} would be {_DID[action]}. Nothing was done.")


def _done(
    command: Command, action: str, ids: Sequence[int], options: Mapping[str, Any]
) -> tuple[actions.Result, BaseException | None]:
    """Do it. Returns what was done, and what has ended it before its time."""
    if action == "prune":
        return actions.prune(ids), None
    by = options["by"] or _user()
    if action == "reject":
        return actions.reject(ids, by=by), None
    result = actions.Result()
    do = actions.release if action == "release" else actions.retry
    try:
        do(ids, by=by, on_progress=_progress(command, len(ids), options), result=result)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - of the engine or the database; what was done is said
        return result, error
    return result, None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container whose user has no name
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "unknown"


def _progress(command: Command, total: int, options: Mapping[str, Any]) -> Callable[[int], None]:
    last = [clock.monotonic()]

    def tell(count: int) -> None:
        now = clock.monotonic()
        if now - last[0] >= _EVERY and options["verbosity"]:
            last[0] = now
            command.stderr.write(f"{count:,} of {total:,}")

    return tell


def _said(command: Command, action: str, result: actions.Result, options: Mapping[str, Any]) -> str:
    """Say what was done. Returns what was not."""
    if options["format"] == "json":
        _json(command, {**asdict(result), "missed": len(result.missed)})
    else:
        parts = {
            "done": result.done,
            "failed": result.failed,
            "kept": result.kept,
            "handed over to the workers": result.handed_over,
        }
        counts = ", ".join(f"{count:,} {what}" for what, count in parts.items() if count)
        command.write(f"{_calls(result.changed)} {_DID[action]}{f': {counts}' if counts else ''}.")
    for row in read(result.missed):
        by = f" (by {row.by})" if row.by else ""
        command.stderr.write(f"{row.pk} ({row.effect}) is {State(row.state).label}{by}, and was not {_DID[action]}.")
    missed = len(result.missed) if options["numbers"] else 0  # others were taken by somebody else, meanwhile
    left = [
        f"{_calls(result.failed)} failed" if result.failed else "",
        f"{_calls(result.kept)} could not be executed" if result.kept else "",
        f"{_calls(missed)} could not be {_DID[action]}" if missed else "",
    ]
    told = ", ".join(filter(None, left))
    return f"{told}; `manage.py outbox list --all` says why" if told else ""


def _calls(count: int, *, more: bool = False) -> str:
    return f"{count:,} {'more ' if more else ''}call{'' if count == 1 else 's'}"
