"""The shapes that all drawings are made of. They take the page's colours, so they can be read in dark mode too."""

import html
from typing import Final

#: As narrow as a phone can show with letters that one reads; wider screens show it at most half as big again.
WIDTH: Final = 520
LETTERS: Final = 15
ACCENT: Final = "var(--color-brand-primary, currentColor)"


def text(x: float, y: float, words: str, *, anchor: str = "middle", style: str = "") -> str:
    """A line of text whose middle stands at this height."""
    given = f' style="{style}"' if style else ""
    return f'<text x="{x:g}" y="{y + LETTERS / 3:g}" text-anchor="{anchor}"{given}>{html.escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, *lines: str, kind: str = "") -> str:
    """A box with lines of text in its middle; the first one is bold if there are more.

    Args:
        x: of its left side.
        y: of its top.
        width: of the box.
        height: of the box.
        *lines: the text; none for an empty box.
        kind: `accent`, for what matters most; `dashed`, for what stands apart.
    """
    stroke = ACCENT if kind == "accent" else "currentColor"
    more = {"accent": ' stroke-width="2.5"', "dashed": ' stroke-dasharray="6 4"'}.get(kind, "")
    begin = y + height / 2 - (len(lines) - 1) * 10
    styles = [_BOLD, *[_SMALL] * (len(lines) - 1)] if len(lines) > 1 else [""] * len(lines)
    shown = (
        text(x + width / 2, begin + 20 * number, line, style=style)
        for number, (line, style) in enumerate(zip(lines, styles, strict=True))
    )
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="7" fill="none" stroke="{stroke}"{more}/>'
        + "".join(shown)
    )


_BOLD: Final = "font-weight: bold"
_SMALL: Final = "font-size: 13px"


def arrow(x1: float, y1: float, x2: float, y2: float, *, kind: str = "") -> str:
    """A line with a tip at its end; `dashed`, for what happens only sometimes."""
    more = ' stroke-dasharray="6 4"' if kind == "dashed" else ""
    return (
        f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="currentColor" stroke-width="1.5"{more} '
        'marker-end="url(#tip)"/>'
    )


def caption(y: float, words: str, *, x: float = WIDTH / 2, anchor: str = "middle") -> str:
    """A sentence beside the boxes."""
    return text(x, y, words, anchor=anchor, style="font-size: 13px; font-style: italic")


def picture(title: str, height: float, *parts: str) -> str:
    """The SVG, to be put into a page; readers of the screen hear the title."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" width="100%" style="max-width: 720px; display: block; '
        f'margin: 1rem auto" fill="currentColor" font-size="{LETTERS}">'
        f"<title>{html.escape(title)}</title>{_TIP}{''.join(parts)}</svg>\n"
    )


_TIP: Final = (
    '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
    'orient="auto-start-reverse"><path d="M0 0 10 5 0 10z"/></marker></defs>'
)
