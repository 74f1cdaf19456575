"""The order of a sweep: the first run, then one for each cell; and what a test carries that is to be swept."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from sideeffects._core.state.state import state
from sideeffects.testing.faults.cells import Cell, Choice, Fault, Seen, name_of
from sideeffects.testing.faults.errors import FaultSweepError, NotRepeatable, UnknownFaultCell
from sideeffects.testing.faults.invariants import Invariant
from sideeffects.testing.faults.report import FAILED, NOT_REACHED, PASSED, CellResult, FaultReport, words
from sideeffects.testing.faults.run import SweepRun

#: Names the only cell to run, where there is no `--fault-cell`.
VARIABLE: Final = "SIDE_EFFECTS_FAULT_CELL"
#: The attribute by which test runners find what a decorated test carries.
ATTRIBUTE: Final = "_side_effects_fault_sweep"
#: The cells asked for by `--fault-cell`; empty for all.
chosen: Final[list[str]] = []

_PAIR: Final = 2
_NOTE: Final = "fault_sweep: this happens although no effect fails, so that no fault was tried"


class SweepOptions(NamedTuple):
    """What a sweep was asked for.

    Attributes:
        choice: which calls fail, and how.
        invariants: what has to hold after each run.
        expected: further exceptions that may come out of the scenario when an effect has failed.
        depth: how many calls fail in one run: 1, or 1 and 2.
        cells: only these, by name.
    """

    choice: Choice
    invariants: tuple[Invariant, ...]
    expected: tuple[type[BaseException], ...]
    depth: int
    cells: tuple[str, ...]


class Sweep:
    """One sweep.

    Args:
        options: what was asked for.
        where: the scenario.
        again: how one cell is run again, with `{cell}` for its name.
    """

    def __init__(self, options: SweepOptions, where: str, again: str) -> None:
        self.options = options
        self.where = where
        self._again = again
        self._results: list[CellResult] = []
        self._runs = 0

    @property
    def report(self) -> FaultReport:
        """What came of it so far."""
        return FaultReport(self.where, self._results, self._runs, self._again)

    def runs(self) -> Generator[SweepRun]:
        """The runs, one after the other. Each has to be made before the next is asked for.

        It ends with the first run when that failed or was skipped.

        Raises:
            FaultSweepError: the sweep says nothing.
        """
        self.options.choice.check()
        first = SweepRun(())
        yield from self._made(first)
        if first.problem or first.is_skipped:
            return
        named = os.environ.get(VARIABLE)
        asked = self.options.cells or tuple(chosen) or ((named,) if named else ())
        waiting = self._asked(asked, first) if asked else self._singles(first)
        depth = 1 if asked else self.options.depth
        for cell in waiting:
            run = SweepRun(cell, self.options.expected)
            yield from self._made(run)
            self._results.append(self._result(run, first))
            if depth == _PAIR:
                yield from self._pairs(run, first)
        if not any(result.status != NOT_REACHED for result in self._results):
            raise FaultSweepError(f"no call of {self.where} has failed, so this sweep says nothing:\n{self.report}")

    def _made(self, run: SweepRun) -> Generator[SweepRun]:
        self._runs += 1
        yield run
        if not run.has_begun and not run.problem and not run.is_skipped:
            run.fail("the scenario was not run")

    def _singles(self, first: SweepRun) -> list[Cell]:
        cells = [(fault,) for seen in first.seen for fault in self.options.choice.faults(seen)]
        if not cells:
            if first.seen:
                made = ", ".join(dict.fromkeys(seen.effect.name for seen in first.seen))
                what = f"{self.where} calls {made}, and this sweep lets none of these effects fail"
            else:
                what = f"{self.where} calls no side effect in this process"
            raise FaultSweepError(f"{what}. There is nothing to sweep")
        return list(cells)

    def _asked(self, names: Sequence[str], first: SweepRun) -> list[Cell]:
        """The cells of these names: of pairs, the second call may be one that only a failing first one brings about."""
        singles = {name_of(cell): cell for cell in self._singles(first)}
        found: list[Cell] = []
        for name in names:
            head, _, tail = name.partition("+")
            second = self.options.choice.parsed(tail) if tail else None
            if head not in singles or (tail and second is None):
                raise UnknownFaultCell(name, tuple(singles), self.where)
            found.append((*singles[head], second) if second is not None else singles[head])
        return found

    def _pairs(self, run: SweepRun, first: SweepRun) -> Generator[SweepRun]:
        """One run for each fault of a call after the one that failed; those of the first run that it misses, none."""
        [fault] = run.cell
        after = _after(run.seen, fault)
        for seen in after:
            for second in self.options.choice.faults(seen):
                pair = SweepRun((fault, second), self.options.expected)
                yield from self._made(pair)
                self._results.append(self._result(pair, first))
        there = {seen.label for seen in after}
        for seen in _after(first.seen, fault):
            if seen.label not in there:
                detail = f"{seen.label} is not called after {fault.name} has failed"
                missed = [(fault, second) for second in self.options.choice.faults(seen)]
                self._results += [CellResult(cell, NOT_REACHED, detail) for cell in missed]

    def _result(self, run: SweepRun, first: SweepRun) -> CellResult:
        """What came of a run.

        Raises:
            NotRepeatable: it is no run of the same scenario.
        """
        if run.has_begun:
            difference = run.unlike(first)
            if difference:
                ended = f", and ended with {run.problem}" if run.problem else ""
                raise NotRepeatable(
                    f"{self.where} is not repeatable: run again for {run.name}, it called other effects before any "
                    f"had failed ({difference}){ended}. Let each run begin from the same state: fixtures, setUp or "
                    f"setup=..., fixed seeds and times"
                )
        if run.problem:
            return CellResult(run.cell, FAILED, run.problem, run.error)
        missed = [fault for fault in run.cell if not run.has_struck(fault)]
        if missed:
            return CellResult(run.cell, NOT_REACHED, _why_missed(run, missed[0]))
        return CellResult(run.cell, PASSED)


def _after(calls: Sequence[Seen], fault: Fault) -> list[Seen]:
    labels = [seen.label for seen in calls]
    return list(calls[labels.index(fault.label) + 1 :]) if fault.label in labels else []


def _why_missed(run: SweepRun, fault: Fault) -> str:
    if not run.has_met(fault):
        return f"{fault.label} was not called"
    return (
        f"{fault.label} was called, and this fault did not reach it. Either it waits for a commit that does not come "
        f"(let it come: captureOnCommitCallbacks(execute=True)), or it was refused or stubbed to fail, or it never "
        f"finishes"
    )


class Swept:
    """What a decorated test carries: what was asked for, and the run that it is to make next.

    Args:
        options: what was asked for.
        name: the test's qualified name.
    """

    def __init__(self, options: SweepOptions, name: str) -> None:
        self.options = options
        self.name = name
        self.run: SweepRun | None = None

    @contextmanager
    def making(self, run: SweepRun) -> Generator[None]:
        """Inside, a call of the test makes this run."""
        state.test_run.latch("a fault sweep is run")
        self.run = run
        try:
            yield
        finally:
            self.run = None

    @contextmanager
    def scenario(self) -> Generator[SweepRun]:
        """Around the test's own body and its invariants."""
        run = self.run
        if run is None:
            raise FaultSweepError(
                f"{self.name} is a fault sweep, and its test runner knows nothing of them: run it by pytest with the "
                f"sideeffects plugin, or decorate it in the body of a unittest TestCase. To sweep a function, call "
                f"fault_sweep(function)"
            )
        try:
            yield run
        except Exception as error:
            if run.cell:
                run.fail(words(error), error)
            else:
                error.add_note(_NOTE)
            raise
