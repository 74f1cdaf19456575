"""Environment variables for the length of a block."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def override_environment(**variables: str | None) -> Generator[None]:
    """Set environment variables inside the block, for this process and for racers; restore them whatever happens.

    Args:
        **variables: values by name; `None` takes a variable away.

    Raises:
        TypeError: a value is no string; nothing was set.
    """
    for name, value in variables.items():
        if value is not None and not isinstance(value, str):
            raise TypeError(f"the environment variable {name} takes a string, not {value!r}: write {str(value)!r}")
    before = {name: os.environ.get(name) for name in variables}
    _set(variables)
    try:
        yield
    finally:
        _set(before)


def _set(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
