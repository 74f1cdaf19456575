"""Calls of functions that do not simply return: coroutines, generators, context managers.

The decision is taken at the call; for coroutines when they are awaited, for asynchronous generators and context
managers at their first step. It then holds to the end, whatever is entered or left meanwhile.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from types import TracebackType
from typing import Any, Final

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Mode
from sideeffects._core.calls.outcome import NO_RESULT, Outcome
from sideeffects._core.policy.override_entry import Stub
from sideeffects._core.runtime.acting import Later, alias_of, answer, hold_to_annotation, stubbed
from sideeffects._core.runtime.finishing import finish, returned, starting
from sideeffects._core.runtime.holding import hold_async
from sideeffects._core.runtime.perform import begin
from sideeffects._core.state.extension_points import deferral
from sideeffects._core.state.runtime_effect import Declared
from sideeffects._core.state.work_origin import Beneath
from sideeffects._core.values import clock, copying
from sideeffects._core.values.callers import Site, caller
from sideeffects._core.values.frames import forget

__tracebackhide__ = True


async def _coroutine(
    declared: Declared,
    wrapped: Callable[..., Awaitable[Any]],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    site: Site,
) -> Any:
    try:
        call, mode, stub, given = begin(declared, instance, args, kwargs, site, keeps=False)
        args, kwargs = given or (args, kwargs)
        if mode is Mode.HOLD:
            await hold_async(call, declared, instance, args, kwargs)
        waits = declared.effect.on_commit is not False
        if mode is not Mode.EXECUTE:
            if stub is not None and stub.at_commit:
                later = Later(answer_async, declared, call, stub, args, kwargs)
                return await deferral.last.run_async(alias_of(declared), None, later)
            value = await answer_async(declared, call, stub, args, kwargs)
            return None if waits else value
        if waits:
            later = Later(execute_async, call, wrapped, args, kwargs)
            return await deferral.last.run_async(alias_of(declared), call, later)
        return await execute_async(call, wrapped, args, kwargs)
    except BaseException as error:
        forget(error)
        del wrapped, instance, args, kwargs
        raise


def _start_coroutine(declared: Declared, *rest: Any) -> Any:
    coroutine: Any = _coroutine(declared, *rest)
    # "coroutine 'send_sms' was never awaited" helps; our own name would not.
    coroutine.__name__ = declared.effect.short_name
    coroutine.__qualname__ = declared.qualname
    return coroutine


async def execute_async(
    call: Call | None, wrapped: Callable[..., Awaitable[Any]], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    started = 0.0 if call is None else starting(call)
    try:
        if call is None:
            return await wrapped(*args, **kwargs)
        with Beneath(call.name, call):
            result = await wrapped(*args, **kwargs)
    except BaseException as error:
        if call is not None:
            finish(call, Outcome(None, error, clock.monotonic() - started))
        del wrapped, args, kwargs
        raise
    finish(call, returned(result, started))
    return result


async def answer_async(
    declared: Declared, call: Call | None, stub: Stub | None, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """As `answer`; stubs of asynchronous effects may be asynchronous."""
    assert call is not None  # noqa: S101 - recorded calls are always written down
    if stub is None and declared.returns is None:
        finish(call, NO_RESULT)
        return None
    try:
        value = stubbed(declared, stub, call.instance, args, kwargs)
        if inspect.isawaitable(value):
            value = await value
            hold_to_annotation(declared, stub, value)
    except BaseException as error:
        finish(call, Outcome(None, error, 0.0))
        raise
    finish(call, Outcome(copying.snapshot(value, "", {}, []), None, 0.0))
    return value


def _generator(
    declared: Declared,
    wrapped: Callable[..., Generator[Any, Any, Any]],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    site: Site,
) -> Generator[Any, Any, Any]:
    call, mode, stub, given = begin(declared, instance, args, kwargs, site)
    args, kwargs = given or (args, kwargs)
    if mode is not Mode.EXECUTE:
        value = answer(declared, call, stub, args, kwargs)
        return value if inspect.isgenerator(value) else (item for item in _items(value, site))
    generator = wrapped(*args, **kwargs)
    return generator if call is None else _driven(call, generator)


#: What `@contextmanager` and `@asynccontextmanager` call a generator function from.
_OF_MANAGERS: Final = contextlib._GeneratorContextManagerBase.__init__.__code__  # noqa: SLF001


def _items(value: Any, site: Site) -> Iterable[Any]:
    """What a recorded generator yields: the items of the stub; nothing without one.

    Where the effect stands below `@contextmanager` that is no way to enter a block: there it yields `None` once, as a
    recorded context manager does.
    """
    if value is not None:
        items: Iterable[Any] = value
        return items
    return (None,) if site[0] is _OF_MANAGERS else ()


def _driven(call: Call, generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    started = starting(call)
    try:
        result = yield from _stepped(call, generator)
    except BaseException as error:
        finish(call, Outcome(None, None if isinstance(error, GeneratorExit) else error, clock.monotonic() - started))
        raise
    finish(call, returned(result, started))
    return result


def _stepped(call: Call, generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """As `yield from generator`, each step being the effect's and nothing between two steps."""
    step: Callable[[], Any] = functools.partial(next, generator)
    while True:
        try:
            with Beneath(call.name, call):
                item = step()
        except StopIteration as end:
            return end.value
        try:
            sent = yield item
        except GeneratorExit:
            with Beneath(call.name, call):
                generator.close()
            raise
        except BaseException as thrown:  # noqa: BLE001 - it goes on into the generator
            step = functools.partial(generator.throw, thrown)
        else:
            step = functools.partial(generator.send, sent)


