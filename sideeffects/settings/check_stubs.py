"""`SIDE_EFFECTS["CHECK_STUBS"]`: what stubs and `returns` give is held against the effect's return annotation."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Any, Final

from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.calls.registry import function_of, registry
from sideeffects.errors import StubMismatch

__tracebackhide__ = True

#: Of these a stub gives the items one by one.
_STREAMS: Final = ("generator", "async generator")
#: Of these it gives what `as` gets.
_MANAGERS: Final = ("context manager", "async context manager")


def problems(value: Any) -> list[str]:
    """What is wrong with the setting."""
    if not isinstance(value, bool):
        return [f"must be True or False, not {value!r}"]
    if value and find_spec("typeguard") is None:
        return ["needs typeguard: pip install 'sideeffects[strict]'"]
    return []


def checker(value: bool) -> Callable[[SideEffect, Any], None] | None:
    """What checks the answers, if that is asked for."""
    return check if value else None


def check(effect: SideEffect, value: Any) -> None:
    """Hold an answer against the annotation; what is not annotated, or cannot be resolved, takes any.

    Raises:
        StubMismatch: it is of another type.
    """
    hint = _hint_of(effect)
    if hint is None:
        return
    if effect.kind not in (*_STREAMS, *_MANAGERS):
        _check_one(effect, value, hint, "")
        return
    items: tuple[Any, ...] = typing.get_args(hint)
    if items and effect.kind in _MANAGERS:
        _check_one(effect, value, items[0], "")
    elif items and isinstance(value, list | tuple):
        for number, item in enumerate(typing.cast("Iterable[Any]", value)):
            _check_one(effect, item, items[0], f"item {number}: ")


def _check_one(effect: SideEffect, value: Any, hint: Any, where: str) -> None:
    import typeguard

    try:
        typeguard.check_type(
            value,
            hint,
            forward_ref_policy=typeguard.ForwardRefPolicy.IGNORE,
            collection_check_strategy=typeguard.CollectionCheckStrategy.ALL_ITEMS,
        )
    except typeguard.TypeCheckError as error:
        raise StubMismatch(effect.name, f"{where}{error}", effect.location) from None


def _hint_of(effect: SideEffect) -> Any:
    """What the function is annotated to return; `None` where nothing can be held against that."""
    if effect.on_commit or effect.name not in registry:
        return None
    function: Any = function_of(effect.name)
    while True:
        below = getattr(function, "__wrapped__", None) or getattr(function, "__func__", None)
        if below is None:
            break
        function = below
    if not inspect.isfunction(function):
        function = type(function).__call__
    try:
        hint = typing.get_type_hints(function, include_extras=True).get("return")
    except Exception:  # noqa: BLE001 - annotations are any code, and names in them may not be there at run time
        return None
    return None if "Self" in repr(hint) else hint
