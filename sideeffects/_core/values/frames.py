"""Frames of this package in tracebacks: error reports show their variables, among which are a call's arguments.

Modules whose frames hold arguments say `__tracebackhide__ = True` at their top. pytest leaves such frames out, and what
they held is forgotten here.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

__tracebackhide__ = True
#: unittest leaves the frames of such modules out of its tracebacks.
__unittest = True

P = ParamSpec("P")
R = TypeVar("R")

#: Frames that may be suspended: clearing one of these ends it. They forget by themselves.
_SUSPENDED = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def forget(error: BaseException) -> None:
    """Clear the variables of this package's finished frames in an error's tracebacks, and in those of its causes.

    A frame that is still running keeps them: the caller of this function deletes its own.
    """
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        found = waiting.pop()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        waiting += (found.__cause__, found.__context__)
        traceback: TracebackType | None = found.__traceback__
        while traceback is not None:
            frame = traceback.tb_frame
            names = frame.f_globals
            is_own = names.get("__tracebackhide__") and str(names.get("__name__", "")).startswith("sideeffects.")
            if is_own and not frame.f_code.co_flags & _SUSPENDED:
                with contextlib.suppress(RuntimeError):  # it is running
                    frame.clear()
                    frame.f_locals["__tracebackhide__"] = True  # those who read variables may count on there being some
            traceback = traceback.tb_next


def forgetting(function: Callable[P, R]) -> Callable[P, R]:
    """A function, plain or asynchronous, that has frames forget what it was given when an error leaves it."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def forgets_later(*args: Any, **kwargs: Any) -> Any:
            try:
                return await function(*args, **kwargs)
            except BaseException as error:
                forget(error)
                del args, kwargs
                raise

        return cast("Callable[P, R]", forgets_later)

    @functools.wraps(function)
    def forgets(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            forget(error)
            del args, kwargs
            raise

    return forgets
