"""Calls in the background: decided when they are enqueued, run by an engine, and obeyed by its workers."""

from __future__ import annotations

import contextlib
import contextvars
import importlib
import itertools
import logging
import os
import threading
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future
from types import MethodType
from typing import Any, Final

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.handle import Handle
from sideeffects._core.calls.origins import origin
from sideeffects._core.calls.outcome import Outcome
from sideeffects._core.calls.registry import function_of
from sideeffects._core.calls.row import Besides, row_of
from sideeffects._core.policy.override_entry import Stub
from sideeffects._core.policy.policy import EXECUTED
from sideeffects._core.runtime.acting import Later, act, alias_of, answer
from sideeffects._core.runtime.async_and_streams import answer_async, execute_async
from sideeffects._core.runtime.details import details_of
from sideeffects._core.runtime.finishing import finish
from sideeffects._core.runtime.observing import comes_from_signal
from sideeffects._core.runtime.perform import begin
from sideeffects._core.state import extension_points
from sideeffects._core.state.runtime_effect import Declared, Reached, effect_of
from sideeffects._core.state.state import state
from sideeffects._core.values.callers import Site, caller, caller_outside
from sideeffects._core.values.frames import forget, forgetting
from sideeffects.errors import AsyncNotAllowed, UnknownSideEffect

__tracebackhide__ = True


