"""RQ's jobs as effects: finding the effect that a job runs, and making an effect of what `@job` has decorated."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Final

from sideeffects._core.calls import registry
from sideeffects._core.state.runtime_effect import Reached, effect_of
from sideeffects._core.verbs.description import describe_function
from sideeffects._core.verbs.proxies import wrap

#: Functions that have been declared above RQ's decorator, whose `delay` knows the bare function alone.
_effects: Final[dict[Any, Any]] = {}
_ATTRIBUTE: Final = "_side_effects_function"


def declare_job(function: Any, name: str | None, returns: Any, options: dict[str, Any]) -> Any:
    """Make an effect of a function that RQ's `@job` has given `delay` and `enqueue`; it keeps both.

    Raises:
        TypeError: it is an effect already.
    """
    effect: Any = _effects.get(function)
    if effect is not None and name == effect.effect.name:
        # Declared again: the registry may be another one (`isolated_registry`).
        registry.store.add(effect.effect, effect)
        return effect
    found = effect_of(effect or function)
    if found is not None:
        raise TypeError(f"{function.__qualname__} is a side effect already, named {found.declared.effect.name!r}")
    effect = wrap(function, describe_function(function, name, **options), returns)
    _effects[function] = effect
    if "enqueue" in vars(function):
        effect.enqueue = function.enqueue  # RQ's own, before ours
    return effect


def holding(original: Callable[..., Any]) -> Callable[..., Any]:
    """`Queue.create_job`, whose job holds its function: by its name alone not every function is found."""

    @functools.wraps(original)
    def create_job(self: Any, func: Any, *args: Any, **options: Any) -> Any:
        job = original(self, func, *args, **options)
        if callable(func):
            vars(job)[_ATTRIBUTE] = func
        return job

    return create_job


def effect_in(job: Any) -> Reached | None:
    """The effect that a job runs, if that is what it runs."""
    function = vars(job).get(_ATTRIBUTE)
    if function is None:
        try:
            function = job.func
        except Exception:  # noqa: BLE001 - another process has it: it is decided there
            return None
    return effect_below(function)


def effect_below(function: Any) -> Reached | None:
    """The effect that a function is."""
    try:
        function = _effects.get(function, function)
    except TypeError:  # it cannot be hashed, so nobody has declared it
        return None
    found = effect_of(function)
    if found is None and not inspect.isroutine(function):
        return effect_of(getattr(function, "__call__", None))  # noqa: B004 - an object that is called as a job
    return found
