"""The embedded engine: a bounded pool of threads that drains at exit."""

from __future__ import annotations

import atexit
import contextlib
import contextvars
import logging
import os
import queue
import threading
from collections.abc import Callable
from typing import Final

from sideeffects._core.calls.handle import Handle
from sideeffects._core.calls.parcel import Parcel
from sideeffects._core.runtime.background import reported
from sideeffects._core.state.threads import baggage, carried

__tracebackhide__ = True

logger: Final = logging.getLogger("sideeffects")

WORKERS: Final = 4
DRAIN_SECONDS: Final = 10.0


class ThreadEngine:
    """Runs calls in at most `WORKERS` threads, in the order in which they came. Nothing survives the process.

    The threads are daemons: a process waits at exit for those of `ThreadPoolExecutor`, for ever if one of them hangs.
    """

    #: Nothing travels: arguments are handed over as they are.
    is_here = True

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[Handle, Callable[[], object]]] = queue.SimpleQueue()
        self._unfinished: set[Handle] = set()
        self._changed = threading.Condition()
        self._threads = 0
        self._is_closed = False
        self.pid = os.getpid()

    def check(self, parcel: Parcel) -> None:
        """Anything can be taken over: nothing travels."""

    def submit(self, parcel: Parcel, handle: Handle, work: Callable[[], object]) -> None:  # noqa: ARG002
        """Take `work` over; its result or error goes to `handle`.

        Raises:
            RuntimeError: the process is ending, and would not wait for it.
        """
        with self._changed:
            if self._is_closed:
                raise RuntimeError(f"side effect {handle.name!r} cannot be enqueued any more: the process is ending")
            self._unfinished.add(handle)
            # What the work calls is decided in the scope that enqueued it.
            self._queue.put((handle, carried(work, baggage())))
            if self._threads < min(WORKERS, len(self._unfinished)):
                self._threads += 1
                thread = threading.Thread(target=self._work, name=f"sideeffects-{self._threads}", daemon=True)
                # In a context of its own: the thread outlives the blocks that this call stands in.
                contextvars.Context().run(thread.start)

    def _work(self) -> None:
        while True:
            handle, work = self._queue.get()
            _run(handle, work)
            with self._changed:
                self._unfinished.discard(handle)
                self._changed.notify_all()
            # Not kept while waiting for the next one.
            del handle, work

    def drain(self, timeout: float = DRAIN_SECONDS) -> list[Handle]:
        """Wait for what was enqueued, and refuse what comes later.

        Args:
            timeout: seconds.

        Returns:
            what could not be finished in time; it is logged as well.
        """
        if self.pid != os.getpid():
            return []  # the parent of this fork runs them
        with self._changed:
            self._changed.wait_for(lambda: not self._unfinished, timeout)
            self._is_closed = True
            unfinished = list(self._unfinished)
        for handle in unfinished:
            logger.error("side effect %s (%s) was enqueued but not finished at exit", handle.name, handle.id)
        return unfinished


def _run(handle: Handle, work: Callable[[], object]) -> None:
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - the handle raises it
        with contextlib.suppress(Exception):  # the handle must hear of it, whatever logging does
            reported.exception("side effect %s (%s) failed in the background", handle.name, handle.id)
        handle.future.set_exception(error)
    else:
        handle.future.set_result(result)


_engines: list[ThreadEngine] = []
_lock = threading.Lock()


def _after_fork_in_child() -> None:
    # A lock that another thread held at the fork would stay locked for good.
    global _lock  # noqa: PLW0603 - a child of a fork has a lock of its own
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=_after_fork_in_child)


def engine() -> ThreadEngine:
    """This process's engine; made when first needed."""
    with _lock:
        if not _engines or _engines[0].pid != os.getpid():
            _engines[:] = [ThreadEngine()]
            atexit.register(_engines[0].drain)
        return _engines[0]
