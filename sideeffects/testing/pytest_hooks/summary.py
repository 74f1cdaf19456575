"""The last line of a run of pytest: what was recorded and executed, and why the run failed where no test did."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from sideeffects._core.calls.registry import registry
from sideeffects._core.records.tally import Tally
from sideeffects._core.state.state import state

_KEY = "side_effects"


class Summary:
    """Counts the calls of one run, those of the workers of pytest-xdist too.

    Args:
        config: pytest's.
        why_failed: gives what fails a run in which all tests have passed; empty when nothing does.
    """

    def __init__(self, config: pytest.Config, why_failed: Callable[[], str]) -> None:
        self._config = config
        self._why_failed = why_failed
        self._start = state.ledger.end
        self._workers = Tally()
        self._declared: set[str] = set()
        self._stubs_before = set(state.stubs)
        self._stubs: set[tuple[str, str]] = set()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker of pytest-xdist has ended, and says what it has counted."""
        told = getattr(node, "workeroutput", {}).get(_KEY)
        if told is not None:
            self._workers.add(told)
            self._declared.update(told["declared"])
            self._stubs.update(map(tuple, told["stubs"]))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, Any, Any]:
        """Print the line after all else, or tell who prints it."""
        tally = state.ledger.tally(self._start)
        stubs = state.stubs - self._stubs_before
        worker: dict[str, Any] | None = getattr(self._config, "workeroutput", None)
        if worker is not None:
            worker[_KEY] = {**tally.as_data(), "declared": sorted(registry), "stubs": sorted(stubs)}
        result = yield
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if worker is None and reporter is not None and not self._config.option.collectonly:
            tally.add(self._workers.as_data())
            declared = {*registry, *self._declared}
            lines = [*tally.unused({*stubs, *self._stubs}), tally.words(declared)]
            if self._config.getoption("--side-effects-coverage"):
                never = [f"  {name}" for name in sorted(declared - tally.names)]
                lines = [*(["side effects that no test has called:", *never] if never else ()), *lines]
            for text in filter(None, [*(lines if reporter.verbosity > _QUIETEST else ()), self._why_failed()]):
                reporter.write_line(text)
        return result


#: With `-qq` pytest says nothing of a run that went well.
_QUIETEST = -2
