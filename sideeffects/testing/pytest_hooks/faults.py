"""Fault sweeps under pytest: a test with `@fault_sweep(...)` is run again, with its fixtures, for each cell.

Which calls a test makes is known only once it has run, so that nothing can be parametrized. Instead the whole protocol
of the item (set-up, call, teardown) is run again, as pytest provides for plugins that rerun tests. It is reported as
one test whose message is the matrix. `pytest_plugin.py` registers this when there is such a test.
"""

from __future__ import annotations

import copy
import shlex
from collections.abc import Sequence
from typing import Literal

import pytest
from _pytest.runner import runtestprotocol

from sideeffects.errors import SideEffectError
from sideeffects.testing.faults.report import told
from sideeffects.testing.faults.run import SweepRun
from sideeffects.testing.faults.sweep import ATTRIBUTE, Sweep, Swept, chosen


class FaultSweeper:
    """The hook around each test of one pytest run.

    Args:
        cells: the only cells to run, by name; empty for all.
    """

    def __init__(self, cells: Sequence[str]) -> None:
        self._before = list(chosen)
        chosen[:] = cells

    def pytest_unconfigure(self) -> None:
        """Give back what held before: runs of pytest may be nested."""
        chosen[:] = self._before

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Sweep, if this is a test that asks for it."""
        swept = getattr(getattr(item, "obj", None), ATTRIBUTE, None)
        if swept is None or not isinstance(item, pytest.Function):
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in _Sweeping(item, swept).reports(nextitem):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True


class _Sweeping:
    """The sweep of one item."""

    def __init__(self, item: pytest.Function, swept: Swept) -> None:
        self._item = item
        self._swept = swept
        again = f"pytest {shlex.quote(item.nodeid)} --fault-cell {{cell}}"
        self._sweep = Sweep(swept.options, item.nodeid, again)
        self._first: Sequence[pytest.TestReport] = ()
        self._seconds = 0.0
        #: What pytest says of the first cell that failed.
        self._shown = ""

    def reports(self, nextitem: pytest.Item | None) -> list[pytest.TestReport]:
        """What is reported of the test: its first set-up and teardown, and a call that stands for all runs."""
        problem = ""
        try:
            for run in self._sweep.runs():
                self._make(run)
        except SideEffectError as error:
            problem = told(error)
        first = list(self._first)
        if not problem and len(first) == len(_PHASES) and all(map(_is_fine, first)):
            report = self._sweep.report
            if report.failed:
                problem = f"{report}\n{self._shown}".rstrip()
            else:
                first[1].sections.append(("fault sweep", str(report)))
        if problem and first:
            first[1] = self._failed("call", problem, first[1].sections)
        elif problem:
            first = [self._failed("setup", problem, [])]
        if len(first) == len(_PHASES):
            first[1].duration = self._seconds
        return [*first, *self._leave(nextitem)]

    def _make(self, run: SweepRun) -> None:
        """Run the item from its set-up to its teardown. What it shares with other tests stays set up."""
        item = self._item
        if run.cell:
            _renew(item)
        with self._swept.making(run):
            # Of all that is set up for the item, a twin of it in the same place needs but the item's own.
            reports = runtestprotocol(item, log=False, nextitem=copy.copy(item))
        self._seconds += sum(report.duration for report in reports if report.when == "call")
        if not run.cell:
            self._first = reports
            run.is_skipped = not all(map(_is_fine, reports)) or len(reports) != len(_PHASES)
            return
        for report in reports:
            if not _is_fine(report):
                run.fail(f"{report.when}: {_last_line(report)}")
                self._shown = self._shown or f"\n{run.name}, in full:\n{report.longreprtext}"

    def _failed(
        self, when: Literal["setup", "call"], problem: str, sections: list[tuple[str, str]]
    ) -> pytest.TestReport:
        """The report of a failure, as pytest and its plugins make it: the test may be expected to fail."""

        def fail() -> None:
            pytest.fail(problem, pytrace=False)

        made = pytest.CallInfo.from_call(fail, when=when)
        failed: pytest.TestReport = self._item.ihook.pytest_runtest_makereport(item=self._item, call=made)
        failed.sections = sections
        return failed

    def _leave(self, nextitem: pytest.Item | None) -> list[pytest.TestReport]:
        """Tear down what the next test does not share. Returns a report if that fails."""
        state = self._item.session._setupstate  # noqa: SLF001 - there is no other way to it
        made = pytest.CallInfo.from_call(lambda: state.teardown_exact(nextitem), when="teardown")
        if made.excinfo is None:
            return []
        return [self._item.ihook.pytest_runtest_makereport(item=self._item, call=made)]


_PHASES = ("setup", "call", "teardown")


def _is_fine(report: pytest.TestReport) -> bool:
    """Whether nothing went wrong. A test that is expected to fail is, when it passes, no failure yet."""
    if report.failed:
        return str(report.longrepr).startswith("[XPASS(strict)]")
    return report.passed


def _last_line(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message if crash is not None else report.longrepr)
    return text.strip()


def _renew(item: pytest.Function) -> None:
    """As new: another instance of its class, and nothing of what earlier runs have printed."""
    item._report_sections.clear()  # noqa: SLF001 - they would show in all later reports
    if isinstance(item.parent, pytest.Class):
        vars(item).pop("_instance", None)
        vars(item).pop("_obj", None)
        item.obj  # noqa: B018 - made now: the teardown of a test case counts on it
