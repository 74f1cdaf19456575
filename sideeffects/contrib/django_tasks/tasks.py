"""Django tasks as effects: finding the effect below a task, and making an effect of a task."""

from __future__ import annotations

from typing import Any, Final

from sideeffects._core.calls import registry
from sideeffects._core.state.runtime_effect import Reached, effect_of
from sideeffects._core.verbs.description import describe_function
from sideeffects._core.verbs.proxies import wrap
from sideeffects.contrib.django_tasks.functions import PassingOn

#: Functions that have been declared by way of a task, with the effects that stand in for them.
_effects: Final[dict[Any, Any]] = {}


def effect_below(task: Any) -> Reached | None:
    """The effect that a task runs, if that is what it runs."""
    return effect_of(function_of(task))


def function_of(task: Any) -> Any:
    """What a task runs, without our wrapper."""
    function = task.func
    return function.__wrapped__ if type(function) is PassingOn else function


def standing_in(function: Any) -> Any:
    """What a task of this function runs: the effect, where the function was declared by way of a copy of the task."""
    try:
        return _effects.get(function, function)
    except TypeError:  # it cannot be hashed, so nobody has declared it
        return function


def declare_task(task: Any, name: str | None, returns: Any, options: dict[str, Any]) -> Any:
    """Make an effect of a task; the task itself is given back, since all ways into it go through the effect now.

    Raises:
        TypeError: it is an effect already.
    """
    found = effect_below(task)
    if found is not None:
        if found.is_direct and name == found.declared.effect.name:
            # Declared again: the registry may be another one (`isolated_registry`).
            registry.store.add(found.declared.effect, function_of(task))
            return task
        raise TypeError(f"{task.module_path} is a side effect already, named {found.declared.effect.name!r}")
    function = function_of(task)
    # An effect equals its function and has its hash, so the task's own do not change.
    effect = wrap(function, describe_function(function, name, **options), returns)
    _effects[effect.__wrapped__] = effect
    return task
