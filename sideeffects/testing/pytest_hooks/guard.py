"""The guard in one run of pytest: hooks around the run, and none around a test.

Workers of pytest-xdist find; the process that started them listens to nothing, and reports.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

import pytest

from sideeffects.guard import baseline as baselines, hook, levels, report
from sideeffects.guard.run import GuardRun, listen_when_on


class GuardPlugin:
    """Begins and ends the guard, and prints what it has found.

    Args:
        config: pytest's.
        watch: has each test asked at its end for what was refused and not noticed.
    """

    def __init__(self, config: pytest.Config, watch: Callable[[], object]) -> None:
        self._config = config
        self._watch = watch
        self._file: str = config.getoption("--side-effects-baseline") or levels.rules().baseline
        self._is_updating = bool(config.getoption("--side-effects-update-baseline"))
        if self._is_updating and not self._file:
            raise pytest.UsageError(
                "--side-effects-update-baseline needs --side-effects-baseline FILE to write to, or "
                'SIDE_EFFECTS["GUARD"]["BASELINE"]'
            )
        self._accepted = self._baseline()
        self._run: GuardRun | None = None
        self._deselected = 0
        #: What failed the run although all tests passed.
        self.why_failed = ""

    def _baseline(self) -> baselines.Baseline | None:
        if not self._file:
            return None
        try:
            return baselines.load(self._file)
        except baselines.BaselineError as error:
            if self._is_updating:
                return baselines.Baseline(self._file, frozenset())
            raise pytest.UsageError(str(error)) from None

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Before pytest-xdist starts its workers: they are told where to write what they find."""
        if hasattr(self._config, "workerinput"):  # it was told where to write, and has the same settings
            levels.in_force.inherited = None
            accepted = self._accepted
            if accepted is not None:
                levels.in_force.baseline = accepted
                hook.listeners.is_accepted = lambda finding: finding.key in accepted.entries
        else:
            self._run = GuardRun(str(self._config.rootpath), self._accepted)
        hook.listeners.refused = lambda _: self._watch()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """From here on modules of the tests are imported, in this process or in its workers."""
        if not self._config.pluginmanager.hasplugin("dsession"):
            listen_when_on()

    @pytest.hookimpl
    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """A run of some of the tests says nothing of what the others would have found."""
        self._deselected += len(items)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """What is not in the baseline fails the run."""
        result = yield
        run = self._run
        if run is None or self._accepted is None or self._is_updating:
            return result
        new = run.new()
        if new and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            found = "one finding is" if len(new) == 1 else f"{len(new)} findings are"
            self.why_failed = f"side effects: this run failed because {found} not in {self._file}; see above"
        return result

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print what was found; nothing when there was nothing."""
        run = self._run
        if run is None:
            return
        if self._is_updating:
            sections = [(report.TITLE, [run.update(is_whole=self._is_whole())])]
        else:
            sections = report.sections(run.new(), is_new=self._accepted is not None)
            stale = run.stale() if self._is_whole() else ()
            if stale:
                sections.append((report.STALE_TITLE, report.stale_words(self._file, stale)))
        for title, lines in sections:
            terminalreporter.section(title)
            for line in lines:
                terminalreporter.write_line(line)

    def _is_whole(self) -> bool:
        """Whether all tests of the project have run, as far as the command line tells."""
        config = self._config
        named = config.args_source is config.ArgsSource.ARGS
        return not (named or self._deselected or config.option.maxfail or config.getoption("lf", False))

    def pytest_unconfigure(self) -> None:
        """Give back what held before."""
        if self._run is not None:
            self._run.end()
            self._run = None
