"""The real time, also where a test has frozen or moved the clock: what calls are ordered by, and what timeouts count.

freezegun replaces the functions of `time` in every module that holds one, but not `clock_gettime`. time-machine changes
that one too, for the wall clock alone, and keeps the real one at hand.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Final

_HAS_CLOCKS: Final = hasattr(time, "clock_gettime")  # Windows has none

_wall: Final[Callable[[], float]] = (
    partial(time.clock_gettime, time.CLOCK_REALTIME) if _HAS_CLOCKS else partial(time.time)
)

#: Seconds from an unknown beginning on, for durations and deadlines: the same clock for all processes of a machine.
monotonic: Final[Callable[[], float]] = (
    partial(time.clock_gettime, time.CLOCK_MONOTONIC) if _HAS_CLOCKS else partial(time.monotonic)
)


def now() -> float:
    """Seconds since the epoch."""
    machine = sys.modules.get("time_machine")
    if machine is not None and machine.escape_hatch.is_travelling():
        seconds: float = machine.escape_hatch.time.time()
        return seconds
    return _wall()
