"""Smoke tests for live systems: their rows are rolled back, and their side effects are held back.

`SmokeTest`, also named `Probe`, is a `unittest.TestCase`. Probes stand in `smoke.py` or `probes.py` of an app, and are
run by `python manage.py probe` or by a view of `sideeffects.probes.urls`.
"""

from sideeffects.probes.case import SmokeTest
from sideeffects.probes.refusals import CommitRefused, DatabaseRefused, ProbeOver, ProbesRefused, WriteRefused
from sideeffects.probes.results import ProbeEffect, ProbeOutcome, ProbeResult, Results
from sideeffects.probes.running import ProbeRunner

Probe = SmokeTest

__all__ = [
    "CommitRefused",
    "DatabaseRefused",
    "Probe",
    "ProbeEffect",
    "ProbeOutcome",
    "ProbeOver",
    "ProbeResult",
    "ProbeRunner",
    "ProbesRefused",
    "Results",
    "SmokeTest",
    "WriteRefused",
]
