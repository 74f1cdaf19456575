"""What a piece of work descends from, for the guard: the effect that executes above it, the pool it was handed to.

It is inherited by tasks, which copy their context, and by threads and executors (`threads.py`): an effect that hands
a part of its work on is still the one that does it. Tasks and effects write nothing of this while no guard was ever on.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from types import CodeType, TracebackType
from typing import Any, Final

from sideeffects._core.calls.call import Call

#: Where work was handed to a pool, or a task was made: the function, the line in it and its module; what it had called,
#: and the module of that.
Place = tuple[CodeType, int, str, CodeType | None, str]


class Lineage:
    """What a context inherits.

    Attributes:
        effect: the name of the innermost executing effect; empty when none is above.
        place: where this work was handed to a pool, in the user's code; a pool's own stack does not show it.
        guards: the guards around it, the innermost last.
    """

    __slots__ = ("effect", "guards", "place")

    def __init__(self, effect: str, place: Place | None, guards: tuple[Any, ...]) -> None:
        self.effect = effect
        self.place = place
        self.guards = guards


NONE: Final = Lineage("", None, ())
lineage: Final[contextvars.ContextVar[Lineage]] = contextvars.ContextVar("sideeffects_lineage", default=NONE)


class Watching:
    """Whether lineages are kept: they are from the first guard on, until the process ends. There is one, `watching`."""

    __slots__ = ("is_on", "of_task")

    def __init__(self) -> None:
        self.is_on = False
        #: Finds where the asynchronous task that is running was made.
        self.of_task: Callable[[], Place | None] = _nowhere


def _nowhere() -> None:
    return None


watching: Final = Watching()


#: The innermost call that this context executes, of those that are written down.
executing: Final[contextvars.ContextVar[Call | None]] = contextvars.ContextVar("sideeffects_executing", default=None)


class Beneath:
    """`with Beneath(name, call)`: what runs inside belongs to the executing effect of that name, and to its call."""

    __slots__ = ("_before", "_call", "_effect", "_outer")

    def __init__(self, effect: str, call: Call | None) -> None:
        self._effect = effect
        self._call = call
        self._before: Lineage | None = None
        self._outer: Call | None = None

    def __enter__(self) -> None:
        self._outer = executing.get()
        executing.set(self._call)
        if watching.is_on:
            self._before = before = lineage.get()
            lineage.set(Lineage(self._effect, before.place, before.guards))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Not by a token: the steps of a generator may be taken in several contexts.
        executing.set(self._outer)
        if self._before is not None:
            lineage.set(self._before)
