"""What an effect's `details` says of one call, for methods whose arguments say nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.runtime.observing import comes_from_signal
from sideeffects._core.values import copying

__tracebackhide__ = True


def details_of(
    effect: SideEffect, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Mapping[str, Any] | BaseException | None:
    """It as it is now. What it raises stands in its place: it says something of a call, and decides nothing."""
    ask = effect.details
    if ask is None:
        return None
    try:
        said: Any = ask(*args, **kwargs) if instance is None else ask(instance, *args, **kwargs)
        if not isinstance(said, Mapping):
            raise TypeError(f"details gave {type(said).__name__} instead of a mapping")  # noqa: TRY301 - it is kept below
        return {str(name): copying.snapshot(value, "", {}, []) for name, value in said.items()}
    except BaseException as error:
        if comes_from_signal(error):
            raise
        return error.with_traceback(None)
