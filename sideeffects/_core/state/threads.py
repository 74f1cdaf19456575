"""Carrying what a context has of ours (overrides, captures, lineage, lifetime, origin) into threads and executors.

A `ContextVar` is seen by tasks and `asyncio.to_thread`, but not by `Thread`, `ThreadPoolExecutor` and what is built on
them. `Thread.start`, `ThreadPoolExecutor.submit`, `Future.add_done_callback` and `_thread.start_new_thread` are
therefore patched, once, when the first override, capture or guard is entered, and hand them on. `threading` itself has
hold of what `_thread` had at its import, so that nothing is handed on twice. Not reached: own queue workers,
processes and other interpreters.
"""

from __future__ import annotations

import _thread
import contextvars
import functools
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from sideeffects._core.calls import origins
from sideeffects._core.state import import_hooks
from sideeffects._core.state.lifetimes import Lifetime, inherited
from sideeffects._core.state.scope import EMPTY, Scope, scope
from sideeffects._core.state.state import state
from sideeffects._core.state.user_line import handed_on, job
from sideeffects._core.state.work_origin import NONE, Lineage, lineage, watching

__tracebackhide__ = True

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

_patched: list[bool] = []
#: What starts threads without an object; `start_new` is an alias, and the last is there from Python 3.13 on.
_RAW: Final = frozenset(("start_new_thread", "start_new", "start_joinable_thread"))


def install() -> None:
    """Patch, if that has not been done."""
    if _patched:
        return
    with state.lock:
        if not _patched:
            _patched.append(True)
            setattr(threading.Thread, "start", _start(threading.Thread.start))  # noqa: B010 - a method, for the checkers
            for name in _RAW & vars(_thread).keys():
                setattr(_thread, name, _start_raw(getattr(_thread, name)))
            # Where there are no executors, none are imported.
            import_hooks.after_import("concurrent.futures.thread", _patch_executors)
            import_hooks.after_import("concurrent.futures._base", _patch_futures)


def _patch_executors(module: Any) -> None:
    module.ThreadPoolExecutor.submit = _submit(module.ThreadPoolExecutor.submit)


def _patch_futures(module: Any) -> None:
    module.Future.add_done_callback = _add_done_callback(module.Future.add_done_callback)


class Baggage:
    """What a context has of ours.

    Attributes:
        own: its overrides and captures.
        line: what it descends from.
        lifetime: the test, or the fixture of several, in which it was started.
        origin: what set its code going.
    """

    __slots__ = ("lifetime", "line", "origin", "own")

    def __init__(self, own: Scope, line: Lineage, lifetime: Lifetime | None, origin: object) -> None:
        self.own = own
        self.line = line
        self.lifetime = lifetime
        self.origin = origin

    @property
    def is_empty(self) -> bool:
        return self is _NOTHING

    def put_on(self) -> None:
        """Let this context have it."""
        scope.set(self.own)
        lineage.set(self.line)
        inherited.set(self.lifetime)
        origins.current.set(self.origin)

    def context(self) -> contextvars.Context:
        """A context that has this and nothing else."""
        context = contextvars.Context()
        context.run(self.put_on)
        return context


_NOTHING: Final = Baggage(EMPTY, NONE, None, "")


def baggage(line: Lineage | None = None) -> Baggage:
    """What this context has; `_NOTHING` itself when that is nothing.

    Args:
        line: to be its lineage, in place of the one that the context has.
    """
    own, lifetime, origin = scope.get(), inherited.get(), origins.current.get()
    line = lineage.get() if line is None else line
    if own is EMPTY and line is NONE and lifetime is None and origin == "":
        return _NOTHING
    return Baggage(own, line, lifetime, origin)


def carried(function: Callable[..., Any], given: Baggage, *, ends_line: bool = False) -> Callable[..., Any]:
    """`function`, run with `given`, whatever the thread had before and gets back afterwards.

    With `ends_line` the lineage is this job's alone: where it was handed over ends with it. asgiref gives what stands
    in the context of a job to the context that waits for it.
    """

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        before, outer = baggage(), job.place
        given.put_on()
        job.place = given.line.place
        try:
            return function(*args, **kwargs)
        finally:
            before.put_on()
            job.place = outer
            if ends_line:
                given.line.place = None

    return run


def _add_done_callback(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def add_done_callback(self: Future[Any], fn: Callable[[Future[Any]], object]) -> None:
        given = baggage()
        original(self, fn if given is _NOTHING else carried(fn, given))

    return add_done_callback


def _start(original: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    @functools.wraps(original)
    def start(self: threading.Thread) -> None:
        given = baggage()
        if given is _NOTHING:
            original(self)
            return
        given = baggage(handed_on())
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
            carried(self.run, given)()

        attributes["run"] = run
        try:
            original(self)
        except RuntimeError:  # started before, or no more threads to be had
            put_back()
            raise

    return start


def _start_raw(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def start(function: Any = None, *args: Any, **kwargs: Any) -> Any:
        given = baggage()
        if given is _NOTHING or not callable(function):
            return original(function, *args, **kwargs)
        # No frame of ours is beneath it, so that nothing names us as the caller.
        return original(functools.partial(given.context().run, function), *args, **kwargs)

    return start


def _submit(original: Callable[..., Future[Any]]) -> Callable[..., Future[Any]]:
    @functools.wraps(original)
    def submit(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if baggage() is _NOTHING and not watching.is_on:
            return original(self, fn, *args, **kwargs)
        given = baggage(handed_on())
        # A worker thread that this submission starts outlives the block: it must keep nothing of it for other jobs.
        before = baggage()
        _NOTHING.put_on()
        try:
            # Another interpreter finds `fn` by its name, and knows nothing of this context.
            goes_along = not issubclass(type(self), _interpreter_pools())
            return original(self, carried(fn, given, ends_line=True) if goes_along else fn, *args, **kwargs)
        finally:
            before.put_on()

    return submit


def _interpreter_pools() -> tuple[type[Any], ...]:
    """Executors that run nothing in this interpreter, though they are made of threads (from Python 3.14 on)."""
    kind = getattr(sys.modules.get("concurrent.futures.interpreter"), "InterpreterPoolExecutor", None)
    return () if kind is None else (kind,)
