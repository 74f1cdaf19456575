"""How a recorded call of a Celery task is run in a test: traced as by a worker, without a broker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sideeffects._core.runtime.enqueued import Forced, Rerun, is_retried
from sideeffects.contrib.celery.messages import HEADER
from sideeffects.contrib.celery.tasks import task_named

__tracebackhide__ = True


def rerunning(app: Any, name: str, task_id: str, serializer: str, options: Mapping[str, Any]) -> Rerun:
    """What runs the task: its arguments, links and the rest of its chain go through the serializer and back.

    Args:
        app: the app that was to publish it.
        name: the task's name.
        task_id: its id.
        serializer: the name of the serializer.
        options: what `send_task` was given.
    """

    def rerun(forced: Forced) -> object:
        from celery.app.trace import build_tracer
        from celery.exceptions import Retry

        asks_again: Any = Retry
        task = task_named(app, name)
        tracer = build_tracer(name, task, eager=True, propagate=False, app=task.app)
        args, kwargs = options.get("args") or (), options.get("kwargs") or {}
        retries = 0
        while True:
            args, kwargs, follows = _travelled(serializer, args, kwargs, options)
            with forced():
                traced = tracer(task_id, args, kwargs, _request(task, task_id, retries, options, follows))
            value: Any = getattr(traced.retval, "exception", traced.retval)
            value = getattr(value, "exc", value) if type(value).__name__ == "ExceptionWithTraceback" else value
            if isinstance(value, asks_again) and value.sig is not None and is_retried(retries + 1, name):
                args, kwargs = value.sig.args, value.sig.kwargs
                retries += 1
            elif traced.info is not None and traced.info.state == "FAILURE":
                raise value
            else:
                return value

    return rerun


def _travelled(serializer: str, args: Any, kwargs: Any, options: Mapping[str, Any]) -> Any:
    """Arguments, and what is to follow, as a worker gets them."""
    from kombu.serialization import dumps, loads, prepare_accept_content

    links = options.get("link") or []
    follows = {
        "callbacks": list(links) if isinstance(links, list | tuple) else [links],
        "chain": options.get("chain"),
    }
    content_type, encoding, data = dumps([list(args), dict(kwargs), follows], serializer)
    return loads(data, content_type, encoding, accept=prepare_accept_content([serializer]))


def _request(task: Any, task_id: str, retries: int, options: Mapping[str, Any], follows: Any) -> dict[str, Any]:
    headers = {key: value for key, value in (options.get("headers") or {}).items() if key != HEADER}
    return {
        "id": task_id,
        "task": task.name,
        "root_id": options.get("root_id") or task_id,
        "parent_id": options.get("parent_id"),
        "retries": retries,
        "is_eager": True,
        "hostname": "run_enqueued",
        "headers": headers,
        "ignore_result": True,
        "delivery_info": {"is_eager": True},
        **follows,
    }
