"""JUnit XML: a suite for each class, for build servers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from xml.etree import ElementTree as ET

from sideeffects.probes.reports.text import effect_lines
from sideeffects.probes.results import ProbeOutcome, ProbeResult, Results


def render(results: Results) -> str:
    """The report. It keeps to the stricter one of the schemas in use, Ant's."""
    suites: dict[str, list[ProbeResult]] = {}
    for probe in results.probes:
        suites.setdefault(".".join(part for part in (probe.module, probe.class_name) if part) or probe.id, []).append(
            probe
        )
    root = ET.Element("testsuites")
    for number, (name, probes) in enumerate(suites.items()):
        root.append(_suite(results, number, name, probes))
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(results: Results, number: int, name: str, probes: Sequence[ProbeResult]) -> ET.Element:
    package, _, short = name.rpartition(".")
    suite = ET.Element(
        "testsuite",
        {
            "name": _clean(short),
            "package": _clean(package),
            "id": str(number),
            "timestamp": results.started.strftime("%Y-%m-%dT%H:%M:%S"),
            # The schema asks for one; whose name it is, is nobody's business where the page is public.
            "hostname": "localhost",
            "tests": str(len(probes)),
            "failures": str(sum(probe.outcome is ProbeOutcome.FAILED for probe in probes)),
            "errors": str(sum(probe.outcome is ProbeOutcome.ERRORED for probe in probes)),
            "skipped": str(sum(probe.outcome is ProbeOutcome.SKIPPED for probe in probes)),
            "time": f"{sum(probe.duration for probe in probes):.3f}",
        },
    )
    ET.SubElement(suite, "properties")
    for probe in probes:
        case = ET.SubElement(
            suite,
            "testcase",
            {
                "name": _clean(probe.id.removeprefix(f"{name}.").rpartition(".")[2]),
                "classname": _clean(name),
                "time": f"{probe.duration:.3f}",
            },
        )
        element = _ELEMENTS.get(probe.outcome)
        if element is not None:
            child = ET.SubElement(case, element, {"message": _clean(probe.message)})
            if probe.is_bad:
                child.set("type", probe.outcome.value)
                child.text = _clean(probe.traceback)
    ET.SubElement(suite, "system-out").text = _clean(
        "\n".join(line for probe in probes for line in effect_lines(probe))
    )
    ET.SubElement(suite, "system-err").text = _clean("\n".join(results.notes))
    return suite


_ELEMENTS: Final = {ProbeOutcome.FAILED: "failure", ProbeOutcome.ERRORED: "error", ProbeOutcome.SKIPPED: "skipped"}
#: What XML 1.0 cannot hold.
_ILLEGAL: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _clean(text: str) -> str:
    return _ILLEGAL.sub("\ufffd", text)
