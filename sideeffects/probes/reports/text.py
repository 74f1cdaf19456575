"""Plain text, as django-smoketest prints it: PASS or FAIL alone on the first line, totals, a line for what is wrong.

What it knows nothing of comes after that: skipped probes, side effects, notes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sideeffects.probes.results import ProbeOutcome, ProbeResult, Results

NOT_WHOLE: Final = "Not all that was selected has been run."


def render(results: Results) -> str:
    """The report."""
    totals = "\n".join(
        (
            results.status,
            f"test classes: {results.classes}",
            f"tests run: {results.run}",
            f"tests passed: {results.count(ProbeOutcome.PASSED)}",
            f"tests failed: {results.count(ProbeOutcome.FAILED)}",
            f"tests errored: {results.count(ProbeOutcome.ERRORED)}",
            f"time: {results.duration * 1000:f}ms",
        )
    )
    wrong = (
        "\n\n".join(probe.line for probe in results.having(bad)) for bad in (ProbeOutcome.FAILED, ProbeOutcome.ERRORED)
    )
    theirs = "\n\n".join((totals, *wrong)).rstrip()
    return "\n\n".join((theirs, *(block for block in map("\n".join, _blocks(results)) if block))) + "\n"


def _blocks(results: Results) -> Iterator[list[str]]:
    yield [probe.line for probe in results.having(ProbeOutcome.SKIPPED)]
    yield [line for probe in results.probes for line in effect_lines(probe)]
    yield [*results.notes, *(() if results.is_whole else (NOT_WHOLE,))]


def effect_lines(probe: ProbeResult) -> Iterator[str]:
    """What a probe would have done to the world outside, what it was refused, and what it did."""
    for effect in probe.held_back:
        yield f"{probe.id} would have executed: {effect.text}"
    for effect in probe.refused:
        yield f"{probe.id} was refused: {effect.text}"
    for effect in probe.executed:
        yield f"{probe.id} executed: {effect.text}"
