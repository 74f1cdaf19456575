"""What a context has of ours goes along into eventlet's green threads, and into the threads of its pool.

A green thread begins with an empty context, whoever spawns it. All ways to one lead through a few functions, each of
which is handed what it is to run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

from sideeffects._core.state import import_hooks
from sideeffects._core.state.threads import baggage, carried

__tracebackhide__ = True

_installed: Final[list[bool]] = []
#: Functions that are handed what to run, with its position among their arguments.
_SPAWNING: Final = {"spawn": 0, "spawn_after": 1, "spawn_after_local": 1, "_spawn_n": 1}


def install() -> None:
    """Hook into what spawns, once."""
    if not _installed:
        _installed.append(True)
        import_hooks.after_import("eventlet.greenthread", _patch_green_threads)
        import_hooks.after_import("eventlet.tpool", lambda module: _patch(module, "execute", 0))


def _patch_green_threads(module: Any) -> None:
    for name, position in _SPAWNING.items():
        _patch(module, name, position)


def _patch(module: Any, name: str, position: int) -> None:
    original: Callable[..., Any] = getattr(module, name)

    @functools.wraps(original)
    def spawning(*args: Any, **kwargs: Any) -> Any:
        given = baggage()
        if not given.is_empty and len(args) > position and callable(args[position]):
            args = (*args[:position], carried(args[position], given), *args[position + 1 :])
        return original(*args, **kwargs)

    for holder, held in list(import_hooks.holders_of(original)):
        setattr(holder, held, spawning)
