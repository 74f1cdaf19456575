"""OpenMetrics, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from sideeffects.probes.results import ProbeOutcome, ProbeResult, Results


def render(results: Results) -> str:
    """The report."""
    return "\n".join([*_lines(results), "# EOF"]) + "\n"


def _lines(results: Results) -> Iterator[str]:
    yield from _family("sideeffects_probes_up", "Whether all probes passed.", [({}, float(results.passed))])
    yield from _family(
        "sideeffects_probes",
        "How many probes had this outcome.",
        [({"outcome": outcome.value}, results.count(outcome)) for outcome in ProbeOutcome],
    )
    yield from _family("sideeffects_probes_duration_seconds", "How long the run took.", [({}, results.duration)])
    yield from _family(
        "sideeffects_probes_started_timestamp_seconds", "When the run began.", [({}, results.started.timestamp())]
    )
    each = _by_labels(results.probes)
    run = [
        (labels, ran)
        for labels, probes in each
        if (ran := [p for p in probes if p.outcome is not ProbeOutcome.SKIPPED])
    ]
    yield from _family(
        "sideeffects_probe_success",
        "Whether the probe passed; skipped ones are left out.",
        [(labels, float(not any(probe.is_bad for probe in probes))) for labels, probes in run],
    )
    yield from _family(
        "sideeffects_probe_duration_seconds",
        "How long the probe took.",
        [(labels, sum(probe.duration for probe in probes)) for labels, probes in each],
    )
    if results.has_details:
        yield from _family(
            "sideeffects_probe_held_back_effects",
            "How many calls of side effects were held back.",
            [(labels, sum(len(probe.held_back) for probe in probes)) for labels, probes in each],
        )


def _by_labels(results: Iterable[ProbeResult]) -> Sequence[tuple[Mapping[str, str], Sequence[ProbeResult]]]:
    """Probes that have the same labels, as when `suite()` picks one method several times, are one series.

    Prometheus keeps one of two samples with the same labels, and not the one that failed.
    """
    found: dict[tuple[str, str], list[ProbeResult]] = {}
    for probe in results:
        found.setdefault((probe.app, probe.id), []).append(probe)
    return [({"app": app, "probe": name}, probes) for (app, name), probes in found.items()]


def _family(name: str, text: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> Iterator[str]:
    yield f"# TYPE {name} gauge"
    if name.endswith("_seconds"):
        yield f"# UNIT {name} seconds"
    yield f"# HELP {name} {text}"
    for labels, value in samples:
        listed = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels.items())
        yield f"{name}{f'{{{listed}}}' if listed else ''} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
