"""Values as they are kept and shown: copied at the call, redacted, described, made JSON-safe.

Three rules hold everywhere here. Nothing is evaluated: querysets and lazy objects are told apart by their type alone,
since even `isinstance` evaluates Django's lazy objects (through `__class__`). Nothing raises: a value that cannot be
copied is kept by reference, one whose `repr` fails is described by its type. What is too deep is not trusted: it
reads `[too deep]`, because a secret may stand below.
"""

from __future__ import annotations

import collections
import copy
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import math
import pathlib
import re
import types
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

REDACTED: Final = "[redacted]"
TOO_DEEP: Final = "[too deep]"
MAX_DEPTH: Final = 8
MAX_TEXT: Final = 1000

#: Whole names of values that are secret wherever they appear; compared by `normalise`.
SENSITIVE_NAMES: Final = frozenset(
    """
    access_key access_token api_key api_secret apikey auth auth_token authorization bearer_token card_number
    client_secret cookie credential credentials csrf_token csrfmiddlewaretoken cvc cvv id_token otp passphrase passwd
    password password1 password2 pin private_key proxy_authorization pwd refresh_token secret secret_key
    session_key sessionid set_cookie signature signing_key ssn token x_api_key x_auth_token x_csrf_token
    """.split()
)

SCALARS: Final = frozenset(
    (
        type(None),
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        decimal.Decimal,
        fractions.Fraction,
        datetime.date,
        datetime.datetime,
        datetime.time,
        datetime.timedelta,
        uuid.UUID,
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
    )
)
#: Values of these types never change, so the reference is the copy.


