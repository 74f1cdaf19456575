"""How a racer calls its function, whatever it is and wherever it runs."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import random
from collections.abc import Callable
from typing import Any, Final


def resolved(function: Callable[..., Any] | str) -> Callable[..., Any]:
    """The function itself, where it is given as `package.module:name`."""
    if not isinstance(function, str):
        return function
    module, _, path = function.partition(":")
    target: Any = importlib.import_module(module)
    for part in path.split("."):
        target = getattr(target, part)
    found: Callable[..., Any] = target
    return found


def called(function: Callable[..., Any], kwargs: dict[str, Any]) -> Any:
    """What the function returns; what a coroutine function gives is run to its end."""
    __tracebackhide__ = True
    result = function(**kwargs)
    return asyncio.run(_awaited(result)) if inspect.iscoroutine(result) else result


async def _awaited(coroutine: Any) -> Any:
    return await coroutine


def jitter(seed: int, index: int) -> float:
    """How long a racer of a seeded race waits after the gate, in seconds: it makes other interleavings likelier."""
    return random.Random(f"{seed}:{index}").uniform(0.0, _LONGEST)  # noqa: S311 - nobody's secret


_LONGEST: Final = 0.004
