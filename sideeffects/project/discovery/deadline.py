"""How long looking for effects may take as a whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from sideeffects._core.values import clock

#: Seconds.
BOUND: Final = 20.0


class TookTooLong(BaseException):
    """Importing a module has reached the bound. No `except Exception` of the module swallows it."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"it was stopped: looking for effects may take {seconds:g} s as a whole")


class Deadline:
    """When it is to end.

    Args:
        seconds: from now; `None` for no bound.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._end = None if seconds is None else clock.monotonic() + seconds

    @property
    def is_over(self) -> bool:
        """Whether that time has come."""
        return self._end is not None and clock.monotonic() >= self._end

    @contextmanager
    def stopping(self) -> Generator[None]:
        """Raise `TookTooLong` in the block when it is over: in the main thread, where no other alarm is set.

        Elsewhere nobody can interrupt an import; it is then only asked between two of them.
        """
        if not self._can_be_stopped():
            yield
            return
        left = max(0.001, self._end - clock.monotonic()) if self._end is not None else 0.0
        before = signal.signal(signal.SIGALRM, self._stop)
        signal.setitimer(signal.ITIMER_REAL, left)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def _can_be_stopped(self) -> bool:
        if self._end is None or threading.current_thread() is not threading.main_thread():
            return False
        has_alarms = hasattr(signal, "setitimer")
        return has_alarms and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0) and _is_default()

    def _stop(self, *_: object) -> None:
        raise TookTooLong(self.seconds or 0.0)


def _is_default() -> bool:
    """Whether nobody else waits for an alarm; a handler that was not set from Python could not be put back."""
    return signal.getsignal(signal.SIGALRM) in (signal.SIG_DFL, signal.SIG_IGN)
