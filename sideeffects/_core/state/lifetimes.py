"""How long an override may stay open in a test run: as long as the test, or the fixture, that entered it.

The hooks of the test runners begin a lifetime for each test, and one for each class, module and session while it is
set up and torn down. An override belongs to the innermost lifetime that has begun, or to the one in which its thread,
job or task was started. When a lifetime ends, the overrides that are still open in it are closed.
"""

from __future__ import annotations

import contextvars
import threading
import weakref
from collections.abc import Callable
from typing import Final

from sideeffects._core.policy.override_entry import OverrideEntry


class Lifetime:
    """A test, or a fixture of several.

    Attributes:
        label: what it is, for messages.
        entries: the overrides that were entered in it, held weakly, so that those that have been left are forgotten.
        is_over: whether it has ended.
        refine: finds the lifetime that is meant instead, where this one has begun too late to know.
    """

    __slots__ = ("_thread", "entries", "is_over", "label", "refine")

    def __init__(self, label: str) -> None:
        self.label = label
        self.entries: list[weakref.ref[OverrideEntry]] = []
        self.is_over = False
        self.refine: Callable[[], Lifetime | None] | None = None
        self._thread = threading.get_ident()

    @property
    def is_here(self) -> bool:
        """Whether this is the thread in which it began."""
        return self._thread == threading.get_ident()

    def resume(self) -> Lifetime:
        """Be the innermost from now on."""
        self.pause()
        _begun.append(self)
        inherited.set(self)
        return self

    def pause(self) -> None:
        """Be no longer among those that are running; its overrides stay open."""
        if self in _begun:
            _begun.remove(self)
        inherited.set(_begun[-1] if _begun else None)

    def left_open(self) -> list[OverrideEntry]:
        """The overrides that have not been left."""
        return [entry for held in self.entries if (entry := held()) is not None and not entry.closed]


#: Those that are running, the innermost last.
_begun: Final[list[Lifetime]] = []
#: The one in which a piece of work was started. It goes along into tasks, threads and jobs.
inherited: Final[contextvars.ContextVar[Lifetime | None]] = contextvars.ContextVar("sideeffects_lifetime", default=None)


def current() -> Lifetime | None:
    """The one that an override belongs to which is entered here and now; `None` where no test runs."""
    started_in = inherited.get()
    innermost = _begun[-1] if _begun else None
    if started_in is not None and started_in.is_over:
        return started_in
    if innermost is None or (started_in is not None and not innermost.is_here):
        return started_in
    # In the thread of the tests what runs is the test, although an event loop may be older, and its context too.
    return innermost if innermost.refine is None else innermost.refine() or innermost
