"""What a Celery message carries besides the task, and what the worker that gets it does with that.

The header `side_effects` holds:

- `call`: the call that was decided and written down when the task was published, if the task is an effect;
- `test_run` and `forced`: that it was published in a test run, and the effects that the test had named. Until the task
  and its callbacks are done, the worker executes those and records all others, whatever kind of process it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sideeffects import _propagation, _registry
from sideeffects._arrivals import Arrival, arriving
from sideeffects._calls import Decision, Mode
from sideeffects._decorator import declared_of
from sideeffects._policy import Entry, OverrideRule
from sideeffects._runtime import explain_declared
from sideeffects._state import scope, state

HEADER: Final = "side_effects"

#: Where a request keeps what has to be called when its task is done.
_LEAVE: Final = "_side_effects_leave"
_PUBLISHED: Final = "published in a test run"


@dataclass(frozen=True, slots=True)
class Carried:
    """The test run that a message was published in, while its task runs in some other process.

    Attributes:
        forced: names of the effects that the test had named.
    """

    forced: frozenset[str]


def carried_here() -> Carried | None:
    """The test run of the message whose task runs in this context, if it was published in one."""
    for entry in scope.get().entries:
        if isinstance(entry.owner, Carried):
            # Work that outlives the task loses what the test had named, and stays in the test run.
            return Carried(frozenset()) if entry.closed else entry.owner
    return None


def test_run_part() -> dict[str, Any]:
    """What a message published now says of the test run; nothing outside of one."""
    carried = carried_here()
    if carried is None and not state.in_test_run():
        return {}
    forced = set() if carried is None else set(carried.forced)
    for name in _registry.registry:
        with contextlib.suppress(Exception):  # what cannot be told is not forced
            if explain_declared(declared_of(_registry.function_of(name))).mode is Mode.EXECUTE:
                forced.add(name)
    return {"test_run": True, "forced": sorted(forced)}


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
        leave.append(_enter(header))
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


def _enter(header: Mapping[str, Any]) -> Callable[[], object]:
    given = header.get("forced")
    forced = frozenset(name for name in given if isinstance(name, str)) if isinstance(given, list | tuple) else ()
    rules = [OverrideRule(_registry.EVERYTHING, Decision(Mode.RECORD, f"{_PUBLISHED} that named nothing else"))]
    rules += [OverrideRule(name, Decision(Mode.EXECUTE, f"{_PUBLISHED} that named it")) for name in forced]
    _propagation.install()
    return state.enter(Entry(tuple(rules), _PUBLISHED, context_only=True, owner=Carried(frozenset(forced))))
