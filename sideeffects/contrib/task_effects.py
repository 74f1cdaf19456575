"""What the tasks of all packages have in common: `task.effect`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class EffectOfTask:
    """`task.effect`, for tasks that are effects. No data descriptor: task classes may have an `effect` themselves.

    Args:
        effect_below: what finds the effect of a task, as something with `declared`; `None` for no effect.
    """

    def __init__(self, effect_below: Callable[[Any], Any]) -> None:
        self._effect_below = effect_below

    def __get__(self, task: Any, owner: type[Any]) -> Any:
        found = None if task is None else self._effect_below(task)
        if found is None:
            raise AttributeError(f"{owner.__name__!r} object has no attribute 'effect'")
        return found.declared.effect
