"""The worker's side of the background: obeying the stricter of two decisions, where the call was enqueued and here."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from sideeffects._core.calls.call import Call, row_of
from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.known import load_known
from sideeffects._core.calls.origins import originating
from sideeffects._core.calls.outcome import NO_RESULT, Outcome
from sideeffects._core.calls.parcel import Parcel
from sideeffects._core.policy.override_entry import Stub
from sideeffects._core.runtime.acting import execute
from sideeffects._core.runtime.async_and_streams import execute_async
from sideeffects._core.runtime.background import WORKER, _answered, reached, to_end
from sideeffects._core.runtime.deciding import decide_here
from sideeffects._core.runtime.details import details_of
from sideeffects._core.runtime.finishing import finish
from sideeffects._core.runtime.holding import hold
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
    decision, stub, call = _decide_again(declared, instance, parcel)
    if decision.mode is Mode.EXECUTE:
        if declared.effect.kind == "coroutine function":
            return to_end(execute_async(call, wrapped, parcel.args, parcel.kwargs))
        return execute(call, wrapped, parcel.args, parcel.kwargs)
    if decision.mode is Mode.HOLD:
        hold(call, declared, instance, parcel.args, parcel.kwargs)
    logger.info("held back in the background: %r: %s", call, decision)
    if decision.mode is Mode.RAISE:
        blocked = SideEffectBlocked(parcel.name, decision.reason, call.caller, decision.origin)
        finish(call, Outcome(None, blocked, 0.0))
        raise blocked
    if stub is None and declared.returns is None:
        finish(call, NO_RESULT)
        return None
    return _answered(declared, call, stub, parcel.args, parcel.kwargs, parcel.id).result()


def _decide_again(declared: Declared, instance: Any, parcel: Parcel) -> tuple[Decision, Stub | None, Call]:
    effect, args, kwargs = declared.effect, parcel.args, parcel.kwargs
    bound = declared.bind(instance, args, kwargs)
    if parcel.is_forced:
        decision, stub = Decision(Mode.EXECUTE, "a test named it where it was enqueued"), None
    else:
        decision, stub = decide_here(declared, MappingProxyType(bound))
    details = details_of(effect, instance, args, kwargs)
    names = state.rules_source().sensitive
    row = row_of(effect, decision, bound, args, kwargs, instance, WORKER, names, True, parcel.run_id, (), details)
    call = Call(row)
    call.take_id(parcel.id)
    return decision, stub, call
