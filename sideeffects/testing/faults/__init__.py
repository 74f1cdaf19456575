"""Fault sweeps: a scenario run again for each way in which one of its effects may fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sideeffects.testing.faults._calling import Setup, sweep_call
from sideeffects.testing.faults._cells import POINTS, Choice, Raisable
from sideeffects.testing.faults._errors import (
    FaultSweepError,
    NotRepeatable,
    ScenarioFails,
    UnknownFaultCell,
)
from sideeffects.testing.faults._invariants import Invariant, checked_invariants
from sideeffects.testing.faults._report import CellResult, FaultReport, FaultSweepFailed
from sideeffects.testing.faults._sweep import Options

__all__ = [
    "CellResult",
    "FaultReport",
    "FaultSweepError",
    "FaultSweepFailed",
    "NotRepeatable",
    "ScenarioFails",
    "UnknownFaultCell",
    "fault_sweep",
]

_DEPTHS = (1, 2)


def fault_sweep(
    scenario: Callable[..., Any],
    *,
    invariants: Iterable[Invariant] | Invariant = (),
    raises: Iterable[Raisable] | Mapping[Any, Iterable[Raisable] | Raisable] = (),
    expected: Iterable[type[BaseException]] | type[BaseException] = (),
    effects: Iterable[object] | object | None = None,
    points: Iterable[str] = POINTS,
    depth: int = 1,
    cells: Iterable[str] | str = (),
    setup: Setup | None = None,
    check: bool = True,
) -> FaultReport:
    """Run a scenario once, then again for each way in which each effect that it calls may fail.

    Args:
        scenario: the function.
        invariants: functions called after each run, in which something has to hold: they raise, or return `False`,
            when it does not. They may ask for the scenario's arguments by name, for `calls` (the run's `Calls`) and
            for `fault` (the name of the cell; `None` in the first run).
        raises: exceptions, or their classes, for all effects; or a mapping of effect, name or glob to some. Effects
            that are not mentioned fail with what they declare in `raises`, else with `SideEffectFault`.
        expected: further exceptions that may come out of the scenario when an effect has failed. The exception with
            which it failed always may.
        effects: only these fail, by effect, name or glob.
        points: `"before"` (nothing is done) and `"after"` (it is done, and the answer is lost), or one of them.
        depth: 2 lets pairs of calls fail as well.
        cells: only these, by name.
        setup: called before each run; a mapping that it returns is the scenario's arguments.
        check: whether cells that fail are an error.

    Returns:
        the report.

    Raises:
        FaultSweepFailed: cells failed; the message is the report.
        FaultSweepError: the sweep says nothing: the scenario fails by itself (`ScenarioFails`), is not repeatable
            (`NotRepeatable`), calls no effect, or has no such cell (`UnknownFaultCell`).
        UnknownSideEffect: a name means no declared effect.
    """
    __tracebackhide__ = True
    options = _options(invariants, raises, expected, effects, points, depth, cells)
    return sweep_call(scenario, setup, options, check=check)


def _options(
    invariants: Iterable[Invariant] | Invariant,
    raises: Iterable[Raisable] | Mapping[Any, Iterable[Raisable] | Raisable],
    expected: Iterable[type[BaseException]] | type[BaseException],
    effects: Iterable[object] | object | None,
    points: Iterable[str],
    depth: int,
    cells: Iterable[str] | str,
) -> Options:
    if depth not in _DEPTHS:
        raise ValueError(f"depth is 1 or 2, not {depth!r}")
    listed: tuple[Any, ...] = (expected,) if isinstance(expected, type) else tuple(expected)
    for kind in listed:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise TypeError(f"expected takes exception classes, not {kind!r}")
    return Options(
        Choice(raises, effects, points),
        checked_invariants(invariants),
        listed,
        depth,
        (cells,) if isinstance(cells, str) else tuple(cells),
    )
