"""Values as they are at the call: copied, or marked as kept by reference.

Nothing raises: a value that cannot be copied is kept by reference. Each object is copied once. What can change is made
empty, and filled when all that holds it is there: so neither long chains nor circles need recursion.
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

_BY_REFERENCE: Final = object()


#: No keywords, of a call whose positional arguments fit and need not be copied: they were made for this call alone.
FRESH: Final[dict[str, Any]] = {}
#: Tuples in tuples in tuples: more of them is no data.
_DEEPEST: Final = MAX_DEPTH * 4


def _written(path: _Path) -> str:
    if isinstance(path, str):
        return path
    above, key, attribute = path
    return f"{_written(above)}.{attribute}" if attribute else f"{_written(above)}[{describe(key)}]"


def snapshot(value: Any, path: str, memo: dict[int, Any], marks: list[str]) -> Any:
    """A copy of `value` as it is now. Paths of what stays a reference are added to `marks`.

    Args:
        value: anything.
        path: how the value is reached, such as `items[2]`, for the marks.
        memo: copies made so far by `id`; keeps shared and circular structures as they are.
        marks: receives the paths.
    """
    if type(value) in SCALARS:
        return value
    copying = _Copying(memo, marks)
    twin = copying.twin(value, path, 0)
    copying.fill()
    return twin


class _Copying:
    __slots__ = ("_marks", "_memo", "_waiting")

    def __init__(self, memo: dict[int, Any], marks: list[str]) -> None:
        self._memo = memo
        self._marks = marks
        #: What has still to be filled: the original, its twin, and how it is reached.
        self._waiting: list[tuple[Any, Any, _Path]] = []

    def twin(self, value: Any, path: _Path, depth: int) -> Any:
        """The copy of a value, which may still have to be filled.

        Args:
            value: anything.
            path: how it is reached.
            depth: how many tuples it stands in.
        """
        kind = type(value)
        if is_scalar(kind) or kind is frozenset or issubclass(kind, (enum.Enum, type)):
            return value
        known = self._memo.get(id(value))
        if known is None:
            try:
                made = self._made(value, kind, path, depth)
            except Exception:  # noqa: BLE001 - a `__copy__` of the user's may raise anything
                made = _BY_REFERENCE
            known = self._memo[id(value)] = made, value
        if known[0] is _BY_REFERENCE:
            self._marks.append(_written(path))
            return value
        return known[0]

    def _made(self, value: Any, kind: type, path: _Path, depth: int) -> Any:
        if kind is dict or kind is list:
            twin = value.copy()
            if SCALARS.issuperset(map(type, twin.values() if kind is dict else twin)):
                return twin
        elif issubclass(kind, tuple):
            if depth > _DEEPEST:
                return _BY_REFERENCE
            items = [self.twin(item, (path, index, ""), depth + 1) for index, item in enumerate(tuple.__iter__(value))]
            return tuple(items) if kind is tuple else tuple.__new__(kind, items)
        elif issubclass(kind, (list, dict, set, collections.deque, bytearray)) or fields_of(kind) is not None:
            twin = copy.copy(value)
            if twin is value:  # filling it would change the original
                return _BY_REFERENCE
        else:
            return _BY_REFERENCE
        if not issubclass(kind, (set, bytearray)):  # what these hold never changes
            self._waiting.append((value, twin, path))
        return twin

    def fill(self) -> None:
        """Fill all twins, and those that they hold."""
        for value, twin, path in self._waiting:  # it grows meanwhile
            try:
                self._fill(value, twin, path)
            except Exception:  # noqa: BLE001 - as above; what it holds stays what the original holds
                self._marks.append(_written(path))

    def _fill(self, value: Any, twin: Any, path: _Path) -> None:
        kind = type(value)
        if kind is dict:
            memo = self._memo
            for key, child in value.items():
                if type(child) not in SCALARS:
                    known = memo.get(id(child))
                    if known is None or known[0] is _BY_REFERENCE:  # which is marked each time
                        twin[key] = self.twin(child, (path, key, ""), 0)
                    else:
                        twin[key] = known[0]
        elif issubclass(kind, dict):
            base = dict_base(kind)
            refill(base, twin, [(key, self._below(child, path, key)) for key, child in base.items(value)])
        elif issubclass(kind, list):
            items = [self._below(item, path, index) for index, item in enumerate(list.__iter__(value))]
            list.__setitem__(twin, slice(None), items)
        elif issubclass(kind, collections.deque):
            items = [self._below(item, path, index) for index, item in enumerate(collections.deque.__iter__(value))]
            collections.deque.clear(twin)
            collections.deque.extend(twin, items)
        else:
            for name in fields_of(kind) or ():
                if hasattr(value, name):
                    object.__setattr__(twin, name, self.twin(getattr(value, name), (path, None, name), 0))

    def _below(self, child: Any, path: _Path, key: object) -> Any:
        return child if type(child) in SCALARS else self.twin(child, (path, key, ""), 0)
