"""Environment variables that are looked up at each call."""

from __future__ import annotations

import os
from collections.abc import Callable


def reader(name: str) -> Callable[[], str | None]:
    """A function that reads the variable `name` as it is now; `None` when it is not set.

    `os.environ.get` raises and catches a `KeyError` for each variable that is not set, which costs as much as half of
    recording a call. Where `os.environ` is what CPython makes of it, the look goes into the dict below it.
    """
    encoded = _encoded(name)

    def read() -> str | None:
        environment = os.environ
        data = getattr(environment, "_data", None)
        if data is not None and encoded not in data:
            return None
        return environment.get(name)

    return read


def _encoded(name: str) -> object:
    encode = getattr(os.environ, "encodekey", None)
    return name if encode is None else encode(name)
