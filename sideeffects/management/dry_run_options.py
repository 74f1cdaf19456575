"""The options of `dry_run`, and what their values mean."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from sideeffects._core.calls.known import check_known
from sideeffects._core.calls.registry import registry
from sideeffects._core.values.close_names import did_you_mean
from sideeffects.dryrun.planned_calls import SELF, Ignored
from sideeffects.errors import UnknownSideEffect
from sideeffects.management.command import wrong
from sideeffects.management.plan_formats import FORMATS
from sideeffects.management.spans import span


def add_options(parser: argparse.ArgumentParser) -> None:
    """How to show the plan, where to save it, and how to apply it."""
    add = parser.add_argument
    add("--format", choices=tuple(FORMATS), default="text", help="How to show the plan (default: text).")
    add("--output", metavar="FILE", help="Write the plan to this file; what the command prints is shown at once.")
    add(
        "--fail-on",
        action="append",
        metavar="NAME",
        default=[],
        help="Exit with 1 if the plan has this effect; a name or a glob, such as 'card.*'. Repeatable.",
    )
    add(
        "--stub",
        action="append",
        metavar="NAME=JSON",
        default=[],
        help="What this effect returns, for commands that need its answer. Repeatable.",
    )
    add("--save", metavar="PLAN", help="Write the plan to this file, for --apply.")
    add(
        "--ignore",
        action="append",
        metavar="EFFECT.ARGUMENT",
        default=[],
        help="With --save: an argument that is different each time, such as the time, and that --apply does not "
        "compare. Repeatable.",
    )
    add(
        "--apply",
        metavar="PLAN",
        help="Run the command of this plan for real, once. The first call that is not the plan's next one is refused "
        "before it executes.",
    )
    add(
        "--max-age",
        metavar="TIME",
        type=span,
        help="With --apply: how old the plan may be, such as 30m, 12h or 2d (default: 1h).",
    )
    add(
        "--atomic",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="With --apply: have all rows in one transaction, which is rolled back if the plan changes (the default).",
    )


def check_together(command_line: Sequence[str], options: Mapping[str, Any]) -> None:
    """Some options go with `--save` alone, some with `--apply` alone.

    Raises:
        CommandError: one of them stands where it says nothing.
    """
    if options["apply"] is None:
        unfit = [name for name in ("max_age", "atomic") if options[name] is not None]
        needed = "--apply"
    else:
        unfit = [name for name in ("save", "fail_on", "stub", "output") if options[name]]
        needed = "dry runs, and --apply runs a command for real"
    if options["ignore"] and options["save"] is None:
        unfit, needed = ["ignore"], "--save: the plan keeps what is not compared"
    if unfit:
        raise wrong(f"--{unfit[0].replace('_', '-')} goes with {needed}")
    if options["apply"] is not None and command_line:
        raise wrong(f"--apply runs the command of the plan: leave out {shlex.join(command_line)!r}")


def known(option: str, pattern: str) -> str:
    """A name or glob that means a declared effect.

    Raises:
        CommandError: it means none.
    """
    try:
        check_known(pattern)
    except UnknownSideEffect as error:
        raise wrong(f"{option}: {error}") from error
    return pattern


def stub_of(text: str) -> tuple[str, Any]:
    """An effect's name and what it answers."""
    name, equals, value = text.partition("=")
    try:
        answer = json.loads(value if equals else "")
    except ValueError as error:
        raise wrong(f'--stub takes NAME=JSON, such as \'card.charge={{"id": "x"}}\', not {text!r}: {error}') from error
    return known("--stub", name), answer


def ignored_by(text: str) -> Ignored:
    """An argument that is not compared."""
    effect, _, argument = text.rpartition(".")
    if not effect or not argument:
        raise wrong(f"--ignore takes EFFECT.ARGUMENT, such as sms.send.at, not {text!r}")
    known("--ignore", effect)
    signatures = [one.signature for one in registry.match(effect) if one.signature is not None]
    arguments = {name for signature in signatures for name in signature.parameters} | {SELF}
    if argument not in arguments:
        hint = did_you_mean(argument, sorted(arguments))
        raise wrong(f"--ignore: {effect} has no argument {argument!r}{hint}")
    return Ignored(effect, argument)
