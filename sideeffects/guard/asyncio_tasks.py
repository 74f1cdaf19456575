"""Where a task was made: the event loop calls it later, and then no line of the user's code is beneath it.

Clients such as aiohttp look a host up in a task of their own. Under a runner that makes the loop (pytest-asyncio,
`IsolatedAsyncioTestCase`) nothing of the user's is on that task's stack, nor on that of the pool that it asks.
Kept by task rather than in its context: asgiref gives contexts back to those who wait for them.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import weakref
from collections.abc import Callable
from typing import Any, Final

from sideeffects._core.state import import_hooks
from sideeffects._core.state.user_line import here
from sideeffects._core.state.work_origin import Place

_places: Final[weakref.WeakKeyDictionary[Any, Place]] = weakref.WeakKeyDictionary()


def follow() -> None:
    """Keep the lines at which the tasks of asyncio's own loops are made from now on."""
    import_hooks.after_import("asyncio.base_events", _patch)  # where there is no loop, none is imported


def place() -> Place | None:
    """Where the task that runs here was made; `None` when none does."""
    asyncio: Any = sys.modules.get("asyncio.tasks")
    try:
        task = None if asyncio is None else asyncio.current_task()
    except RuntimeError:  # there is no loop in this thread
        return None
    return None if task is None else _places.get(task)


def _patch(module: Any) -> None:
    module.BaseEventLoop.create_task = _create_task(module.BaseEventLoop.create_task)


def _create_task(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def create_task(*args: Any, **kwargs: Any) -> Any:
        made_at = here()
        task = original(*args, **kwargs)
        if made_at is not None:
            with contextlib.suppress(TypeError):  # a factory may make what cannot be referred to weakly
                _places[task] = made_at
        return task

    return create_task
