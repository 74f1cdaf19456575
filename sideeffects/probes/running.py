"""Running probes: one thread works, another one watches.

The thread that asks for the run watches. It starts further workers while all of them wait for something, and takes the
place of a worker whose probe is past its timeout: that thread is left to itself, without its connections and without
anything that it might execute. It is a daemon, and so keeps no process from ending.
"""

from __future__ import annotations

import contextvars
import datetime
import threading
import time
import unittest
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from django.db import connections

from sideeffects.probes import hanging
from sideeffects.probes.drivers import Terms
from sideeffects.probes.outcomes import Collector, message_of, result_of, traceback_of
from sideeffects.probes.protection import Guard, is_inside_a_probe
from sideeffects.probes.queue import Queue, Unit
from sideeffects.probes.refusals import CommitRefused, ProbesRefused
from sideeffects.probes.results import ProbeOutcome, ProbeResult, Results
from sideeffects.probes.specs import Broken, FoundProbes
from sideeffects.probes.worker import Worker

DEFAULT_TIMEOUT: Final = 30.0
#: How many wait together at most, where nobody said: each has connections of its own.
DEFAULT_PARALLEL: Final = 16
#: How often is looked whether all workers wait, in seconds.
_LOOK: Final = 0.004
#: And at most, while each worker has taken more than this number in the meantime.
_LONGEST_LOOK: Final = 0.032
_MANY: Final = 4

Listener = Callable[[ProbeResult, int, int], object]


class ProbeRunner:
    """Runs probes. `PROBE_RUNNER` names a subclass of it.

    Args:
        parallel: how many may run together; `None` for 16. Another starts only while all that run wait.
        timeout: seconds for each probe. A class may ask for less; it may ask for more only if this is not given.
        read_only: whether no probe may write.
        failfast: whether to begin nothing more after the first failure.
        listener: is told of each result, with how many are done and how many there are.

    Example:
        >>> class Careful(ProbeRunner):
        ...     def __init__(self, **options):
        ...         super().__init__(**{**options, "parallel": 1})
    """

    def __init__(
        self,
        *,
        parallel: int | None = None,
        timeout: float | None = None,
        default_timeout: float = DEFAULT_TIMEOUT,
        read_only: bool = False,
        failfast: bool = False,
        listener: Listener | None = None,
    ) -> None:
        self.parallel = parallel or DEFAULT_PARALLEL
        self.timeout = timeout
        self.default_timeout = default_timeout
        self.read_only = read_only
        self.failfast = failfast
        self.listener = listener
        self.is_stopped = False
        self._lock = threading.Condition()
        self._queue = Queue(())
        self._workers: list[Worker] = []
        self._results: list[tuple[tuple[int, int, int], ProbeResult]] = []
        self._told = 0
        self._look, self._left = _LOOK, 0

    def run(self, found: FoundProbes) -> Results:
        """Run these probes. It returns when all are over, or past their timeout.

        Raises:
            ProbesRefused: a probe runs probes.
        """
        if is_inside_a_probe():
            raise ProbesRefused("a probe cannot run probes: it would wait for itself")
        started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
        self.is_stopped = False
        self._told = 0
        self._queue = Queue(found.specs)
        self._look, self._left = _LOOK, len(self._queue)
        self._results = [((-1, 0, position), _import_error(broken)) for position, broken in enumerate(found.broken)]
        self._tell()
        if self._results and self.failfast:
            self.stop()
        reason = _why_in_sequence()
        if reason:
            self._run_here()
        else:
            self._watch()
        whole = not self.is_stopped
        results = tuple(result for _, result in sorted(self._results, key=lambda pair: pair[0]))
        return Results(results, started, time.perf_counter() - clock, (reason,) if reason else (), whole)

    def stop(self) -> None:
        """Begin nothing more. What runs is finished; a signal handler may call this."""
        self.is_stopped = True

    # -- one unit

    def limit(self, unit: Unit) -> float:
        """Seconds that a probe may take."""
        own = unit.traits.timeout
        if self.timeout is None:
            return own or self.default_timeout
        return self.timeout if own is None else min(own, self.timeout)

    def perform(self, unit: Unit, guard: Guard, deadline: float | None) -> ProbeResult:
        """Run one unit (a probe or a fixture) under its protection, in this thread."""
        traits = unit.traits
        started = time.perf_counter()
        if traits.problem:
            return replace(unit.known, outcome=ProbeOutcome.ERRORED, message=traits.problem)
        collector = Collector()
        try:
            is_read_only = traits.read_only or self.read_only
            guard.start(Terms(traits.databases, is_read_only, deadline, guard.waiting), traits)
            try:
                _call(unit, collector)
                # What an exception of the probe's says of itself is its own code.
                collector.describe()
            finally:
                guard.stop()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise
            collector.errors.append(("", error))
        attempts = guard.attempts
        if attempts and not any(isinstance(error, CommitRefused) for _, error in collector.errors):
            tried = " and to: ".join(attempts)
            said = f"a probe can neither commit nor end its transaction, and this one tried to: {tried}"
            collector.errors.append(("", CommitRefused(said)))
        collector.errors += [("", CommitRefused(breach)) for breach in guard.breaches]
        duration = time.perf_counter() - started
        calls = guard.calls
        outcome = collector.outcome
        if outcome is ProbeOutcome.PASSED and not calls:
            return replace(unit.known, duration=duration)
        return result_of(unit.known, outcome, collector.message, collector.traceback, duration, calls)

    def _note(self, unit: Unit, result: ProbeResult) -> None:
        """Write a result down; the lock is held."""
        if unit.spec is not None or result.outcome is not ProbeOutcome.PASSED or result.effects:
            self._results.append((unit.position, result))
        for skipped in self._queue.done(unit, result):
            self._results.append(((*unit.position[:2], 1), skipped))
        if self.failfast and result.is_bad:
            self.stop()

    def _take(self) -> Unit | None:
        if self.is_stopped:
            self._queue.stop()
        return self._queue.take()

    def _tell(self) -> None:
        """Tell the listener what is new; in the thread that asked for the run."""
        while self._told < len(self._results):
            result = self._results[self._told][1]
            self._told += 1
            if self.listener is not None:
                self.listener(result, self._told, self._queue.total)

    # -- in this thread

    def _run_here(self) -> None:
        guard = Guard(is_borrowed=True)
        while (unit := self._take()) is not None:
            result = contextvars.copy_context().run(self.perform, unit, guard, None)
            self._note(unit, result)
            self._tell()

    # -- in workers

    def _watch(self) -> None:
        context = contextvars.copy_context()
        workers: list[Worker] = []
        with self._lock:
            self._grow(1, context, workers)
            while self._workers or len(self._queue):
                self._lock.wait(self._pause())
                self._give_up_on_hanging()
                if not self._workers:
                    self._grow(1, context, workers)
                elif len(self._queue) and all(worker.is_waiting() for worker in self._workers):
                    self._grow(3 * len(self._workers), context, workers)
                self._lock.release()
                try:
                    self._tell()
                finally:
                    self._lock.acquire()
        for worker in workers:
            if not worker.is_abandoned:
                worker.join()
        self._tell()

    def _pause(self) -> float:
        """How long to wait before looking again, in seconds."""
        left = len(self._queue)
        if left and len(self._workers) < self.parallel:
            # Workers that take one after the other wait for nothing, and looking often would only slow them down.
            is_busy = self._left - left > _MANY * len(self._workers)
            self._left = left
            self._look = min(2 * self._look, _LONGEST_LOOK) if is_busy else _LOOK
            return self._look
        now = time.monotonic()
        ends = [worker.deadline for worker in self._workers if worker.unit is not None]
        return min(0.1, max(0.0005, min(ends, default=now + 0.1) - now))

    def _grow(self, number: int, context: contextvars.Context, workers: list[Worker]) -> None:
        for _ in range(min(number, len(self._queue), self.parallel - len(self._workers))):
            worker = Worker(self.work, context)
            self._workers.append(worker)
            workers.append(worker)
            worker.start()

    def _give_up_on_hanging(self) -> None:
        now = time.monotonic()
        late: list[tuple[Worker, Unit]] = []
        for worker in list(self._workers):
            unit = worker.unit
            if unit is not None and now > worker.deadline:
                worker.is_abandoned = True
                self._workers.remove(worker)
                late.append((worker, unit))
        for worker, unit in late:
            self._lock.release()  # freeing what it holds may take a while, and the others go on
            try:
                result = worker.timed_out(unit)
            finally:
                self._lock.acquire()
            self._note(unit, result)

    def work(self, worker: Worker) -> None:
        """What a worker does: one probe or fixture after the other."""
        try:
            while True:
                with self._lock:
                    unit = None if worker.is_abandoned else self._take()
                    if unit is None:
                        return
                    if hanging.hangs_still(unit):
                        self._note(unit, hanging.still_hanging(unit))
                        continue
                    worker.begin(unit, self.limit(unit))
                result = worker.context.copy().run(self.perform, unit, worker.guard, worker.deadline)
                with self._lock:
                    if worker.is_abandoned:
                        return
                    worker.unit = None
                    self._note(unit, result)
        finally:
            worker.guard.close()
            with self._lock:
                if worker in self._workers:
                    self._workers.remove(worker)
                self._lock.notify()


