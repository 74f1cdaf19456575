"""Executing a call that was held, once it has been released.

Law 4 has one exception, and it is here: the HOLD that held a call is lifted. Whatever is stricter now holds.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.origins import originating
from sideeffects._core.calls.outcome import NO_RESULT
from sideeffects._core.runtime.acting import execute
from sideeffects._core.runtime.async_and_streams import execute_async
from sideeffects._core.runtime.background import report, to_end
from sideeffects._core.runtime.deciding import decide_here
from sideeffects._core.runtime.finishing import finish
from sideeffects._core.runtime.worker import call_of
from sideeffects._core.state.runtime_effect import Declared
from sideeffects._core.state.state import state

__tracebackhide__ = True


class Ran(NamedTuple):
    """What came of a released call.

    Attributes:
        call: it, with what was decided now, and with its outcome.
        error: what it raised, if it was executed.
    """

    call: Call
    error: BaseException | None


def run_released(
    declared: Declared,
    wrapped: Callable[..., Any],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    number: str,
    run_id: str | None,
    origin: str,
    is_redirected: bool = False,
) -> Ran:
    """Execute a call that was held, unless something stricter than HOLD is in force here.

    Args:
        declared: the effect.
        wrapped: the function itself, bound to its instance if it has one.
        instance: that instance.
        args: positional arguments.
        kwargs: keyword arguments.
        number: the id that the call had when it was held.
        run_id: the run list that it belonged to.
        origin: what had set the code going that made it.
        is_redirected: whether the arguments are those of a redirect already.
    """
    with originating(origin):
        bound = declared.bind(instance, args, kwargs)
        found = decide_here(declared, MappingProxyType(bound), instance)
        is_floor = state.floor is not None and state.floor.mode is Mode.HOLD
        if found.decision.mode is Mode.HOLD and not is_floor:
            found = found._replace(decision=RELEASED)
        call, args, kwargs, blocked = call_of(
            declared, instance, args, kwargs, found, number=number, run_id=run_id, is_redirected=is_redirected
        )
        if state.shared is not None:
            state.shared.write_call(call, None)
        if found.decision.mode is not Mode.EXECUTE or blocked is not None:
            finish(call, NO_RESULT)
            return Ran(call, blocked if found.decision.mode is Mode.EXECUTE else None)
        try:
            if declared.effect.kind == "coroutine function":
                to_end(execute_async(call, wrapped, args, kwargs))
            else:
                execute(call, wrapped, args, kwargs)
        except BaseException as error:  # noqa: BLE001 - whoever keeps the call notes it, and raises what is no failure
            if isinstance(error, Exception):
                report(error, call)
            return Ran(call, error)
        return Ran(call, None)


RELEASED: Final = Decision(Mode.EXECUTE, "it was held, and has been released")
