"""Doing something when a module gets imported, and finding who holds a function under another name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import wrapt


def after_import(module: str, hook: Callable[[ModuleType], None]) -> None:
    """Call `hook` with the module once it is imported; at once if it already is."""
    wrapt.register_post_import_hook(hook, module)


def holders_of(value: object) -> Iterator[tuple[Any, str]]:
    """The imported modules that have `value` as an attribute, with the attribute's name."""
    for module in list(sys.modules.values()):
        if isinstance(module, ModuleType):
            for name, held in list(vars(module).items()):
                if held is value:
                    yield module, name
