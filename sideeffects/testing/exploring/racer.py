"""A racer: a thread that lives as long as the exploration, and stops before each of its steps.

Whatever else runs on behalf of a racer (asgiref's threads, executors, threads of its own) stops as well: its steps are
the racer's. Only one of a racer's threads may be at a step at a time, or their order would be left to chance.
"""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Any, Final

from sideeffects._core.state.scope import scope
from sideeffects.database.places import place_of_use
from sideeffects.errors import RaceError
from sideeffects.testing.exploring.footprints import OUTSIDE, Footprint


class Abandoned(BaseException):
    """Ends a racer whose order is not carried to its end. No `except Exception` is to keep it."""


class Signal:
    """As a semaphore that begins at 0, and quicker: each step of each order needs two."""

    def __init__(self) -> None:
        self._given: Final[queue.SimpleQueue[None]] = queue.SimpleQueue()

    def release(self) -> None:
        """Let one go on that waits, or will."""
        self._given.put(None)

    def acquire(self, timeout: float | None = None) -> bool:
        """Wait for a release, at most `timeout` seconds. Returns whether there was one."""
        try:
            self._given.get(timeout=timeout)
        except queue.Empty:
            return False
        return True


class Step:
    """What a racer does next.

    Attributes:
        kind: `sql`, `commit`, `rollback`, `effect`, `cache` or `step`.
        text: gives what it is, for people.
        shape: what it is, without values: the same in each order that brings the racer here.
        footprint: what it touches.
        place: `file:line` of the code that does it.
        connection: the connection that it uses, if any; see `connections.py`.
        written: the tables that it may change; `None` for all.
        keep: what the explorer calls before the step is taken, so that it can take it back.
    """

    __slots__ = ("connection", "footprint", "keep", "kind", "place", "shape", "text", "written")

    def __init__(
        self,
        kind: str,
        text: Callable[[], str],
        footprint: Footprint,
        *,
        shape: str = "",
        connection: Any = None,
        written: frozenset[str] | None = frozenset(),
        keep: Callable[[], None] | None = None,
    ) -> None:
        self.kind = kind
        self.text = text
        self.shape = f"{kind} {shape or text()}"
        self.footprint = footprint
        self.place = place_of_use()
        self.connection = connection
        self.written = written
        self.keep = keep


class Racer:
    """One racer, and the thread that is its own.

    Args:
        index: which, from 0 on.
        close: closes what the thread has open, at its end.
    """

    def __init__(self, index: int, close: Callable[[], None]) -> None:
        self.index: Final = index
        self._close = close
        #: Released whenever it stops: at a step, at its end, or because the database is busy.
        self.arrived: Final = Signal()
        self._go: Final = Signal()
        self._jobs: Final = Signal()
        self._job: tuple[contextvars.Context, Callable[[], Any]] | None = None
        self._lock: Final = threading.Lock()
        #: Its connections, by alias, that have been hooked; see `connections.py`.
        self.connections: Final[list[Any]] = []
        self.thread: Final = threading.Thread(target=self._live, name=f"racer-{index}", daemon=True)
        self._clear()
        self.thread.start()

    def _clear(self) -> None:
        self.at: Step | None = None
        self.is_done = True
        self.is_busy = False
        self.is_abandoned = False
        self._may_retry = True
        self.result: Any = None
        self.error: BaseException | None = None
        self.complaint: RaceError | None = None

    # -- called by the explorer

    def start(self, context: contextvars.Context, function: Callable[[], Any]) -> None:
        """Run a function up to its first step."""
        self._clear()
        self.is_done = False
        self._job = context, function
        self._jobs.release()

    def let_go(self) -> None:
        """Let it do the step that it stands before."""
        self._go.release()

    def retry(self) -> None:
        """Let it try again what the database was too busy for."""
        self.is_busy = False
        self._go.release()

    def give_up(self) -> None:
        """Let what the database was too busy for fail, as after its timeout."""
        self._may_retry = self.is_busy = False
        self._go.release()

    def abandon(self) -> None:
        """End its order here, wherever it stands."""
        self.is_abandoned = True
        if self.at is not None or self.is_busy:
            self.is_busy = self._may_retry = False
            self._go.release()

    def end(self) -> None:
        """End its thread, and wait until its connections are closed; one that is stuck ends when it is free."""
        self._job = None
        self._jobs.release()
        if self.is_done:
            self.thread.join()

    # -- called by the racer

    def stop_before(self, step: Step) -> None:
        """Stand before a step until the explorer says go."""
        with self._lock:
            if self._leave_if_abandoned(step):
                return
            if self.at is not None:
                self.complaint = RaceError(
                    f"two threads of racer {self.index + 1} are at a step at once, at {self.at.place} and {step.place}"
                    f": exploring needs the steps of one racer to come one after the other, also if it has several "
                    f"threads. Wait for the thread before going on, or explore each side as a racer of its own"
                )
                raise self.complaint
            self.at = step
        self.arrived.release()
        self._go.acquire()
        self.at = None
        self._leave_if_abandoned(step)

    def _leave_if_abandoned(self, step: Step) -> bool:
        """What is called off goes no further than to its rollback, before which it does not stop."""
        if self.is_abandoned and step.kind != "rollback":
            raise Abandoned
        return self.is_abandoned

    def wait_until_free(self) -> bool:
        """The database is busy: wait until the explorer has something tried again. Returns whether to try."""
        self.is_busy = True
        self.arrived.release()
        self._go.acquire()
        return self._may_retry

    def _live(self) -> None:
        while True:
            self._jobs.acquire()
            if self._job is None:
                self._close()
                return
            context, function = self._job
            context.run(self._run, function)
            self.is_done = True
            self.arrived.release()

    def _run(self, function: Callable[[], Any]) -> None:
        token = _current.set(self)
        try:
            self.result = function()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test gets to see it
            self.error = error
        finally:
            _current.reset(token)


_current: Final[contextvars.ContextVar[Racer | None]] = contextvars.ContextVar("sideeffects_racer", default=None)


def racer_here() -> Racer | None:
    """The racer on whose behalf this code runs, in whichever thread."""
    racer = _current.get()
    if racer is None:
        # A `ContextVar` of ours does not reach threads; what a context has of overrides does.
        for entry in scope.get().entries:
            owner = entry.owner
            if isinstance(owner, Racer):
                return owner
    return racer


def step(name: str) -> None:
    """Name a step of the code: where racers of an explored race may be switched. Elsewhere it does nothing.

    Statements, commits, effects and operations on caches are steps by themselves. This is for what else racers share:
    a file, a value in memory, a service that no effect stands for.

    Args:
        name: what the timeline calls it.

    Example:
        >>> def reserve(seat):
        ...     taken = seats.read()
        ...     step("seats read")
        ...     seats.write({*taken, seat})
    """
    racer = racer_here()
    if racer is not None:
        racer.stop_before(Step("step", lambda: name, OUTSIDE))
