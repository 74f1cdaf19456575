"""What a Huey message carries besides the task.

There are no headers. That of `contrib/publishing.py` is an attribute of the task, and one more keyword argument in the
message alone. It is there in a test run, and where the task is an effect.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final

KEYWORD: Final = "__side_effects__"
_ATTRIBUTE: Final = "_side_effects_header"


def header_of(task: Any) -> Mapping[str, Any] | None:
    """What a task carries. What cannot be read counts as that of a test run that named nothing."""
    if _ATTRIBUTE not in vars(task):
        return None
    header = vars(task)[_ATTRIBUTE]
    return header if isinstance(header, Mapping) else {"test_run": True}


@contextmanager
def carrying(task: Any, header: Mapping[str, Any]) -> Generator[None]:
    """Let a task carry a header while it is handed over. It is taken off again: the task may be enqueued once more."""
    before = vars(task).pop(_ATTRIBUTE, None)
    if header:
        vars(task)[_ATTRIBUTE] = header
    try:
        yield
    finally:
        vars(task).pop(_ATTRIBUTE, None)
        if before is not None:
            vars(task)[_ATTRIBUTE] = before


def packing(original: Callable[..., Any]) -> Callable[..., Any]:
    """`Registry.create_message`, with what the task carries."""

    @functools.wraps(original)
    def create_message(self: Any, task: Any) -> Any:
        message = original(self, task)
        header = header_of(task)
        return message if header is None else message._replace(kwargs={**(message.kwargs or {}), KEYWORD: dict(header)})

    return create_message


def unpacking(original: Callable[..., Any]) -> Callable[..., Any]:
    """`Registry.create_task`, which takes it off again."""

    @functools.wraps(original)
    def create_task(self: Any, message: Any) -> Any:
        if not message.kwargs or KEYWORD not in message.kwargs:
            return original(self, message)
        kwargs = dict(message.kwargs)
        header = kwargs.pop(KEYWORD)
        task = original(self, message._replace(kwargs=kwargs))
        vars(task)[_ATTRIBUTE] = header
        return task

    return create_task
