"""Whether a value's data tells it from all others: what does not cannot be held against a plan.

An object without a `repr` of its own, a file, a queryset that nobody evaluates, what is nested too deep or is too much:
two of these look the same, whatever is in them.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Iterable, Mapping
from typing import Any, Final

from sideeffects._core.values.describe import MOST_VALUES
from sideeffects._core.values.kinds import AS_JSON, MAX_DEPTH, MAX_TEXT, WALKABLE, fields_of, is_lazy, is_scalar

#: They have names, and these are found again in each run.
_NAMED: Final = (types.FunctionType, types.BuiltinFunctionType, type, types.ModuleType)


def is_comparable(value: Any) -> bool:
    """Whether two such values that look the same are the same."""
    try:
        return _Look().at(value, 0)
    except Exception:  # noqa: BLE001 - a property or an `__iter__` of the user's may raise anything
        return False


class _Look:
    """One look at a value, which counts what it has seen."""

    def __init__(self) -> None:
        self._left = MOST_VALUES

    def at(self, value: Any, depth: int) -> bool:
        kind = type(value)
        if value is None or kind in (bool, int, float, str) or (is_scalar(kind) and kind in AS_JSON):
            return True
        self._left -= 1
        if depth > MAX_DEPTH or self._left < 0 or is_lazy(kind):
            return False
        if issubclass(kind, enum.Enum):
            return self.at(value.value, depth + 1)
        if issubclass(kind, Mapping):
            return self._all((*value.keys(), *value.values()), depth)
        if issubclass(kind, types.SimpleNamespace):
            return self._all(vars(value).values(), depth)
        if issubclass(kind, (set, frozenset, *WALKABLE)):
            return self._all(value, depth)
        fields = fields_of(kind)
        if fields is not None:
            return all(fields.values()) and self._all((getattr(value, name, None) for name in fields), depth)
        return issubclass(kind, str) or _has_telling_repr(value, kind)

    def _all(self, values: Iterable[Any], depth: int) -> bool:
        return all(self.at(value, depth + 1) for value in values)


def _has_telling_repr(value: Any, kind: Any) -> bool:
    if isinstance(value, _NAMED):
        return "<" not in getattr(value, "__qualname__", "")  # as in `<lambda>`, and in a function of a function
    if hasattr(kind, "_meta"):  # a model: the database knows it by its key
        return getattr(value, "pk", None) is not None
    if kind.__repr__ is object.__repr__:
        return False
    text = repr(value)
    return len(text) <= MAX_TEXT and " at 0x" not in text