def _call(unit: Unit, collector: Collector) -> None:
    try:
        if unit.spec is None:
            assert unit.work is not None  # noqa: S101 - a unit is a probe or a fixture
            unit.work()
        else:
            case: Any = unit.spec.make()
            case(collector)
    except unittest.SkipTest as skip:
        collector.skipped.append(str(skip))
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
            raise
        collector.errors.append(("", error))


def _import_error(broken: Broken) -> ProbeResult:
    # As django-smoketest says it, whose users look for these words.
    message = f"Exception while importing smoke test script: {message_of(broken.error)}"
    trace = traceback_of(broken.error)
    return ProbeResult(broken.module, broken.app, broken.module, "", "", ProbeOutcome.ERRORED, message, trace)


def _why_in_sequence() -> str:
    """Why probes cannot run in threads of their own; empty when they can."""
    for alias in connections:
        connection: Any = connections[alias]
        if any(getattr(block, "_from_testcase", False) for block in connection.atomic_blocks):
            return _SEQUENCE.format("they run inside a TestCase")
        if connection.vendor == "sqlite" and connection.is_in_memory_db():
            return _SEQUENCE.format(f"the database {alias!r} is in memory, where only this thread sees it")
    return ""


_SEQUENCE: Final = "Probes ran one after the other, in savepoints and without timeouts: {}."


def failed_to_run(message: str) -> Results:
    """What is reported when no probe was run."""
    now = datetime.datetime.now(datetime.UTC)
    result = ProbeResult("probes", "", "", "", "", ProbeOutcome.ERRORED, message)
    return Results((result,), now, 0.0, is_whole=False)
