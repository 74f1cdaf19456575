"""Connections that a dry run does not hold: those of other threads that belong to it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

from sideeffects._state import EMPTY, Scope, scope, state
from sideeffects.dryrun.refusals import Refusals


class Holder:
    """A dry run, as it stands in the contexts that belong to it."""

    def __init__(self) -> None:
        self.refusals = Refusals()

    def holds(self, connection: Any) -> bool:
        """Whether what is done on this connection is rolled back."""
        raise NotImplementedError


_installed: Final[list[bool]] = []
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


def _cursor(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def cursor(self: Any, name: str | None = None) -> Any:
        own = scope.get()
        if own is not EMPTY:
            for holder in holders(own):
                if not holder.holds(self):
                    holder.refusals.refuse(
                        f"the database {self.alias!r} was used in another thread, or on another connection, than the "
                        f"one that the dry run rolls back: use it in the thread that the dry run runs in"
                    )
        return original(self, name)

    _originals[cursor] = original
    return cursor


def holders(own: Scope) -> list[Holder]:
    """The dry runs to which a context belongs, innermost first."""
    owners = (entry.owner for entry in reversed(own.entries))
    return [owner for owner in owners if isinstance(owner, Holder)]
