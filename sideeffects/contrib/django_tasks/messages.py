"""What an enqueued Django task carries besides its arguments, and what the worker does with that.

There are no headers. That of `contrib/publishing.py` travels as one more keyword argument. It is taken off before the
task's function is called. Where nobody watches, outside a test run, there is nothing to say, and nothing travels.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from sideeffects.contrib.arriving import obeyed, obeyed_besides, running
from sideeffects.engines.django_tasks import TASK

KEYWORD: Final = "__side_effects__"

#: The function whose task is handed to a backend right now: what the backend calls by itself is the same call.
publishing: Final[ContextVar[Any]] = ContextVar("sideeffects_publishing", default=None)


def obeying(original: Callable[..., Any]) -> Callable[..., Any]:
    """`Task.call` as it obeys what came with the arguments."""

    @functools.wraps(original)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        with _running(args, kwargs):
            return original(self, *args, **kwargs)

    return call


def obeying_async(original: Callable[..., Any]) -> Callable[..., Any]:
    """`Task.acall` as it obeys what came with the arguments."""

    @functools.wraps(original)
    async def acall(self: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        with _running(args, kwargs):
            return await original(self, *args, **kwargs)

    return acall


def obeying_besides(original: Callable[..., Any]) -> Callable[..., Any]:
    """`send` of a signal about a task, which workers send before and after they run it."""

    @functools.wraps(original)
    def send(*args: Any, **named: Any) -> Any:
        __tracebackhide__ = True
        kwargs = getattr(named.get("task_result"), "kwargs", None)
        if not isinstance(kwargs, dict) or KEYWORD not in kwargs:
            return original(*args, **named)
        with obeyed_besides(kwargs[KEYWORD]):
            return original(*args, **named)

    return send


def run(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a task's function, which whoever works may do by itself, and obey what came with the arguments."""
    __tracebackhide__ = True
    if inspect.iscoroutinefunction(function):
        return _run_async(function, args, kwargs)
    with _running(args, kwargs), running(_path_of(function), TASK):
        return function(*args, **kwargs)


async def _run_async(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    __tracebackhide__ = True
    with _running(args, kwargs), running(_path_of(function), TASK):
        return await function(*args, **kwargs)


def _path_of(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


@contextmanager
def _running(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Generator[None]:
    # What the task enqueues is a call of its own, though it be of the same task.
    was_publishing = publishing.set(None)
    try:
        if KEYWORD not in kwargs:
            yield
            return
        header = kwargs.pop(KEYWORD)
        strip(getattr(args[0], "task_result", None) if args else None)
        with obeyed(header):
            yield
    finally:
        publishing.reset(was_publishing)


def strip(result: Any) -> None:
    """Take what travels off the arguments that a `TaskResult` shows."""
    kwargs = getattr(result, "kwargs", None)
    if isinstance(kwargs, dict):
        kwargs.pop(KEYWORD, None)
