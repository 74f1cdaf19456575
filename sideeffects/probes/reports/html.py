"""The page for people: one file without external assets, readable without JavaScript.

Style and script are constants, which the page's Content-Security-Policy allows by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from html import escape
from typing import Final

from sideeffects.probes.reports.html_assets import SCRIPT, STYLE
from sideeffects.probes.results import Effect, Outcome, ProbeResult, Results

_WORDS: Final = {
    Outcome.PASSED: "passed",
    Outcome.FAILED: "failed",
    Outcome.ERRORED: "errored",
    Outcome.SKIPPED: "skipped",
}
_ORDER: Final = (Outcome.FAILED, Outcome.ERRORED, Outcome.PASSED, Outcome.SKIPPED)


def render(results: Results) -> str:
    """The report."""
    return "".join(_page(results))


def _hash_of(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'none'; style-src '{_hash_of(STYLE)}'; script-src '{_hash_of(SCRIPT)}'; "
    f"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def _page(results: Results) -> Iterator[str]:
    is_good = results.passed
    said = "All probes passed" if is_good else "Probes failed"
    if is_good and not results.probes:
        said = "No probes were found"
    yield (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<meta name="robots" content="noindex">\n'
        f"<title>{results.status}: probes</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<header class="{"good" if is_good else "bad"}">\n'
        f'<p class="status" aria-hidden="true">{results.status}</p>\n<div><h1>{said}</h1>\n'
        f'<p>Run at <time datetime="{results.started.isoformat()}">{results.started:%Y-%m-%d %H:%M:%S} UTC</time> '
        f"in {_seconds(results.duration)}</p></div>\n</header>\n<main>\n"
    )
    yield from _totals(results)
    for note in (*results.notes, *(() if results.is_whole else ("Not all that was selected has been run.",))):
        yield f'<p class="note">{escape(note)}</p>\n'
    if results.probes:
        yield from _filters(results)
        yield from _list(results)
    yield f"</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"


def _totals(results: Results) -> Iterator[str]:
    yield '<dl class="totals">\n'
    for word, number in (
        ("classes", results.classes),
        ("run", results.run),
        *((_WORDS[outcome], results.count(outcome)) for outcome in (Outcome.PASSED, *_ORDER[:2], Outcome.SKIPPED)),
        ("effects held back", sum(len(probe.held_back) for probe in results.probes)),
    ):
        tone = f' class="{word}"' if number and word in _WORDS.values() else ""
        yield f"<div{tone}><dt>{word}</dt><dd>{number}</dd></div>\n"
    yield "</dl>\n"


def _filters(results: Results) -> Iterator[str]:
    yield (
        '<form id="filters" role="search" aria-label="Filter the probes" hidden>\n'
        '<label>Search <input type="search" id="search" autocomplete="off" spellcheck="false"></label>\n'
        "<fieldset><legend>Show</legend>\n"
    )
    for outcome in _ORDER:
        if any(probe.outcome is outcome for probe in results.probes):
            word = _WORDS[outcome]
            yield f'<label><input type="checkbox" name="outcome" value="{word}" checked> {word}</label>\n'
    yield '</fieldset>\n<p id="shown" role="status"></p>\n</form>\n'


def _list(results: Results) -> Iterator[str]:
    longest = max((probe.duration for probe in results.probes), default=0.0) or 1.0
    ordered = sorted(results.probes, key=lambda probe: not probe.is_bad)  # what is wrong comes first
    yield '<ul id="probes" aria-label="Probes">\n'
    for probe in ordered:
        yield from _item(probe, longest)
    yield "</ul>\n"


def _item(probe: ProbeResult, longest: float) -> Iterator[str]:
    word = _WORDS[probe.outcome]
    package, _, name = probe.id.rpartition(".")
    words = " ".join((probe.id, probe.app, *probe.tags, probe.message, *(effect.name for effect in probe.effects)))
    share = max(0.5, 100 * probe.duration / longest)
    yield (
        f'<li class="{word}" data-outcome="{word}" data-words="{escape(words.lower())}">\n'
        f'<div class="row"><span class="badge">{word}</span>\n'
        f'<h2><span class="path">{escape(package)}.</span><wbr>{escape(name)}</h2>\n'
        f'<span class="bar"><svg aria-hidden="true" focusable="false"><rect width="100%" height="100%" rx="3"/>'
        f'<rect class="share" width="{share:.1f}%" height="100%" rx="3"/></svg>'
        f'<span class="time">{_seconds(probe.duration)}</span></span></div>\n'
    )
    if probe.message:
        yield f'<p class="message">{escape(probe.message)}</p>\n'
    if probe.tags:
        tags = "".join(f"<li>{escape(tag)}</li>" for tag in probe.tags)
        yield f'<ul class="tags" aria-label="Tags">{tags}</ul>\n'
    if probe.held_back:
        yield from _effects("held", "Held back: would have run", probe.held_back)
    if probe.executed:
        yield from _effects("ran", "Ran, since the probe forces it", probe.executed)
    if probe.traceback:
        yield (
            f"<details><summary>Traceback</summary>"
            f'<pre tabindex="0" role="region" aria-label="Traceback of {escape(probe.id)}">'
            f"{escape(probe.traceback)}</pre></details>\n"
        )
    yield "</li>\n"


def _effects(kind: str, title: str, effects: tuple[Effect, ...]) -> Iterator[str]:
    yield f'<div class="effects {kind}"><h3>{title}</h3><ul>\n'
    for effect in effects:
        yield f"<li><code>{escape(effect.text)}</code></li>\n"
    yield "</ul></div>\n"


def _seconds(duration: float) -> str:
    return f"{duration:.2f} s" if duration >= 1 else f"{duration * 1000:.1f} ms"
