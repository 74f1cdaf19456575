"""An order as a table with a column for each racer, from top to bottom as it went."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from sideeffects._core.values.tables import cut, padded, printable, width_of
from sideeffects.testing.exploring.orders import Order

_NARROWEST: Final = 22
_WIDEST: Final = 52
#: How wide it is where there is no terminal and `COLUMNS` is not set.
_COLUMNS: Final = 140
_QUALIFIER: Final = re.compile(r"[\"`]\w+[\"`]\.")
_SELECTED: Final = re.compile(r"^(SELECT(?: DISTINCT)?) .{20,}? (FROM)\b", re.DOTALL)
#: The names that Django gives to savepoints.
_NAMELESS: Final = re.compile(r"\bs\d+_x\d+\b")
_BOLD, _RED, _OFF = "\033[1m", "\033[31m", "\033[0m"


def shortened(sql: str) -> str:
    """A statement of Django's as one would write it."""
    bare = " ".join(_NAMELESS.sub("", re.sub(r"[\"`]", "", _QUALIFIER.sub("", sql))).split())
    return printable(_SELECTED.sub(r"\1 ... \2", bare))


class _Row(NamedTuple):
    """One line of the table: what stands in one racer's column, and what must not be cut off from it."""

    number: str
    racer: int
    text: str
    kept: str
    place: str
    is_switch: bool


def timeline(order: Order, outcomes: Sequence[str], *, in_colour: bool | None = None) -> str:
    """The table, as wide as the terminal if it can be.

    Args:
        order: which.
        outcomes: how each racer's call ended, in the order of the racers.
        in_colour: whether to colour it; by default on a terminal, unless `NO_COLOR` is set.
    """
    if in_colour is None:
        in_colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    count = len(order.ends)
    rows = list(_rows(order, outcomes))
    places = max([len(row.place) for row in rows], default=0)
    room = (shutil.get_terminal_size((_COLUMNS, 0)).columns - places - 5) // count - 2
    widest = max(_NARROWEST, min(_WIDEST, room))
    cells = [cut(row.text, widest - len(row.kept)) + row.kept for row in rows]
    widths = [
        max([width_of(cell) for cell, row in zip(cells, rows, strict=True) if row.racer == racer], default=0)
        for racer in range(count)
    ]
    heads = [f"racer {racer + 1}" for racer in range(count)]
    widths = [max(width, len(head)) for width, head in zip(widths, heads, strict=True)]
    lines = ["  ".join(["   ", *map(padded, heads, widths)]).rstrip()]
    for row, cell in zip(rows, cells, strict=True):
        columns = [padded(cell if racer == row.racer else "", width) for racer, width in enumerate(widths)]
        lines.append("  ".join([f"{row.number:>3}", *columns, row.place]).rstrip())
    if in_colour:
        lines = [f"{_BOLD}{lines[0]}{_OFF}", *map(_coloured, lines[1:], rows)]
    return "\n".join([*lines, *_switches(order)])


def _rows(order: Order, outcomes: Sequence[str]) -> Iterator[_Row]:
    for number, event in enumerate(order.events):
        yield from _ended(order, number, outcomes)
        text, kept = event.step.text(), ""
        text = shortened(text) if event.step.kind == "sql" else printable(text)
        if event.step.kind in ("effect", "step"):
            text = f"{event.step.kind} {text}"
        if event.waited:
            kept = " [waits]" if event.released is None else f" [waits until after {event.released + 1}]"
        place = os.path.basename(event.step.place)
        yield _Row(str(number + 1), event.racer, text, kept, place, event.is_switch)
    yield from _ended(order, len(order.events), outcomes)
    if order.stuck is not None:
        yield _Row("", order.stuck[0], "came to no further step", "", "", is_switch=False)


def _ended(order: Order, number: int, outcomes: Sequence[str]) -> Iterator[_Row]:
    for racer, end in enumerate(order.ends):
        if end == number:
            yield _Row("", racer, printable(f"= {outcomes[racer]}"), "", "", is_switch=False)


def _switches(order: Order) -> list[str]:
    """Between which two places of the code each racer stood while another went on."""
    lines = []
    for number, event in enumerate(order.events):
        if event.is_switch:
            left = order.events[number - 1]
            following = next((one for one in order.events[number:] if one.racer == left.racer), None)
            if following is not None:
                lines.append(
                    f"racer {left.racer + 1} stood between {_near(left.step.place)} and {_near(following.step.place)} "
                    f"while racer {event.racer + 1} was at {_near(event.step.place)}"
                )
    return lines


def _near(place: str) -> str:
    """A place, from the working directory on."""
    folder = os.getcwd() + os.sep
    return place.removeprefix(folder)


def _coloured(line: str, row: _Row) -> str:
    if row.text.startswith("= ") and "Error" in row.text:
        return f"{_RED}{line}{_OFF}"
    return f"{_BOLD}{line}{_OFF}" if row.is_switch else line
