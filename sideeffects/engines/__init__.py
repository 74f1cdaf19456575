"""What runs enqueued calls in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__: list[str] = []

if TYPE_CHECKING:
    from sideeffects.engines.threads import ThreadEngine


def embedded() -> ThreadEngine:
    """The engine of threads; it is imported when something is enqueued for the first time."""
    from sideeffects.engines import threads

    return threads.engine()
