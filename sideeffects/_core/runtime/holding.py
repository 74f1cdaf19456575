"""Holding a call: the keeper of held calls (the outbox) is asked to keep it, and may refuse."""

from __future__ import annotations

from typing import Any

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.outcome import Outcome
from sideeffects._core.runtime.finishing import finish
from sideeffects._core.state.extension_points import keeper
from sideeffects._core.state.runtime_effect import Declared

__tracebackhide__ = True


def hold(call: Call, declared: Declared, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Have a call kept, once it has been decided and written down. Only then is it answered.

    Raises:
        SideEffectBlocked: it cannot be kept, and is refused.
    """
    try:
        keeper.last.keep(call, declared, instance, args, kwargs)
    except BaseException as error:
        finish(call, Outcome(None, error, 0.0))
        raise


async def hold_async(
    call: Call | None, declared: Declared, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """The same from a coroutine."""
    assert call is not None  # noqa: S101 - held calls are always written down
    try:
        await keeper.last.keep_async(call, declared, instance, args, kwargs)
    except BaseException as error:
        finish(call, Outcome(None, error, 0.0))
        raise
