"""What a Celery message carries besides the task, and what the worker that gets it does with that.

The header `side_effects` is that of `contrib/publishing.py`; its call names the Celery task's id as well.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, Final

from sideeffects.contrib.arriving import obeyed, obeyed_besides, running
from sideeffects.contrib.celery.tasks import effect_below
from sideeffects.engines.celery import TASK

HEADER: Final = "side_effects"

#: Where a request keeps the block that its task runs in.
_BLOCK: Final = "_side_effects_block"


def header_in(headers: object) -> Mapping[str, Any] | None:
    """Our header among a message's. One that cannot be read counts as that of a test run that named nothing."""
    if not isinstance(headers, Mapping) or HEADER not in headers:
        return None
    header = headers[HEADER]
    return header if isinstance(header, Mapping) else {"test_run": True}


def header_of(request: Any) -> Mapping[str, Any] | None:
    """Our header as a worker, or an eager call, finds it in a task's request."""
    header = header_in(request.headers)
    return header if header is not None else header_in(vars(request))


def is_same_call(header: Mapping[str, Any] | None, name: str, task_id: str | None) -> bool:
    """Whether a message is a call of the effect `name` that was decided before: a retry, or one that is sent again."""
    call = None if header is None else header.get("call")
    return isinstance(call, Mapping) and task_id is not None and (call.get("name"), call.get("task")) == (name, task_id)


def arrive(task: Any = None, task_id: str | None = None, **_: Any) -> None:
    """Before a task runs, in a worker or eagerly (Celery's `task_prerun`): obey what its message carries."""
    request = task.request
    header = header_of(request)
    block = ExitStack()
    if not (request.is_eager and effect_below(task)):  # an eager call of an effect is its caller's own
        block.enter_context(running(task.name, TASK))
    if header is not None:
        block.enter_context(obeyed(header, task=task_id))
    vars(request)[_BLOCK] = block


def depart(task: Any = None, **_: Any) -> None:
    """When a task and its callbacks are done (Celery's `task_postrun`)."""
    block = vars(task.request).pop(_BLOCK, None)
    if block is not None:
        block.close()


def obeying_besides(original: Callable[..., Any]) -> Callable[..., Any]:
    """`send` of the signal `task_received`: the process that hands tasks to others sends it, and runs none."""

    @functools.wraps(original)
    def send(*args: Any, **named: Any) -> Any:
        header = header_in(getattr(named.get("request"), "request_dict", None))
        if header is None:
            return original(*args, **named)
        with obeyed_besides(header):
            return original(*args, **named)

    return send
