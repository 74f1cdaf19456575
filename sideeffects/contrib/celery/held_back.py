"""Celery tasks and canvases that are recorded instead of published: what their callers get, and what follows them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Final

from sideeffects._core.calls.decision import Mode
from sideeffects._core.runtime import enqueued
from sideeffects._core.runtime.deciding import explain_declared
from sideeffects._core.state.state import state
from sideeffects.contrib.celery.tasks import effect_below, task_named
from sideeffects.contrib.publishing import Publication


def result_of(app: Any, name: str, task_id: str, publication: Publication, options: Mapping[str, Any]) -> Any:
    """The result of a recorded call; what was to follow it follows, with what it returned."""
    from celery import states
    from celery.canvas import Signature
    from celery.result import EagerResult

    try:
        value = publication.answer()
    except Exception as error:  # noqa: BLE001 - a stub's exception arrives where that of the task would
        return _gone_through(EagerResult(task_id, error, states.FAILURE, name=name))
    result = _gone_through(EagerResult(task_id, value, states.SUCCESS, name=name))

    def signature(given: Any) -> Any:
        return given if isinstance(given, Signature) else Signature.from_dict(given, app=app)

    chain = options.get("chain")
    with enqueued.following(publication.call):
        links = options.get("link") or ()
        token = _results.set(None)  # what is linked is no part of the chain
        try:
            for following in links if isinstance(links, list | tuple) else (links,):
                signature(following).apply_async((value,))
        finally:
            _results.reset(token)
        if chain:
            signature(chain[-1]).apply_async((value,), chain=chain[:-1])
    return result


#: The results of the recorded tasks of a chain, while one is published.
_results: Final[ContextVar[list[Any] | None]] = ContextVar("sideeffects_chain_results", default=None)


def _gone_through(result: Any) -> Any:
    """Note the result of a task of the chain that is being published."""
    results = _results.get()
    if results is not None:
        result.parent = results[-1] if results else None
        results.append(result)
    return result


def holding_back(original: Callable[..., Any]) -> Callable[..., Any]:
    """Goes through a canvas here, as in eager mode, when none of it may execute.

    All its calls are recorded, with one's result handed to the next, and the result is complete.
    """

    @functools.wraps(original)
    def apply_async(self: Any, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        __tracebackhide__ = True
        if not is_held_back(self.app, self):
            return original(self, args, kwargs, **options)
        if _is_plain_chain(self):
            # Published link by link, each is a call that a test may run.
            token = _results.set([])
            try:
                original(self, args, kwargs, **options)
                return (_results.get() or [None])[-1]
            finally:
                _results.reset(token)
        from celery.result import allow_join_result

        lent = ("producer", "publisher", "connection", "router", "add_to_parent")
        with allow_join_result():
            return self.apply(args, kwargs, **{key: value for key, value in options.items() if key not in lent})

    return apply_async


def is_held_back(app: Any, signature: Any) -> bool:
    """Whether all tasks of a signature or canvas are effects that are recorded now, whatever their arguments are."""
    found = False
    for name in _task_names(signature):
        task = task_named(app, name)
        below = None if task is None else effect_below(task)
        if below is None:
            return False
        decision = explain_declared(below.declared)
        if decision.mode is not Mode.RECORD or (decision.conditional and not state.test_run.is_on()):
            return False
        found = True
    return found


def _is_plain_chain(canvas: Any) -> bool:
    """Whether it is a chain of tasks alone, without groups and chords."""
    tasks = canvas.get("kwargs", {}).get("tasks") or ()
    return canvas.get("task") == "celery.chain" and not any(str(one.get("task")) in _CANVASES for one in tasks)


_CANVASES: Final = frozenset(f"celery.{name}" for name in ("chain", "group", "chord", "map", "starmap", "chunks"))

#: Celery's own tasks that call another one, which they are given, for each of some items.
MAPS: Final = frozenset(("celery.map", "celery.starmap", "celery.chunks"))


def _task_names(signature: Any) -> Iterator[str]:
    """The names of the tasks that a signature (an object or a dict) runs."""
    kwargs = signature.get("kwargs") or {}
    name = signature.get("task")
    if name in MAPS:
        yield from _task_names(kwargs["task"])
    elif name in ("celery.chain", "celery.group"):
        for part in kwargs.get("tasks") or ():
            yield from _task_names(part)
    elif name == "celery.chord":
        header = kwargs.get("header") or ()
        for part in [header] if isinstance(header, Mapping) else header:
            yield from _task_names(part)
        if kwargs.get("body"):
            yield from _task_names(kwargs["body"])
    else:
        yield str(name)
