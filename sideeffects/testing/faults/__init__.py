"""Fault sweeps: a scenario run again for each way in which one of its effects may fail."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, overload

from sideeffects._core.state.state import state
from sideeffects.testing.faults.calling import Setup, sweep_call
from sideeffects.testing.faults.cells import POINTS, Choice, Raisable
from sideeffects.testing.faults.decorating import decorate
from sideeffects.testing.faults.errors import (
    FaultSweepError,
    NotRepeatable,
    ScenarioFails,
    UnknownFaultCell,
)
from sideeffects.testing.faults.invariants import Invariant, checked_invariants
from sideeffects.testing.faults.report import CellResult, FaultReport, FaultSweepFailed
from sideeffects.testing.faults.run import SweepRun
from sideeffects.testing.faults.sweep import SweepOptions

__all__ = [
    "CellResult",
    "FaultReport",
    "FaultSweepError",
    "FaultSweepFailed",
    "NotRepeatable",
    "ScenarioFails",
    "UnknownFaultCell",
    "current_fault",
    "fault_sweep",
]

F = TypeVar("F", bound=Callable[..., Any])

_DEPTHS = (1, 2)


@overload
def fault_sweep(
    scenario: Callable[..., Any],
    *,
    invariants: Iterable[Invariant] | Invariant = (),
    raises: Iterable[Raisable] | Raisable | Mapping[Any, Iterable[Raisable] | Raisable] = (),
    expected: Iterable[type[BaseException]] | type[BaseException] = (),
    effects: Iterable[object] | object | None = None,
    points: Iterable[str] = POINTS,
    depth: int = 1,
    cells: Iterable[str] | str = (),
    setup: Setup | None = None,
    check: bool = True,
) -> FaultReport: ...
@overload
def fault_sweep(
    *,
    invariants: Iterable[Invariant] | Invariant = (),
    raises: Iterable[Raisable] | Raisable | Mapping[Any, Iterable[Raisable] | Raisable] = (),
    expected: Iterable[type[BaseException]] | type[BaseException] = (),
    effects: Iterable[object] | object | None = None,
    points: Iterable[str] = POINTS,
    depth: int = 1,
    cells: Iterable[str] | str = (),
) -> Callable[[F], F]: ...
def fault_sweep(
    scenario: Callable[..., Any] | None = None,
    *,
    invariants: Iterable[Invariant] | Invariant = (),
    raises: Iterable[Raisable] | Raisable | Mapping[Any, Iterable[Raisable] | Raisable] = (),
    expected: Iterable[type[BaseException]] | type[BaseException] = (),
    effects: Iterable[object] | object | None = None,
    points: Iterable[str] = POINTS,
    depth: int = 1,
    cells: Iterable[str] | str = (),
    setup: Setup | None = None,
    check: bool = True,
) -> Any:
    """Run a scenario once, then again for each way in which each effect that it calls may fail.

    As a call, `fault_sweep(scenario, ...)`, the scenario is a function. As a decorator, `@fault_sweep(...)`, it is a
    test of pytest, unittest or Django, which is run again as a whole, set-up and fixtures included.

    Args:
        scenario: the function; left out for a decorator.
        invariants: functions called after each run: they raise, or return `False`, when something does not hold. They
            may ask for the scenario's arguments, the run's `calls`, and its `fault` (a cell; `None` in the first run).
        raises: exceptions, or their classes, for all effects; or a mapping of effect, name or glob to some. Effects
            that are not mentioned fail with what they declare in `raises`, else with `SideEffectFault`.
        expected: exceptions that may come out when an effect has failed, besides the one that it failed with.
        effects: only these fail, by effect, name or glob.
        points: `"before"` (nothing is done) and `"after"` (it is done, and the answer is lost), or one of them.
        depth: 2 lets pairs of calls fail as well.
        cells: only these, by name.
        setup: called before each run; a mapping that it returns is the scenario's arguments. Not for a decorator.
        check: whether cells that fail are an error. Not for a decorator.

    Returns:
        the report; or the decorator.

    Raises:
        FaultSweepFailed: cells failed; the message is the report.
        FaultSweepError: the sweep says nothing, as with `ScenarioFails`, `NotRepeatable` and `UnknownFaultCell`.
        UnknownSideEffect: a name means no declared effect.

    Example:
        >>> report = fault_sweep(lambda: charge(cents=990, token="tok_visa"), raises=OSError)
        >>> [cell.status for cell in report.cells]
        ['passed', 'passed']
    """
    __tracebackhide__ = True
    if scenario is not None and not callable(scenario):
        raise TypeError(f"fault_sweep runs a function, not {scenario!r}")
    options = _options(invariants, raises, expected, effects, points, depth, cells)
    if scenario is not None and not _is_test(scenario):
        return sweep_call(scenario, setup, options, check=check)
    if setup is not None or not check:
        raise TypeError("setup and check are for fault_sweep(function, ...); a test has fixtures, or setUp")
    if scenario is not None:
        return decorate(scenario, options, sys._getframe(1))  # noqa: SLF001 - the body of its class, perhaps

    def decorator(function: F) -> F:
        return decorate(function, options, sys._getframe(1))  # noqa: SLF001 - as above

    return decorator


def current_fault() -> str | None:
    """The name of the cell that is being run, for checks that hold only when no effect fails.

    It is `None` outside a sweep, and in the first run, in which no effect fails.

    Example:
        >>> current_fault() is None  # no sweep runs
        True
    """
    run = state.faults
    return run.name or None if isinstance(run, SweepRun) else None


def _is_test(function: Any) -> bool:
    """Whether `@fault_sweep` was written above a test, without parentheses."""
    return str(getattr(function, "__name__", "")).startswith("test")


def _options(
    invariants: Iterable[Invariant] | Invariant,
    raises: Iterable[Raisable] | Raisable | Mapping[Any, Iterable[Raisable] | Raisable],
    expected: Iterable[type[BaseException]] | type[BaseException],
    effects: Iterable[object] | object | None,
    points: Iterable[str],
    depth: int,
    cells: Iterable[str] | str,
) -> SweepOptions:
    if depth not in _DEPTHS:
        raise ValueError(f"depth is 1 or 2, not {depth!r}")
    listed: tuple[Any, ...] = (expected,) if isinstance(expected, type) else tuple(expected)
    for kind in listed:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise TypeError(f"expected takes exception classes, not {kind!r}")
    return SweepOptions(
        Choice(raises, effects, points),
        checked_invariants(invariants),
        listed,
        depth,
        (cells,) if isinstance(cells, str) else tuple(cells),
    )
