"""A plan as text, Markdown and JSON."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.state.open_transactions import ROLLED_BACK
from sideeffects._core.values.describe import describe, jsonable
from sideeffects.dryrun.publishing import Message
from sideeffects.dryrun.row_counts import KINDS, Writes
from sideeffects.dryrun.schema import MOST_ROWS


class Planned(Protocol):
    """What is shown of a plan; see `Plan`."""

    def __iter__(self) -> Iterator[Call]: ...

    def __len__(self) -> int: ...

    @property
    def dropped(self) -> int:
        """How many of its calls are no longer kept."""
        ...

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each effect would have happened."""
        ...

    @property
    def writes(self) -> Sequence[Writes]:
        """The rows that were written."""
        ...

    @property
    def is_complete(self) -> bool:
        """Whether the code was carried to its end."""
        ...

    @property
    def is_certain(self) -> bool:
        """Whether it is known that nothing was kept."""
        ...

    @property
    def messages(self) -> Sequence[Message]:
        """The messages that would have been published."""
        ...

    @property
    def refusals(self) -> Sequence[str]:
        """What was refused."""
        ...

    def for_real(self, call: Call) -> Decision:
        """What the settings decide of a call outside of dry runs."""
        ...

    @property
    def remarks(self) -> Sequence[str]:
        """What may have gone otherwise than it would have."""
        ...


#: How much of an argument is shown.
_SHOWN: Final = 200


def as_text(plan: Planned) -> str:
    """For people at a terminal."""
    return "\n".join([*_effects(plan), *_published(plan), "", *_writes(plan), *_reasons(plan)])


def never_happens(call: Call) -> bool:
    """Whether a call would have waited for a commit that never came."""
    return call.transaction == ROLLED_BACK and call.effect.on_commit is not False


def remarks_on(plan: Planned, call: Call) -> str:
    """What is to be said of a call whose transaction rolled back, or that the settings do not let execute."""
    remarks = []
    if call.transaction == ROLLED_BACK:
        remarks.append(
            "never, its transaction rolled back" if never_happens(call) else "although its transaction rolled back"
        )
    decision = plan.for_real(call)
    if decision.mode is not Mode.EXECUTE:
        how = "only recorded" if decision.mode is Mode.RECORD else "refused"
        remarks.append(f"{how} for real too: {decision.reason}")
    return "; ".join(remarks)


def _numbered(plan: Planned) -> Iterator[tuple[int, Call]]:
    calls = list(plan)
    return enumerate(calls, plan.dropped + 1)


def _effects(plan: Planned) -> Iterator[str]:
    total = sum(plan.counts.values())
    if not plan.is_complete:
        yield f"{NOT_COMPLETE}."
        yield ""
    if not len(plan):
        yield _no_effect(plan)
        return
    happened = "would have happened" if plan.is_complete else "was reached" if total == 1 else "were reached"
    yield f"{_number(total, 'effect')} {happened}, in this order:" if total else f"{_no_effect(plan)[:-1]}:"
    if plan.dropped:
        yield f"  ({plan.dropped} earlier ones are counted, but not kept: SIDE_EFFECTS['LEDGER']['MAX_CALLS'])"
    width = len(str(plan.dropped + len(plan)))
    for position, call in _numbered(plan):
        remark = remarks_on(plan, call)
        shown = f"  {position:>{width}}. {call.name}({arguments_of(call)})  {place_of(call)}"
        yield f"{shown}  [{remark}]" if remark else shown
    if total:
        yield ""
        yield "How often:"
        yield from _table([[name, str(count)] for name, count in plan.counts.items()])


#: Of a run that was refused, or raised an error.
NOT_COMPLETE: Final = "It was not carried to its end, and what would have come after that is not known"


def _no_effect(plan: Planned) -> str:
    return "No effect would have happened." if plan.is_complete else "No effect was reached."


def _no_row(plan: Planned) -> str:
    return "No row would have been written." if plan.is_complete else "No row was written."


def _published(plan: Planned) -> Iterator[str]:
    if plan.messages:
        yield ""
        yield "Messages that would have been published (what receives them was not run):"
        yield from _table([[name or "(no task)", to, str(times)] for name, to, times in plan.messages])


def _writes(plan: Planned) -> Iterator[str]:
    if not plan.writes:
        yield _no_row(plan)
        return
    yield "Rows that were written and rolled back:"
    yield from _table([[row.database, row.table or "(table not known)", what_of(row)] for row in plan.writes])


