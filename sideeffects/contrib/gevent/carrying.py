"""What a context has of ours goes along into greenlets, and into the threads of gevent's pools.

A greenlet begins with an empty context, whatever spawns it. Its class is compiled and cannot be patched. But it has a
callback for each greenlet that is spawned, and the context can be set until it runs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

from sideeffects._core.state import import_hooks
from sideeffects._core.state.threads import baggage, carried

__tracebackhide__ = True

_installed: Final[list[bool]] = []


def install() -> None:
    """Hook into `Greenlet`, `spawn_raw` and `ThreadPool`, once."""
    if not _installed:
        _installed.append(True)
        import_hooks.after_import("gevent.greenlet", lambda module: module.Greenlet.add_spawn_callback(_carry))
        import_hooks.after_import("gevent.hub", _patch_hub)
        import_hooks.after_import("gevent.threadpool", _patch_thread_pool)


def _carry(greenlet: Any) -> None:
    """In the context that spawns it, before it runs."""
    given = baggage()
    if not given.is_empty:
        if greenlet.gr_context is None:
            greenlet.gr_context = given.context()
        else:
            greenlet.gr_context.run(given.put_on)


def _patch_hub(hub: Any) -> None:
    original = hub.spawn_raw

    @functools.wraps(original)
    def spawn_raw(function: Any, *args: Any, **kwargs: Any) -> Any:
        return original(_carried(function), *args, **kwargs)

    for module, name in import_hooks.holders_of(original):
        setattr(module, name, spawn_raw)


def _patch_thread_pool(module: Any) -> None:
    original = module.ThreadPool.spawn

    @functools.wraps(original)
    def spawn(pool: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
        return original(pool, _carried(func), *args, **kwargs)

    module.ThreadPool.spawn = spawn


def _carried(function: Callable[..., Any]) -> Callable[..., Any]:
    given = baggage()
    return function if given.is_empty or not callable(function) else carried(function, given)
