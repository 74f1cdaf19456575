"""Huey's tasks as effects: finding the effect below a task, and making an effect of a task."""

from __future__ import annotations

import importlib
from typing import Any

from sideeffects._core.calls import registry
from sideeffects._core.state.runtime_effect import Reached, effect_of
from sideeffects._core.verbs.description import describe_function
from sideeffects._core.verbs.proxies import EffectFunction, wrap


def effect_below(wrapper: Any) -> Reached | None:
    """The effect that a task (what Huey's decorator gives) runs, if that is what it runs."""
    return effect_of(wrapper.func)


def effect_of_task(task: Any) -> Reached | None:
    """The effect that one task on its way to a queue runs."""
    execute = getattr(type(task), "execute", None)
    code, cells = getattr(execute, "__code__", None), getattr(execute, "__closure__", None) or ()
    # Nothing but the function that its class was made with holds what it runs.
    held = dict(zip(code.co_freevars, cells, strict=True)) if code is not None else {}
    return effect_of(held["func"].cell_contents) if "func" in held else None


def declare_task(wrapper: Any, name: str | None, returns: Any, options: dict[str, Any]) -> Any:
    """Make an effect of a task; the task itself is given back, since all ways into it go through the effect now.

    Raises:
        TypeError: it is an effect already.
    """
    # Huey's tasks for Django hold the function once more, without what closes connections around it.
    local = vars(wrapper).get("call_local")
    function = wrapper.func if local is None else local
    found = effect_of(function)
    if found is not None:
        if found.is_direct and name == found.declared.effect.name and issubclass(type(function), EffectFunction):
            # Declared again: the registry may be another one (`isolated_registry`).
            registry.store.add(function.effect, function)
            return wrapper
        kind = wrapper.task_class
        raise TypeError(f"{kind.__module__}.{kind.__name__} is a side effect already, named {_name(found)!r}")
    effect: Any = wrap(function, describe_function(function, name, **options), returns)
    if local is not None:
        wrapper.call_local = effect
        effect = importlib.import_module("huey.contrib.djhuey").close_db(effect)
    wrapper.func = effect
    # The class is in the registry of its Huey, and may be held by tasks: it stays, and runs the effect.
    wrapper.task_class.execute = wrapper.create_task(effect, wrapper.context, wrapper.name, **wrapper.settings).execute
    return wrapper


def _name(found: Reached) -> str:
    return found.declared.effect.name
