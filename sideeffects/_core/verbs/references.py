"""How a pickled effect is found again: by reference, as functions are. Pickles name this module, so it stays here."""

from __future__ import annotations

import importlib
from typing import Any

from sideeffects._core.calls import registry
from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.state.runtime_effect import Proxy


def referred(function: Any) -> Any:
    effect: SideEffect = function.effect
    module, _, qualname = effect.dotted_path.partition(":")
    if "<locals>" in qualname:
        import pickle  # imported by now, since something pickles

        raise pickle.PicklingError(f"cannot pickle the local side effect {qualname!r}: define it in its module")
    return refer, (module, qualname, effect.name)


def refer(module: str, qualname: str, name: str) -> Any:
    """Unpickling: effects travel by reference, as functions do.

    What stands at the reference may be the bare function, when the decorated one has another name: it is never given.
    """
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if issubclass(type(found), Proxy) and found.effect.name == name:
        return found
    return registry.function_of(name)
