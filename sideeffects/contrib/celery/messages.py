"""What a Celery message carries besides the task, and what the worker that gets it does with that.

The header `side_effects` holds what `_carried` tells of the test run, and `call`: the call that was decided and written
down when the task was published, if the task is an effect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sideeffects._core.calls.incoming import Arrival, arriving
from sideeffects.contrib.carried_test_run import enter

HEADER: Final = "side_effects"

#: Where a request keeps what has to be called when its task is done.
_LEAVE: Final = "_side_effects_leave"


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
    if header is None:
        return
    leave: list[Callable[[], object]] = []
    if header.get("test_run"):
        leave.append(enter(header))
    call = header.get("call")
    arrival = None
    if isinstance(call, Mapping) and call.get("id") and call.get("task") == task_id:
        arrival = Arrival(str(call.get("name")), str(call["id"]), call.get("run_id"))
    token = arriving.set(arrival)
    leave.append(lambda: arriving.reset(token))
    vars(request)[_LEAVE] = leave


def depart(task: Any = None, **_: Any) -> None:
    """When a task and its callbacks are done (Celery's `task_postrun`)."""
    for leave in reversed(vars(task.request).pop(_LEAVE, [])):
        leave()
