"""Tables of text: aligned for a terminal, or as Markdown."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

GAP: Final = "  "


def aligned(rows: Sequence[Sequence[str]], indent: str = "") -> list[str]:
    """A line for each row, its cells one below the other."""
    widths = widths_of(rows)
    return [
        (indent + GAP.join(padded(cell, width) for cell, width in zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]


def widths_of(rows: Sequence[Sequence[str]]) -> list[int]:
    """The columns that each column of a table takes."""
    return [max(map(width_of, column)) for column in zip(*rows, strict=True)]


def padded(text: str, width: int, shown: str | None = None) -> str:
    """The text with spaces up to a width; `shown` in its place, whose colours take no room."""
    return (text if shown is None else shown) + " " * (width - width_of(text))


def width_of(text: str) -> int:
    """How many columns a terminal gives to a text."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def cut(text: str, room: int | None) -> str:
    """The text in at most `room` columns, the cut marked."""
    if room is None or width_of(text) <= room:
        return text
    kept, left = [], max(room, 1) - len("...")
    for letter in text:
        left -= _columns(letter)
        if left < 0:
            break
        kept.append(letter)
    return "".join(kept).rstrip() + "..."


def printable(text: str) -> str:
    """Without what would move the cursor or colour the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table of Markdown, a line for each row; the cells are Markdown already."""
    return [f"| {' | '.join(cells)} |" for cells in (headings, ["---"] * len(headings), *rows)]


def code(text: str) -> str:
    """A text as code in a cell."""
    # In a table GitHub reads `|` as the next cell even inside code.
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}".replace("|", "\\|")


def escaped(text: str) -> str:
    """A text in a cell: nothing in it ends the cell, or is read as Markdown or HTML."""
    for letter in "\\|<>*_[]`":
        text = text.replace(letter, f"\\{letter}")
    return text.replace("\n", "<br>")
