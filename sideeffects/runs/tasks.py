"""What a run list may hold, and how each of it is decided and run: effects, tasks of queues, plain functions.

What is no declared effect is decided all the same, under its `name` or its `__name__`, by an effect of its own that
the registry does not show.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from dataclasses import replace
from types import FunctionType, MethodType
from typing import Any, Final

from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.runtime.async_and_streams import SHAPES
from sideeffects._core.state.runtime_effect import Declared, Reached, effect_of
from sideeffects._core.verbs.description import describe_function

Delay = Callable[[dict[str, Any], str], Any]


class RunTask:
    """A callable of a run list, with what is needed to run it.

    Attributes:
        declared: what it is decided under.
        function: executes it, given the keyword arguments.
        instance: what it is bound to, if anything.
        delay: hands it to its own queue, given the keyword arguments and the run list's id; `None` for what our
            engine would run.
        may_wait: whether it may run in the background.
        needs_threads: whether only an engine in this process could run it there, since workers do not know it by name.
    """

    __slots__ = ("declared", "delay", "function", "instance", "may_wait", "needs_threads")

    def __init__(
        self,
        declared: Declared,
        function: Callable[..., Any],
        instance: Any = None,
        delay: Delay | None = None,
        *,
        may_wait: bool,
        needs_threads: bool = False,
    ) -> None:
        self.declared = declared
        self.function = function
        self.instance = instance
        self.delay = delay
        self.may_wait = may_wait
        self.needs_threads = needs_threads

    @property
    def name(self) -> str:
        """What it is decided under, and told by."""
        return self.declared.effect.name

    @property
    def trouble(self) -> str:
        """Why it can be in no run list; empty when it can."""
        kind = self.declared.effect.kind
        if kind in SHAPES and kind != "coroutine function":
            return f"is {self.name}, a {kind}, which does nothing by itself: call and use it in a function of yours"
        return ""


def can_run(given: Any) -> bool:
    """Whether it can be run. Tasks of Django can, though they cannot be called."""
    return callable(given) or bool(_kinds_of(given) & _DJANGO_TASKS)


def task_of(given: Any) -> RunTask:
    """What is known of a callable.

    Args:
        given: an effect, a task of a queue that is adapted, or any other callable.
    """
    effect = _effect_in(given)
    if effect is not None:
        if type(getattr(given, "delay", None)) is FunctionType:  # RQ's decorator has given it that
            effect.delay, effect.may_wait = _by(given.delay), True
        return effect
    if type(given) is FunctionType and not hasattr(given, "delay"):
        return RunTask(_undeclared(given, given), given, may_wait=False, needs_threads=True)
    task = _behind_proxy(given)
    kinds = _kinds_of(task)
    if "celery.app.task.Task" in kinds:
        inner = _effect_below(task.run)
        if inner is not None:
            publish = functools.partial(_publish, task)
            return RunTask(inner.declared, inner.function, inner.instance, publish, may_wait=True)
        return RunTask(_undeclared(task, task.run), task, delay=_by(task.delay), may_wait=True)
    if kinds & _DJANGO_TASKS:
        inner = _effect_below(task.func)
        if inner is not None:
            instance = task if task.takes_context else None  # its worker hands the context over
            return RunTask(inner.declared, inner.function, instance, _by(task.enqueue), may_wait=True)
        declared = _undeclared_django_task(task)
        is_coroutine = declared.effect.kind == "coroutine function"
        return RunTask(declared, task.acall if is_coroutine else task.call, delay=_by(task.enqueue), may_wait=True)
    if "dramatiq.actor.Actor" in kinds:
        return _of_queue(task.fn, task, task.send)
    if "huey.api.TaskWrapper" in kinds:
        return _of_queue(task.func, task.call_local, task)
    delay = getattr(task, "delay", None)
    if callable(delay):  # as dj-saferunner told tasks: other queues have it too
        return RunTask(_undeclared(task, task), task, delay=_by(delay), may_wait=True)
    instance = task.__self__ if isinstance(task, MethodType) else None
    return RunTask(_undeclared(task, task), task, instance, may_wait=False, needs_threads=True)


_DJANGO_TASKS: Final = frozenset(("django.tasks.base.Task", "django_tasks.base.Task", "django_tasks.task.Task"))


def _of_queue(function: Any, call: Callable[..., Any], delay: Callable[..., Any]) -> RunTask:
    """A task of Dramatiq or Huey: what it runs, what calls it here, and what hands it to its queue."""
    inner = _effect_below(function)
    if inner is None:
        return RunTask(_undeclared(function, function), call, delay=_by(delay), may_wait=True)
    return RunTask(inner.declared, inner.function, inner.instance, _by(delay), may_wait=True)


def _by(delay: Callable[..., Any]) -> Delay:
    """Hand over what nobody but its queue knows: it carries no run list."""
    return lambda kwargs, _: delay(**kwargs)


def _publish(task: Any, kwargs: dict[str, Any], run_id: str) -> Any:
    """As `task.delay(**kwargs)`, with the run list for the worker to know (see `contrib.celery`)."""
    return task.apply_async(kwargs=kwargs, side_effects_run_id=run_id)


def _kinds_of(task: Any) -> frozenset[str]:
    """The names of its types (Celery's proxies have made-up qualified ones): no queue is imported for this."""
    return frozenset(f"{base.__module__}.{base.__name__}" for base in type(task).__mro__)


def _behind_proxy(given: Any) -> Any:
    """`@shared_task` gives a proxy, which finds the task of the application in use."""
    if "celery.local.Proxy" in _kinds_of(given):
        return given._get_current_object()  # noqa: SLF001 - Celery has no other name for it
    return given


def _effect_in(task: Any) -> RunTask | None:
    """The task of a declared effect; `None` for anything else."""
    reached = effect_of(task)
    if reached is None or not reached.is_direct:
        return None
    return _run_task(reached)


def _effect_below(function: Any) -> RunTask | None:
    """The effect that the function of a task is, or that wrappers such as Celery's own for retries are around."""
    reached = effect_of(function)
    return None if reached is None else _run_task(reached)


def _run_task(reached: Reached) -> RunTask:
    return RunTask(reached.declared, reached.function, reached.instance, may_wait=reached.declared.effect.async_ok)


# -- what is not declared


def _undeclared(task: Any, function: Any) -> Declared:
    """What an undeclared task is decided under; kept for as long as there is such a task."""
    try:
        known = _known.get(task)
    except TypeError:  # it cannot be told from others, or not be watched
        return _describe(task, function)
    if known is None or known.effect.name != _name_of(task):
        known = _describe(task, function)
        if not isinstance(task, MethodType):  # another object each time that somebody looks at it
            _known[task] = known
    return known


_known: Final[weakref.WeakKeyDictionary[Any, Declared]] = weakref.WeakKeyDictionary()


def _undeclared_django_task(task: Any) -> Declared:
    """The same for a task that is told by its function, and whose first argument may come from the worker."""
    if not getattr(task, "takes_context", False):
        return _undeclared(task.func, task.func)
    declared = _describe(task.func, task.func)
    signature = declared.effect.signature
    if signature is None:
        return declared
    told = signature.replace(parameters=list(signature.parameters.values())[1:])
    return _declared(replace(declared.effect, signature=told), declared.qualname)


def _describe(task: Any, function: Any) -> Declared:
    # The name may be one that no declared effect could have.
    described = describe_function(function, "undeclared")
    effect = replace(described, name=_name_of(task), short_name=_short_name_of(task, described))
    declared = _declared(effect, getattr(function, "__qualname__", effect.short_name))
    declared.is_bound = isinstance(function, MethodType)
    return declared


def _declared(effect: SideEffect, qualname: str) -> Declared:
    declared = Declared(effect, None, qualname)
    # Its fast switch stays on: the state would have to remember each function that was ever run.
    declared.is_direct = False
    return declared


def _name_of(task: Any) -> str:
    """Its `name`, else its `__name__`; what a `partial` calls has one, and every object's class."""
    for attribute in ("name", "__name__"):
        name = getattr(task, attribute, None)
        if isinstance(name, str) and name:
            return name
    if isinstance(task, functools.partial):
        return _name_of(task.func)
    return type(task).__name__


def _short_name_of(task: Any, described: SideEffect) -> str:
    name = getattr(task, "__name__", None)
    return name if isinstance(name, str) and name else described.short_name
