"""`fault_sweep(scenario)`: the sweep as a call."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from sideeffects._core.runtime.background import to_end
from sideeffects._core.state.state import state
from sideeffects.testing.faults import invariants
from sideeffects.testing.faults.errors import FaultSweepError, ScenarioFails
from sideeffects.testing.faults.report import FaultReport, FaultSweepFailed, told, words
from sideeffects.testing.faults.run import SweepRun
from sideeffects.testing.faults.sweep import Sweep, SweepOptions
from sideeffects.testing.faults.undoing import undone

Setup: TypeAlias = Callable[[], Mapping[str, Any] | None]


def sweep_call(scenario: Callable[..., Any], setup: Setup | None, options: SweepOptions, *, check: bool) -> FaultReport:
    """Sweep a function that is a whole scenario.

    Args:
        scenario: the function.
        setup: called before each run; a mapping that it returns is the scenario's arguments.
        options: what was asked for.
        check: whether cells that fail are an error.

    Returns:
        the report.

    Raises:
        FaultSweepError: the sweep says nothing.
        FaultSweepFailed: cells failed.
    """
    __tracebackhide__ = True
    state.test_run.latch("a fault sweep is run")
    if setup is None:
        invariants.check_names(options.invariants, ())
    where = str(getattr(scenario, "__qualname__", None) or type(scenario).__qualname__).rpartition("<locals>.")[2]
    sweep = Sweep(options, where, "fault_sweep(..., cells='{cell}'), or pytest ... --fault-cell {cell}")
    for run in sweep.runs():
        try:
            with undone():
                _make(run, scenario, setup, options)
        except FaultSweepError:
            raise
        except Exception as error:
            if not run.cell:
                raise ScenarioFails(
                    f"{where} fails although no effect does ({told(error)}): no fault was tried"
                ) from error
            run.fail(words(error), error)
    if check and sweep.report.failed:
        raise FaultSweepFailed(sweep.report)
    return sweep.report


def _make(run: SweepRun, scenario: Callable[..., Any], setup: Setup | None, options: SweepOptions) -> None:
    given = setup() if setup is not None else None
    if given is not None and not isinstance(given, Mapping):
        raise FaultSweepError(f"setup returns a mapping of arguments, or None, not {given!r}")
    arguments = dict(given or {})
    if not run.cell and given is not None:
        invariants.check_names(options.invariants, arguments)
    with run.noting(), run.scenario():
        _finished(scenario(**arguments))
    for invariant, question in invariants.questions(options.invariants, arguments, run):
        with run.noting():
            invariants.settle(invariant, _finished(question()))
    run.raise_noted()


def _finished(answer: Any) -> Any:
    """A coroutine's result. With Django what it calls synchronously runs here, where the connections are."""
    if not inspect.iscoroutine(answer):
        return answer
    asgiref = sys.modules.get("asgiref.sync")
    if asgiref is None:
        return to_end(answer)

    async def waited_for() -> Any:
        return await answer

    return asgiref.async_to_sync(waited_for)()
