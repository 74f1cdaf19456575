"""JSON: django-smoketest's keys as they were, and ours beside them."""

from __future__ import annotations

import json
from typing import Any

from sideeffects.probes.results import ProbeEffect, ProbeOutcome, ProbeResult, Results


def render(results: Results) -> str:
    """The report."""
    return json.dumps(as_data(results))


def as_data(results: Results) -> dict[str, Any]:
    """The report as JSON-safe data."""
    return {
        "status": results.status,
        "test_classes": results.classes,
        "tests_run": results.run,
        "tests_passed": results.count(ProbeOutcome.PASSED),
        "tests_failed": results.count(ProbeOutcome.FAILED),
        "tests_errored": results.count(ProbeOutcome.ERRORED),
        "failed_tests": [probe.line for probe in results.having(ProbeOutcome.FAILED)],
        "errored_tests": [probe.line for probe in results.having(ProbeOutcome.ERRORED)],
        "time": results.duration * 1000,
        "tests_skipped": results.count(ProbeOutcome.SKIPPED),
        "started": results.started.isoformat(),
        "is_whole": results.is_whole,
        "notes": list(results.notes),
        "probes": [_probe(probe) for probe in results.probes],
    }


def _probe(probe: ProbeResult) -> dict[str, Any]:
    return {
        "id": probe.id,
        "app": probe.app,
        "outcome": probe.outcome.value,
        "message": probe.message,
        "traceback": probe.traceback,
        "seconds": probe.duration,
        "tags": list(probe.tags),
        "held_back": [_effect(effect) for effect in probe.held_back],
        "refused": [_effect(effect) for effect in probe.refused],
        "executed": [_effect(effect) for effect in probe.executed],
    }


def _effect(effect: ProbeEffect) -> dict[str, Any]:
    return {"name": effect.name, "arguments": effect.arguments, "reason": effect.reason, "caller": effect.caller}
