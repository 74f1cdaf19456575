"""`perform`: the one place that acts.

Every call of an effect comes here, whatever door it took (save wrapt's own direct call while the fast switch is off;
see `_state`). It is decided, written down, and then executed, answered or refused.
"""

from __future__ import annotations

import contextlib
import contextvars
import copy
import inspect
import logging
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from types import CodeType, MappingProxyType, TracebackType
from typing import Any, Final, Protocol

from sideeffects import _values
from sideeffects._calls import NO_RESULT, Call, Decision, Mode, Outcome, SideEffect
from sideeffects._handles import Handle
from sideeffects._policy import EXECUTED, Rules, Standing, Stub, decide, standing
from sideeffects._signatures import Binder, compile_binder
from sideeffects._state import EMPTY, scope, state
from sideeffects.errors import AsyncNotAllowed, SideEffectBlocked

logger: Final = logging.getLogger("sideeffects")

#: Kinds whose calls can be decided once and then executed directly.
_DIRECT: Final = frozenset(("function", "classmethod", "staticmethod", "callable object"))


class Declared:
    """An effect with what is needed to perform it.

    Args:
        effect: the effect.
        returns: what a recorded call returns: a value, or a callable that is given the call's arguments.
        qualname: the function's qualified name, for messages.
    """

    __slots__ = (
        "__weakref__",
        "_binder",
        "_binder_without_first",
        "_standing",
        "effect",
        "is_bound",
        "is_direct",
        "may_take_class",
        "qualname",
        "returns",
        "shape",
        "switch",
    )

    def __init__(self, effect: SideEffect, returns: Any, qualname: str) -> None:
        self.effect = effect
        self.returns = returns
        self.qualname = qualname
        self.shape = _SHAPES.get(effect.kind)
        self.switch: list[bool] = [True]
        self.is_direct = effect.kind in _DIRECT and effect.on_commit is False
        owner = qualname.rpartition(".")[0]
        #: Whether a class may arrive as the first argument (see `_as_class_method`).
        self.may_take_class = bool(owner) and not owner.endswith("<locals>") and effect.kind != "staticmethod"
        #: Whether it was bound before it was decorated, so that its signature has no `self`.
        self.is_bound = False
        self._binder: Binder | None = None
        self._binder_without_first: Binder | None = None
        # One value: threads that change it one after the other never leave an answer with the question of another.
        self._standing: tuple[Rules | None, bool, Mode | None, Standing] = (None, False, None, Standing(EXECUTED))

    def bind(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """A call's arguments by name, defaults applied, without `self` or `cls`.

        Raises:
            TypeError: as the function itself would raise it.
        """
        if instance is None or self.is_bound:
            binder = self._binder
            if binder is None:
                binder = self._binder = self._compile(without_first=False)
            return binder(*args, **kwargs)
        binder = self._binder_without_first
        if binder is None:
            binder = self._binder_without_first = self._compile(without_first=True)
        return binder(instance, *args, **kwargs)

    def _compile(self, *, without_first: bool) -> Binder:
        effect = self.effect
        return compile_binder(effect.signature, effect.short_name, self.qualname, without_first=without_first)

    def standing(self, rules: Rules, is_test_run: bool) -> Standing:
        """What the rules say of this effect, worked out once for as long as they stay the same."""
        known_rules, known_test_run, known_option, known = self._standing
        option = state.option
        if known_rules is not rules or known_test_run is not is_test_run or known_option is not option:
            known = standing(rules, self.effect, is_test_run, option)
            self._standing = (rules, is_test_run, option, known)
        return known


# -- what higher floors plug in


class Deferral(Protocol):
    """How an executing call waits for the commit; see `sideeffects.transactions`."""

    def run(self, using: str | None, call: Call | None, work: Callable[[], object]) -> None:
        """Run `work` when the outermost transaction commits, at once when there is none, never on a rollback."""

    async def run_async(
        self, using: str | None, call: Call | None, work: Callable[[], Coroutine[Any, Any, object]]
    ) -> None:
        """The same from asynchronous code."""


class NoTransactions:
    """Without Django there is no transaction to wait for."""

    def run(self, using: str | None, call: Call | None, work: Callable[[], object]) -> None:  # noqa: ARG002
        """Run it at once."""
        work()

    async def run_async(
        self,
        using: str | None,  # noqa: ARG002
        call: Call | None,  # noqa: ARG002
        work: Callable[[], Coroutine[Any, Any, object]],
    ) -> None:
        """Run it at once."""
        await work()


class Engine(Protocol):
    """What runs an enqueued call in the background."""

    def submit(self, handle: Handle, work: Callable[[], object]) -> None:
        """Take `work` over; its result or error goes to `handle`."""


class Plugs:
    """What higher floors put in: how to wait for a commit, and which engine runs the background."""

    def __init__(self) -> None:
        self.deferral: Deferral = NoTransactions()
        self.engine: Callable[[], Engine] = _no_engine


def _no_engine() -> Engine:
    raise RuntimeError("no background engine is installed; `import sideeffects` installs one")


plugs: Final = Plugs()


# -- one call


def perform(
    declared: Declared, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Decide one call of an effect, write it down, and act.

    Args:
        declared: the effect.
        wrapped: the function itself, bound to its instance if it has one.
        instance: that instance (the class for class methods), `None` for functions.
        args: positional arguments, without the instance.
        kwargs: keyword arguments.

    Returns:
        what the function returns, or what a recorded call returns.

    Raises:
        SideEffectBlocked: it was refused.
        TypeError: wrong arguments, as the function itself would raise it.
    """
    __tracebackhide__ = True
    frame = sys._getframe(_DEPTH)  # noqa: SLF001 - who calls, for the call's `caller`
    code, instruction = frame.f_code, frame.f_lasti  # the line is worked out when somebody asks for it
    shape = declared.shape
    if shape is not None:
        return shape(declared, wrapped, instance, args, kwargs, code, instruction)
    call, mode, stub = _begin(declared, instance, args, kwargs, code, instruction)
    if declared.effect.on_commit is not False:
        return _wait_for_commit(declared, call, mode, stub, wrapped, args, kwargs)
    if mode is Mode.EXECUTE:
        return wrapped(*args, **kwargs) if call is None else _execute(call, wrapped, args, kwargs)
    return _answer(declared, call, stub, args, kwargs)


def _caller_depth() -> int:
    """How far up the caller is: wrapt's C code calls `perform` without a frame of its own; its Python code has one."""
    import wrapt

    return 1 if getattr(wrapt.FunctionWrapper.__call__, "__code__", None) is None else 2


_DEPTH: Final = _caller_depth()


def _begin(
    declared: Declared,
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    code: CodeType,
    instruction: int,
    is_async: bool = False,
) -> tuple[Call | None, Mode, Stub | None]:
    """Decide a call and write it down, if anybody wants it written. A refusal is raised from here."""
    __tracebackhide__ = True
    generation = state.generation
    effect = declared.effect
    rules = state.rules_source()
    is_test_run = state.in_test_run(rules)
    own = scope.get()
    if instance is None and args and declared.may_take_class:
        instance, args = _as_class_method(declared, args)
    ruled = declared.standing(rules, is_test_run)
    stub: Stub | None = None
    bound: dict[str, Any] | None = None
    rule = own.first_word(effect.name) if own.entries else None
    if rule is not None:
        decision, stub = rule.decision, rule.stub
    elif not own.entries and not ruled.conditions and not (is_test_run and state.entries):
        decision = ruled.decision
    else:
        bound = declared.bind(instance, args, kwargs)
        decision, stub = decide(effect, MappingProxyType(bound), state.visible(own, is_test_run), ruled)
    mode = decision.mode
    if mode is Mode.EXECUTE and not is_test_run and not own.captures and not state.observers:
        if declared.is_direct and own is EMPTY and not ruled.conditions:
            state.settle(declared, generation, rules)
        return None, mode, None
    if bound is None:
        bound = declared.bind(instance, args, kwargs)
    by_reference: tuple[str, ...] = ()
    for value in bound.values():
        if type(value) not in _SCALARS:
            bound, args, kwargs, by_reference = _snapshot(bound, args, kwargs)
            break
    call = Call(
        effect,
        decision,
        bound,
        args,
        kwargs or _NO_KEYWORDS,
        instance,
        by_reference,
        code,
        instruction,
        _now(),
        rules.sensitive,
        is_async,
    )
    if is_test_run:
        state.ledger.append(call)
        journal = state.journal
        if journal is not None:
            journal.write_call(call)
    for ledger in own.captures:
        ledger.append(call)
    if mode is not Mode.EXECUTE:
        if not is_test_run and logger.isEnabledFor(logging.INFO):
            _log(call)
        if mode is Mode.RAISE:
            blocked = SideEffectBlocked(effect.name, call.reason, call.caller, decision.origin)
            _finish(call, Outcome(None, blocked, 0.0))
            raise blocked
    return call, mode, stub


_SCALARS: Final = _values.SCALARS
_now: Final = time.time
#: One for all calls without keywords: each keeps what it was given, and most are given none.
_NO_KEYWORDS: Final[dict[str, Any]] = {}


def _as_class_method(declared: Declared, args: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """Since Python 3.13, `classmethod` hands its class over as the first argument instead of binding it."""
    first = args[0]
    if issubclass(type(first), type):
        for base in type.mro(first):
            held = vars(base).get(declared.effect.short_name)
            if type(held) is classmethod and getattr(held.__func__, "_self_declared", None) is declared:
                return first, args[1:]
    return None, args


def _snapshot(
    bound: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[dict[str, Any], tuple[Any, ...], dict[str, Any], tuple[str, ...]]:
    """The arguments as they are now; see `_values.snapshot`."""
    memo: dict[int, Any] = {}
    marks: list[str] = []
    kept = {name: _values.snapshot(value, name, memo, marks) for name, value in bound.items()}
    # The same objects again, mostly: the memo has their copies, and their marks are set.
    again: list[str] = []
    kept_args = tuple(_values.snapshot(value, "", memo, again) for value in args)
    kept_kwargs = {name: _values.snapshot(value, "", memo, again) for name, value in kwargs.items()}
    return kept, kept_args, kept_kwargs, tuple(marks)


def _log(call: Call) -> None:
    """Outside a test run the log is all that tells of recorded and refused calls."""
    try:
        logger.info("%s %s", "recorded" if call.mode is Mode.RECORD else "refused", _Shown(call))
    except Exception as error:  # noqa: BLE001 - a filter of the user's failed, which changes no decision and no result
        _warn("could not log a call of %s", call, error)


def _warn(message: str, call: Call, error: Exception) -> None:
    with contextlib.suppress(Exception):
        logger.error(message, call.name, exc_info=error)


class _Shown:
    """A call as the log shows it; worked out only if the record is emitted."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def __str__(self) -> str:
        return f"{self.call!r}: {self.call.decision}"


def _finish(call: Call, outcome: Outcome) -> None:
    """Add the outcome, and tell those who observe. What is done is done: nothing here raises."""
    call.finish(outcome)
    journal = state.journal
    if journal is not None and state.in_test_run():
        try:
            journal.write_outcome(call)
        except Exception as error:  # noqa: BLE001 - the effect has run, and its result must arrive
            _warn("could not write the outcome of %s", call, error)
    if state.observers:
        _notify(call)


_is_notifying: Final[contextvars.ContextVar[bool]] = contextvars.ContextVar("sideeffects_notifying", default=False)


def _notify(call: Call) -> None:
    """Observers see each finished call, but not those that observers make."""
    if _is_notifying.get():
        return
    token = _is_notifying.set(True)
    try:
        for observer in state.observers:
            try:
                observer(call)
            except Exception as error:  # noqa: BLE001 - an observer changes nothing
                _warn("an observer failed on %s", call, error)
    finally:
        _is_notifying.reset(token)


# -- acting


def _execute(call: Call, wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    __tracebackhide__ = True
    started = time.perf_counter()
    try:
        result = wrapped(*args, **kwargs)
    except BaseException as error:
        _finish(call, Outcome(None, error, time.perf_counter() - started))
        raise
    _finish(call, _returned(result, started))
    return result


def _returned(result: Any, started: float) -> Outcome:
    duration = time.perf_counter() - started
    return Outcome(_values.snapshot(result, "", {}, []), None, duration)


def _answer(
    declared: Declared, call: Call | None, stub: Stub | None, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """What a recorded call returns, or raises."""
    __tracebackhide__ = True
    assert call is not None  # noqa: S101 - recorded calls are always written down
    if stub is None and declared.returns is None:
        _finish(call, NO_RESULT)
        return None
    try:
        value = _stubbed(declared, stub, args, kwargs)
    except BaseException as error:
        _finish(call, Outcome(None, error, 0.0))
        raise
    _finish(call, Outcome(_values.snapshot(value, "", {}, []), None, 0.0))
    return value


def _stubbed(declared: Declared, stub: Stub | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    __tracebackhide__ = True
    if stub is not None and stub.raises is not None:
        raise stub.raises if isinstance(stub.raises, type) else stub.raises.with_traceback(None)
    value = declared.returns if stub is None else stub.returns
    if callable(value):
        return value(*args, **kwargs)
    return copy.deepcopy(value) if type(value) in _CONTAINERS else value


_CONTAINERS: Final = frozenset((dict, list, set, tuple, bytearray))


def _wait_for_commit(
    declared: Declared,
    call: Call | None,
    mode: Mode,
    stub: Stub | None,
    wrapped: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    """A call of an effect with `on_commit`: it returns `None` in every mode."""
    __tracebackhide__ = True
    if mode is not Mode.EXECUTE:
        _answer(declared, call, stub, args, kwargs)
        return
    plugs.deferral.run(
        _alias(declared),
        call,
        lambda: wrapped(*args, **kwargs) if call is None else _execute(call, wrapped, args, kwargs),
    )


def _alias(declared: Declared) -> str | None:
    on_commit = declared.effect.on_commit
    return on_commit if isinstance(on_commit, str) else None


# -- the other shapes of functions: the decision is taken at the call, for coroutines when they are awaited, for
#    asynchronous generators at the first step; it then holds to the end


async def _coroutine(
    declared: Declared,
    wrapped: Callable[..., Awaitable[Any]],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    code: CodeType,
    instruction: int,
) -> Any:
    __tracebackhide__ = True
    call, mode, stub = _begin(declared, instance, args, kwargs, code, instruction)
    if mode is not Mode.EXECUTE:
        value = await _answer_async(declared, call, stub, args, kwargs)
        return None if declared.effect.on_commit is not False else value
    if declared.effect.on_commit is not False:
        await plugs.deferral.run_async(_alias(declared), call, lambda: _execute_async(call, wrapped, args, kwargs))
        return None
    return await _execute_async(call, wrapped, args, kwargs)


def _start_coroutine(declared: Declared, *rest: Any) -> Any:
    coroutine: Any = _coroutine(declared, *rest)
    # "coroutine 'send_sms' was never awaited" helps; our own name would not.
    coroutine.__name__ = declared.effect.short_name
    coroutine.__qualname__ = declared.qualname
    return coroutine


async def _execute_async(
    call: Call | None, wrapped: Callable[..., Awaitable[Any]], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    __tracebackhide__ = True
    if call is None:
        return await wrapped(*args, **kwargs)
    started = time.perf_counter()
    try:
        result = await wrapped(*args, **kwargs)
    except BaseException as error:
        _finish(call, Outcome(None, error, time.perf_counter() - started))
        raise
    _finish(call, _returned(result, started))
    return result


async def _answer_async(
    declared: Declared, call: Call | None, stub: Stub | None, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """As `_answer`; stubs of asynchronous effects may be asynchronous."""
    __tracebackhide__ = True
    assert call is not None  # noqa: S101 - recorded calls are always written down
    try:
        value = _stubbed(declared, stub, args, kwargs)
        if inspect.isawaitable(value):
            value = await value
    except BaseException as error:
        _finish(call, Outcome(None, error, 0.0))
        raise
    _finish(call, Outcome(_values.snapshot(value, "", {}, []), None, 0.0))
    return value


def _generator(
    declared: Declared,
    wrapped: Callable[..., Generator[Any, Any, Any]],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    code: CodeType,
    instruction: int,
) -> Generator[Any, Any, Any]:
    __tracebackhide__ = True
    call, mode, stub = _begin(declared, instance, args, kwargs, code, instruction)
    if mode is not Mode.EXECUTE:
        return _given(_answer(declared, call, stub, args, kwargs))
    generator = wrapped(*args, **kwargs)
    return generator if call is None else _driven(call, generator)


def _given(value: Any) -> Generator[Any, Any, Any]:
    """What a recorded generator yields: the items of the stub; nothing without one."""
    if inspect.isgenerator(value):
        return value
    return (item for item in (() if value is None else value))


def _driven(call: Call, generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    started = time.perf_counter()
    try:
        result = yield from generator
    except BaseException as error:
        _finish(call, Outcome(None, None if isinstance(error, GeneratorExit) else error, time.perf_counter() - started))
        raise
    _finish(call, _returned(result, started))
    return result


async def _async_generator(
    declared: Declared,
    wrapped: Callable[..., AsyncGenerator[Any, Any]],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    code: CodeType,
    instruction: int,
) -> AsyncGenerator[Any, Any]:
    __tracebackhide__ = True
    call, mode, stub = _begin(declared, instance, args, kwargs, code, instruction)
    if mode is not Mode.EXECUTE:
        value = await _answer_async(declared, call, stub, args, kwargs)
        if hasattr(value, "__aiter__"):
            async for item in value:
                yield item
        else:
            for item in () if value is None else value:
                yield item
        return
    generator = wrapped(*args, **kwargs)
    started = time.perf_counter()
    error: BaseException | None = None
    try:
        step = generator.__anext__()
        while True:
            try:
                item = await step
            except StopAsyncIteration:
                return
            try:
                sent = yield item
            except GeneratorExit:
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
            _finish(call, Outcome(None, error, time.perf_counter() - started))


def _context_manager(
    declared: Declared,
    wrapped: Callable[..., contextlib.AbstractContextManager[Any]],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    code: CodeType,
    instruction: int,
) -> _Manager:
    __tracebackhide__ = True
    call, mode, stub = _begin(declared, instance, args, kwargs, code, instruction)

    def again(code: CodeType, instruction: int) -> _Manager:
        return _context_manager(declared, wrapped, instance, args, kwargs, code, instruction)

    if mode is not Mode.EXECUTE:
        value = _answer(declared, call, stub, args, kwargs)
        return _Manager(again, value if hasattr(type(value), "__enter__") else contextlib.nullcontext(value), None)
    return _Manager(again, wrapped(*args, **kwargs), call)


class _Manager(contextlib.ContextDecorator, contextlib.AbstractContextManager[Any]):
    """The context manager of one call.

    As a decorator it makes a new call, with a decision of its own, each time that the decorated function runs: what
    was decided when the function was decorated, perhaps at import, must not hold for good.
    """

    def __init__(
        self,
        again: Callable[[CodeType, int], _Manager],
        manager: contextlib.AbstractContextManager[Any],
        call: Call | None,
    ) -> None:
        self._again = again
        self._manager = manager
        self._call = call
        self._started = 0.0

    def _recreate_cm(self) -> _Manager:  # what `ContextDecorator` calls
        caller = sys._getframe(2)  # noqa: SLF001 - as in `perform`
        return self._again(caller.f_code, caller.f_lasti)

    def __enter__(self) -> Any:
        __tracebackhide__ = True
        self._started = time.perf_counter()
        try:
            return self._manager.__enter__()
        except BaseException as error:
            self._finished(error)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        __tracebackhide__ = True
        try:
            is_suppressed = self._manager.__exit__(kind, error, traceback)
        except BaseException as raised:
            self._finished(raised)
            raise
        self._finished(None if is_suppressed else error)
        return is_suppressed

    def _finished(self, error: BaseException | None) -> None:
        # Once: a manager that is entered a second time raises by itself.
        call, self._call = self._call, None
        if call is not None:
            _finish(call, Outcome(None, error, time.perf_counter() - self._started))


def _async_context_manager(
    declared: Declared,
    wrapped: Callable[..., contextlib.AbstractAsyncContextManager[Any]],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    code: CodeType,
    instruction: int,
) -> contextlib.AbstractAsyncContextManager[Any]:
    return _around_async(declared, wrapped, instance, args, kwargs, code, instruction)


@contextlib.asynccontextmanager
async def _around_async(
    declared: Declared,
    wrapped: Callable[..., contextlib.AbstractAsyncContextManager[Any]],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    code: CodeType,
    instruction: int,
) -> AsyncGenerator[Any, None]:
    call, mode, stub = _begin(declared, instance, args, kwargs, code, instruction)
    if mode is not Mode.EXECUTE:
        value = await _answer_async(declared, call, stub, args, kwargs)
        if hasattr(type(value), "__aenter__"):
            async with value as entered:
                yield entered
        else:
            yield value
        return
    started = time.perf_counter()
    error: BaseException | None = None
    try:
        async with wrapped(*args, **kwargs) as value:
            yield value
    except BaseException as raised:
        error = raised
        raise
    finally:
        if call is not None:
            _finish(call, Outcome(None, error, time.perf_counter() - started))


_SHAPES: Final[dict[str, Callable[..., Any]]] = {
    "coroutine function": _start_coroutine,
    "generator": _generator,
    "async generator": _async_generator,
    "context manager": _context_manager,
    "async context manager": _async_context_manager,
}


# -- the background


def enqueue(
    declared: Declared, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Handle:
    """Decide a call now and, if it executes, run it in the background.

    Args and raises: as `perform`.

    Returns:
        a handle with `id`, `name` and `result(timeout)`.

    Raises:
        AsyncNotAllowed: the effect was not declared with `async_ok=True`.
    """
    __tracebackhide__ = True
    effect = declared.effect
    if not effect.async_ok:
        raise AsyncNotAllowed(effect.name)
    frame = sys._getframe(2)  # noqa: SLF001 - as in `perform`
    call, mode, stub = _begin(declared, instance, args, kwargs, frame.f_code, frame.f_lasti, True)
    number = f"{id(args):x}-{time.monotonic_ns():x}" if call is None else call.id
    is_coroutine = effect.kind == "coroutine function"
    if mode is not Mode.EXECUTE:
        if is_coroutine:
            answer = _to_end(_answer_async(declared, call, stub, args, kwargs))
        else:
            answer = _answer(declared, call, stub, args, kwargs)
        return Handle.finished(number, effect.name, None if effect.on_commit is not False else answer)
    engine = plugs.engine()
    handle = Handle.waiting(number, effect.name)

    def work() -> Any:
        if is_coroutine:
            return _to_end(_execute_async(call, wrapped, args, kwargs))
        return wrapped(*args, **kwargs) if call is None else _execute(call, wrapped, args, kwargs)

    plugs.deferral.run(_alias(declared), call, lambda: engine.submit(handle, work))
    return handle


def _to_end(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end in a thread of its own: the one that we are in may have a loop that runs."""
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(contextvars.copy_context().run, asyncio.run, coroutine).result()


# -- explaining


def explain_declared(declared: Declared) -> Decision:
    """The decision now in force for an effect, in this context."""
    rules = state.rules_source()
    is_test_run = state.in_test_run(rules)
    ruled = declared.standing(rules, is_test_run)
    return decide(declared.effect, None, state.visible(scope.get(), is_test_run), ruled)[0]