def _reasons(plan: Planned) -> Iterator[str]:
    for title, reasons in _titled(plan):
        yield ""
        yield f"{title}:"
        yield from (f"  {reason}" for reason in reasons)


def _titled(plan: Planned) -> Iterator[tuple[str, Sequence[str]]]:
    if plan.remarks:
        yield "To be borne in mind", plan.remarks
    if plan.refusals:
        yield "Refused", plan.refusals


def what_of(row: Writes) -> str:
    """What was written, in words."""
    parts = [f"{getattr(row, kind)} {kind}" for kind in KINDS if getattr(row, kind)]
    if row.change:
        parts.insert(0, row.change)
    if row.truncated:
        parts.append("emptied by TRUNCATE" + (f" {row.truncated} times" if row.truncated > 1 else ""))
    if row.unattributed:
        parts.append(f"{row.unattributed} unattributed")
    if row.rows is not None:
        parts.append(f"it had {_number(row.rows, 'row')}{' or more' if row.rows == MOST_ROWS else ''}")
    return ", ".join(parts)


def arguments_of(call: Call) -> str:
    """A call's arguments, redacted."""
    return ", ".join(f"{name}={describe(value, _SHOWN)}" for name, value in call.arguments.items())


def place_of(call: Call) -> str:
    """Where it was called; below the current folder, from there."""
    here = os.getcwd() + os.sep
    return call.caller.removeprefix(here)


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _table(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        yield f"  {'  '.join(cells)}".rstrip()


def as_markdown(plan: Planned) -> str:
    """For a pull request or a ticket."""
    lines = ["## Effects", ""]
    if not plan.is_complete:
        lines += [f"{NOT_COMPLETE}.", ""]
    if not len(plan):
        lines.append(_no_effect(plan))
    else:
        lines += ["| # | effect | arguments | called at | |", "|---|---|---|---|---|"]
        for position, call in _numbered(plan):
            cells = map(_cell, (call.name, arguments_of(call), place_of(call), remarks_on(plan, call)))
            lines.append(f"| {position} | {' | '.join(cells)} |")
        lines += ["", "| effect | how often |", "|---|---|"]
        lines += [f"| {_cell(name)} | {count} |" for name, count in plan.counts.items()]
    if plan.messages:
        lines += ["", "## Messages", "", "| task | queue | how often |", "|---|---|---|"]
        lines += [f"| {_cell(name or '(no task)')} | {_cell(to)} | {times} |" for name, to, times in plan.messages]
    lines += ["", "## Rows", ""]
    if not plan.writes:
        lines.append(_no_row(plan))
    else:
        lines += ["| database | table | written and rolled back |", "|---|---|---|"]
        lines += [
            f"| {_cell(row.database)} | {_cell(row.table or '(table not known)')} | {what_of(row)} |"
            for row in plan.writes
        ]
    for title, reasons in _titled(plan):
        lines += ["", f"## {title}", "", *(f"- {reason}" for reason in reasons)]
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Text as it stands in a table: nothing in it may end the cell, or be read as Markdown or HTML."""
    for letter in "\\`*_<>|[]":
        text = text.replace(letter, f"\\{letter}")
    return " ".join(text.split())


def as_data(plan: Planned) -> dict[str, Any]:
    """For programs."""
    return {
        "is_complete": plan.is_complete,
        "is_certain": plan.is_certain,
        "effects": [
            {
                "position": position,
                "name": call.name,
                "arguments": {name: jsonable(value) for name, value in call.arguments.items()},
                "caller": place_of(call),
                "is_async": call.is_async,
                "transaction": call.transaction,
                "happens": not never_happens(call),
                "for_real": {"mode": decision.mode.value, "reason": decision.reason},
            }
            for position, call in _numbered(plan)
            for decision in [plan.for_real(call)]
        ],
        "counts": dict(plan.counts),
        "not_kept": plan.dropped,
        "messages": [message._asdict() for message in plan.messages],
        "writes": [dataclasses.asdict(row) for row in plan.writes],
        "remarks": list(plan.remarks),
        "refusals": list(plan.refusals),
    }


def as_json(plan: Planned, **more: Any) -> str:
    """The same as text; `more` comes first."""
    return json.dumps({**more, **as_data(plan)}, indent=2)
