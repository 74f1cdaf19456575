"""Django tasks as effects: finding the effect below a task, and making an effect of a task."""

from __future__ import annotations

from typing import Any, Final

from sideeffects._core.calls import registry
from sideeffects._core.state.runtime_effect import Reached, effect_of
from sideeffects._core.verbs.decorator import wrap
from sideeffects._core.verbs.description import describe_function

#: Functions that have been declared by way of a task, with the effects that stand in for them.
_effects: Final[dict[Any, Any]] = {}


def effect_below(task: Any) -> Reached | None:
    """The effect that a task runs, if that is what it runs."""
    return effect_of(task.func)


def settle(task: Any) -> None:
    """Let a copy of a task that was made before the task was declared run the effect as well."""
    effect = _effects.get(task.func)
    if effect is not None and task.func is not effect:
        _put(effect, task)


def declare_task(task: Any, name: str | None, returns: Any, options: dict[str, Any]) -> Any:
    """Make an effect of a task; the task itself is given back, since all ways into it go through the effect now.

    Raises:
        TypeError: it is an effect already.
    """
    settle(task)
    found = effect_below(task)
    if found is not None:
        function = task.func
        if found.is_direct and name == function.effect.name:
            # Declared again: the registry may be another one (`isolated_registry`).
            registry.store.add(function.effect, function)
            return task
        raise TypeError(f"{task.module_path} is a side effect already, named {found.declared.effect.name!r}")
    effect = wrap(task.func, describe_function(task.func, name, **options), returns)
    _effects[effect.__wrapped__] = effect
    _put(effect, task)
    return task


def _put(effect: Any, task: Any) -> None:
    # In place, though a task is frozen: a second task beside it would leave whoever holds the first one undecided. An
    # effect equals its function and has its hash, so the task's own do not change.
    object.__setattr__(task, "func", effect)
