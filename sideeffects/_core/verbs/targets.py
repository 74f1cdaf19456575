"""Targets: how `declare` is given a function, `package.module:Class.method`."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

#: Targets that mean more than one function, each with what declares it, called as `whole[target](module, name,
#: returns, options)`.
whole: Final[dict[str, Callable[[ModuleType, str | None, Any, dict[str, Any]], None]]] = {}


def is_target(text: str) -> bool:
    """Whether a text has the form of a target."""
    module, _, path = text.partition(":")
    return text in whole or all(part.isidentifier() for part in [*module.split("."), *path.split(".")])
