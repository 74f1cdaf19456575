"""Kinds of values: which never change, which can be walked through, which evaluate themselves when looked at.

Everything here is told from types alone. Even `isinstance` evaluates Django's lazy objects (through `__class__`).
"""

from __future__ import annotations

import collections
import copy
import datetime
import functools
import pathlib
import re
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

R = TypeVar("R")

REDACTED: Final = "[redacted]"
TOO_DEEP: Final = "[too deep]"
TOO_MANY: Final = "[too many values]"
CIRCULAR: Final = "[circular]"
MAX_DEPTH: Final = 8
MAX_TEXT: Final = 1000

#: Values of these types never change, so the reference is the copy. `is_scalar` knows further ones.
SCALARS: Final[set[type[Any]]] = {
    type(None),
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    datetime.date,
    datetime.datetime,
    datetime.time,
    datetime.timedelta,
    range,
    slice,
    type(Ellipsis),
    type(NotImplemented),
    re.Pattern,
    pathlib.PosixPath,
    pathlib.WindowsPath,
    pathlib.PurePosixPath,
    pathlib.PureWindowsPath,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.ModuleType,
    type,
}
#: More of them, by name, each with its module and with what makes text of it for JSON. Their modules take as long to
#: import as half of this package, and where there is a value there is the module.
_SCALARS_OF: Final[dict[str, tuple[str, Callable[[Any], str] | None]]] = {
    "Decimal": ("decimal", str),
    "Fraction": ("fractions", None),
    "UUID": ("uuid", str),
}


def is_scalar(kind: type[Any]) -> bool:
    """Whether values of this type never change. Types seen for the first time are entered into `SCALARS`."""
    if kind in SCALARS:
        return True
    name = _name_of(kind)
    module, as_text = _SCALARS_OF.get(name, ("", None))
    if not module or getattr(sys.modules.get(module), name, None) is not kind:
        return False
    if as_text is not None:
        AS_JSON[kind] = as_text
    SCALARS.add(kind)
    return True


#: Past a `__name__` that a metaclass may have.
_name_of: Final[Callable[[type[Any]], str]] = vars(type)["__name__"].__get__

#: What becomes of scalars for which JSON has no type. `is_scalar` adds those whose modules are there.
AS_JSON: Final[dict[type, Callable[[Any], Any]]] = {
    datetime.datetime: datetime.datetime.isoformat,
    datetime.date: datetime.date.isoformat,
    datetime.time: datetime.time.isoformat,
    datetime.timedelta: datetime.timedelta.total_seconds,
    bytes: lambda value: value.decode("utf-8", "backslashreplace"),
    pathlib.PosixPath: str,
    pathlib.WindowsPath: str,
    pathlib.PurePosixPath: str,
    pathlib.PureWindowsPath: str,
}


def per_type(function: Callable[[type[Any]], R]) -> Callable[[type[Any]], R]:
    """Worked out once for each type."""
    # As `Any`, because type checkers take a type for something that may be without a hash.
    cached: Any = functools.lru_cache(maxsize=4096)(function)
    kept: Callable[[type[Any]], R] = cached
    return kept


def is_dataclass(kind: type[Any]) -> bool:
    """Whether `dataclasses` made it."""
    return hasattr(kind, "__dataclass_fields__")


@per_type
def fields_of(kind: type) -> dict[str, bool] | None:
    """The fields of a dataclass, an attrs class or a pydantic model, each with whether its `repr` shows it."""
    made: Any = kind
    if is_dataclass(kind):
        import dataclasses  # which has made the class: nothing is imported that was not there

        return {field.name: field.repr for field in dataclasses.fields(kind)}
    if "__attrs_attrs__" in vars(kind):
        return {field.name: bool(field.repr) for field in made.__attrs_attrs__}
    if "__pydantic_fields__" in vars(kind):
        return {name: bool(field.repr) for name, field in made.__pydantic_fields__.items()}
    return None


_LAZY: Final = {
    ("django.utils.functional", "LazyObject"),
    ("django.utils.functional", "Promise"),
    ("django.db.models.query", "QuerySet"),
    ("django.db.models.query", "RawQuerySet"),
    ("django.db.models.manager", "BaseManager"),
    ("django.core.paginator", "Page"),
}


@per_type
def is_lazy(kind: type) -> bool:
    """Whether instances evaluate themselves when looked at (querysets, managers, lazy objects and translations)."""
    return any((base.__module__, base.__name__) in _LAZY for base in kind.__mro__)


@per_type
def is_walkable(kind: type) -> bool:
    """Whether it has children that can be looked at."""
    return not is_lazy(kind) and (issubclass(kind, WALKABLE) or fields_of(kind) is not None or is_holder(kind))


_HOLDERS: Final = {
    ("argparse", "Namespace"),
    ("optparse", "Values"),
    ("functools", "partial"),
    ("functools", "partialmethod"),
    ("inspect", "BoundArguments"),
    ("operator", "methodcaller"),
    ("string.templatelib", "Interpolation"),
    ("string.templatelib", "Template"),
    ("collections", "UserList"),
}


@per_type
def is_holder(kind: type) -> bool:
    """Whether it is one of those of the standard library that hold arguments or names with values, and show them."""
    return any((base.__module__, base.__name__) in _HOLDERS for base in kind.__mro__)


def held_in(value: Any) -> tuple[list[Any], dict[str, Any]]:
    """What such a holder holds without a name, and under names."""
    if isinstance(value, functools.partial | functools.partialmethod):
        return [value.func, *value.args], value.keywords
    if isinstance(value, collections.UserList):
        return list(value.data), {}
    if hasattr(type(value), "apply_defaults"):  # bound arguments
        return [], dict(value.arguments)
    if type(value).__name__ == "methodcaller":
        made, args = value.__reduce__()
        return [*getattr(made, "args", ()), *args], getattr(made, "keywords", {})
    if type(value).__name__ == "Template":
        return list(value), {}
    if type(value).__name__ == "Interpolation":
        return [], {value.expression: value.value}
    return [], vars(value)


def holding(value: Any, items: list[Any], named: dict[str, Any]) -> Any:
    """A holder of the same kind that holds these."""
    if isinstance(value, functools.partial | functools.partialmethod):
        made = functools.partial if isinstance(value, functools.partial) else functools.partialmethod
        return made(items[0], *items[1:], **named)
    if type(value).__name__ == "methodcaller":
        return type(value)(*items, **named)
    if type(value).__name__ == "Template":
        return type(value)(*items)  # it refuses keywords, and none is one too many
    if type(value).__name__ == "Interpolation":
        return type(value)(named[value.expression], value.expression, value.conversion, value.format_spec)
    twin = copy.copy(value)
    if isinstance(value, collections.UserList):
        twin.data = items
    elif hasattr(type(value), "apply_defaults"):
        twin.arguments = named
    else:
        vars(twin).update(named)
    return twin


WALKABLE: Final[tuple[type[Any], ...]] = (
    dict,
    list,
    tuple,
    set,
    frozenset,
    collections.deque,
    types.SimpleNamespace,
    Mapping,
    type({}.items()),
    type({}.values()),
)


def dict_base(kind: type) -> type[dict[Any, Any]]:
    """The built-in whose methods are safe on `kind`: `dict.clear` corrupts an `OrderedDict`."""
    return collections.OrderedDict if issubclass(kind, collections.OrderedDict) else dict


def refill(base: type[dict[Any, Any]], twin: Any, pairs: list[tuple[Any, Any]]) -> None:
    """Let a dictionary have these items alone, by the methods of its built-in base."""
    base.clear(twin)
    for key, child in pairs:
        base.__setitem__(twin, key, child)
