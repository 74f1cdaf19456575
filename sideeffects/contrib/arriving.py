"""What a worker does with the header that a task carries: it obeys the test run, and knows the call again."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from sideeffects._core.calls.incoming import Arrival, arriving
from sideeffects._core.calls.origins import originating
from sideeffects.contrib.carried_test_run import enter, is_here
from sideeffects.contrib.publishing import published


@contextmanager
def obeyed(header: object, **same: str | None) -> Generator[None]:
    """Run a task as its header says; see `Publication.header`.

    Args:
        header: it. One that cannot be read counts as that of a test run that named nothing.
        same: what the header must say of the call besides, for the task that runs to be the one that was decided.
    """
    told: Mapping[str, Any] = header if isinstance(header, Mapping) else {"test_run": True}
    leave = enter(told) if told.get("test_run") else None
    token = arriving.set(_arrival(told.get("call"), same))
    try:
        yield
    finally:
        arriving.reset(token)
        if leave is not None:
            leave()


@contextmanager
def obeyed_besides(header: object) -> Generator[None]:
    """Run what belongs to a task and is no call of it, such as a callback, as the task's header says."""
    with obeyed(
        {key: value for key, value in header.items() if key != "call"} if isinstance(header, Mapping) else header
    ):
        yield


def obeyed_from_elsewhere(header: object) -> AbstractContextManager[None]:
    """Hand a task on as its header says, if that is of a test run that this process is not in."""
    is_foreign = isinstance(header, Mapping) and header.get("test_run") and not is_here(header)
    return obeyed_besides(header) if is_foreign else nullcontext()


@contextmanager
def running(task: str, ours: str = "") -> Generator[None]:
    """Let the calls made inside say that this task set them going.

    Args:
        task: its name.
        ours: that of the task which carries enqueued calls: these say themselves what set them going.
    """
    if task == ours:
        yield
        return
    with originating(f"task {task}"):
        yield


def _arrival(about: object, same: Mapping[str, str | None]) -> Arrival | None:
    if not isinstance(about, Mapping) or not about.get("id"):
        return None
    if any(about.get(key) != value for key, value in same.items()):
        return None
    call = published.get(str(about["id"]))
    # Of a task that is run more than once the first attempt has the outcome.
    call = None if call is None or call.outcome is not None else call
    origin, is_redirected = str(about.get("origin") or ""), bool(about.get("is_redirected"))
    return Arrival(str(about.get("name")), str(about["id"]), about.get("run_id"), call, origin, is_redirected)
