"""Connections that a dry run does not hold: those of other threads that belong to it.

A dry run belongs to a context. Where all of a process is one, also what no context of it reaches belongs to it: threads
that were there before, and those that were started past `threading`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final

from sideeffects._state import EMPTY, scope, state
from sideeffects.dryrun.refusals import Refusals


class Holder:
    """A dry run, as it stands in the contexts that belong to it."""

    def __init__(self) -> None:
        self.refusals = Refusals()

    def holds(self, connection: Any) -> bool:
        """Whether what is done on this connection is rolled back."""
        raise NotImplementedError


_installed: Final[list[bool]] = []
#: The dry runs that are all that their process does.
everywhere: Final[list[Holder]] = []
#: Whether those that begin now are; see `process.py`.
is_whole: Final[list[bool]] = []
#: What was patched, by what stands there now.
_originals: Final[dict[Any, Callable[..., Any]]] = {}


def install() -> None:
    """Patch how Django's connections make cursors, once."""
    if _installed:
        return
    from django.db.backends.base import base

    kind: Any = base.BaseDatabaseWrapper

    with state.lock:
        if not _installed:
            _installed.append(True)
            kind._cursor = _cursor(kind._cursor)  # noqa: SLF001 - each way to a statement goes through it


def unasked(connection: Any) -> Callable[..., Any] | None:
    """How a connection that is held makes cursors without asking at each; `None` if its class has a way of its own."""
    original = _originals.get(type(connection)._cursor)  # noqa: SLF001 - as above
    return None if original is None else functools.partial(original, connection)


def belong() -> Sequence[Holder]:
    """The dry runs to which this context belongs, innermost first."""
    own = scope.get()
    if own is EMPTY:
        return everywhere
    owners = (entry.owner for entry in reversed(own.entries))
    return [owner for owner in owners if isinstance(owner, Holder)] or everywhere


def _cursor(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def cursor(self: Any, name: str | None = None) -> Any:
        for holder in belong():
            if not holder.holds(self):
                holder.refusals.refuse(
                    f"the database {self.alias!r} was used in another thread, or on another connection, than the "
                    f"one that the dry run rolls back: use it in the thread that the dry run runs in (and in "
                    f"asynchronous code async_to_sync(), instead of asyncio.run())"
                )
        return original(self, name)

    _originals[cursor] = original
    return cursor
