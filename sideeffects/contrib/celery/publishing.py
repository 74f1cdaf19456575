"""Publishing Celery tasks: `Celery.send_task` decides the call of an effect, and tells the worker of the test run."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

from sideeffects._core.runtime import enqueued
from sideeffects._core.values.frames import forgetting
from sideeffects.contrib.carried_test_run import test_run_part
from sideeffects.contrib.celery.enqueued import rerunning
from sideeffects.contrib.celery.held_back import MAPS, is_held_back, result_of
from sideeffects.contrib.celery.messages import HEADER, header_in, is_same_call
from sideeffects.contrib.celery.tasks import TaskEffect, effect_below, task_named
from sideeffects.contrib.publishing import check_arguments, decide, fits

__tracebackhide__ = True


def deciding(original: Callable[..., Any]) -> Callable[..., Any]:
    """`Celery.send_task` as it decides first."""
    names = list(inspect.signature(original).parameters)[2:]

    @functools.wraps(original)
    @forgetting
    def send_task(self: Any, name: str, *positional: Any, **options: Any) -> Any:
        options.update(zip(names, positional, strict=False))
        return _send(original, self, name, options)

    return send_task


def _send(original: Callable[..., Any], app: Any, name: str, options: dict[str, Any]) -> Any:
    task = options.get("task_type") or task_named(app, name)
    found = None if task is None else effect_below(task)
    instance = task if found is not None and found.is_bound else None
    if found is not None and not found.is_direct and not fits(found.declared, instance, *_arguments(options)):
        found = None  # what stands between the task and the effect changes the arguments: decided where it runs
    given = header_in(options.get("headers"))
    if found is None:
        if name in MAPS and is_held_back(app, {"task": name, "kwargs": options.get("kwargs") or {}}):
            return app.tasks[name].apply(options.get("args"), options.get("kwargs"), task_id=options.get("task_id"))
        header = dict(given) if given is not None and given.get("test_run") else test_run_part()
        header.pop("call", None)
        return original(app, name, **_with_header(options, header))
    if _is_sent_again(task, found, given, options):
        return original(app, name, **options)
    return _decide(original, app, name, task, found, options)


def _decide(
    original: Callable[..., Any], app: Any, name: str, task: Any, found: TaskEffect, options: dict[str, Any]
) -> Any:
    from celery.utils import uuid
    from kombu.serialization import dumps

    args, kwargs = _arguments(options)
    serializer = options.get("serializer") or task.serializer or app.conf.task_serializer
    effect = found.declared.effect.name
    check_arguments(effect, args, kwargs, lambda value: dumps(value, serializer), serializer)
    publication = decide(found.declared, task if found.is_bound else None, args, kwargs, _PACKAGES)
    options["task_id"] = task_id = options.get("task_id") or uuid()
    if not publication.executes:
        enqueued.keep(publication.call, rerunning(app, name, task_id, serializer, options))
        return result_of(app, name, task_id, publication, options)
    if publication.is_redirected:
        options.update(args=publication.args, kwargs=publication.kwargs)
    options = _with_header(options, publication.header(task=task_id))
    sent: list[Any] = []
    is_held = [False]

    def publish() -> None:
        # A canvas lends its producer for as long as it publishes, which is over when the transaction commits.
        lent = {"producer": None, "publisher": None} if is_held[0] else {}
        sent.append(original(app, name, **{**options, **lent}))

    publication.at_commit(publish)
    if sent:
        return sent[0]
    is_held[0] = True
    return (options.get("result_cls") or app.AsyncResult)(task_id)


#: What stands between who publishes and here.
_PACKAGES: Final = frozenset(("celery", "kombu", "sideeffects"))


def _arguments(options: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return tuple(options.get("args") or ()), dict(options.get("kwargs") or {})


def _is_sent_again(task: Any, found: TaskEffect, given: Mapping[str, Any] | None, options: Mapping[str, Any]) -> bool:
    """Whether it is a retry of what runs here, or was decided and published before: that is no new call."""
    from celery._state import get_current_task

    task_id = options.get("task_id")
    if task_id is None or not options.get("retries"):
        return False
    if is_same_call(given, found.declared.effect.name, task_id):
        return True
    running: Any = get_current_task()
    return running is not None and bool(running.name == task.name and running.request.id == task_id)


def _with_header(options: dict[str, Any], header: Mapping[str, Any]) -> dict[str, Any]:
    if not header:
        return options
    return {**options, "headers": {**(options.get("headers") or {}), HEADER: dict(header)}}
