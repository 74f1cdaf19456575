"""A race between threads of the test process: the same doors, for code that must share mocks or memory."""

from __future__ import annotations

import contextvars
import sys
import threading
import time
import traceback as tracebacks
from collections.abc import Sequence
from typing import Any, Final

from sideeffects._core.records.ledger import Ledger
from sideeffects._core.state.state import state
from sideeffects._core.values import clock
from sideeffects.testing.races import databases, meeting, settings
from sideeffects.testing.races.calling import called, jitter, resolved
from sideeffects.testing.races.errors import TerminatedProcessError, WrappedError
from sideeffects.testing.races.meeting import Attendance
from sideeffects.testing.races.options import RaceOptions, RacerCall
from sideeffects.testing.races.result import Told


class _Racer:
    """One thread, and what came of it."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.ledger = Ledger()
        self.result: Any = None
        self.error: BaseException | None = None
        self.started: float | None = None
        self.ended: float | None = None
        self.is_ready = False
        self.is_over = False
        self.thread: threading.Thread


def hold(calls: Sequence[RacerCall], options: RaceOptions, seed: int | None) -> tuple[list[Told], list[int]]:
    """Hold a race between threads. Returns what is known of each racer, and who was held with others.

    Raises:
        RaceError: it cannot be held; nothing was called.
    """
    aliases: list[str] = []
    if settings.django_settings() is not None:
        aliases = databases.looked_at(options.databases, in_threads=True).opened
    race = _Race(calls, options, seed, aliases)
    before = sys.getswitchinterval()
    if options.switch_interval is not None:
        sys.setswitchinterval(options.switch_interval)
    try:
        race.hold()
    finally:
        sys.setswitchinterval(before)
    return [_told(racer, options.timeout) for racer in race.racers], race.met


class _Race:
    def __init__(self, calls: Sequence[RacerCall], options: RaceOptions, seed: int | None, aliases: list[str]) -> None:
        self._calls = calls
        self._options = options
        self._seed = seed
        self._aliases = aliases
        self._changed = threading.Condition()
        self._is_open = False
        self._is_called_off = False
        self._attendance = Attendance(len(calls), options.patience)
        self.met: list[int] = []
        self.racers: Final = [_Racer(index) for index in range(len(calls))]

    def hold(self) -> None:
        deadline = clock.monotonic() + self._options.timeout
        try:
            for racer in self.racers:
                # A context of its own, made here: it sees what is in force where the race is called.
                context = contextvars.copy_context()
                name = f"racer-{racer.index}"
                racer.thread = threading.Thread(target=context.run, args=(self._run, racer), name=name, daemon=True)
                racer.thread.start()
            with self._changed:
                self._changed.wait_for(self._all_are_ready, max(0.0, deadline - clock.monotonic()))
                self._is_open = True
                self._changed.notify_all()
            self._see_through(clock.monotonic() + self._options.timeout)
        finally:
            with self._changed:
                self._is_called_off = self._is_open = True
                self._attendance.is_over = True
                self._changed.notify_all()
        self.met = sorted(self._attendance.met)
        for racer in self.racers:
            for call in racer.ledger.read(0)[0]:
                call.mark_racer(racer.index)

    def _all_are_ready(self) -> bool:
        return all(racer.is_ready or racer.is_over for racer in self.racers)

    def _see_through(self, deadline: float) -> None:
        with self._changed:
            while not all(racer.is_over for racer in self.racers):
                left = deadline - clock.monotonic()
                if left <= 0:
                    return
                patience = self._attendance.seconds_left()
                if patience == 0.0:
                    self._attendance.is_over = True
                    self._changed.notify_all()
                    continue
                self._changed.wait(left if patience is None else min(left, patience))
        for racer in self.racers:
            racer.thread.join()

    def _run(self, racer: _Racer) -> None:
        unwatch = state.watch(racer.ledger)
        leave = None
        try:
            function, kwargs = self._calls[racer.index]
            function = resolved(function)
            databases.open_all(self._aliases)
            if self._options.meet_at is not None:
                leave = meeting.enter(self._options.meet_at, lambda: self._reach(racer))
            with self._changed:
                racer.is_ready = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._is_open)
            if self._is_called_off:
                return
            if self._seed is not None:
                time.sleep(jitter(self._seed, racer.index))
            racer.started = clock.monotonic()
            try:
                racer.result = called(function, dict(kwargs))
            finally:
                racer.ended = clock.monotonic()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test gets to see it
            racer.error = error
        finally:
            if leave is not None:
                leave()
            unwatch()
            databases.close_all()
            with self._changed:
                racer.is_over = True
                self._attendance.has_finished(racer.index)
                self._changed.notify_all()

    def _reach(self, racer: _Racer) -> None:
        with self._changed:
            if not self._attendance.is_over:
                self._attendance.has_come(racer.index)
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._attendance.is_over)


def _told(racer: _Racer, timeout: float) -> Told:
    if not racer.is_over:
        frame = sys._current_frames().get(racer.thread.ident or 0)  # noqa: SLF001 - documented in spite of its name
        stack = "" if frame is None else "".join(tracebacks.format_stack(frame))
        error: BaseException = TerminatedProcessError(
            f"racer {racer.index} still ran after {timeout:g} s: Race(timeout=...) allows more. A thread cannot be "
            f"killed, so it goes on (a process would be killed). Where it stands:",
            stack=stack,
        )
        return Told(WrappedError(error, racer=racer.index), racer.started, timeout)
    duration = 0.0 if racer.started is None or racer.ended is None else racer.ended - racer.started
    if racer.error is not None:
        wrapped = WrappedError(racer.error, racer.error.__traceback__, racer=racer.index)
        return Told(wrapped, racer.started, duration)
    return Told(racer.result, racer.started, duration)
