"""Values as they are at the call: copied, or marked as kept by reference.

Nothing raises: a value that cannot be copied is kept by reference.
"""

from __future__ import annotations

import collections
import copy
import enum
from typing import Any, Final

from sideeffects._core.values.describe import describe
from sideeffects._core.values.kinds import MAX_DEPTH, SCALARS, dict_base, fields_of, is_scalar, refill

#: How a value is reached, in steps: the path to what holds it, and its index, key or attribute (with a dot).
_Path = str | tuple[Any, object, str]


def _written(path: _Path) -> str:
    if isinstance(path, str):
        return path
    above, key, attribute = path
    return f"{_written(above)}.{attribute}" if attribute else f"{_written(above)}[{describe(key)}]"


def snapshot(value: Any, path: _Path, memo: dict[int, Any], marks: list[str], depth: int = 0) -> Any:
    """A copy of `value` as it is now. Paths of what stays a reference are added to `marks`.

    Args:
        value: anything.
        path: how the value is reached, such as `items[2]`, for the marks; written out only for them.
        memo: copies made so far by `id`; keeps shared and circular structures as they are.
        marks: receives the paths.
        depth: how far down this is.
    """
    kind = type(value)
    if is_scalar(kind) or issubclass(kind, (enum.Enum, type)):
        return value
    known = memo.get(id(value))
    if known is not None:
        if known[0] is _BY_REFERENCE:
            marks.append(_written(path))
            return value
        return known[0]
    if depth > MAX_DEPTH * 4:
        marks.append(_written(path))
        return value
    try:
        copied = _copy_container(value, kind, path, memo, marks, depth)
    except Exception:  # noqa: BLE001 - a `__copy__` of the user's may raise anything
        copied = _BY_REFERENCE
    memo[id(value)] = (copied, value)
    if copied is _BY_REFERENCE:
        marks.append(_written(path))
        return value
    return copied


_BY_REFERENCE: Final = object()


def _copy_container(value: Any, kind: type, path: _Path, memo: dict[int, Any], marks: list[str], depth: int) -> Any:
    def below(child: Any, key: object) -> Any:
        return child if type(child) in SCALARS else snapshot(child, (path, key, ""), memo, marks, depth + 1)

    if issubclass(kind, tuple):
        items = [below(item, index) for index, item in enumerate(tuple.__iter__(value))]
        return tuple(items) if kind is tuple else tuple.__new__(kind, items)
    if kind is frozenset or kind is bytearray:
        return copy.copy(value)
    if issubclass(kind, (list, dict, set, collections.deque)):
        twin: Any = kind() if kind in _PLAIN else copy.copy(value)
        memo[id(value)] = (twin, value)
        if issubclass(kind, dict):
            base = dict_base(kind)
            refill(base, twin, [(key, below(child, key)) for key, child in base.items(value)])
        elif issubclass(kind, collections.deque):
            children = [below(item, index) for index, item in enumerate(value)]
            twin.clear()
            twin.extend(children)
        elif issubclass(kind, list):
            twin[:] = [below(item, index) for index, item in enumerate(list.__iter__(value))]
        elif kind is set:
            twin.update(value)
        return twin
    fields = fields_of(kind)
    if fields is not None:
        twin = copy.copy(value)
        memo[id(value)] = (twin, value)
        for name in fields:
            if hasattr(value, name):
                kept = snapshot(getattr(value, name), (path, None, name), memo, marks, depth + 1)
                object.__setattr__(twin, name, kept)
        return twin
    return _BY_REFERENCE


_PLAIN = frozenset((list, dict, set))
