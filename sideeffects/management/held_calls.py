"""Held calls as a table, in full, or as JSON."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from django.utils import timezone

from sideeffects._core.values import describe
from sideeffects._core.values.tables import GAP, cut, padded, printable, widths_of
from sideeffects.outbox import workers
from sideeffects.outbox.models import HeldCall
from sideeffects.outbox.pauses import time_of
from sideeffects.outbox.states import State

#: Colours a text for its role, one of those that Django's palettes know.
Paint = Callable[[str, str], str]

_HEADINGS: Final = ("ID", "STATE", "HELD", "EFFECT", "ARGUMENTS")
_ROLES: Final = {
    State.HELD: "WARNING",
    State.RELEASED: "NOTICE",
    State.RUNNING: "NOTICE",
    State.DONE: "SUCCESS",
    State.FAILED: "ERROR",
    State.UNKNOWN: "ERROR",
    State.REJECTED: "",
}


def as_table(rows: Sequence[HeldCall], paint: Paint, width: int | None) -> str:
    """A line for each call, and below it what went wrong."""
    cells = [(str(row.pk), row.state, _ago(row.at), row.effect) for row in rows]
    columns = widths_of([_HEADINGS[:-1], *cells])
    room = None if width is None else max(width - sum(columns) - len(GAP) * len(columns), _LEAST)
    lines = [GAP.join([*map(padded, _HEADINGS, columns), _HEADINGS[-1]])]
    for row, one in zip(rows, cells, strict=True):
        shown = [paint(_ROLES[State(row.state)], cell) if cell is one[1] else cell for cell in one]
        line = [padded(cell, column, text) for cell, column, text in zip(one, columns, shown, strict=True)]
        lines.append(GAP.join([*line, cut(_arguments(row), room)]).rstrip())
        if row.error:
            lines.append(GAP + cut(printable(row.error), None if width is None else max(width - len(GAP), _LEAST)))
    return "\n".join(lines)


#: Characters that arguments have at least, on whatever terminal.
_LEAST: Final = 24


def _arguments(row: HeldCall) -> str:
    return printable(", ".join(f"{name}={describe.describe(value)}" for name, value in row.arguments.items()))


def _ago(at: datetime.datetime) -> str:
    seconds = int((timezone.now() - at).total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return f"{max(seconds, 0)} s ago"


def as_details(rows: Iterable[HeldCall], paint: Paint) -> str:
    """Everything that is known of each call, a paragraph each."""
    return "\n\n".join("\n".join(_details(row, paint)) for row in rows)


def _details(row: HeldCall, paint: Paint) -> list[str]:
    data = as_data(row)
    facts = {
        "reason": f"{data['reason']}{f' [{row.decided_by}]' if row.decided_by else ''}",
        "error": data["error"],
        "caller": data["caller"],
        "origin": data["origin"],
        "held at": time_of(row.at),
        "changed": "" if row.changed_at is None else f"{time_of(row.changed_at)}{f' by {row.by}' if row.by else ''}",
        "worker": data["worker"],
        "attempts": str(row.attempts or ""),
        "took": "" if row.duration is None else f"{row.duration:.3f} s",
        "run list": row.run_id,
        "call id": row.call_id,
        "details": "" if row.details is None else describe.describe(row.details),
    }
    lines = [f"{row.pk}{GAP}{paint('MIGRATE_LABEL', row.effect)}{GAP}{paint(_ROLES[State(row.state)], row.state)}"]
    lines += [f"{GAP * 2}{name} = {printable(describe.describe(value))}" for name, value in row.arguments.items()]
    if row.asked is not None:
        lines.append(f"{GAP * 2}asked for: {printable(describe.describe(row.asked))}")
    return [*lines, *(f"{GAP}{label:<9} {printable(fact)}" for label, fact in facts.items() if fact)]


def as_data(row: HeldCall) -> dict[str, Any]:
    """A call for programs: JSON-safe, and redacted."""
    return {
        "id": row.pk,
        "call_id": row.call_id,
        "effect": row.effect,
        "state": row.state,
        "arguments": row.arguments,
        "asked": row.asked,
        "details": row.details,
        "reason": row.reason,
        "decided_by": row.decided_by,
        "caller": row.caller,
        "origin": row.origin,
        "run_id": row.run_id or None,
        "at": row.at.isoformat(),
        "by": row.by,
        "changed_at": "" if row.changed_at is None else row.changed_at.isoformat(),
        "attempts": row.attempts,
        "error": row.error,
        "duration": row.duration,
        "worker": workers.shown(row.worker) if row.worker else "",
    }
