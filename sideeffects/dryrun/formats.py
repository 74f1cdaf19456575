"""A plan's data (`plan_data.py`), as it is or from a file, as text and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sideeffects._core.calls.decision import Mode
from sideeffects._core.state.open_transactions import ROLLED_BACK
from sideeffects._core.values.tables import aligned, escaped, markdown
from sideeffects.dryrun.row_counts import what_of

#: The data of a plan.
Data = Mapping[str, Any]

#: Of a run that was refused, or raised an error.
NOT_COMPLETE: Final = "It was not carried to its end, and what would have come after that is not known"


def as_text(data: Data) -> str:
    """For people at a terminal."""
    return "\n".join([*_effects(data), *_read(data), *_published(data), "", *_writes(data), *_reasons(data)])


def _effects(data: Data) -> Iterator[str]:
    effects, counts = data["effects"], data["counts"]
    total = sum(counts.values())
    if not data["is_complete"]:
        yield f"{NOT_COMPLETE}."
        yield ""
    if not effects:
        yield _no_effect(data)
        return
    happened = "would have happened" if data["is_complete"] else "was reached" if total == 1 else "were reached"
    yield f"{_number(total, 'effect')} {happened}, in this order:" if total else f"{_no_effect(data)[:-1]}:"
    if data["not_kept"]:
        yield f"  ({data['not_kept']} earlier ones are counted, but not kept: SIDE_EFFECTS['LEDGER']['MAX_CALLS'])"
    width = len(str(effects[-1]["position"]))
    for effect in effects:
        remark = remarks_on(effect)
        line = f"  {effect['position']:>{width}}. {effect['name']}({effect['shown']})  {effect['caller']}"
        yield f"{line}  [{remark}]" if remark else line
    if total:
        yield ""
        yield "How often:"
        yield from aligned([[name, str(count)] for name, count in counts.items()], "  ")


def remarks_on(effect: Data) -> str:
    """What is to be said of a call whose transaction rolled back, or that the settings do not let execute."""
    remarks = []
    if effect["transaction"] == ROLLED_BACK:
        never = "never, its transaction rolled back"
        remarks.append("although its transaction rolled back" if effect["happens"] else never)
    mode, reason = effect["for_real"]["mode"], effect["for_real"]["reason"]
    if mode != Mode.EXECUTE.value:
        remarks.append(f"{_FOR_REAL.get(mode, 'refused')} for real too: {reason}")
    return "; ".join(remarks)


_FOR_REAL: Final = {Mode.HOLD.value: "held", Mode.RECORD.value: "only recorded"}


def _no_effect(data: Data) -> str:
    return "No effect would have happened." if data["is_complete"] else "No effect was reached."


def _no_row(data: Data) -> str:
    return "No row would have been written." if data["is_complete"] else "No row was written."


_READ: Final = "Effects that only read, and were executed"
_PUBLISHED: Final = "Messages that would have been published (what receives them was not run)"


def _read(data: Data) -> Iterator[str]:
    if data["reads"]:
        yield ""
        yield f"{_READ}:"
        yield from aligned([[name, str(count)] for name, count in data["reads"].items()], "  ")


def _published(data: Data) -> Iterator[str]:
    if data["messages"]:
        yield ""
        yield f"{_PUBLISHED}:"
        yield from aligned(
            [[one["name"] or "(no task)", one["to"], str(one["times"])] for one in data["messages"]], "  "
        )


def _writes(data: Data) -> Iterator[str]:
    if not data["writes"]:
        yield _no_row(data)
        return
    yield "Rows that were written and rolled back:"
    yield from aligned([_row(row) for row in data["writes"]], "  ")


def _row(row: Data) -> list[str]:
    return [row["database"], row["table"] or "(table not known)", what_of(row)]


def _reasons(data: Data) -> Iterator[str]:
    for title, reasons in _titled(data):
        yield ""
        yield f"{title}:"
        yield from (f"  {reason}" for reason in reasons)


def _titled(data: Data) -> Iterator[tuple[str, Sequence[str]]]:
    if data["remarks"]:
        yield "To be borne in mind", data["remarks"]
    if data["refusals"]:
        yield "Refused", data["refusals"]


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def as_markdown(data: Data) -> str:
    """For a pull request or a ticket."""
    lines = ["## Effects", ""]
    if not data["is_complete"]:
        lines += [f"{NOT_COMPLETE}.", ""]
    if not data["effects"]:
        lines.append(_no_effect(data))
    else:
        lines += markdown(
            ("#", "effect", "arguments", "called at", ""),
            (
                [str(one["position"]), *map(escaped, (one["name"], one["shown"], one["caller"], remarks_on(one)))]
                for one in data["effects"]
            ),
        )
        lines += ["", *_counted("effect", data["counts"])]
    if data["reads"]:
        lines += ["", f"## {_READ}", "", *_counted("effect", data["reads"])]
    if data["messages"]:
        rows = (
            [escaped(one["name"] or "(no task)"), escaped(one["to"]), str(one["times"])] for one in data["messages"]
        )
        lines += ["", "## Messages", "", *markdown(("task", "queue", "how often"), rows)]
    lines += ["", "## Rows", ""]
    if not data["writes"]:
        lines.append(_no_row(data))
    else:
        cells = (map(escaped, _row(row)) for row in data["writes"])
        lines += markdown(("database", "table", "written and rolled back"), map(list, cells))
    for title, reasons in _titled(data):
        lines += ["", f"## {title}", "", *(f"- {reason}" for reason in reasons)]
    return "\n".join(lines)


def _counted(what: str, counts: Mapping[str, int]) -> list[str]:
    return markdown((what, "how often"), ([escaped(name), str(count)] for name, count in counts.items()))
