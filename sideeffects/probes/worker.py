"""A thread that runs probes, one after the other, and is given up when one of them is past its timeout."""

from __future__ import annotations

import contextlib
import contextvars
import math
import sys
import threading
import time
from collections.abc import Callable, Generator
from typing import Final

from sideeffects.probes import hanging
from sideeffects.probes.greenlets import threads_are_greenlets
from sideeffects.probes.outcomes import place_of, result_of
from sideeffects.probes.protection import Guard
from sideeffects.probes.queue import Unit
from sideeffects.probes.results import ProbeOutcome, ProbeResult

#: A worker that used less of the processor than this part of the time is waiting.
_BUSY: Final = 0.5


class Worker(threading.Thread):
    """A thread that runs probes, with its protection.

    Attributes:
        unit: what it runs now.
        deadline: when that is over, on the clock of `time.monotonic`.
        is_abandoned: whether the run has given it up.
    """

    def __init__(self, work: Callable[[Worker], object], context: contextvars.Context) -> None:
        super().__init__(name="probe", daemon=True)
        self.guard = Guard()
        self.guard.waiting = self._waiting_for_another
        self.context = context
        self.unit: Unit | None = None
        self.deadline = 0.0
        self.is_abandoned = False
        self._work = work
        self._limit = 0.0
        self._began = 0.0
        self._seen: tuple[object, float, float] = (None, 0.0, 0.0)

    def run(self) -> None:
        """Run probes until there are none."""
        self._work(self)

    def begin(self, unit: Unit, limit: float) -> None:
        """Note what runs now."""
        self._limit = limit
        self._began = time.monotonic()
        self.deadline = self._began + limit
        self.unit = unit

    @contextlib.contextmanager
    def _waiting_for_another(self) -> Generator[None]:
        """Inside, the time of the probe does not run: another one's is no time of its own."""
        left, self.deadline = self.deadline - time.monotonic(), math.inf
        try:
            yield
        finally:
            self.deadline = time.monotonic() + left

    def is_waiting(self) -> bool:
        """Whether since the last look it did nothing but wait, with one and the same unit."""
        unit, now, used = self.unit, time.monotonic(), self._processor_time()
        last_unit, then, before = self._seen
        self._seen = (unit, now, used)
        return unit is not None and unit is last_unit and used - before < _BUSY * (now - then)

    def _processor_time(self) -> float:
        clock = getattr(time, "pthread_getcpuclockid", None)
        # There is no such clock on Windows, nor for a greenlet, whose identity would be taken for a thread's. Then a
        # worker that is still at the same probe counts as waiting; a greenlet does wait while this looks.
        if clock is None or self.ident is None or threads_are_greenlets():
            return 0.0
        return time.clock_gettime(clock(self.ident))

    def timed_out(self, unit: Unit) -> ProbeResult:
        """Free what it holds. Returns what came of the probe, with the place where it hangs."""
        frame = sys._current_frames().get(self.ident or 0)  # noqa: SLF001 - documented in spite of its name
        place = "" if frame is None else place_of(frame)
        hanging.note(unit, self)
        self.guard.abandon()
        self.guard.cut()
        message = f"it took longer than its timeout of {self._limit:g} s"
        trace = f"It hangs here:\n{place}" if place else ""
        duration = time.monotonic() - self._began
        return result_of(unit.known, ProbeOutcome.ERRORED, message, trace, duration, self.guard.calls)
