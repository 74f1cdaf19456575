"""An override that a request opened and never left must not live on into the next request.

A generator that is dropped between two steps leaves its `with` block open for as long as something refers to it, in a
context that the server's thread keeps for its next request. So overrides and captures that were entered during a
request are removed when it has finished. Under ASGI there is nothing to do: a request's views run in tasks of its own,
and their contexts end with them.
"""

from __future__ import annotations

import contextvars
from typing import Any, Final

from sideeffects._core.state.scope import Scope, scope
from sideeffects._core.state.state import state

_before: Final[contextvars.ContextVar[Scope | None]] = contextvars.ContextVar(
    "sideeffects_before_request", default=None
)


def install() -> None:
    """Listen to Django's requests."""
    from django.core.signals import request_finished, request_started

    request_started.connect(_started, dispatch_uid="sideeffects")
    request_finished.connect(_finished, dispatch_uid="sideeffects")


def _started(**_: Any) -> None:
    _before.set(scope.get())


def _finished(**_: Any) -> None:
    before = _before.get()
    if before is None:
        return
    _before.set(None)
    own = scope.get()
    for entry in own.entries:
        if entry not in before.entries:
            state.overrides.discard(entry)
    for ledger in own.captures:
        if ledger not in before.captures:
            state.unwatch(ledger)
