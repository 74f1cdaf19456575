"""Pictures that the build of these pages draws. They take the page's colours, so they can be read in dark mode too."""

import html
import re
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
WIDTH, ROW, GAP, MARGIN = 760, 44, 14, 8


def floors_of(page: str) -> list[tuple[int, list[str]]]:
    """The table of `architecture.md`: each floor with its folders and files, the lowest first."""
    rows = (re.match(r"\| (\d+) \| ([^|]+) \|", line) for line in page.splitlines())
    return [(int(row[1]), re.findall(r"`([^`]+)`", row[2])) for row in rows if row]


def boxes(floors: list[tuple[int, list[str]]]) -> Iterator[str]:
    """A row of boxes for each floor, the highest on top."""
    for place, (floor, rooms) in enumerate(reversed(floors)):
        top = MARGIN + place * (ROW + GAP)
        width = (WIDTH - 60 - GAP * (len(rooms) - 1)) / len(rooms)
        yield f'<text x="{MARGIN}" y="{top + ROW / 2 + 5}" opacity="0.6">{floor}</text>'
        for column, room in enumerate(rooms):
            left = 50 + column * (width + GAP)
            private = ' stroke-dasharray="5 3"' if room.startswith("_core") else ""
            yield (
                f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{ROW}" rx="6" fill="none" '
                f'stroke="currentColor"{private}/><text x="{left + width / 2:.1f}" y="{top + ROW / 2 + 5}" '
                f'text-anchor="middle">{html.escape(room)}</text>'
            )


def picture_of_floors(page: str) -> str:
    """The folders of the package as a house: what stands higher imports what stands lower."""
    floors = floors_of(page)
    height = 2 * MARGIN + len(floors) * (ROW + GAP) - GAP
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" width="100%" fill="currentColor" font-size="14" '
        'font-family="monospace"><title>The folders of the package, each above what it imports</title>'
        f"{''.join(boxes(floors))}</svg>\n"
    )


def draw() -> None:
    """Write all pictures to `_build/pictures`."""
    folder = HERE / "_build" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    page = (HERE / "architecture.md").read_text(encoding="utf-8")
    (folder / "floors.svg").write_text(picture_of_floors(page), encoding="utf-8")
