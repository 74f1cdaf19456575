"""Plain text, as django-smoketest prints it: PASS or FAIL alone on the first line, totals, a line for what is wrong."""

from __future__ import annotations

from collections.abc import Iterator

from sideeffects.probes.results import Outcome, ProbeResult, Results


def render(results: Results) -> str:
    """The report."""
    return "\n".join(_lines(results)) + "\n"


def _lines(results: Results) -> Iterator[str]:
    yield results.status
    yield f"test classes: {results.classes}"
    yield f"tests run: {results.run}"
    yield f"tests passed: {results.count(Outcome.PASSED)}"
    yield f"tests failed: {results.count(Outcome.FAILED)}"
    yield f"tests errored: {results.count(Outcome.ERRORED)}"
    yield f"time: {results.duration * 1000:f}ms"
    wrong = [probe.line for outcome in (Outcome.FAILED, Outcome.ERRORED) for probe in results.having(outcome)]
    skipped = [f"{probe.id} skipped: {probe.message}" for probe in results.having(Outcome.SKIPPED)]
    effects = [line for probe in results.probes for line in effect_lines(probe)]
    for block in (wrong, skipped, effects, list(results.notes)):
        if block:
            yield ""
            yield from block
    if not results.is_whole:
        yield ""
        yield "Not all that was selected has been run."


def effect_lines(probe: ProbeResult) -> Iterator[str]:
    """What a probe would have done to the world outside, and what it did."""
    for effect in probe.held_back:
        yield f"{probe.id} would have run: {effect.text}"
    for effect in probe.executed:
        yield f"{probe.id} ran: {effect.text}"