async def _async_generator(
    declared: Declared,
    wrapped: Callable[..., AsyncGenerator[Any, Any]],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    site: Site,
) -> AsyncGenerator[Any, Any]:
    generator: AsyncGenerator[Any, Any] | None = None
    value: Any = None
    try:
        call, mode, stub, given = begin(declared, instance, args, kwargs, site)
        args, kwargs = given or (args, kwargs)
        if mode is Mode.EXECUTE:
            generator = wrapped(*args, **kwargs)
        else:
            value = await answer_async(declared, call, stub, args, kwargs)
    except BaseException as raised:
        forget(raised)
        raise
    finally:
        del wrapped, instance, args, kwargs
    if generator is None:
        if hasattr(value, "__aiter__"):
            async for item in value:
                yield item
        else:
            for item in _items(value, site):
                yield item
        return
    started = starting(call)
    error: BaseException | None = None
    try:
        step = generator.__anext__()
        while True:
            try:
                with Beneath(declared.effect.name, call):
                    item = await step
            except StopAsyncIteration:
                return
            try:
                sent = yield item
            except GeneratorExit:
                with Beneath(declared.effect.name, call):
                    await generator.aclose()
                raise
            except BaseException as thrown:  # noqa: BLE001 - it goes on into the generator
                step = generator.athrow(thrown)
            else:
                step = generator.asend(sent)
    except GeneratorExit:
        raise
    except BaseException as raised:
        error = raised
        raise
    finally:
        if call is not None:
            finish(call, Outcome(None, error, clock.monotonic() - started))


def _context_manager(
    declared: Declared,
    wrapped: Callable[..., contextlib.AbstractContextManager[Any]],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    site: Site,
) -> _Manager:
    call, mode, stub, given = begin(declared, instance, args, kwargs, site)
    used, named = given or (args, kwargs)

    def again(site: Site) -> _Manager:
        return _context_manager(declared, wrapped, instance, args, kwargs, site)

    if mode is not Mode.EXECUTE:
        value = answer(declared, call, stub, used, named)
        return _Manager(again, value if hasattr(type(value), "__enter__") else contextlib.nullcontext(value), None)
    return _Manager(again, wrapped(*used, **named), call)


class _Manager(contextlib.ContextDecorator, contextlib.AbstractContextManager[Any]):
    """The context manager of one call.

    As a decorator it makes a new call, with a decision of its own, each time that the decorated function runs: what
    was decided when the function was decorated, perhaps at import, must not hold for good.
    """

    def __init__(
        self,
        again: Callable[[Site], _Manager],
        manager: contextlib.AbstractContextManager[Any],
        call: Call | None,
    ) -> None:
        self._again = again
        self._manager = manager
        self._call = call
        self._executing = call
        self._started = 0.0

    def _recreate_cm(self) -> _Manager:  # what `ContextDecorator` calls
        return self._again(caller(2))

    def __enter__(self) -> Any:
        self._started = starting(self._call)
        try:
            with self._beneath():
                return self._manager.__enter__()
        except BaseException as error:
            self._finished(error)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        try:
            with self._beneath():
                is_suppressed = self._manager.__exit__(kind, error, traceback)
        except BaseException as raised:
            self._finished(raised)
            raise
        self._finished(None if is_suppressed else error)
        return is_suppressed

    def _beneath(self) -> Beneath | contextlib.nullcontext[None]:
        return contextlib.nullcontext() if self._executing is None else Beneath(self._executing.name, self._executing)

    def _finished(self, error: BaseException | None) -> None:
        # Once: a manager that is entered a second time raises by itself.
        call, self._call = self._call, None
        if call is not None:
            finish(call, Outcome(None, error, clock.monotonic() - self._started))


def _async_context_manager(
    declared: Declared,
    wrapped: Callable[..., contextlib.AbstractAsyncContextManager[Any]],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    site: Site,
) -> contextlib.AbstractAsyncContextManager[Any]:
    return _around_async(declared, wrapped, instance, args, kwargs, site)


@contextlib.asynccontextmanager
async def _around_async(
    declared: Declared,
    wrapped: Callable[..., contextlib.AbstractAsyncContextManager[Any]],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    site: Site,
) -> AsyncGenerator[Any, None]:
    call: Call | None = None
    value: Any = None
    manager: Any = None
    try:
        call, mode, stub, given = begin(declared, instance, args, kwargs, site)
        args, kwargs = given or (args, kwargs)
        if mode is Mode.EXECUTE:
            manager = wrapped(*args, **kwargs)
        else:
            value = await answer_async(declared, call, stub, args, kwargs)
    except BaseException as raised:
        forget(raised)
        raise
    finally:
        del wrapped, instance, args, kwargs
    if manager is None:
        if hasattr(type(value), "__aenter__"):
            async with value as entered:
                yield entered
        else:
            yield value
        return
    started = starting(call)
    error: BaseException | None = None
    try:
        async with _Beneath(declared.effect.name, call, manager) as value:
            yield value
    except BaseException as raised:
        error = raised
        raise
    finally:
        if call is not None:
            finish(call, Outcome(None, error, clock.monotonic() - started))


class _Beneath:
    """An asynchronous context manager whose entering and leaving are the effect's, and whose body is not."""

    def __init__(self, name: str, call: Call | None, manager: contextlib.AbstractAsyncContextManager[Any]) -> None:
        self._name = name
        self._call = call
        self._manager = manager

    async def __aenter__(self) -> Any:
        with Beneath(self._name, self._call):
            return await self._manager.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        with Beneath(self._name, self._call):
            return await self._manager.__aexit__(kind, error, traceback)


SHAPES: Final[dict[str, Callable[..., Any]]] = {
    "coroutine function": _start_coroutine,
    "generator": _generator,
    "async generator": _async_generator,
    "context manager": _context_manager,
    "async context manager": _async_context_manager,
}
