"""What the tasks of all packages have in common: the effect below a task's function, and `task.effect`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from sideeffects._core.state.runtime_effect import Declared
from sideeffects._core.verbs.decorator import EffectFunction, declared_of


class Below(NamedTuple):
    """The effect below a function.

    Attributes:
        declared: the effect.
        is_direct: whether nothing stands between the two, so that the function's arguments are the effect's.
    """

    declared: Declared
    is_direct: bool


def below(function: Any) -> Below | None:
    """The effect that a function is, or wraps as `functools.wraps` does."""
    is_direct = True
    seen: set[int] = set()
    while function is not None and id(function) not in seen:
        if issubclass(type(function), EffectFunction):
            return Below(declared_of(function), is_direct)
        seen.add(id(function))
        is_direct = False
        function = getattr(function, "__dict__", {}).get("__wrapped__")
    return None


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
