"""What a Huey message carries besides the task.

There are no headers. That of `contrib/publishing.py` is an attribute of the task, and one more keyword argument in the
message alone. It is there in a test run, and where the task is an effect.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any, Final

KEYWORD: Final = "__side_effects__"
_ATTRIBUTE: Final = "_side_effects_header"
_TAKEN: Final = "_side_effects_taken"


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


def is_put_back(task: Any, name: str) -> bool:
    """Whether it was decided and published before, and comes back from who has taken it out: a consumer, as a rule.

    So do retries, and tasks whose time has come. Asked about what it was only shown, it says no; asked twice as well.
    """
    header = header_of(task)
    call = None if header is None else header.get("call")
    is_taken = vars(task).pop(_TAKEN, False)
    return bool(is_taken and isinstance(call, Mapping) and (call.get("name"), call.get("task")) == (name, task.id))


def taking(original: Callable[..., Any]) -> Callable[..., Any]:
    """`Huey.dequeue` and `read_schedule`, which take tasks out; `pending` and `scheduled` only show them."""

    @functools.wraps(original)
    def take(*args: Any, **options: Any) -> Any:
        taken = original(*args, **options)
        tasks: Iterable[Any] = taken if isinstance(taken, list) else () if taken is None else (taken,)
        for task in tasks:
            vars(task)[_TAKEN] = True
        return taken

    return take


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
