"""`dry_run --apply PLAN`: what is said of it, and how it ends."""

from __future__ import annotations

import datetime
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.core.management.base import CommandError

from sideeffects._core.calls.call import Call
from sideeffects._core.values.tables import aligned
from sideeffects.dryrun.applying import Applied, Applying, side_by_side
from sideeffects.dryrun.gate import fate_of
from sideeffects.dryrun.made_by import code_of
from sideeffects.dryrun.plan_data import place_of, shown
from sideeffects.dryrun.planned_calls import PlannedCall
from sideeffects.dryrun.saved_plan import NotApplicable, SavedPlan, load
from sideeffects.management.command import Command, wrong
from sideeffects.management.other_command import code_of_exit, load_command

_MAX_AGE: Final = datetime.timedelta(hours=1)
#: How many lines of progress there are at most.
_LINES: Final = 20


def load_plan(path: str) -> SavedPlan:
    """A plan's file.

    Raises:
        CommandError: it cannot be used.
    """
    try:
        return load(path)
    except NotApplicable as error:
        raise wrong(f"{path}: {error}") from error


def apply_plan(command: Command, options: Mapping[str, Any], *, is_program: bool) -> None:
    """Run the command of a plan for real, say what came of it, and end with its exit code.

    Args:
        command: `dry_run`, for its output.
        options: its options.
        is_program: whether it is run from the command line.

    Raises:
        CommandError: the plan cannot be applied, or calls of it never came.
        PlanChanged: it was stopped, and this is no program.
    """
    saved = load_plan(options["apply"])
    other = load_command(saved.command[0])
    try:
        saved.check(_MAX_AGE if options["max_age"] is None else options["max_age"], code_of(other))
        saved.claim()
    except NotApplicable as error:
        raise wrong(f"{saved.path}: {error}") from error
    progress = _Progress(command, len(saved.data["effects"]))
    is_atomic = options["atomic"] is not False
    applying = Applying(saved, is_atomic=is_atomic, is_whole=is_program, passed=progress)

    def run() -> int:
        try:
            other.run_from_argv([sys.argv[0], *saved.command])
        except SystemExit as exit_:
            return code_of_exit(exit_)
        return 0

    applied = applying.run(run)
    sys.stdout.flush()
    command.write("\n".join(_report(saved, applied, is_atomic=is_atomic)))
    _end(applied, is_program=is_program)


class _Progress:
    """Says on the error stream how far it has come."""

    def __init__(self, command: Command, total: int) -> None:
        self._command = command
        self._total = total
        self._step = max(1, -(-total // _LINES))

    def __call__(self, count: int, call: Call) -> None:
        if count % self._step == 0 or count in (1, self._total):
            self._command.stderr.write(f"{count} of {self._total}: {call.name}({shown(call)})", str)


def _report(saved: SavedPlan, applied: Applied, *, is_atomic: bool) -> list[str]:
    effects, rows = side_by_side(saved, applied)
    is_over = applied.changed is None and applied.error is None and applied.code == saved.exit_code
    is_over = is_over and not applied.rolled_back
    lines = [f"\nApplied the plan of `{shlex.join(saved.command)}`." if is_over else "\nThe plan was not carried out."]
    if effects:
        lines += ["", "Plan and reality:", *aligned([["effect", "planned", "called"], *effects], "  ")]
    if rows:
        kept = ", rolled back" if applied.rolled_back else ""
        lines += ["", *aligned([["database", "table", "planned", f"written{kept}"], *rows], "  ")]
    if not is_over:
        lines += ["", *_done(applied.calls)]
        lines += ["", _fate_of_rows(applied, is_atomic=is_atomic)]
    elif any(map(fate_of, applied.calls)):
        lines += [
            "",
            "These calls failed, or were not done by the end:",
            *(_line(call) for call in applied.calls if fate_of(call)),
        ]
    if is_over and applied.missing:
        lines += ["", "These calls of the plan never came:", *map(_missing, applied.missing)]
    return lines


def _done(calls: Sequence[Call]) -> list[str]:
    done = [call for call in calls if not fate_of(call)]
    doubtful = [call for call in calls if fate_of(call)]
    lines = ["These were done:", *map(_line, done)] if done else ["No effect was executed."]
    return [*lines, *(["These were called, too:", *map(_line, doubtful)] if doubtful else [])]


def _line(call: Call) -> str:
    fate = fate_of(call)
    return f"  {call.name}({shown(call)})  {place_of(call)}" + (f"  [{fate}]" if fate else "")


def _missing(call: PlannedCall) -> str:
    said = ", ".join(f"{name}={call.shown(name)}" for name in call.arguments)
    return f"  {call.name}({said})  {call.caller}"


def _fate_of_rows(applied: Applied, *, is_atomic: bool) -> str:
    if not is_atomic:
        return "Rows that were committed are kept (--no-atomic)."
    if not applied.rolled_back:
        return "All rows are kept: what went wrong came after the commit."
    return f"All rows were rolled back ({', '.join(sorted(applied.rolled_back))})."


def _end(applied: Applied, *, is_program: bool) -> None:
    if applied.changed is not None:
        if is_program:
            raise wrong(str(applied.changed)) from applied.changed
        raise applied.changed
    if applied.error is not None:
        raise applied.error
    if applied.code:
        sys.exit(applied.code)
    if applied.rolled_back:
        raise wrong("the command ended the transaction around it: apply with --no-atomic, or fix the command")
    if applied.missing:
        count = len(applied.missing)
        raise CommandError(f"{count} call{'' if count == 1 else 's'} of the plan never came", returncode=1)
