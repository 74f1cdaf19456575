"""The page for people: one file without external assets, readable without JavaScript.

Style and script are `page.css` and `page.js`, which the page's Content-Security-Policy allows by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from html import escape
from importlib.resources import files
from typing import Final

from sideeffects.probes.reports.text import NOT_WHOLE
from sideeffects.probes.results import ProbeEffect, ProbeOutcome, ProbeResult, Results

_HERE: Final = files("sideeffects.probes.reports")
_STYLE: Final = _HERE.joinpath("page.css").read_text("utf-8")
_SCRIPT: Final = _HERE.joinpath("page.js").read_text("utf-8")

#: What asks for attention comes first.
_ORDER: Final = (ProbeOutcome.FAILED, ProbeOutcome.ERRORED, ProbeOutcome.PASSED, ProbeOutcome.SKIPPED)


def render(results: Results) -> str:
    """The report."""
    return "".join(_page(results))


def _hash_of(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'none'; style-src '{_hash_of(_STYLE)}'; script-src '{_hash_of(_SCRIPT)}'; img-src data:; "
    f"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def _icon(path: str, colour: str) -> str:
    return (
        f"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' "
        f"r='8' fill='%23{colour}'/%3E%3Cpath d='{path}' fill='none' stroke='%23fff' stroke-width='2.2' "
        f"stroke-linecap='round'/%3E%3C/svg%3E"
    )


#: What the browser's tab shows.
_ICONS: Final = {"good": _icon("M4.5 8.5l2.5 2.5 4.5-5.5", "2f9e5b"), "bad": _icon("M5 5l6 6M11 5l-6 6", "d3333c")}


def _page(results: Results) -> Iterator[str]:
    tone = "good" if results.passed else "bad"
    yield (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<meta name="robots" content="noindex">\n'
        f'<title>{results.status}: probes</title>\n<link rel="icon" href="{_ICONS[tone]}">\n'
        f'<style>{_STYLE}</style>\n</head>\n<body>\n<header class="{tone}">\n<div>\n'
        f'<p class="status">{results.status}</p>\n<h1>{_said(results)}</h1>\n'
        f'<p class="when">Run at <time datetime="{results.started.isoformat()}">'
        f"{results.started:%Y-%m-%d %H:%M:%S} UTC</time>, took {_seconds(results.duration)}</p>\n</div>\n</header>\n"
        f"<main>\n"
    )
    yield from _totals(results)
    for note in (*results.notes, *(() if results.is_whole else (NOT_WHOLE,))):
        yield f'<p class="note">{escape(note)}</p>\n'
    if results.probes:
        yield from _filters(results)
        yield from _list(results)
    else:
        files = "<code>smoke.py</code> or <code>probes.py</code>"
        yield f'<p class="note">Probes stand in {files} of an installed app.</p>\n'
    yield f"</main>\n<script>{_SCRIPT}</script>\n</body>\n</html>\n"


def _said(results: Results) -> str:
    """The state in one sentence."""
    passed = results.count(ProbeOutcome.PASSED)
    wrong = [(results.count(outcome), outcome.value) for outcome in (ProbeOutcome.FAILED, ProbeOutcome.ERRORED)]
    if not results.passed:
        return " and ".join(f"{_probes(number)} {word}" for number, word in wrong if number)
    skipped = results.count(ProbeOutcome.SKIPPED)
    if not passed:
        return f"{_probes(skipped)} skipped" if skipped else "There are no probes"
    return f"{_probes(passed)} passed" + (f", {skipped} skipped" if skipped else "")


def _probes(number: int) -> str:
    return f"{number} probe" + "s" * (number != 1)


def _totals(results: Results) -> Iterator[str]:
    counts = [(outcome, results.count(outcome)) for outcome in _ORDER]
    yield '<svg class="shares" aria-hidden="true" focusable="false">'
    start, whole = 0.0, sum(count for _, count in counts) or 1
    for outcome, count in counts:
        if count:
            share = 100 * count / whole
            yield f'<rect class="{outcome}" x="{start:.3f}%" width="{share:.3f}%" height="100%"/>'
            start += share
    yield '</svg>\n<dl class="totals">\n'
    for outcome, count in counts:
        yield _total(count, outcome, outcome if count else "none")
    for number, said in ((results.run, "run in all"), (results.classes, "class" + "es" * (results.classes != 1))):
        yield _total(number, said, "" if number else "none")
    if results.has_details:
        held = sum(len(probe.held_back) for probe in results.probes)
        yield _total(held, "effect held back" if held == 1 else "effects held back", "held" if held else "none")
    yield "</dl>\n"


def _total(number: int, said: str, tone: str) -> str:
    return f'<div class="{tone}"><dt>{said}</dt><dd>{number}</dd></div>\n'


_SEARCHED: Final = "name, tag, message, effect"
_SEARCHED_BY_STRANGERS: Final = "name, tag"


def _filters(results: Results) -> Iterator[str]:
    yield (
        '<form id="filters" role="search" aria-label="Filter the probes" hidden>\n'
        '<label class="search">Search <input type="search" id="search" autocomplete="off" spellcheck="false" '
        f'placeholder="{_SEARCHED if results.has_details else _SEARCHED_BY_STRANGERS}"></label>\n'
        "<fieldset><legend>Show</legend>\n"
    )
    for outcome in _ORDER:
        count = len(results.having(outcome))
        if count:
            yield (
                f'<label><input type="checkbox" name="outcome" value="{outcome}" checked> {outcome} '
                f'<span class="count">{count}</span></label>\n'
            )
    yield '</fieldset>\n<p id="shown" role="status"></p>\n</form>\n'


def _list(results: Results) -> Iterator[str]:
    longest = max(probe.duration for probe in results.probes) or 1.0
    # Safari takes lists without bullets for no lists, unless their role says so.
    yield '<ul id="probes" role="list" aria-label="Probes">\n'
    for probe in sorted(results.probes, key=lambda probe: not probe.is_bad):
        yield from _item(probe, longest)
    yield '</ul>\n<p id="nothing" hidden>No probe fits.</p>\n'


def _item(probe: ProbeResult, longest: float) -> Iterator[str]:
    package, dot, name = probe.id.rpartition(".")
    yield (
        f'<li class="probe {probe.outcome}" data-outcome="{probe.outcome}">\n'
        f'<div class="row"><span class="badge">{probe.outcome}</span>\n'
        f'<h2><span class="path">{_broken_up(package + dot)}</span><wbr>{_broken_up(name)}</h2>\n'
        f'<span class="bar"><svg aria-hidden="true" focusable="false"><rect class="share" '
        f'width="{max(0.5, 100 * probe.duration / longest):.1f}%" height="100%" rx="3"/></svg>'
        f'<span class="time">{_seconds(probe.duration)}</span></span></div>\n'
    )
    if probe.message or probe.tags or probe.effects or probe.traceback:
        yield '<div class="more">\n'
        yield from _more(probe)
        yield "</div>\n"
    yield "</li>\n"


def _more(probe: ProbeResult) -> Iterator[str]:
    if probe.message:
        yield f'<p class="message">{escape(probe.message)}</p>\n'
    if probe.tags:
        tags = "".join(f"<li>{escape(tag)}</li>" for tag in probe.tags)
        yield f'<ul class="tags" role="list" aria-label="Tags">{tags}</ul>\n'
    if probe.held_back:
        yield from _effects("held", "Held back: would have executed", probe.held_back)
    if probe.refused:
        yield from _effects("refused", "Refused", probe.refused)
    if probe.executed:
        yield from _effects("ran", "Executed, since the probe forces it", probe.executed)
    if probe.traceback:
        yield (
            f"<details><summary>Traceback</summary>"
            f'<pre tabindex="0" role="region" aria-label="Traceback of {escape(probe.id)}">'
            f"{escape(probe.traceback)}</pre></details>\n"
        )


def _effects(kind: str, title: str, effects: tuple[ProbeEffect, ...]) -> Iterator[str]:
    yield f'<div class="effects {kind}"><h3>{title}</h3><ul role="list">\n'
    for effect in effects:
        yield f"<li><code>{escape(effect.text)}</code></li>\n"
    yield "</ul></div>\n"


def _broken_up(name: str) -> str:
    """A dotted name that a narrow screen breaks where words end."""
    return escape(name).replace("_", "_<wbr>").replace(".", ".<wbr>")


def _seconds(duration: float) -> str:
    if duration >= 1:
        return f"{duration:.2f} s"
    milliseconds = duration * 1000
    return f"{milliseconds:.{0 if milliseconds >= 10 else 1}f} ms"  # noqa: PLR2004 - two digits tell enough
