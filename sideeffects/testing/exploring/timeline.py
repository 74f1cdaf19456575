"""An order as a table with a column for each racer, from top to bottom as it went."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import Final

from sideeffects._core.values.tables import cut, padded, printable, width_of
from sideeffects.testing.exploring.orders import Order

_WIDEST: Final = 52
_QUALIFIER: Final = re.compile(r"[\"`]\w+[\"`]\.")
_SELECTED: Final = re.compile(r"^(SELECT(?: DISTINCT)?) .{20,}? (FROM)\b", re.DOTALL)
#: The names that Django gives to savepoints.
_NAMELESS: Final = re.compile(r"\bs\d+_x\d+\b")
_BOLD, _RED, _OFF = "\033[1m", "\033[31m", "\033[0m"


def shortened(sql: str) -> str:
    """A statement of Django's as one would write it."""
    bare = " ".join(_NAMELESS.sub("", re.sub(r"[\"`]", "", _QUALIFIER.sub("", sql))).split())
    return cut(printable(_SELECTED.sub(r"\1 ... \2", bare)), _WIDEST)


def timeline(order: Order, outcomes: Sequence[str], *, in_colour: bool | None = None) -> str:
    """The table.

    Args:
        order: which.
        outcomes: how each racer's call ended, in the order of the racers.
        in_colour: whether to colour it; by default on a terminal, unless `NO_COLOR` is set.
    """
    if in_colour is None:
        in_colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    count = len(order.ends)
    rows = [_row("", "", [f"racer {racer + 1}" for racer in range(count)])]
    places: dict[int, bool] = {}
    for number, event in enumerate(order.events):
        rows += _ended(order, number, outcomes)
        places[len(rows)] = event.is_switch
        rows.append(_row(str(number + 1), _near(event.step.place), _cells(count, event.racer, _told(order, number))))
    rows += _ended(order, len(order.events), outcomes)
    if order.stuck is not None:
        rows.append(_row("", "", _cells(count, order.stuck[0], "came to no further step")))
    widths = [max(map(width_of, column)) for column in zip(*rows, strict=True)]
    lines = []
    for number, row in enumerate(rows):
        line = "  ".join(padded(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip()
        lines.append(_coloured(line, number, row, is_switch=places.get(number, False)) if in_colour else line)
    return "\n".join([*lines, *_switches(order)])


def _row(number: str, place: str, cells: Sequence[str]) -> list[str]:
    return [f"{number:>3}", *cells, place]


def _cells(count: int, racer: int, text: str) -> list[str]:
    return [text if one == racer else "" for one in range(count)]


def _told(order: Order, number: int) -> str:
    event = order.events[number]
    text = shortened(event.step.text) if event.step.kind == "sql" else cut(printable(event.step.text), _WIDEST)
    if event.step.kind in ("effect", "step"):
        text = f"{event.step.kind} {text}"
    if event.waited:
        until = "" if event.released is None else f" until after {event.released + 1}"
        text += f" [waits{until}]"
    return text


def _ended(order: Order, number: int, outcomes: Sequence[str]) -> list[list[str]]:
    return [
        _row("", "", _cells(len(order.ends), racer, cut(printable(f"= {outcomes[racer]}"), _WIDEST)))
        for racer, end in enumerate(order.ends)
        if end == number and (number or not order.events)
    ]


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


def _coloured(line: str, number: int, row: Sequence[str], *, is_switch: bool) -> str:
    if number == 0:
        return f"{_BOLD}{line}{_OFF}"
    if any(cell.startswith("= ") and "Error" in cell for cell in row):
        return f"{_RED}{line}{_OFF}"
    return f"{_BOLD}{line}{_OFF}" if is_switch else line
