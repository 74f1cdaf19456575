"""Hooking into a class of a foreign package, and into all classes that are made from it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import MethodType, ModuleType
from typing import Any


def wrap_methods(base: Any, wrappers: dict[str, Callable[[Any], Any]]) -> None:
    """Put a wrapper around these methods of a class, of those made from it so far, and of those made later.

    To be called once for a class.
    """

    def wrap_own(kind: Any) -> None:
        for name, wrapper in wrappers.items():
            if not hasattr(kind, name):
                continue
            method = inspect.getattr_static(kind, name)  # its own, or that of a class beside the base
            if getattr(method, "_side_effects_wrapper", None) is not method:  # `functools.wraps` copies the mark
                wrapped = wrapper(method)
                wrapped._side_effects_wrapper = wrapped  # noqa: SLF001 - ours
                setattr(kind, name, wrapped)

    def wrap_all(kind: Any) -> None:
        wrap_own(kind)
        for made in type.__subclasses__(kind):
            wrap_all(made)

    wrap_all(base)

    def init_subclass(cls: type[Any], /, **options: Any) -> None:
        super(base, cls).__init_subclass__(**options)
        wrap_own(cls)

    base.__init_subclass__ = classmethod(init_subclass)


def renew_taken(base: Any, name: str) -> None:
    """Let modules that have taken this method of an object, before it was hooked, have it as it is now."""
    for module in list(sys.modules.values()):
        if isinstance(module, ModuleType):
            for taken, value in list(vars(module).items()):
                if type(value) is MethodType and value.__name__ == name and isinstance(value.__self__, base):
                    vars(module)[taken] = getattr(value.__self__, name)