@functools.lru_cache(maxsize=4096)
def normalise(name: str) -> str:
    """`X-Api-Key`, `apiKey` and `api_key` are one name."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return snake.replace("-", "_").replace(" ", "_").lower().strip("_")


def is_sensitive(name: object, more: frozenset[str]) -> bool:
    """Whether `name`, as a whole, names a secret. `more` are further names, normalised."""
    if type(name) is bytes:
        name = name.decode("ascii", "replace")
    if type(name) is not str:
        return False
    plain = normalise(name)
    return plain in SENSITIVE_NAMES or plain in more


# -- copying


def snapshot(value: Any, path: str, memo: dict[int, Any], marks: list[str], depth: int = 0) -> Any:
    """A copy of `value` as it is now. Paths of what stays a reference are added to `marks`.

    Args:
        value: anything.
        path: how the value is reached, such as `items[2]`, for the marks.
        memo: copies made so far by `id`; keeps shared and circular structures as they are.
        marks: receives the paths.
        depth: how far down this is.
    """
    kind = type(value)
    if kind in SCALARS or issubclass(kind, (enum.Enum, type)):
        return value
    known = memo.get(id(value))
    if known is not None:
        return known[0]
    if depth > MAX_DEPTH * 4:
        marks.append(path)
        return value
    try:
        copied = _copy_container(value, kind, path, memo, marks, depth)
    except Exception:  # noqa: BLE001 - a `__copy__` of the user's may raise anything
        copied = value
        marks.append(path)
    memo[id(value)] = (copied, value)
    return copied


def _copy_container(value: Any, kind: type, path: str, memo: dict[int, Any], marks: list[str], depth: int) -> Any:
    def below(child: Any, key: str) -> Any:
        return snapshot(child, path + key, memo, marks, depth + 1)

    if issubclass(kind, tuple):
        items = [below(item, f"[{index}]") for index, item in enumerate(tuple.__iter__(value))]
        return tuple(items) if kind is tuple else tuple.__new__(kind, items)
    if kind is frozenset or kind is bytearray:
        return copy.copy(value)
    if issubclass(kind, (list, dict, set, collections.deque)):
        twin: Any = kind() if kind in _PLAIN else copy.copy(value)
        memo[id(value)] = (twin, value)
        if issubclass(kind, dict):
            base = _dict_base(kind)
            _refill(base, twin, [(key, below(child, f"[{key!r}]")) for key, child in base.items(value)])
        elif issubclass(kind, list):
            twin[:] = [below(item, f"[{index}]") for index, item in enumerate(list.__iter__(value))]
        elif kind is set:
            twin.update(value)
        return twin
    if dataclasses.is_dataclass(kind) and not is_lazy(kind):
        twin = copy.copy(value)
        memo[id(value)] = (twin, value)
        for name in _field_names(kind):
            if hasattr(value, name):
                object.__setattr__(twin, name, below(getattr(value, name), f".{name}"))
        return twin
    marks.append(path)
    return value


_PLAIN = frozenset((list, dict, set))


def _dict_base(kind: type) -> type[dict[Any, Any]]:
    """The built-in whose methods are safe on `kind`: `dict.clear` corrupts an `OrderedDict`."""
    return collections.OrderedDict if issubclass(kind, collections.OrderedDict) else dict


def _refill(base: type[dict[Any, Any]], twin: Any, pairs: list[tuple[Any, Any]]) -> None:
    base.clear(twin)
    for key, child in pairs:
        base.__setitem__(twin, key, child)


def _field_names(kind: type) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


# -- redacting


def redact(value: Any, more: frozenset[str], depth: int = 0) -> Any:
    """A copy of `value` in which whatever stands under a sensitive name reads `[redacted]`."""
    kind = type(value)
    if kind in SCALARS:
        return value
    if not _is_walkable(kind):
        return value
    if depth > MAX_DEPTH:
        return TOO_DEEP
    try:
        return _redact_container(value, kind, more, depth)
    except Exception:  # noqa: BLE001 - what cannot be looked through is not shown
        return REDACTED


def _is_walkable(kind: type) -> bool:
    return issubclass(kind, (dict, list, tuple, set, frozenset, collections.deque)) or (
        dataclasses.is_dataclass(kind) and not is_lazy(kind)
    )


def _redact_container(value: Any, kind: type, more: frozenset[str], depth: int) -> Any:
    def below(name: object, child: Any) -> Any:
        return REDACTED if is_sensitive(name, more) else redact(child, more, depth + 1)

    if issubclass(kind, dict):
        base = _dict_base(kind)
        pairs = [(key, below(key, child)) for key, child in base.items(value)]
        twin = {} if kind is dict else copy.copy(value)
        _refill(base, twin, pairs)
        return twin
    if issubclass(kind, tuple):
        names = getattr(kind, "_fields", None)
        children = list(tuple.__iter__(value))
        if names is not None:
            return tuple.__new__(kind, [below(name, child) for name, child in zip(names, children, strict=True)])
        items = [_redact_item(item, more, depth) for item in _pairs(children, more)]
        return tuple(items) if kind is tuple else tuple.__new__(kind, items)
    if issubclass(kind, list):
        return [_redact_item(item, more, depth) for item in _pairs(list(list.__iter__(value)), more)]
    if issubclass(kind, collections.deque):
        return collections.deque((redact(item, more, depth + 1) for item in value), value.maxlen)
    if issubclass(kind, (set, frozenset)):
        return kind(redact(item, more, depth + 1) for item in value)
    twin = copy.copy(value)
    for name in _field_names(kind):
        if hasattr(value, name):
            object.__setattr__(twin, name, below(name, getattr(value, name)))
    return twin


def _pairs(children: list[Any], more: frozenset[str]) -> list[Any]:
    """Headers and form data often come as `(name, value)` pairs: hide the value of a pair with a sensitive name."""
    return [
        type(child)((child[0], REDACTED))
        if type(child) in (tuple, list) and len(child) == len(("name", "value")) and is_sensitive(child[0], more)
        else child
        for child in children
    ]


def _redact_item(item: Any, more: frozenset[str], depth: int) -> Any:
    return redact(item, more, depth + 1)


# -- showing

_LAZY: Final = {
    ("django.utils.functional", "LazyObject"),
    ("django.utils.functional", "Promise"),
    ("django.db.models.query", "QuerySet"),
    ("django.db.models.query", "RawQuerySet"),
    ("django.db.models.manager", "BaseManager"),
}


@functools.lru_cache(maxsize=4096)
def is_lazy(kind: type) -> bool:
    """Whether instances evaluate themselves when looked at (querysets, managers, lazy objects and translations)."""
    return any((base.__module__, base.__name__) in _LAZY for base in kind.__mro__)


def describe(value: Any, limit: int = MAX_TEXT) -> str:
    """A `repr` that evaluates nothing, does not raise and has at most `limit` characters."""
    text = _describe(value, 0)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _describe(value: Any, depth: int) -> str:
    kind = type(value)
    if value is REDACTED or (kind is str and value in (REDACTED, TOO_DEEP)):
        return str(value)
    if is_lazy(kind):  # type: ignore[arg-type]
        model = getattr(value, "model", None) if "django.db.models" in _modules_of(kind) else None
        of = f" of {model.__name__}" if isinstance(model, type) else ""
        return f"<{kind.__name__}{of}, not evaluated>"
    if depth > MAX_DEPTH:
        return TOO_DEEP
    if kind is dict:
        return "{" + ", ".join(f"{_describe(k, depth + 1)}: {_describe(v, depth + 1)}" for k, v in value.items()) + "}"
    if kind is list:
        return "[" + ", ".join(_describe(item, depth + 1) for item in value) + "]"
    if kind is tuple:
        inner = ", ".join(_describe(item, depth + 1) for item in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if _is_model(kind):
        key = value.__dict__.get(cast(Any, kind)._meta.pk.attname)  # noqa: SLF001 - Django documents `_meta`
        return f"<{kind.__name__} pk={_describe(key, depth + 1)}>"
    if dataclasses.is_dataclass(kind):
        fields = (f"{name}={_describe(getattr(value, name, None), depth + 1)}" for name in _field_names(kind))
        return f"{kind.__qualname__}({', '.join(fields)})"
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - a `__repr__` of the user's may raise anything
        return f"<{kind.__name__} object, its repr raised {type(error).__name__}>"


def _modules_of(kind: type) -> str:
    return " ".join(base.__module__ for base in kind.__mro__)


def _is_model(kind: type) -> bool:
    return any(base.__module__ == "django.db.models.base" and base.__name__ == "Model" for base in kind.__mro__)


def text_of(error: BaseException) -> str:
    """`str(error)`, whatever its `__str__` does."""
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001 - as in `describe`
        return f"<its __str__ raised {type(broken).__name__}>"


# -- JSON


def jsonable(value: Any, depth: int = 0) -> Any:
    """`value` as JSON can carry it: the same value always gives the same data, whichever process it came from."""
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return value if math.isfinite(value) else repr(value)
    if depth > MAX_DEPTH:
        return TOO_DEEP
    if is_lazy(kind):  # type: ignore[arg-type]
        return describe(value)
    simple = _JSON.get(kind)
    if simple is not None:
        return simple(value)
    if issubclass(kind, enum.Enum):
        return jsonable(value.value, depth + 1)
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, Mapping):
        return {key if type(key) is str else describe(key): jsonable(child, depth + 1) for key, child in value.items()}
    if issubclass(kind, (list, tuple, collections.deque)):
        return [jsonable(item, depth + 1) for item in value]
    if issubclass(kind, (set, frozenset)):
        return sorted((jsonable(item, depth + 1) for item in value), key=repr)
    if dataclasses.is_dataclass(kind):
        return {name: jsonable(getattr(value, name, None), depth + 1) for name in _field_names(kind)}
    return _without_address(describe(value))


_JSON: Final[dict[type, Callable[[Any], Any]]] = {
    decimal.Decimal: str,
    uuid.UUID: str,
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


def _without_address(text: str) -> str:
    """Memory addresses differ from run to run, and what is compared must not."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)
