"""The tasks of a run list, checked before the first one is run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from sideeffects._core.state.extension_points import engine
from sideeffects.engines.threads import ThreadEngine
from sideeffects.errors import AsyncNotAllowed, MalformedTask
from sideeffects.runs.tasks import RunTask, can_run, task_of

__tracebackhide__ = True


class Entry(NamedTuple):
    """One task of the list, as it is run."""

    given: Callable[..., Any]
    task: RunTask
    kwargs: Mapping[str, Any]
    is_async: bool


def checked(run_id: str, tasks: Iterable[Any]) -> list[Entry]:
    """The entries, each known to be one, before the first is run."""
    if isinstance(tasks, str | bytes | Mapping):
        raise TypeError(f"the tasks of run list {run_id!r} are a list of entries, not {tasks!r}")
    return [_entry(run_id, index, entry) for index, entry in enumerate(tasks)]


def _entry(run_id: str, index: int, entry: Any) -> Entry:
    if not isinstance(entry, tuple | list):
        raise MalformedTask(run_id, index, f"is no tuple but {_shown(entry)}")
    if len(entry) not in _LENGTHS:
        raise MalformedTask(run_id, index, f"has {len(entry)} parts instead of two or three")
    given, kwargs = entry[0], entry[1]
    wanted = entry[2] if len(entry) == 3 else None  # noqa: PLR2004 - see `_LENGTHS`
    if not can_run(given):
        raise MalformedTask(run_id, index, f"begins with {_shown(given)}, which cannot be called")
    if type(kwargs) is not dict and not isinstance(kwargs, Mapping):
        hint = "; write {'url': 'http://...'}, with a colon" if isinstance(kwargs, set | frozenset) else ""
        raise MalformedTask(run_id, index, f"has {_shown(kwargs)} where a dict of keyword arguments belongs{hint}")
    for key in kwargs:
        if not isinstance(key, str):
            raise MalformedTask(run_id, index, f"has the keyword argument {_shown(key)}, which is no name")
    if wanted is not None and not isinstance(wanted, bool):
        raise MalformedTask(run_id, index, f"has {_shown(wanted)} for is_async, which is True, False or None")
    task = task_of(given)
    if task.trouble:
        raise MalformedTask(run_id, index, task.trouble)
    if wanted and not task.may_wait:
        _check_may_wait(run_id, index, task)
    return Entry(given, task, kwargs, task.may_wait if wanted is None else wanted)


_LENGTHS: Final = (2, 3)


def _shown(value: Any) -> str:
    """What was given, told by its type: its values may be secret."""
    return f"a {type(value).__name__}"


def _check_may_wait(run_id: str, index: int, task: RunTask) -> None:
    refused = AsyncNotAllowed(task.name)
    refused.add_note(f"It is tasks[{index}] of run list {run_id!r}, with is_async=True. Nothing of the list was run.")
    if not task.needs_threads:
        raise refused
    if not isinstance(engine.last(), ThreadEngine):
        refused.add_note("An undeclared function has no name under which the workers of this engine could find it.")
        raise refused
