"""How a test may notice a refusal that passes none of its frames: in a group, in `gather`'s answers, in a future.

An exception that ends a task is handed on as a value. So it is noted where it goes: to which frame, waiting for the
task, and in which group. What has come to a frame of the test's own was noticed there.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Collection, Iterator
from types import FunctionType
from typing import Any, Final, NamedTuple

from sideeffects._core.calls.call import Call
from sideeffects._core.state import import_hooks
from sideeffects._core.state.extension_points import refusals
from sideeffects._core.values.callers import PACKAGE_FOLDER
from sideeffects.errors import SideEffectError
from sideeffects.guard.at_test_end import passed

#: unittest leaves the frames of such modules out of its tracebacks.
__unittest = True

_ASYNCIO: Final = os.path.join(os.path.dirname(os.__file__), "asyncio") + os.sep


class _Task(NamedTuple):
    """The task that a refusal has ended, and the files of the frames that waited for its answer."""

    task: Any
    waiting: frozenset[str]


#: By the refusal; what is here holds it in turn, so that only `forget` lets it go.
_tasks: Final[dict[BaseException, _Task]] = {}
_groups: Final[dict[BaseException, BaseException]] = {}
#: The files in which somebody has asked a future, or pytest, for the exception.
_asked: Final[dict[BaseException, set[str]]] = {}


def install() -> None:
    """Note where refusals go from now on."""
    refusals.add(_note)
    import_hooks.after_import("concurrent.futures._base", _follow_futures)
    import_hooks.after_import("asyncio.taskgroups", _follow_groups)


def forget() -> None:
    """Another test begins."""
    for known in (_tasks, _groups, _asked):
        known.clear()


def is_noticed(call: Call, error: SideEffectError, files: Collection[str]) -> bool:
    """Whether the refusal of a call has come to one of these files, the test's own, as a value."""
    if not _asked.get(error, set()).isdisjoint(files):
        return True
    group = _groups.get(error)
    if group is not None and passed(group, files):
        return True
    ended = _tasks.get(error)
    if ended is None or getattr(ended.task, "_log_traceback", True):  # nobody has looked into the task
        return False
    if ended.waiting:
        return not ended.waiting.isdisjoint(files)
    return call.caller.rpartition(":")[0] in files


def mark_asked(error: BaseException | None, file: str) -> None:
    """Note that a frame of this file has got an exception, or the group that it is in."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            mark_asked(one, file)
    elif isinstance(error, SideEffectError):
        _asked.setdefault(error, set()).add(file)


def _note(error: SideEffectError) -> None:
    asyncio: Any = sys.modules.get("asyncio.tasks")
    try:
        task = None if asyncio is None else asyncio.current_task()
    except RuntimeError:  # no loop runs in this thread
        return
    if task is not None:
        _tasks[error] = _Task(task, frozenset(_waiting_for(task)))


def _waiting_for(future: Any, depth: int = 5) -> Iterator[str]:
    """The files of the frames that get what comes of a future."""
    for callback in (getattr(one, "__self__", None) or one for one, _ in getattr(future, "_callbacks", None) or ()):
        for other in _reached_by(callback):
            if hasattr(other, "get_coro"):
                yield from _innermost(other.get_coro())
            elif depth:
                yield from _waiting_for(other, depth - 1)


def _reached_by(callback: Any) -> Iterator[Any]:
    """The tasks and futures that a callback wakes: asyncio keeps them in its object, its closure or its arguments."""
    while isinstance(callback, functools.partial):
        yield from (one for one in callback.args if hasattr(one, "_callbacks"))
        callback = callback.func
    if isinstance(callback, FunctionType):
        cells = dict(zip(callback.__code__.co_freevars, callback.__closure__ or (), strict=True))
        yield from (cells[name].cell_contents for name in ("outer", "waiter") if name in cells)
    parent = getattr(callback, "_parent_task", None)  # a task group's
    yield from (one for one in (callback, parent) if hasattr(one, "get_coro"))


def _innermost(coroutine: Any) -> Iterator[str]:
    """The file of the innermost frame of a coroutine that is neither asyncio's nor ours."""
    file = ""
    while coroutine is not None:
        code = getattr(coroutine, "cr_code", None) or getattr(coroutine, "gi_code", None)
        if code is not None and not code.co_filename.startswith((_ASYNCIO, PACKAGE_FOLDER)):
            file = code.co_filename
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    if file:
        yield file


def _follow_futures(module: Any) -> None:
    original: Callable[..., Any] = module.Future.exception

    @functools.wraps(original)
    def exception(future: Any, timeout: float | None = None) -> Any:
        __tracebackhide__ = True
        error = original(future, timeout)
        mark_asked(error, sys._getframe(1).f_code.co_filename)  # noqa: SLF001 - who asks
        return error

    module.Future.exception = exception


def _follow_groups(module: Any) -> None:
    original: Callable[..., Any] = module.TaskGroup.__aexit__

    @functools.wraps(original)
    async def leave(group: Any, *raised: Any) -> Any:
        __tracebackhide__ = True
        try:
            return await original(group, *raised)
        except BaseExceptionGroup as error:
            _keep(error, error)
            raise

    module.TaskGroup.__aexit__ = leave


def _keep(group: BaseException, error: BaseException) -> None:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            _keep(group, one)
    elif isinstance(error, SideEffectError):
        _groups[error] = group
