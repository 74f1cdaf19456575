"""The engine `"django_tasks"`: enqueued calls travel as one Django task, `run_effect`, and any worker runs them.

The task belongs to the package of the configured backend: Django's own `django.tasks`, or `django-tasks`. It is made
when it is asked for, since `settings.TASKS` decides that and tests override it.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

from sideeffects._core.calls.handle import Handle
from sideeffects._core.calls.parcel import Parcel
from sideeffects._core.runtime.worker import run_parcel
from sideeffects._core.values import clock
from sideeffects.engines.results import packable
from sideeffects.errors import SideEffectError

__tracebackhide__ = True

#: The function under which the task stands in messages.
TASK: Final = f"{__name__}.run_effect"

#: The packages that have tasks.
PACKAGES: Final = ("django.tasks", "django_tasks")
_BASES: Final = frozenset(f"{package}.base" for package in PACKAGES)

#: Seconds between two looks at a result that is not there yet: they double, from the first to the last.
_FIRST_LOOK: Final = 0.02
_LAST_LOOK: Final = 0.5


def base_of(task: Any) -> Any:
    """The module with `Task` and `TaskResult` of the package that a task is from."""
    for kind in type(task).__mro__:
        if kind.__name__ == "Task" and kind.__module__ in _BASES:
            return sys.modules[kind.__module__]
    raise TypeError(f"{task!r} is no Django task")


class DjangoTasksEngine:
    """Hands calls to a backend of `settings.TASKS`.

    `SIDE_EFFECTS["ENGINE"]` may name an instance by its dotted path, for another backend or queue.

    Args:
        backend: the backend's alias.
        queue_name: the queue; the backend's first one when left out.
        priority: the task's priority, from -100 to 100.
    """

    def __init__(self, backend: str = "default", queue_name: str | None = None, priority: int | None = None) -> None:
        self._backend = backend
        self._options = {"queue_name": queue_name, "priority": priority}

    def check(self, parcel: Parcel) -> None:
        """Refuse arguments that JSON cannot carry, and a backend that is not there.

        Raises:
            TypeError: an argument cannot travel; the message names it.
            SideEffectError: there is no such backend, or it does not take such a task, with the reason.
        """
        parcel.to_data()
        self._task()

    def submit(self, parcel: Parcel, handle: Handle, work: Callable[[], object]) -> None:
        """Enqueue the call."""
        task = self._task()
        token = _submitted.set([(parcel.id, handle, work)])
        try:
            result = task.enqueue(parcel.to_data())
        finally:
            _submitted.reset(token)
        if not handle.done():  # backends that run tasks on the spot have run it
            handle.follow(DjangoTaskFuture(result, parcel.name))

    def _task(self) -> Any:
        try:
            return _made_for(self._backend).using(**self._options)
        except Exception as error:
            raise SideEffectError(
                f"the engine 'django_tasks' cannot use the backend {self._backend!r} of settings.TASKS: {error}"
            ) from error


class DjangoTaskFuture:
    """The result of an enqueued call, as far as its backend knows it."""

    def __init__(self, result: Any, name: str) -> None:
        self._result = result
        self._name = name

    def done(self) -> bool:
        """Whether the backend has a result or an error."""
        if not self._result.is_finished and self._result.task.get_backend().supports_get_result:
            self._result.refresh()
        return bool(self._result.is_finished)

    def result(self, timeout: float | None = None) -> Any:
        """The result; waits for it.

        Raises:
            SideEffectError: the call failed (with the traceback that the backend kept), or the backend has no results.
            TimeoutError: it was not there in time.
        """
        deadline = None if timeout is None else clock.monotonic() + timeout
        pause = _FIRST_LOOK
        while not self.done():
            if not self._result.task.get_backend().supports_get_result:
                raise SideEffectError(
                    f"the result of side effect {self._name!r} is not known: the backend {self._result.backend!r} of "
                    f"settings.TASKS does not keep results"
                )
            left = pause if deadline is None else deadline - clock.monotonic()
            if left <= 0:
                raise TimeoutError(f"side effect {self._name!r} has not finished in {timeout} s")
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LAST_LOOK)
        for error in self._result.errors:
            raise SideEffectError(
                f"side effect {self._name!r} failed in the background with {error.exception_class_path}:\n"
                f"{error.traceback}"
            )
        return self._result.return_value


def engine() -> DjangoTasksEngine:
    """The engine with the backend `default`."""
    return _engine


_engine: Final = DjangoTasksEngine()

#: What is handed to a backend right now, and has not run yet: some backends run it before they return.
_submitted: Final[ContextVar[list[tuple[str, Handle, Callable[[], object]]] | None]] = ContextVar(
    "sideeffects_submitted", default=None
)


def _run_effect(data: dict[str, Any]) -> Any:
    """Run an effect that was enqueued elsewhere."""
    submitted = _submitted.get()
    if not submitted or submitted[0][0] != data["id"]:
        return _packable(data["name"], run_parcel(data))
    _, handle, work = submitted.pop()
    try:
        result = work()
    except BaseException as error:
        handle.future.set_exception(error)
        raise
    handle.future.set_result(result)
    return _packable(data["name"], result)


# Workers look for the task under its function's name, where `__getattr__` makes it.
_run_effect.__name__ = _run_effect.__qualname__ = "run_effect"


def __getattr__(name: str) -> Any:
    if name != "run_effect":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from django.conf import settings

    # The worker puts the backend and the queue that it serves in the place of these.
    aliases = list(getattr(settings, "TASKS", None) or ("default",))
    return _made_for("default" if "default" in aliases else aliases[0])


def _made_for(alias: str) -> Any:
    """The task, for one backend."""
    tasks = _package_of(alias)
    backend = tasks.task_backends[alias]
    queue = "default" if not backend.queues or "default" in backend.queues else min(backend.queues)
    return tasks.task(backend=alias, queue_name=queue)(_run_effect)


def _package_of(alias: str) -> Any:
    """`django.tasks` or `django_tasks`: the package that a backend is of; the one there is, where none is set up."""
    from django.conf import settings
    from django.utils.module_loading import import_string

    configured = (getattr(settings, "TASKS", None) or {}).get(alias)
    names = ["django.tasks", "django_tasks"]
    if configured:
        modules = {kind.__module__ for kind in import_string(configured["BACKEND"]).__mro__}
        names = [name for name in names if f"{name}.backends.base" in modules] or names
    for name in names:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            continue
    raise SideEffectError("Django has tasks of its own since 6.0; before, pip install 'sideeffects[django-tasks]'")


def _packable(name: str, result: Any) -> Any:
    pack = base_of(__getattr__("run_effect")).normalize_json
    return pack(packable(name, result, pack))
