"""The worker's side of the background: obeying the stricter of two decisions, where the call was enqueued and here."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.known import load_known
from sideeffects._core.calls.origins import originating
from sideeffects._core.calls.outcome import NO_RESULT, Outcome
from sideeffects._core.calls.parcel import Parcel
from sideeffects._core.calls.row import Besides, row_of
from sideeffects._core.policy.policy import Decided
from sideeffects._core.runtime.acting import execute
from sideeffects._core.runtime.async_and_streams import execute_async
from sideeffects._core.runtime.background import WORKER, _answered, reached, to_end
from sideeffects._core.runtime.deciding import decide_here, redirect_arguments
from sideeffects._core.runtime.details import details_of
from sideeffects._core.runtime.finishing import finish
from sideeffects._core.runtime.holding import hold
from sideeffects._core.runtime.tightening import tightened
from sideeffects._core.runtime.writing import copied, show_live
from sideeffects._core.state import extension_points
from sideeffects._core.state.runtime_effect import Declared
from sideeffects._core.state.state import state
from sideeffects._core.values.frames import forget
from sideeffects.errors import SideEffectBlocked

__tracebackhide__ = True

logger: Final = logging.getLogger("sideeffects")


def run_parcel(data: Mapping[str, Any]) -> Any:
    """What a worker does with a call that was enqueued elsewhere: obey the stricter of both decisions, and run it.

    What was enqueued was to execute. Where the worker's own settings, overrides or test run say otherwise, they hold,
    unless a test named the effect. The outcome is added to the call as it was written down when it was enqueued.

    Args:
        data: what `Parcel.to_data` packed.

    Returns:
        what the effect returns, or what a recorded call returns.

    Raises:
        UnknownSideEffect: this process has no effect of that name: is its module importable here?
        SideEffectBlocked: the worker refuses it.
    """
    try:
        parcel = Parcel.from_data(data)
        if parcel.held is not None:
            return extension_points.released.last(parcel.held)
        with originating(parcel.origin):
            return _run(parcel)
    except BaseException as error:
        forget(error)
        del data
        raise


def _run(parcel: Parcel) -> Any:
    load_known(parcel.name)
    declared, wrapped, instance, _ = reached(parcel.name)
    found = _decide_again(declared, instance, parcel)
    arrived = call_of(
        declared,
        instance,
        parcel.args,
        parcel.kwargs,
        found,
        number=parcel.id,
        run_id=parcel.run_id,
        is_redirected=parcel.is_redirected,
    )
    call, args, kwargs, blocked = arrived
    mode = found.decision.mode
    if blocked is not None:
        logger.info("not executed in the background: %r: %s", call, found.decision)
        finish(call, Outcome(None, blocked, 0.0))
        raise blocked
    if mode is Mode.EXECUTE:
        if declared.effect.kind == "coroutine function":
            return to_end(execute_async(call, wrapped, args, kwargs))
        return execute(call, wrapped, args, kwargs)
    if mode is Mode.HOLD:
        hold(call, declared, instance, args, kwargs)
    logger.info("not executed in the background: %r: %s", call, found.decision)
    if found.stub is None and declared.returns is None:
        finish(call, NO_RESULT)
        return None
    return _answered(declared, call, found.stub, args, kwargs, parcel.id).result()


def _decide_again(declared: Declared, instance: Any, parcel: Parcel) -> Decided:
    if parcel.is_forced:
        named = Decision(Mode.EXECUTE, "a test named it where it was enqueued")
        return Decided(tightened(declared.effect, named, state.test_run.is_on(state.rules_source())))
    bound = declared.bind(instance, parcel.args, parcel.kwargs)
    return decide_here(declared, MappingProxyType(bound), instance)


class Arrived(NamedTuple):
    """A call that was made elsewhere, as it is decided here.

    Attributes:
        call: it.
        args: the positional arguments that hold here.
        kwargs: those by keyword.
        blocked: what refuses it.
    """

    call: Call
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    blocked: SideEffectBlocked | None


def call_of(
    declared: Declared,
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    found: Decided,
    *,
    number: str,
    run_id: str | None,
    is_redirected: bool,
) -> Arrived:
    """The call that was made elsewhere, redirected if it was not there, and shown to who watches decisions.

    Args:
        declared: the effect.
        instance: what it is called on.
        args: positional arguments.
        kwargs: keyword arguments.
        found: what is decided of it here.
        number: the id that it has.
        run_id: the run list that it belongs to.
        is_redirected: whether the arguments are those of a redirect already.
    """
    effect, asked = declared.effect, None
    bound = declared.bind(instance, args, kwargs)
    if found.changes and not is_redirected:
        asked = copied(bound)
        bound, (args, kwargs, _) = redirect_arguments(declared, bound, args, found.changes)
    details, names = details_of(effect, instance, args, kwargs), state.rules_source().sensitive
    decision = found.decision
    besides = Besides(True, run_id, details=details, asked=asked)
    call = Call(row_of(effect, decision, bound, args, kwargs, instance, WORKER, names, besides))
    call.take_id(number)
    blocked = None if state.live is None else show_live(call, state.live)
    if decision.mode is Mode.RAISE:
        blocked = SideEffectBlocked(effect.name, decision.reason, call.caller, decision.origin)
    return Arrived(call, args, kwargs, blocked)
