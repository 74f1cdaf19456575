"""Celery tasks as effects: finding the effect below a task, and making an effect of a task.

With `@side_effect` below the task's decorator, the task's `run` is the effect. With `@side_effect` above it, the
function below is declared and put into the task's place: into the promise of a task that is not made yet, and into each
copy that an app has made (a shared task has one copy in every app).
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from sideeffects._core.calls import registry
from sideeffects._core.state.runtime_effect import Declared, effect_of
from sideeffects._core.verbs.description import describe_function
from sideeffects._core.verbs.proxies import EffectFunction, wrap

#: Functions that have been declared by way of a task, with the effects that stand in for them.
_effects: Final[dict[Any, Any]] = {}


class TaskEffect(NamedTuple):
    """The effect below a task.

    Attributes:
        declared: the effect.
        is_bound: whether the task hands itself over as the first argument.
        is_direct: whether nothing stands between the two, so that the task's arguments are the effect's.
    """

    declared: Declared
    is_bound: bool
    is_direct: bool


def effect_below(task: Any) -> TaskEffect | None:
    """The effect that a task runs, if that is what it runs."""
    raw = inspect.getattr_static(type(task), "run", None)
    is_bound = not isinstance(raw, staticmethod)
    run = raw.__func__ if isinstance(raw, staticmethod) else raw
    found = effect_of(run)
    return None if found is None else TaskEffect(found.declared, is_bound, found.is_direct)


def stand_in(function: Any) -> Any:
    """What an app makes its task of: the effect, where the function was declared by way of a task."""
    try:
        return _effects.get(function, function)
    except TypeError:  # it cannot be hashed, so nobody has declared it
        return function


def declare_task(task: Any, name: str | None, returns: Any, options: dict[str, Any]) -> Any:
    """Make an effect of a task; the task itself is given back, since all ways into it go through the effect now.

    Raises:
        TypeError: there is no function below, or it is an effect already.
    """
    function = stand_in(_function_below(task))
    if issubclass(type(function), EffectFunction):
        if name == function.effect.name:
            # Its module has been reloaded, and the app has kept its task; or the registry is another one.
            registry.store.add(function.effect, function)
            return task
        raise TypeError(f"{function.__qualname__} is a side effect already, named {function.effect.name!r}")
    effect = wrap(function, describe_function(function, name, **options), returns)
    _effects[function] = effect
    if _is_promise(task):
        object.__setattr__(task, "_Proxy__args", (effect,))
    for copy in _copies(function):
        _put(effect, copy)
    if _is_task(task):
        _put(effect, task)
    return task


def _is_task(task: Any) -> bool:
    from celery.app.task import Task

    return issubclass(type(task), Task)


def _local(proxy: Any) -> Any:
    """What a proxy calls to find its object; `None` once it has found it."""
    try:
        return object.__getattribute__(proxy, "_Proxy__local")
    except AttributeError:
        return None


def _is_promise(task: Any) -> bool:
    """Whether it is a task that its app makes when it is first used, and has not made yet."""
    from celery.local import PromiseProxy

    return issubclass(type(task), PromiseProxy) and getattr(_local(task), "__name__", "") == "_task_from_fun"


def _function_below(task: Any) -> Any:
    """The function of a task, found without making the task: that would finalize its app, long before its time."""
    if _is_promise(task):
        return object.__getattribute__(task, "_Proxy__args")[0]
    if not _is_task(task):
        local = _local(task)
        shared = inspect.getclosurevars(local).nonlocals.get("fun") if inspect.isfunction(local) else None
        if shared is not None:
            return shared
        task = task._get_current_object()  # noqa: SLF001 - the proxy's own name for it
        if not _is_task(task):
            raise TypeError(f"@side_effect decorates functions, methods and tasks, not {task!r}")
    raw = inspect.getattr_static(type(task), "run")
    function = raw.__func__ if isinstance(raw, staticmethod) else raw
    if "__wrapped__" in getattr(function, "__dict__", {}) and not issubclass(type(function), EffectFunction):
        raise TypeError(
            f"@side_effect stands above the decorator of the Celery task {task.name!r}, which has been made already "
            f"and has a wrapper around its function: put @side_effect right above the function"
        )
    if not inspect.isroutine(function) or type(task).__module__ == "celery.app.task":
        raise TypeError(f"the Celery task {task!r} has no function of its own to declare: decorate its `run`")
    return function


def _copies(function: Any) -> Iterator[Any]:
    """The tasks that apps have made of a function."""
    for app in apps():
        for task in list(app._tasks.values()):  # noqa: SLF001 - `app.tasks` would finalize it
            raw = inspect.getattr_static(type(task), "run", None)
            if (raw.__func__ if isinstance(raw, staticmethod) else raw) is function:
                yield task


def apps() -> list[Any]:
    """All Celery apps of this process."""
    state: Any = importlib.import_module("celery._state")
    return list(state._get_active_apps())  # noqa: SLF001 - there is no other way to all of them


def task_named(app: Any, name: str) -> Any:
    """The task of that name, in this app or in any other of this process.

    An app that has not made its tasks yet makes them now: it is about to publish, and so has its configuration.
    """
    if not app.finalized and app.autofinalize:
        app.finalize(auto=True)
    for known in (app, *apps()):
        task = dict.get(known._tasks, name)  # noqa: SLF001 - `app.tasks` would finalize it
        if task is not None:
            return task
    return None


def _put(effect: Any, task: Any) -> None:
    """Let a task that has been made run the effect."""
    kind = type(task)
    owner: Any = next(base for base in kind.__mro__ if "run" in vars(base))
    run: Any = effect
    if isinstance(vars(owner)["run"], staticmethod):
        run = staticmethod(effect)
    else:
        effect.__set_name__(owner, "run")
    owner.run = run
    for name, value in (("__wrapped__", run), ("_decorated_fun", staticmethod(effect))):
        if name in vars(owner):
            setattr(owner, name, value)
    if "_orig_run" in vars(task):  # the function below Celery's own wrapper, where it retries by itself
        vars(task)["_orig_run"] = run.__get__(task, kind)
    if task.__trace__ is not None:  # a worker runs already, and holds the function
        from celery.app.trace import build_tracer

        task.__trace__ = build_tracer(task.name, task, app=task.app)


def keep_around(original: Any) -> Any:
    """Celery's annotations replace what is wrapped rather than wrapping it, and so would take the effect away."""

    @functools.wraps(original)
    def add_around(cls: Any, attribute: str, around: Any) -> None:
        run = inspect.getattr_static(cls, "run", None)
        function = run.__func__ if isinstance(run, staticmethod) else run
        if attribute != "run" or not issubclass(type(function), EffectFunction):
            original(cls, attribute, around)
            return
        wrapped = around(function)
        wrapped.__wrapped__ = function
        cls.run = staticmethod(wrapped) if isinstance(run, staticmethod) else wrapped

    return add_around
