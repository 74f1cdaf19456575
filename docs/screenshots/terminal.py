"""What a program printed, as the picture of a terminal."""

import io
from typing import Final

from rich.console import Console
from rich.text import Text

#: rich's own frame loads its font from the web, which neither a page without a network nor PyPI would do.
FRAME: Final = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
font-size: {char_height}px;
line-height: {line_height}px;
}}
.{unique_id}-title {{ font: bold 18px sans-serif }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}" /></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
#: As wide as the longest line, within these; what is wider is broken.
FEWEST: Final = 80
MOST: Final = 112


def picture(name: str, command: str, printed: str) -> str:
    """The SVG of a terminal in which somebody typed a command.

    Args:
        name: of the picture; the identifiers inside begin with it.
        command: what was typed.
        printed: what came of it, with the terminal's colours.
    """
    shown = Text.assemble(("$ ", "green"), (command, "bold"), "\n", Text.from_ansi(printed.rstrip("\n")))
    columns = max(FEWEST, min(MOST, max(map(len, shown.plain.splitlines()))))
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(shown)
    svg = console.export_svg(title="", code_format=FRAME, unique_id=name)
    return "".join(f"{line.strip()}\n" for line in svg.splitlines() if line.strip())