def enqueue(
    declared: Declared, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Handle:
    """Decide a call now and, if it executes, run it in the background.

    The call is handed to the engine when the surrounding transaction commits, at once when there is none, and not at
    all when it rolls back.

    Args and raises: as `perform`.

    Returns:
        a handle with `id`, `name` and `result(timeout)`.

    Raises:
        AsyncNotAllowed: the effect was not declared with `async_ok=True`.
    """
    try:
        return enqueue_from(declared, wrapped, instance, args, kwargs, caller(2))
    except BaseException as error:
        forget(error)
        del wrapped, instance, args, kwargs
        raise


@forgetting
def enqueue_from(
    declared: Declared,
    wrapped: Callable[..., Any],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    site: Site,
    run_id: str | None = None,
) -> Handle:
    """As `enqueue`, for a caller that is told."""
    effect = declared.effect
    if not effect.async_ok:
        raise AsyncNotAllowed(effect.name)
    call, mode, stub, given = begin(declared, instance, args, kwargs, site, True, run_id)
    args, kwargs = given or (args, kwargs)
    if call is None:
        declared.bind(instance, args, kwargs)  # who enqueues a wrong call is told, in production too
    return hand_over(declared, wrapped, call, mode, stub, args, kwargs, run_id, given is not None)


def hand_over(
    declared: Declared,
    wrapped: Callable[..., Any],
    call: Call | None,
    mode: Mode,
    stub: Stub | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    run_id: str | None = None,
    is_redirected: bool = False,
) -> Handle:
    """Give a call that has been decided to the engine, or answer it. What was refused never comes here."""
    effect = declared.effect
    number = f"{os.getpid()}-{_token}-{next(_numbers)}" if call is None else call.id
    if mode is not Mode.EXECUTE:
        _keep(declared, wrapped, call, args, kwargs, run_id)
        return _answered(declared, call, stub, args, kwargs, number)
    handle = Handle.waiting(number, effect.name)
    if call is not None:
        state.expect(call)
    from sideeffects._core.calls.parcel import Parcel  # when something is enqueued, which most processes never do

    parcel = Parcel(
        number,
        effect.name,
        args,
        kwargs,
        state.test_run.is_on(),
        run_id,
        origin() if call is None else call.origin,
        _found_by_nobody(effect.name, wrapped),
        is_redirected=is_redirected,
    )
    work = _reporting(declared, wrapped, call, args, kwargs, run_id)
    engine = extension_points.engine.last()

    def submit() -> None:
        handle.is_held = False
        with _ending(call):
            engine.submit(parcel, handle, work)

    with _ending(call):
        engine.check(parcel)

    handle.is_held = True
    extension_points.deferral.last.run(alias_of(declared), call, submit)
    return handle


@contextlib.contextmanager
def _ending(call: Call | None) -> Generator[None]:
    """What keeps a call from being handed over is its outcome, since no worker will add one."""
    try:
        yield
    except Exception as error:
        if call is not None and call.outcome is None:
            finish(call, Outcome(None, error, 0.0))
        raise


def _keep(
    declared: Declared,
    wrapped: Callable[..., Any],
    call: Call | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    run_id: str | None,
) -> None:
    """Let a recorded call be run by `Calls.run_enqueued`."""
    if call is None or call.mode is not Mode.RECORD or not state.test_run.is_on():
        return
    from sideeffects._core.calls.parcel import Parcel  # as in `hand_over`
    from sideeffects._core.runtime import enqueued  # what most processes never enqueue

    name = declared.effect.name
    parcel = Parcel(call.id, name, args, kwargs, True, run_id, call.origin, _found_by_nobody(name, wrapped))
    instance = getattr(wrapped, "__self__", None)

    def execute(args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        site = caller_outside(lambda module: module.partition(".")[0] in ("sideeffects", "contextlib"))
        made, mode, stub, _ = begin(declared, instance, args, kwargs, site)
        if mode is Mode.EXECUTE:
            return _executed(declared, wrapped, made, args, kwargs)
        return answered(declared, made, stub, args, kwargs)

    enqueued.keep(call, enqueued.rerun_parcel(parcel, execute))


def work_of(
    declared: Declared,
    wrapped: Callable[..., Any],
    call: Call | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Callable[[], Any]:
    """What executes a call that was decided to execute; coroutines run to their end."""
    return Later(_executed, declared, wrapped, call, args, kwargs)


def _executed(
    declared: Declared, wrapped: Callable[..., Any], call: Call | None, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    try:
        if declared.effect.kind == "coroutine function":
            return to_end(execute_async(call, wrapped, args, kwargs))
        return act(call, wrapped, args, kwargs)
    except BaseException as error:
        forget(error)
        del wrapped, args, kwargs
        raise


def _reporting(
    declared: Declared,
    wrapped: Callable[..., Any],
    call: Call | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    run_id: str | None,
) -> Callable[[], Any]:
    """The same for an engine of this process: nobody may ever ask the handle, so who reports hears of an error."""
    return Later(_executed_and_reported, declared, wrapped, call, args, kwargs, run_id)


def _executed_and_reported(
    declared: Declared,
    wrapped: Callable[..., Any],
    call: Call | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    run_id: str | None,
) -> Any:
    try:
        return _executed(declared, wrapped, call, args, kwargs)
    except BaseException as error:
        told = call or _unwritten_job(declared, wrapped, args, kwargs, run_id)
        del wrapped, args, kwargs  # who reports shows variables
        if isinstance(error, Exception):
            report(error, told)
        raise


def _unwritten_job(
    declared: Declared, wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], run_id: str | None
) -> Call:
    instance = getattr(wrapped, "__self__", None)
    return unwritten(declared, instance, args, kwargs, EXECUTED, WORKER, True, run_id)


def unwritten(
    declared: Declared,
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    decision: Decision,
    site: Site | tuple[str, int],
    is_async: bool,
    run_id: str | None,
) -> Call:
    """A call that nobody has written down, for who reports its error: it knows which values are secret."""
    try:
        bound = declared.bind(instance, args, kwargs)
    except TypeError:
        # Wrong arguments, which may be what the error is about. Those without a name cannot be told from secrets.
        bound, args = kwargs, ()
    effect, names = declared.effect, state.rules_source().sensitive
    details = details_of(effect, instance, args, kwargs)
    besides = Besides(is_async, run_id, details=details)
    return Call(row_of(effect, decision, bound, args, kwargs, instance, site, names, besides))


#: The caller of a call that no code of the user makes.
WORKER: Final = ("a background worker", 0)


#: Logs the errors that `report` passes on. Sentry's logging integration ignores it: it has these errors already.
reported: Final = logging.getLogger("sideeffects.reported")


def report(error: BaseException, call: Call) -> None:
    """Pass an error on to those who report errors, such as Sentry. It changes nothing."""
    for tell in extension_points.errors:
        try:
            tell(error, call)
        except BaseException as failure:
            if comes_from_signal(failure):
                raise
            with contextlib.suppress(Exception):
                reported.error("could not report an error of %s (%s)", call.name, type(failure).__name__)


def answered(
    declared: Declared, call: Call | None, stub: Stub | None, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """What a recorded call returns, or raises; coroutines run to their end."""
    if declared.effect.kind == "coroutine function":
        return to_end(answer_async(declared, call, stub, args, kwargs))
    return answer(declared, call, stub, args, kwargs)


#: For calls that nobody writes down: they have no id of their own.
_token: Final = os.urandom(4).hex()
_numbers: Final = itertools.count(1)


def _answered(
    declared: Declared,
    call: Call | None,
    stub: Stub | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    number: str,
) -> Handle:
    """The finished handle of a recorded call."""
    name = declared.effect.name
    try:
        result = answered(declared, call, stub, args, kwargs)
    except Exception as error:  # noqa: BLE001 - a stub's exception arrives where that of the real call would
        forget(error)
        del args, kwargs
        return Handle.failed(number, name, error)
    return Handle.finished(number, name, None if declared.effect.on_commit is not False else result)


def to_end(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end: here, or in a thread of its own when a loop runs in this one.

    Not in a `ThreadPoolExecutor`: what waits for its turn runs while the process ends, when none can be imported.
    """
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    handed: Future[Any] = Future()

    def run() -> None:
        try:
            handed.set_result(asyncio.run(coroutine))
        except BaseException as error:  # noqa: BLE001 - it goes on to where it is waited for
            handed.set_exception(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,))
    thread.start()
    thread.join()
    return handed.result()


def _found_by_nobody(name: str, wrapped: Callable[..., Any]) -> object:
    """What a method is bound to, unless a worker that looks the method up gets it bound to the same."""
    if not isinstance(wrapped, MethodType):
        return None
    there: object = None
    with contextlib.suppress(Exception):  # it is in no registry, or not where its name says
        there = reached(name).instance
    return None if there is wrapped.__self__ else wrapped.__self__


def check_class_known(function: Any) -> None:
    """Refuse what is about to be enqueued on a class method that does not know its class.

    Raises:
        TypeError: `function` stands below `@classmethod`, and this Python binds it without telling it.
    """
    held: Any = None
    with contextlib.suppress(Exception):  # a class that is not where its name says
        held = vars(_owner_of(function)).get(function.__name__)
    if isinstance(held, classmethod) and held.__func__ is function:
        raise TypeError(
            f"{function.__qualname__}.enqueue does not know its class: since Python 3.13 @classmethod no longer "
            f"tells the class to a decorator below it. Write @side_effect above @classmethod"
        )


def reached(name: str) -> Reached:
    """An effect as its module has it: methods of classes come bound to their class that way."""
    function = function_of(name)
    qualname: str = function.__qualname__
    if "." in qualname and "<locals>" not in qualname:
        function = getattr(_owner_of(function), qualname.rpartition(".")[2])
    reached = effect_of(function)
    if reached is None:
        raise UnknownSideEffect(name)
    return reached


def _owner_of(function: Any) -> Any:
    """The class that a method was written in, as its module has it."""
    found: Any = importlib.import_module(function.__module__)
    for name in function.__qualname__.split(".")[:-1]:
        found = getattr(found, name)
    return found
