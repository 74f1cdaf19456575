"""Dramatiq's actors as effects: finding the effect below an actor, and making an effect of an actor."""

from __future__ import annotations

import inspect
from typing import Any, NoReturn

from sideeffects._core.calls import registry
from sideeffects._core.state.runtime_effect import Reached, effect_of
from sideeffects._core.verbs.description import describe_function
from sideeffects._core.verbs.proxies import EffectFunction, wrap


def effect_below(actor: Any) -> Reached | None:
    """The effect that an actor runs, if that is what it runs."""
    found = effect_of(actor.fn)
    if found is None and "__actor__" in getattr(
        actor.fn, "__dict__", {}
    ):  # made of a class: its method `perform` is what runs
        return effect_of(getattr(actor.fn, "perform", None))
    return found


def declare_actor(actor: Any, name: str | None, returns: Any, options: dict[str, Any]) -> Any:
    """Make an effect of an actor; the actor itself is given back, since all ways into it go through the effect now.

    Raises:
        TypeError: it is an effect already, or was made of a class.
    """
    if _is_made_of_class(actor.fn):
        refuse_generic(actor.fn)
    function = inspect.unwrap(actor.fn) if _is_run_by_a_loop(actor.fn) else actor.fn
    found = effect_of(function)
    if found is not None:
        if found.is_direct and name == found.declared.effect.name and issubclass(type(function), EffectFunction):
            # Declared again: the registry may be another one (`isolated_registry`).
            registry.store.add(function.effect, function)
            return actor
        raise TypeError(f"{actor!r} is a side effect already, named {found.declared.effect.name!r}")
    effect: Any = wrap(function, describe_function(function, name, **options), returns)
    if _is_run_by_a_loop(actor.fn):
        from dramatiq.asyncio import async_to_sync

        effect = async_to_sync(effect)
    actor.fn = effect
    return actor


def _is_made_of_class(function: Any) -> bool:
    """Whether it is an instance of `GenericActor`, whose method `perform` is what runs."""
    return "__actor__" in getattr(function, "__dict__", {})


def _is_run_by_a_loop(function: Any) -> bool:
    """Whether it is Dramatiq's own wrapper around a coroutine function."""
    wrapped = getattr(function, "__dict__", {}).get("__wrapped__")
    return inspect.iscoroutinefunction(wrapped) and not inspect.iscoroutinefunction(function)


def refuse_generic(actor: Any, *_: Any) -> NoReturn:
    """An actor that was made of a class is held by its broker: its method is what can be declared.

    Raises:
        TypeError: always.
    """
    raise TypeError(
        f"@side_effect cannot decorate the actor {type(actor).__qualname__}, which is made of a class: put it right "
        f"above its method `perform`"
    )
