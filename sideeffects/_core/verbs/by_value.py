"""Effects that cloudpickle takes by value: those of the main script, local ones, those of modules registered with it.

It would take the function below the decision for any other function, and ship that alone. joblib, Ray and PySpark
carry copies of cloudpickle.
"""

from __future__ import annotations

import functools
import sys
from types import ModuleType
from typing import Any

from sideeffects._core.calls import registry
from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.state.runtime_effect import Proxy
from sideeffects._core.verbs.description import DESCRIBED, describe_function
from sideeffects._core.verbs.proxies import BoundEffectFunction, EffectFunction, bound_to, declared_for


def teach(module: ModuleType) -> None:
    """Let a cloudpickle ship the declaration with the function."""
    pickler: Any = getattr(module, "Pickler", None) or getattr(module, "CloudPickler", None)
    original: Any = getattr(pickler, "reducer_override", None)
    if original is None or hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    def reducer_override(self: Any, obj: Any) -> Any:
        if not issubclass(type(obj), Proxy):
            return original(self, obj)
        return shipped(obj) if _is_taken_by_value(obj, module) else obj.__reduce__()

    pickler.reducer_override = reducer_override


def _is_taken_by_value(function: Any, module: Any) -> bool:
    """As cloudpickle tells it of functions."""
    path, _, qualname = function.effect.dotted_path.partition(":")
    there = sys.modules.get(path)
    if path == "__main__" or "<locals>" in qualname or there is None:
        return True
    return bool(module._is_registered_pickle_by_value(there))  # noqa: SLF001 - it has no other name for it


def shipped(function: Any) -> Any:
    """A reduction that takes an effect along by value: its function, and what it was declared with."""
    if isinstance(function, BoundEffectFunction):
        if bound_to(function) is not None:
            return function.__reduce__()
        function = function._self_parent  # noqa: SLF001 - wrapt has no other name for it
    effect: SideEffect = function.effect
    options = {option: getattr(effect, option) for option in DESCRIBED}
    state = (effect.name, function.__wrapped__, function._self_declared.returns, options)  # noqa: SLF001
    # In two steps, since a function that calls itself holds the effect that holds it.
    return _blank, (), state, None, None, _declare_again


def _blank() -> Any:
    return EffectFunction.__new__(EffectFunction)


def _declare_again(blank: Any, state: tuple[Any, ...]) -> None:
    """Unpickling what `shipped` made. The registry keeps what it has: the decisions go by the name."""
    name, function, returns, options = state
    effect = describe_function(function, name, **options)
    EffectFunction.__init__(blank, function, declared_for(function, effect, returns))
    if name not in registry.registry:
        registry.store.add(effect, blank)
