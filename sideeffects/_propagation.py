"""Carrying a context's overrides, captures and lineage into threads and executors.

A `ContextVar` is seen by tasks and `asyncio.to_thread`, but not by `Thread`, `ThreadPoolExecutor` and what is built on
them. `Thread.start` and `ThreadPoolExecutor.submit` are therefore patched, once, when the first override, capture or
guard is entered, and hand them on. Not reached: own queue workers, `_thread.start_new_thread` and processes.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sideeffects import _import_hooks
from sideeffects._lineage import NONE, Lineage, handed_on, lineage
from sideeffects._state import EMPTY, Scope, scope, state

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

_patched: list[bool] = []


def install() -> None:
    """Patch, if that has not been done."""
    if _patched:
        return
    with state.lock:
        if not _patched:
            _patched.append(True)
            setattr(threading.Thread, "start", _start(threading.Thread.start))  # noqa: B010 - a method, for the checkers
            # Where there are no executors, none are imported.
            _import_hooks.after_import("concurrent.futures.thread", _patch_executors)


def _patch_executors(module: Any) -> None:
    module.ThreadPoolExecutor.submit = _submit(module.ThreadPoolExecutor.submit)


def carried(function: Callable[..., Any], own: Scope, line: Lineage = NONE) -> Callable[..., Any]:
    """`function`, run under the scope `own` and a lineage, whatever the thread had before and gets back afterwards."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        before, line_before = scope.get(), lineage.get()
        scope.set(own)
        lineage.set(line)
        try:
            return function(*args, **kwargs)
        finally:
            scope.set(before)
            lineage.set(line_before)

    return run


def _start(original: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    @functools.wraps(original)
    def start(self: threading.Thread) -> None:
        own, line = scope.get(), lineage.get()
        if own is EMPTY and line is NONE:
            original(self)
            return
        attributes = vars(self)
        before = attributes.get("run")

        def put_back() -> None:
            attributes.pop("run", None)
            if before is not None:
                attributes["run"] = before

        def run(*_: Any) -> None:
            # Others that patch `start` (Sentry does) hand over the thread, as to a function of its class.
            # Put back at once: a finished thread that somebody keeps must not keep the scope.
            put_back()
            carried(self.run, own, line)()

        attributes["run"] = run
        try:
            original(self)
        except RuntimeError:  # started before, or no more threads to be had
            put_back()
            raise

    return start


def _submit(original: Callable[..., Future[Any]]) -> Callable[..., Future[Any]]:
    @functools.wraps(original)
    def submit(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        own, line = scope.get(), handed_on()
        if own is EMPTY and line is NONE:
            return original(self, fn, *args, **kwargs)
        # A worker thread that this submission starts outlives the block: it must keep nothing of it for other jobs.
        line_before = lineage.get()
        scope.set(EMPTY)
        lineage.set(NONE)
        try:
            return original(self, carried(fn, own, line), *args, **kwargs)
        finally:
            scope.set(own)
            lineage.set(line_before)

    return submit
