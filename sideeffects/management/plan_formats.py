"""How `dry_run` shows what it found, and what stands in a plan's file."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from sideeffects.dryrun.formats import as_markdown, as_text
from sideeffects.dryrun.plan import Plan
from sideeffects.dryrun.plan_data import as_data, as_json
from sideeffects.dryrun.saved_plan import SavedPlan


class Ran(NamedTuple):
    """What came of running a command dry.

    Attributes:
        line: the command and its arguments.
        plan: what it would have done.
        said: what it printed; empty where that was not held back.
        code: its exit code.
        error: what it raised, other than to end with an exit code.
    """

    line: Sequence[str]
    plan: Plan
    said: str
    code: int
    error: BaseException | None


def _text(ran: Ran) -> str:
    line = shlex.join(ran.line)
    kept = _kept(is_certain=ran.plan.is_certain)
    reads = " that do more than read" if ran.plan.reads else ""
    nothing = f"no declared effect{'s' * bool(reads)}{reads} {'were' if reads else 'was'} executed"
    return f"Dry run of `{line}`. {kept}, and {nothing}.\n\n{as_text(as_data(ran.plan))}"


def _markdown(ran: Ran) -> str:
    return (
        f"# Dry run of `{shlex.join(ran.line)}`\n\n{_kept(is_certain=ran.plan.is_certain)}.\n\n"
        f"{as_markdown(as_data(ran.plan))}"
    )


def _kept(*, is_certain: bool) -> str:
    return "Nothing was kept" if is_certain else "Whether anything was kept is not known (see what was refused)"


def _json(ran: Ran) -> str:
    error = None if ran.error is None else f"{type(ran.error).__name__}: {ran.error}"
    return as_json(ran.plan, command=list(ran.line), exit_code=ran.code, error=error, output=ran.said)


FORMATS: Final[dict[str, Callable[[Ran], str]]] = {"text": _text, "json": _json, "markdown": _markdown}


def shown_from_file(saved: SavedPlan, form: str) -> str:
    """What stands in a plan's file."""
    data: dict[str, Any] = dict(saved.data)
    if form == "json":
        return json.dumps(data, indent=2)
    line = shlex.join(saved.command)
    told = [
        f"Made {data['made_at']} on {', '.join(f'{alias} ({where})' for alias, where in data['databases'].items())}."
    ]
    if saved.ignored:
        told.append(f"Not compared: {', '.join(map(str, saved.ignored))}.")
    if saved.applied_at:
        told.append(f"Applied {saved.applied_at}.")
    if form == "markdown":
        return f"# Plan of `{line}`\n\n{' '.join(told)}\n\n{as_markdown(data)}"
    return f"Plan of `{line}`. {' '.join(told)}\n\n{as_text(data)}"
