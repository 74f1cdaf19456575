"""What a container holds, without names and under names, and how another of its kind is made."""

from __future__ import annotations

import collections
import copy
import types
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from sideeffects._core.values.kinds import dict_base, fields_of, held_in, holding, is_holder, per_type
from sideeffects._core.values.sensitive_names import is_sensitive

#: Puts a value into a container, in the place of another.
Put = Callable[[Any, Any, Any], object]


def parts_of(value: Any, kind: type) -> tuple[list[Any], list[tuple[Any, Any]]]:
    """What a container holds: without names, and under names."""
    if _is_of_cookies(kind):
        morsels = [value] if hasattr(value, "coded_value") else list(value.values())
        return [], [(morsel.key, morsel.value) for morsel in morsels]
    if issubclass(kind, dict):
        return [], list(dict_base(kind).items(value))
    if issubclass(kind, tuple):
        names = getattr(kind, "_fields", None)
        children = list(tuple.__iter__(value))
        return (children, []) if names is None else ([], list(zip(names, children, strict=True)))
    if issubclass(kind, list):
        return list(list.__iter__(value)), []
    if issubclass(kind, types.SimpleNamespace):
        return [], list(vars(value).items())
    if is_holder(kind):
        items, named = held_in(value)
        return items, list(named.items())
    fields = fields_of(kind)
    if fields is not None:
        return [], [(name, getattr(value, name)) for name in fields if hasattr(value, name)]
    if issubclass(kind, Mapping):
        return [], list(value.items())
    return list(value), []


@per_type
def _is_of_cookies(kind: type) -> bool:
    """Cookies are dicts, of which what they are for is no item."""
    return any(base.__module__ == "http.cookies" for base in kind.__mro__)


def is_pair(kind: type, items: list[Any], more: frozenset[str]) -> bool:
    """Whether what a container holds is a sensitive name and its value: headers and form data often come so."""
    # A set has no order, so two of its members are no pair.
    is_two = len(items) == len(("name", "value")) and not issubclass(kind, (set, frozenset))
    return is_two and is_sensitive(items[0], more)


#: Under which a name stands whose value stands under the first: `{"name": "DB_PASSWORD", "value": "..."}`.
_NAMED_BESIDE: Final = (("value", ("name", "key")), ("Value", ("Name", "Key")))


def named_beside(named: Mapping[Any, Any], more: frozenset[str]) -> str:
    """Under what a value stands whose sensitive name stands beside it; empty for none."""
    for value, names in _NAMED_BESIDE:
        if value in named and any(is_sensitive(named.get(name), more) for name in names):
            return value
    return ""


def shallow(value: Any, kind: type) -> tuple[Any, Put] | None:
    """A container of the same kind that holds the same, and what puts another value into it.

    `None` where what it holds has to be there before it is made.
    """
    if issubclass(kind, dict):
        base = dict_base(kind)
        try:
            twin = dict(parts_of(value, kind)[1]) if _is_of_cookies(kind) else copy.copy(value)
        except Exception:  # noqa: BLE001 - as in `snapshot`
            twin = dict(base.items(value))
        return twin, base.__setitem__
    if issubclass(kind, types.SimpleNamespace):
        return types.SimpleNamespace(**vars(value)), object.__setattr__
    if fields_of(kind) is not None and not is_holder(kind) and not issubclass(kind, (tuple, list)):
        return copy.copy(value), object.__setattr__
    return None


def made_like(value: Any, items: list[Any], named: dict[Any, Any]) -> Any:
    """A container of the same kind that holds these, or a plain one; for those that are not made by `shallow`."""
    kind = type(value)
    if issubclass(kind, tuple):
        return _tuple_of(kind, items or list(named.values()))
    if issubclass(kind, collections.deque):
        return collections.deque(items, value.maxlen)
    if issubclass(kind, (set, frozenset)):
        return kind(items)
    if is_holder(kind):
        return holding(value, items, named)
    return named if issubclass(kind, Mapping) else items


def _tuple_of(kind: type, items: list[Any]) -> Any:
    try:
        return tuple.__new__(cast("type[tuple[Any, ...]]", kind), items)
    except TypeError:
        # `time.struct_time` and its like are made otherwise.
        return tuple(items)
