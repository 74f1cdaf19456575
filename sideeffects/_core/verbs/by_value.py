"""Effects that cloudpickle takes by value: those of the main script, local ones, those of modules registered with it.

It would take the function below the decision for any other function, and ship that alone. joblib, Ray and PySpark
carry copies of cloudpickle.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from sideeffects._core.state import import_hooks
from sideeffects._core.state.runtime_effect import Proxy

_PACKAGES: Final = ("cloudpickle", "joblib.externals.cloudpickle", "pyspark.cloudpickle", "ray.cloudpickle")
#: Where a pickler is defined, in the releases of the last years.
_MODULES: Final = ("cloudpickle", "cloudpickle_fast")


def teach(shipped: Callable[[Any], Any]) -> None:
    """Let cloudpickle ship what `shipped` makes of an effect."""
    for package in _PACKAGES:
        for module in _MODULES:
            import_hooks.after_import(f"{package}.{module}", functools.partial(_teach, shipped=shipped))


def _teach(module: ModuleType, *, shipped: Callable[[Any], Any]) -> None:
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
