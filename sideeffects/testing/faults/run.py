"""One run of a scenario: it notes every call of an effect, and lets those fail that it is told to."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.policy.override_entry import Count, Stub
from sideeffects._core.records.reading import Calls
from sideeffects._core.state.state import state
from sideeffects._core.verbs.capture import Window
from sideeffects.testing.faults.cells import Cell, Fault, Seen, name_of
from sideeffects.testing.faults.errors import FaultSweepError
from sideeffects.testing.faults.report import words


class SweepRun:
    """One run.

    Args:
        cell: the faults; none in the first run.
        expected: further exceptions that may come out of the scenario when an effect has failed.
    """

    def __init__(self, cell: Cell, expected: tuple[type[BaseException], ...] = ()) -> None:
        self.cell: Final = cell
        self.name: Final = name_of(cell)
        #: The calls that it has made, in order.
        self.seen: Final[list[Seen]] = []
        #: Why it failed, in words; empty when it did not.
        self.problem = ""
        self.error: BaseException | None = None
        #: Whether it came as far as the scenario.
        self.has_begun = False
        self.is_skipped = False
        self._expected = expected
        # By the call's label: what is to be raised may have no hash.
        self._plan = {fault.label: (fault, fault.error()) for fault in cell}
        self._met: dict[str, Call | None] = {}
        self._raised: list[Exception] = []
        self._lost: dict[int, Fault] = {}
        self._struck: list[str] = []
        self._counts: Counter[str] = Counter()
        self._lock = threading.RLock()  # a signal handler may call an effect while one is noted
        self._thread = 0
        self._window: Window | None = None

    # -- what came of it

    @property
    def calls(self) -> Calls:
        """The calls of the scenario, as they were written down."""
        window = self._window
        return Calls(window.read if window is not None else lambda: ([], 0))

    def has_struck(self, fault: Fault) -> bool:
        """Whether that call was made, and has failed."""
        call = self._met.get(fault.label)
        if fault.label in self._struck:
            return True
        outcome = None if call is None else call.outcome
        return fault.point == "before" and outcome is not None and outcome.error is not None

    def has_met(self, fault: Fault) -> bool:
        """Whether that call was made: perhaps it waits for a commit that does not come."""
        return fault.label in self._met

    def fail(self, problem: str, error: BaseException | None = None) -> None:
        """Note why it failed, once."""
        if not self.problem:
            self.problem, self.error = problem, error

    @contextmanager
    def noting(self) -> Generator[None]:
        """Where a call fails, keep what is raised inside: the invariants are asked whatever comes of the scenario."""
        try:
            yield
        except Exception as error:
            if not self.cell:
                raise
            self._raised.append(error)

    def raise_noted(self) -> None:
        """Raise the first of what was kept, and let it tell of the others."""
        __tracebackhide__ = True
        if self._raised:
            first, *others = self._raised
            for other in others:
                first.add_note(words(other))
            raise first

    def unlike(self, first: SweepRun) -> str:
        """How the calls before the fault differ from those of the first run, in words; empty when they do not."""
        wanted = [seen.label for seen in first.seen if seen.is_ordered]
        made = [seen.label for seen in self.seen if seen.is_ordered]
        fault = self.cell[0]
        if self.has_met(fault):
            made = made[: made.index(fault.label) + 1] if fault.label in made else []
            is_like = made == wanted[: len(made)]
        else:
            is_like = False
        if is_like:
            return ""
        return f"first {_listed(wanted)}; then {_listed(made)}"

    # -- the scenario

    @contextmanager
    def scenario(self) -> Generator[None]:
        """Inside, calls are noted and fail. A fault that comes out of it ends here: code may fail when an effect does.

        Raises:
            FaultSweepError: another sweep is at it.
        """
        with state.lock:
            if state.faults is not None:
                raise FaultSweepError("a fault sweep runs already: sweeps cannot be nested, nor run in several threads")
            state.faults = self
        self.has_begun = True
        self._thread = threading.get_ident()
        self._window = window = Window()
        try:
            yield
        except BaseException as error:
            if not self.is_expected(error):
                raise
        finally:
            state.faults = None
            window.close()

    def is_expected(self, error: BaseException) -> bool:
        """Whether the scenario may end with this: an effect has failed, and this is its exception, or one of those."""
        errors = [raised for fault, raised in self._plan.values() if self.has_struck(fault)]
        if not errors:
            return False
        if isinstance(error, self._expected):
            return True
        if isinstance(error, BaseExceptionGroup):
            return all(map(self.is_expected, error.exceptions))
        # What has been through a process or a framework may be a copy.
        return any(error is one or (type(error) is type(one) and error.args == one.args) for one in errors)

    # -- what the runtime asks (see `Faults` in `_core/state/state.py`)

    def meet(
        self, effect: SideEffect, decision: Decision, stub: Stub | None, returns: Any
    ) -> tuple[Decision, Stub | None, object]:
        """Note a call, and let it fail if it is one of those. What would execute does not, when it fails before."""
        with self._lock:
            self._counts[effect.name] += 1
            number = self._counts[effect.name]
            is_ordered = threading.get_ident() == self._thread
            seen = Seen(effect, number, decision.mode, is_ordered)
            self.seen.append(seen)
        planned = self._plan.get(seen.label)
        if planned is None:
            return decision, stub, None
        fault, error = planned
        self._met[fault.label] = None
        if decision.mode is Mode.RAISE:
            return decision, stub, None
        waits = effect.on_commit is not False
        if fault.point == "before":
            reason = f"fault_sweep lets it fail before anything is done ({self.name})"
            return Decision(Mode.RECORD, reason, "fault_sweep"), Stub(Count(), None, error, waits), fault
        if waits and decision.mode is Mode.RECORD:
            given = stub if stub is not None else Stub(Count(), returns)
            stub = given._replace(at_commit=waits)
        return decision, stub, fault

    def begun(self, call: Call, fault: object) -> None:
        """The call has been written down."""
        assert isinstance(fault, Fault)  # noqa: S101 - it is what `meet` gave
        self._met[fault.label] = call
        if fault.point == "after":
            self._lost[id(call)] = fault

    def finished(self, call: Call) -> None:
        """It is done, and the answer is lost. What failed by itself has none."""
        fault = self._lost.get(id(call))
        if fault is None or call.outcome is None or call.outcome.error is not None:
            return
        del self._lost[id(call)]
        self._struck.append(fault.label)
        raise self._plan[fault.label][1]


def _listed(labels: list[str]) -> str:
    return ", ".join(labels) or "none"
