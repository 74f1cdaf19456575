"""Values as they are shown to people and written as JSON.

Nothing is evaluated and nothing raises: a value whose `repr` fails is described by its type.
"""

from __future__ import annotations

import contextvars
import enum
import math
import re
import types
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from sideeffects._core.values.kinds import (
    AS_JSON,
    CIRCULAR,
    MAX_DEPTH,
    MAX_TEXT,
    REDACTED,
    SCALARS,
    TOO_DEEP,
    TOO_MANY,
    WALKABLE,
    fields_of,
    is_dataclass,
    is_lazy,
    is_scalar,
)


def describe(value: Any, limit: int = MAX_TEXT) -> str:
    """A `repr` that evaluates nothing, does not raise and has at most `limit` characters."""
    text = _describe(value, ())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


#: The ids of what stands above a value: by their number it is too deep, and among them it is a circle.
_Above = tuple[int, ...]


def _describe(value: Any, above: _Above) -> str:
    kind = type(value)
    if kind is str and value in _MARKERS:
        return cast(str, value)
    if is_lazy(kind):
        model = getattr(value, "model", None) if "django.db.models" in _modules_of(kind) else None
        of = f" of {model.__name__}" if isinstance(model, type) else ""
        return f"<{kind.__name__}{of}, not evaluated>"
    if id(value) in above:
        return CIRCULAR
    if len(above) > MAX_DEPTH:
        return TOO_DEEP
    above = (*above, id(value))
    try:
        if kind in SCALARS:  # most are
            return repr(value)
        if issubclass(kind, WALKABLE):
            return _describe_container(value, kind, above)
        if _is_model(kind):
            key = value.__dict__.get(cast(Any, kind)._meta.pk.attname)  # noqa: SLF001 - Django documents `_meta`
            return f"<{kind.__name__} pk={_describe(key, above)}>"
        fields = fields_of(kind)
        if fields is not None and not _has_own_repr(kind):
            return f"{kind.__qualname__}({_named(_shown_fields(value, fields), above)})"
        if issubclass(kind, BaseException) and kind.__repr__ is BaseException.__repr__:
            return f"{kind.__name__}({_listed(value.args, above)})"
        return repr(value)
    except Exception as error:  # noqa: BLE001 - a `__repr__` of the user's may raise anything
        return f"<{kind.__name__} object, its repr raised {type(error).__name__}>"


_MARKERS: Final = frozenset((REDACTED, TOO_DEEP, CIRCULAR))


def _describe_container(value: Any, kind: type, above: _Above) -> str:
    """As `repr` writes it, for the standard ones; a subclass is told by its name."""
    name = kind.__name__
    if issubclass(kind, (dict, Mapping)):
        pairs = dict.items(value) if issubclass(kind, dict) else value.items()
        inner = "{" + _joined(f"{_describe(key, above)}: {_describe(child, above)}" for key, child in pairs) + "}"
        return inner if kind is dict else f"{name}({inner})"
    if issubclass(kind, types.SimpleNamespace):
        return f"namespace({_named(vars(value).items(), above)})"
    if issubclass(kind, tuple):
        names = getattr(kind, "_fields", None)
        if names is not None:
            return f"{name}({_named(zip(names, tuple.__iter__(value), strict=True), above)})"
        inner = f"({_listed(tuple.__iter__(value), above)}{',' if len(value) == 1 else ''})"
        return inner if kind is tuple else f"{name}({inner})"
    if issubclass(kind, (set, frozenset)):
        # Sorted, since the order of a set differs from process to process.
        inner = "{" + _joined(sorted(_describe(item, above) for item in value)) + "}" if value else ""
        return inner if kind is set and value else f"{name}({inner})"
    inner = f"[{_listed(value, above)}]"
    return inner if kind is list else f"{name}({inner})"


def _listed(items: Iterable[Any], above: _Above) -> str:
    return _joined(_describe(item, above) for item in items)


def _named(pairs: Iterable[tuple[str, Any]], above: _Above) -> str:
    return _joined(f"{name}={_describe(child, above)}" for name, child in pairs)


def _joined(texts: Iterable[str]) -> str:
    """Ends once it is longer than what is ever shown, so that a huge value costs no more than a long one."""
    pieces: list[str] = []
    length = 0
    for text in texts:
        pieces.append(text)
        length += len(text)
        if length > MAX_TEXT:
            break
    return ", ".join(pieces)


def _shown_fields(value: Any, fields: dict[str, bool]) -> list[tuple[str, Any]]:
    """Without those that their author keeps out of the `repr`."""
    return [(name, getattr(value, name, None)) for name, is_shown in fields.items() if is_shown]


def _has_own_repr(kind: type) -> bool:
    """Whether the author of a dataclass wrote its `repr`, or wanted none: what it leaves out stays out."""
    return is_dataclass(kind) and not hasattr(kind.__repr__, "__wrapped__")


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


def jsonable(value: Any, above: _Above = ()) -> Any:
    """`value` as JSON can carry it: the same value always gives the same data, whichever process it came from."""
    kind = type(value)
    if value is None or kind in (bool, str):
        return value
    if kind is int:
        # `json` refuses those that are too long to be written out.
        return value if value.bit_length() < LONGEST_INTEGER else hex(value)
    if kind is float:
        return value if math.isfinite(value) else repr(value)
    if id(value) in above:
        return CIRCULAR
    if len(above) > MAX_DEPTH:
        return TOO_DEEP
    left = _LEFT.get() if above else [MOST_VALUES]
    left[0] -= 1
    if left[0] < 0:
        return TOO_MANY
    token = None if above else _LEFT.set(left)
    try:
        return _jsonable(value, kind, (*above, id(value)))
    except Exception:  # noqa: BLE001 - a mapping, a property or an `__iter__` of the user's may raise anything
        return _without_address(describe(value))
    finally:
        if token is not None:
            _LEFT.reset(token)


#: How many values that are no scalars are written out: objects that share others are few, and their paths many.
MOST_VALUES: Final = 20_000
_LEFT: Final[contextvars.ContextVar[list[int]]] = contextvars.ContextVar("sideeffects_left")
#: Bits of a whole number that stays one in JSON.
LONGEST_INTEGER: Final = 2048


def _jsonable(value: Any, kind: type, above: _Above) -> Any:
    simple = AS_JSON.get(kind) if is_scalar(kind) else None
    if simple is not None:
        return simple(value)
    if is_lazy(kind):
        return describe(value)
    if issubclass(kind, enum.Enum):
        return jsonable(value.value, above)
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, Mapping):
        pairs = dict.items(value) if issubclass(kind, dict) else value.items()
        return {_json_key(key): jsonable(child, above) for key, child in pairs}
    if issubclass(kind, (set, frozenset)):
        return sorted((jsonable(item, above) for item in value), key=repr)
    if issubclass(kind, types.SimpleNamespace):
        return {name: jsonable(child, above) for name, child in vars(value).items()}
    if issubclass(kind, WALKABLE):
        return [jsonable(item, above) for item in value]
    fields = fields_of(kind)
    if fields is not None:
        return {name: jsonable(child, above) for name, child in _shown_fields(value, fields)}
    return _without_address(describe(value))


def _json_key(key: object) -> str:
    return str.__str__(cast(str, key)) if issubclass(type(key), str) else _without_address(describe(key))


def _without_address(text: str) -> str:
    """Memory addresses differ from run to run, and what is compared must not."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)
