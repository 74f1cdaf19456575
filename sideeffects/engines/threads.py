"""The embedded engine: a bounded pool of threads that drains at exit."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final

from sideeffects._handles import Handle

logger: Final = logging.getLogger("sideeffects")

WORKERS: Final = 4
DRAIN_SECONDS: Final = 10.0


class ThreadEngine:
    """Runs calls in `WORKERS` threads, in the order in which they came. Nothing survives the process."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="sideeffects")
        self._waiting: dict[Future[None], Handle] = {}
        self._lock = threading.Lock()
        self.pid = os.getpid()

    def submit(self, handle: Handle, work: Callable[[], object]) -> None:
        """Take `work` over; its result or error goes to `handle`."""
        future = self._pool.submit(_run, handle, work)
        with self._lock:
            self._waiting[future] = handle
        future.add_done_callback(self._forget)

    def _forget(self, future: Future[None]) -> None:
        with self._lock:
            self._waiting.pop(future, None)

    def drain(self, timeout: float = DRAIN_SECONDS) -> list[Handle]:
        """Wait for what was enqueued.

        Args:
            timeout: seconds.

        Returns:
            what could not be finished in time; it is logged as well.
        """
        with self._lock:
            waiting = dict(self._waiting)
        unfinished = [waiting[future] for future in wait(waiting, timeout).not_done]
        for handle in unfinished:
            logger.error("side effect %s (%s) was enqueued but not finished at exit", handle.name, handle.id)
        self._pool.shutdown(wait=False, cancel_futures=True)
        return unfinished


def _run(handle: Handle, work: Callable[[], object]) -> None:
    try:
        result = work()
    except BaseException as error:
        logger.exception("side effect %s (%s) failed in the background", handle.name, handle.id)
        handle.future.set_exception(error)
    else:
        handle.future.set_result(result)


_engines: list[ThreadEngine] = []
_lock = threading.Lock()


def engine() -> ThreadEngine:
    """This process's engine; made when first needed."""
    with _lock:
        if not _engines or _engines[0].pid != os.getpid():
            _engines[:] = [ThreadEngine()]
            atexit.register(_engines[0].drain)
        return _engines[0]
