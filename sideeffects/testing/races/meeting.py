"""Racers that meet at an effect: each is held when it reaches it, until all have reached it or have finished.

Code that is correct may keep a racer from ever coming (it waits for a lock that one of those held here has). So racers
are held for as long as somebody keeps coming, and a little longer: `patience` seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from sideeffects._core.calls.registry import matches
from sideeffects._core.policy.override_entry import OverrideEntry, OverrideRule
from sideeffects._core.state.state import state
from sideeffects._core.state.switches import Restorer
from sideeffects._core.values import clock


class MeetingPoint(OverrideEntry):
    """Looked at before all overrides, at each call of an effect in a racer. It decides nothing; it waits.

    Args:
        pattern: the effect.
        wait: called when it is reached; returns when the racer may go on.
    """

    __slots__ = ("_is_past", "_lock", "_pattern", "_wait")

    def __init__(self, pattern: str, wait: Callable[[], None]) -> None:
        super().__init__((), "Race(meet_at=...)", context_only=True, foremost=True)
        self._pattern = pattern
        self._wait = wait
        self._is_past = False
        self._lock = threading.Lock()

    def find(self, name: str) -> OverrideRule | None:
        """Hold the racer the first time that it gets here."""
        if not self._is_past and matches(self._pattern, name):
            with self._lock:
                if not self._is_past:
                    self._is_past = True
                    self._wait()
        return None


def enter(pattern: str, wait: Callable[[], None]) -> Restorer:
    """Hold this context's calls of the effect. Returns what ends that."""
    return state.overrides.enter(MeetingPoint(pattern, wait))


class Attendance:
    """Which racers have come and which will not, and by the clock, when to go on.

    Args:
        count: how many racers there are.
        patience: seconds without anybody coming or finishing after which those who are here go on.
    """

    def __init__(self, count: int, patience: float) -> None:
        self._awaited = set(range(count))
        self._patience = patience
        self._since = clock.monotonic()
        #: The racers that were here together.
        self.met: Final[set[int]] = set()
        self.is_over = False

    def has_come(self, racer: int) -> None:
        """A racer has reached the effect."""
        self._since = clock.monotonic()
        self._awaited.discard(racer)
        if not self.is_over:
            self.met.add(racer)

    def has_finished(self, racer: int) -> None:
        """A racer will not come any more."""
        self._since = clock.monotonic()
        self._awaited.discard(racer)

    def seconds_left(self) -> float | None:
        """How long to wait for others; `None` while nobody waits, 0 when those who are here may go on."""
        if self.is_over or not self.met:
            return None
        if not self._awaited:
            return 0.0
        return max(0.0, self._since + self._patience - clock.monotonic())
