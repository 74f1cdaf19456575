"""How results are shown: one module a format, each with a `render(results) -> str`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from sideeffects.probes.reports import html, json, junit, openmetrics, text
from sideeffects.probes.results import Results

__all__: list[str] = []


class Format(NamedTuple):
    """One format.

    Attributes:
        render: makes the text of it.
        content_type: what the web calls it.
        media_types: what is asked for by `Accept`.
        is_always_ok: whether its status is 200 whatever came of the probes.
    """

    render: Callable[[Results], str]
    content_type: str
    media_types: tuple[str, ...]
    is_always_ok: bool = False


#: The first one is given when nothing is asked for.
FORMATS: Final = {
    "text": Format(text.render, "text/plain; charset=utf-8", ("text/plain",)),
    "json": Format(json.render, "application/json", ("application/json",)),
    "html": Format(html.render, "text/html; charset=utf-8", ("text/html", "application/xhtml+xml")),
    "junit": Format(junit.render, "application/xml; charset=utf-8", ("application/xml", "text/xml")),
    # A scraper reads the values; a status other than 200 would tell it that there are none.
    "openmetrics": Format(
        openmetrics.render,
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ("application/openmetrics-text",),
        is_always_ok=True,
    ),
}
