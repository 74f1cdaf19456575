"""Acting on a decision: the call is executed, or answered with what a recorded call returns."""

from __future__ import annotations

import collections
import inspect
from collections.abc import Callable
from typing import Any, Final

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Mode
from sideeffects._core.calls.outcome import NO_RESULT, Outcome
from sideeffects._core.policy.asking import stub_takes_instance
from sideeffects._core.policy.override_entry import Stub
from sideeffects._core.runtime.finishing import finish, returned, starting
from sideeffects._core.state.extension_points import deferral
from sideeffects._core.state.runtime_effect import Declared
from sideeffects._core.state.work_origin import Beneath
from sideeffects._core.values import clock, copying
from sideeffects._core.values.frames import forget
from sideeffects.errors import StubExhausted

__tracebackhide__ = True


class Later:
    """Calls a function later. What it will give it shows nowhere, as it would in a `functools.partial`."""

    __slots__ = ("_function", "_given")

    def __init__(self, function: Callable[..., Any], *given: Any) -> None:
        self._function = function
        self._given = given

    def __call__(self) -> Any:
        return self._function(*self._given)


def execute(call: Call, wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    started = starting(call)
    try:
        with Beneath(call.name, call):
            result = wrapped(*args, **kwargs)
    except BaseException as error:
        finish(call, Outcome(None, error, clock.monotonic() - started))
        raise
    finish(call, returned(result, started))
    return result


def act(call: Call | None, wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Execute a call that was decided earlier."""
    try:
        return wrapped(*args, **kwargs) if call is None else execute(call, wrapped, args, kwargs)
    except BaseException as error:
        forget(error)
        del wrapped, args, kwargs
        raise


def answer(
    declared: Declared, call: Call | None, stub: Stub | None, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """What a recorded call returns, or raises."""
    assert call is not None  # noqa: S101 - recorded calls are always written down
    if stub is None and declared.returns is None:
        finish(call, NO_RESULT)
        return None
    try:
        value = stubbed(declared, stub, call.instance, args, kwargs)
    except BaseException as error:
        finish(call, Outcome(None, error, 0.0))
        raise
    finish(call, Outcome(copying.snapshot(value, "", {}, []), None, 0.0))
    return value


def stubbed(declared: Declared, stub: Stub | None, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    value = declared.returns
    if stub is not None:
        value, raises = _turn(declared, stub)
        if raises is not None:
            raise raises if isinstance(raises, type) else raises.with_traceback(None)
    if callable(value):
        value = value(*args, **kwargs, instance=instance) if stub_takes_instance(value) else value(*args, **kwargs)
    elif issubclass(type(value), _CONTAINERS):
        value = copying.snapshot(value, "", {}, [])  # not `copy.deepcopy`, which fails on what cannot be copied
    hold_to_annotation(declared, stub, value)
    return value


def _turn(declared: Declared, stub: Stub) -> tuple[Any, BaseException | type[BaseException] | None]:
    """What a stub has for this call: a value, or what is raised.

    Raises:
        StubExhausted: all its answers have been given.
    """
    number = stub.answered.add()
    answers = stub.in_turn
    if answers is None:
        return stub.returns, stub.raises
    if number > len(answers):
        raise StubExhausted(declared.effect.name, len(answers), number, stub.origin)
    given = answers[number - 1]
    if isinstance(given, BaseException) or (isinstance(given, type) and issubclass(given, BaseException)):
        return None, given
    return given, None


def hold_to_annotation(declared: Declared, stub: Stub | None, value: Any) -> None:
    """Refuse, if the settings ask for it, an answer that the function could not have given; coroutines once awaited.

    Raises:
        StubMismatch: it is of another type.
    """
    ruled = declared.ruled
    check = ruled.rules.check_answer
    if check is None or not ruled.is_test_run or (stub is None and declared.returns is None):
        return
    if not inspect.isawaitable(value):
        check(declared.effect, value)


_CONTAINERS: Final = (dict, list, set, tuple, bytearray, collections.deque)


def wait_for_commit(
    declared: Declared,
    call: Call | None,
    mode: Mode,
    stub: Stub | None,
    wrapped: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    """A call of an effect with `on_commit`: it returns `None` in every mode."""
    if mode is not Mode.EXECUTE:
        answer_on_commit(declared, call, stub, args, kwargs)
        return
    deferral.last.run(alias_of(declared), call, Later(act, call, wrapped, args, kwargs))


def answer_on_commit(
    declared: Declared, call: Call | None, stub: Stub | None, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Let a recorded call of an effect with `on_commit` have its outcome: at once, unless its stub waits as well."""
    if stub is None or not stub.at_commit:
        answer(declared, call, stub, args, kwargs)
    else:
        # Without the call: nobody need be told that it still waits, since it would not execute.
        later = Later(answer, declared, call, stub, args, kwargs)
        deferral.last.run(alias_of(declared), None, later)


def alias_of(declared: Declared) -> str | None:
    on_commit = declared.effect.on_commit
    return on_commit if isinstance(on_commit, str) else None
