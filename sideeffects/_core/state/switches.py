"""The fast switches: effects that wrapt calls directly, without entering Python, as long as nothing is in force.

wrapt calls a function directly while the wrapper's `enabled` object is false. Each effect has a list for this; empty
means off. It starts on. It goes off only by `settle`, under the lock, when the decision just taken would be taken again
for every later call and nothing keeps the switches on. Everything that could change a decision calls `disturb` first,
which turns all of them on again and makes every decision taken before it too old to turn one off. In a test run none
ever goes off.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any, Protocol

Restorer = Callable[[], None]


class Switched(Protocol):
    """What has a fast switch."""

    switch: list[bool]


class FastSwitches:
    """All switches of this process.

    Args:
        lock: the lock of the process's state.
    """

    __slots__ = ("_off", "generation", "lock", "reasons")

    def __init__(self, lock: threading.RLock) -> None:
        self.lock = lock
        #: Grows with every change that may change a decision.
        self.generation = 0
        self._off: list[Switched] = []
        #: What keeps the switches on while anybody holds it: overrides, captures, observers, guards, the latch.
        self.reasons: weakref.WeakSet[Any] = weakref.WeakSet()

    @property
    def are_on(self) -> bool:
        """Whether no effect bypasses the runtime."""
        return not self._off

    def keep_on(self, reason: object) -> Restorer:
        """Keep all switches on until `reason` is taken back or gone. Returns its restorer."""
        with self.lock:
            self.reasons.add(reason)
            self.disturb()
        return lambda: self.reasons.discard(reason)

    def disturb(self) -> None:
        """Something may have changed: every effect goes through the runtime again."""
        with self.lock:
            self.generation += 1
            for switched in self._off:
                switched.switch[:] = [True]
            self._off = []

    def set_aside(self) -> weakref.WeakSet[Any]:
        """Forget what keeps the switches on, until `put_back` is given what this returns."""
        before, self.reasons = self.reasons, weakref.WeakSet()
        self.disturb()
        return before

    def put_back(self, before: weakref.WeakSet[Any]) -> None:
        before.update(self.reasons)
        self.reasons = before
        self.disturb()

    def settle(self, switched: Switched, generation: int, signs: Callable[[], str]) -> None:
        """Turn an effect's switch off, if what was decided at `generation` still holds and nothing keeps it on.

        Args:
            switched: the effect.
            generation: that of the decision.
            signs: tells a test run that has begun without notice; asked last, since it takes longest.
        """
        with self.lock:
            if self.generation == generation and not len(self.reasons) and not signs():
                switched.switch.clear()
                self._off.append(switched)
