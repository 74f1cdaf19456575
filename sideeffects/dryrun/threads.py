"""Connections that a dry run does not hold: those of other threads that belong to it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

from sideeffects._core.state.state import state
from sideeffects.dryrun.membership import belong
from sideeffects.dryrun.other_connections import cursor_for_reading

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
        holders = belong()
        if holders and not any(holder.holds(self) for holder in holders):
            # Without its name: on the server it would be open longer than the statement.
            return cursor_for_reading(self, original, holders[0].refusals, holders[0].remarks)
        return original(self, name)

    _originals[cursor] = original
    return cursor
