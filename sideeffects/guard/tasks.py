"""Where a task was made: the event loop calls it later, and then no line of the user's code is beneath it.

Clients such as aiohttp look a host up in a task of their own. Under a runner that makes the loop (pytest-asyncio,
`IsolatedAsyncioTestCase`) nothing of the user's is on that task's stack, nor on that of the pool that it asks.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from sideeffects import _import_hooks
from sideeffects._lineage import handed_on, lineage


def follow() -> None:
    """Let tasks of asyncio's own loops know from now on which line they were made at."""
    _import_hooks.after_import("asyncio.base_events", _patch)  # where there is no loop, none is imported


def _patch(module: Any) -> None:
    module.BaseEventLoop.create_task = _create_task(module.BaseEventLoop.create_task)


def _create_task(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def create_task(*args: Any, **kwargs: Any) -> Any:
        own = lineage.get()
        lineage.set(handed_on())  # a task copies the context in which it is made
        try:
            return original(*args, **kwargs)
        finally:
            lineage.set(own)

    return create_task
