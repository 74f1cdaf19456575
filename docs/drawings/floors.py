"""The folders of the package as a house: what stands higher imports what stands lower."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from drawings.shapes import LETTERS, WIDTH, box, picture, text

ROW: Final = 40
GAP: Final = 10
MARGIN: Final = 8
LEFT: Final = 36
#: How wide a letter is, about, so that names that do not fit into one row take another.
LETTER: Final = LETTERS * 0.62


def floors_of(page: str) -> list[tuple[int, list[str]]]:
    """The table of `architecture.md`: each floor with its folders and files, the lowest first."""
    rows = (re.match(r"\| (\d+) \| ([^|]+) \|", line) for line in page.splitlines())
    return [(int(row[1]), re.findall(r"`([^`]+)`", row[2])) for row in rows if row]


def rows_of(rooms: list[str]) -> Iterator[list[str]]:
    """The rooms of a floor, as many beside each other as there is space for."""
    row: list[str] = []
    for room in rooms:
        longest = max(map(len, [*row, room])) * LETTER + GAP
        if row and (longest + GAP) * (len(row) + 1) > WIDTH - LEFT - MARGIN:
            yield row
            row = []
        row.append(room)
    yield row


def draw() -> str:
    """A row of boxes for each floor, the highest on top."""
    page = (Path(__file__).parents[1] / "architecture.md").read_text(encoding="utf-8")
    parts, top = [], MARGIN
    for floor, rooms in reversed(floors_of(page)):
        parts.append(text(MARGIN, top + ROW / 2, str(floor), anchor="start", style="opacity: 0.75"))
        for row in rows_of(rooms):
            width = (WIDTH - LEFT - MARGIN - GAP * (len(row) - 1)) / len(row)
            for column, room in enumerate(row):
                kind = "dashed" if room.startswith("_core") else ""
                parts.append(box(LEFT + column * (width + GAP), top, width, ROW, room, kind=kind))
            top += ROW + GAP
    return picture("The folders of the package, each above what it imports", top - GAP + MARGIN, *parts)
