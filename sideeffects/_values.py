"""Values as they are kept and shown: copied at the call, redacted, described, made JSON-safe.

Three rules hold everywhere here. Nothing is evaluated: querysets and lazy objects are told apart by their type alone,
since even `isinstance` evaluates Django's lazy objects (through `__class__`). Nothing raises: a value that cannot be
copied is kept by reference, one whose `repr` fails is described by its type. What is too deep is not trusted: it
reads `[too deep]`, because a secret may stand below.
"""

from __future__ import annotations

import collections
import copy
import datetime
import enum
import functools
import math
import pathlib
import re
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar, cast

R = TypeVar("R")

REDACTED: Final = "[redacted]"
TOO_DEEP: Final = "[too deep]"
CIRCULAR: Final = "[circular]"
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
        _JSON[kind] = as_text
    SCALARS.add(kind)
    return True


#: Past a `__name__` that a metaclass may have.
_name_of: Final[Callable[[type[Any]], str]] = vars(type)["__name__"].__get__


def _per_type(function: Callable[[type[Any]], R]) -> Callable[[type[Any]], R]:
    """Worked out once for each type."""
    # As `Any`, because type checkers take a type for something that may be without a hash.
    cached: Any = functools.lru_cache(maxsize=4096)(function)
    kept: Callable[[type[Any]], R] = cached
    return kept


@functools.lru_cache(maxsize=4096)
def normalise(name: str) -> str:
    """`X-Api-Key`, `apiKey` and `api_key` are one name."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return snake.replace("-", "_").replace(" ", "_").lower().strip("_")


def is_sensitive(name: object, more: frozenset[str]) -> bool:
    """Whether `name`, as a whole, names a secret. `more` are further names, normalised."""
    kind = type(name)
    if kind is bytes:
        text = cast(bytes, name).decode("ascii", "replace")
    elif issubclass(kind, str):
        # Header names come as texts of many kinds: case-insensitive ones, Django's safe ones, members of an `Enum`.
        text = str.__str__(cast(str, name))
    else:
        return False
    plain = normalise(text)
    return plain in SENSITIVE_NAMES or plain in more


# -- copying


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
            base = _dict_base(kind)
            _refill(base, twin, [(key, below(child, key)) for key, child in base.items(value)])
        elif issubclass(kind, collections.deque):
            children = [below(item, index) for index, item in enumerate(value)]
            twin.clear()
            twin.extend(children)
        elif issubclass(kind, list):
            twin[:] = [below(item, index) for index, item in enumerate(list.__iter__(value))]
        elif kind is set:
            twin.update(value)
        return twin
    fields = _fields(kind)
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


def _dict_base(kind: type) -> type[dict[Any, Any]]:
    """The built-in whose methods are safe on `kind`: `dict.clear` corrupts an `OrderedDict`."""
    return collections.OrderedDict if issubclass(kind, collections.OrderedDict) else dict


def _refill(base: type[dict[Any, Any]], twin: Any, pairs: list[tuple[Any, Any]]) -> None:
    base.clear(twin)
    for key, child in pairs:
        base.__setitem__(twin, key, child)


def _is_dataclass(kind: type[Any]) -> bool:
    return hasattr(kind, "__dataclass_fields__")


@_per_type
def _fields(kind: type) -> dict[str, bool] | None:
    """The fields of a dataclass, an attrs class or a pydantic model, each with whether its `repr` shows it."""
    made: Any = kind
    if _is_dataclass(kind):
        import dataclasses  # which has made the class: nothing is imported that was not there

        return {field.name: field.repr for field in dataclasses.fields(kind)}
    if "__attrs_attrs__" in vars(kind):
        return {field.name: bool(field.repr) for field in made.__attrs_attrs__}
    if "__pydantic_fields__" in vars(kind):
        return {name: bool(field.repr) for name, field in made.__pydantic_fields__.items()}
    return None


# -- redacting


def redact(value: Any, more: frozenset[str]) -> Any:
    """A copy of `value` in which whatever stands under a sensitive name reads `[redacted]`.

    Args:
        value: anything.
        more: further sensitive names, normalised.
    """
    return value if type(value) in SCALARS else _Redaction(more).of(value, 0)


class _Redaction:
    """One walk through a value."""

    def __init__(self, more: frozenset[str]) -> None:
        self._more = more
        self._above: set[int] = set()
        #: How often something was replaced.
        self._hits = 0

    def of(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind in SCALARS or not _is_walkable(kind):
            return value
        if depth > MAX_DEPTH:
            return self._instead(TOO_DEEP)
        if id(value) in self._above:
            return self._instead(CIRCULAR)
        self._above.add(id(value))
        try:
            return self._container(value, kind, depth)
        except Exception:  # noqa: BLE001 - what cannot be looked through is not shown
            return self._instead(REDACTED)
        finally:
            self._above.discard(id(value))

    def _instead(self, marker: str) -> str:
        self._hits += 1
        return marker

    def _named(self, name: object, child: Any, depth: int) -> Any:
        return self._instead(REDACTED) if is_sensitive(name, self._more) else self.of(child, depth + 1)

    def _items(self, items: Iterable[Any], depth: int) -> list[Any]:
        """Headers and form data often come as `(name, value)` pairs: the value of a sensitive name is hidden."""
        children = list(items)
        if len(children) == len(("name", "value")) and is_sensitive(children[0], self._more):
            return [children[0], self._instead(REDACTED)]
        return [self.of(child, depth + 1) for child in children]

    def _container(self, value: Any, kind: type, depth: int) -> Any:
        if issubclass(kind, dict):
            base = _dict_base(kind)
            pairs = [(key, self._named(key, child, depth)) for key, child in base.items(value)]
            twin = _shallow_dict(value, kind)
            _refill(base, twin, pairs)
            return twin
        if issubclass(kind, tuple):
            names = getattr(kind, "_fields", None)
            children = list(tuple.__iter__(value))
            if names is None:
                return _tuple_of(kind, self._items(children, depth))
            return _tuple_of(
                kind, [self._named(name, child, depth) for name, child in zip(names, children, strict=True)]
            )
        if issubclass(kind, list):
            return self._items(list.__iter__(value), depth)
        if issubclass(kind, collections.deque):
            return collections.deque(self._items(value, depth), value.maxlen)
        if issubclass(kind, (set, frozenset)):
            # A set has no order, so two of its members are no pair.
            return kind(self.of(item, depth + 1) for item in value)
        if issubclass(kind, types.SimpleNamespace):
            return types.SimpleNamespace(**{n: self._named(n, child, depth) for n, child in vars(value).items()})
        fields = _fields(kind)
        if fields is not None:
            twin = copy.copy(value)
            for name in fields:
                if hasattr(value, name):
                    object.__setattr__(twin, name, self._named(name, getattr(value, name), depth))
            return twin
        return self._foreign(value, kind, depth)

    def _foreign(self, value: Any, kind: type, depth: int) -> Any:
        """A mapping or a view of somebody else's making: itself where it hides nothing, else its plain twin."""
        before = self._hits
        shown: Any
        if issubclass(kind, Mapping):
            shown = {key: self._named(key, child, depth) for key, child in value.items()}
        else:
            shown = self._items(value, depth)
        return value if self._hits == before else shown


def _is_walkable(kind: type) -> bool:
    return not is_lazy(kind) and (issubclass(kind, _WALKABLE) or _fields(kind) is not None)


_WALKABLE: Final[tuple[type[Any], ...]] = (
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


def _shallow_dict(value: Any, kind: type) -> Any:
    if kind is dict:
        return {}
    try:
        return copy.copy(value)
    except Exception:  # noqa: BLE001 - as in `snapshot`
        return {}


def _tuple_of(kind: type, items: list[Any]) -> Any:
    try:
        return tuple.__new__(kind, items)
    except TypeError:
        # `time.struct_time` and its like are made otherwise.
        return tuple(items)


def secrets_in(value: Any, more: frozenset[str]) -> Iterator[str]:
    """The texts that stand under sensitive names in `value`, to be looked for in what others have written.

    Those of fewer than `SHORTEST_SECRET` characters are left out: they occur everywhere by chance.
    """
    yield from _secrets(value, more, False, 0)


SHORTEST_SECRET: Final = 4


def texts_in(value: Any) -> Iterator[str]:
    """All texts in a value that is secret as a whole; as `secrets_in`."""
    yield from _secrets(value, frozenset(), True, 0)


def _secrets(value: Any, more: frozenset[str], is_secret: bool, depth: int) -> Iterator[str]:
    kind = type(value)
    if is_scalar(kind):
        if is_secret:
            text = value.decode("utf-8", "replace") if kind is bytes else describe(value) if kind is not str else value
            if len(text) >= SHORTEST_SECRET and kind not in (bool, type(None)):
                yield text
        return
    if depth > MAX_DEPTH or is_lazy(kind):
        return
    if issubclass(kind, dict):
        for key, child in dict.items(value):
            yield from _secrets(child, more, is_secret or is_sensitive(key, more), depth + 1)
    elif issubclass(kind, (list, tuple, set, frozenset)):
        children = list(value)
        is_pair = len(children) == len(("name", "value")) and is_sensitive(children[0], more)
        for child in children[1:] if is_pair else children:
            yield from _secrets(child, more, is_secret or is_pair, depth + 1)
    else:
        for name in _fields(kind) or ():
            yield from _secrets(getattr(value, name, None), more, is_secret or is_sensitive(name, more), depth + 1)


def scrub(text: str, secrets: Iterable[str]) -> str:
    """`text` without these secrets, as they are and as a `repr` escapes them, the longest first."""
    forms = {form for secret in secrets for form in (secret, repr(secret)[1:-1])}
    for secret in sorted(forms, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    return text


# -- showing

_LAZY: Final = {
    ("django.utils.functional", "LazyObject"),
    ("django.utils.functional", "Promise"),
    ("django.db.models.query", "QuerySet"),
    ("django.db.models.query", "RawQuerySet"),
    ("django.db.models.manager", "BaseManager"),
    ("django.core.paginator", "Page"),
}


@_per_type
def is_lazy(kind: type) -> bool:
    """Whether instances evaluate themselves when looked at (querysets, managers, lazy objects and translations)."""
    return any((base.__module__, base.__name__) in _LAZY for base in kind.__mro__)


def describe(value: Any, limit: int = MAX_TEXT) -> str:
    """A `repr` that evaluates nothing, does not raise and has at most `limit` characters."""
    text = _describe(value, 0)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _describe(value: Any, depth: int) -> str:
    kind = type(value)
    if kind is str and value in _MARKERS:
        return cast(str, value)
    if is_lazy(kind):
        model = getattr(value, "model", None) if "django.db.models" in _modules_of(kind) else None
        of = f" of {model.__name__}" if isinstance(model, type) else ""
        return f"<{kind.__name__}{of}, not evaluated>"
    if depth > MAX_DEPTH:
        return TOO_DEEP
    try:
        if issubclass(kind, _WALKABLE):
            return _describe_container(value, kind, depth + 1)
        if _is_model(kind):
            key = value.__dict__.get(cast(Any, kind)._meta.pk.attname)  # noqa: SLF001 - Django documents `_meta`
            return f"<{kind.__name__} pk={_describe(key, depth + 1)}>"
        fields = _fields(kind)
        if fields is not None and not _has_own_repr(kind):
            return f"{kind.__qualname__}({_named(_shown_fields(value, fields), depth + 1)})"
        if issubclass(kind, BaseException) and kind.__repr__ is BaseException.__repr__:
            return f"{kind.__name__}({_listed(value.args, depth + 1)})"
        return repr(value)
    except Exception as error:  # noqa: BLE001 - a `__repr__` of the user's may raise anything
        return f"<{kind.__name__} object, its repr raised {type(error).__name__}>"


_MARKERS: Final = frozenset((REDACTED, TOO_DEEP, CIRCULAR))


def _describe_container(value: Any, kind: type, depth: int) -> str:
    """As `repr` writes it, for the standard ones; a subclass is told by its name."""
    name = kind.__name__
    if issubclass(kind, (dict, Mapping)):
        pairs = dict.items(value) if issubclass(kind, dict) else value.items()
        inner = "{" + _joined(f"{_describe(key, depth)}: {_describe(child, depth)}" for key, child in pairs) + "}"
        return inner if kind is dict else f"{name}({inner})"
    if issubclass(kind, types.SimpleNamespace):
        return f"namespace({_named(vars(value).items(), depth)})"
    if issubclass(kind, tuple):
        names = getattr(kind, "_fields", None)
        if names is not None:
            return f"{name}({_named(zip(names, tuple.__iter__(value), strict=True), depth)})"
        inner = f"({_listed(tuple.__iter__(value), depth)}{',' if len(value) == 1 else ''})"
        return inner if kind is tuple else f"{name}({inner})"
    if issubclass(kind, (set, frozenset)):
        # Sorted, since the order of a set differs from process to process.
        inner = "{" + _joined(sorted(_describe(item, depth) for item in value)) + "}" if value else ""
        return inner if kind is set and value else f"{name}({inner})"
    inner = f"[{_listed(value, depth)}]"
    return inner if kind is list else f"{name}({inner})"


def _listed(items: Iterable[Any], depth: int) -> str:
    return _joined(_describe(item, depth) for item in items)


def _named(pairs: Iterable[tuple[str, Any]], depth: int) -> str:
    return _joined(f"{name}={_describe(child, depth)}" for name, child in pairs)


def _joined(texts: Iterable[str]) -> str:
    """Broken off once it is longer than anybody is shown, so that a huge value costs no more than a long one."""
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
    return _is_dataclass(kind) and not hasattr(kind.__repr__, "__wrapped__")


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
    if value is None or kind in (bool, str):
        return value
    if kind is int:
        # `json` refuses those that are too long to be written out.
        return value if value.bit_length() < LONGEST_INTEGER else hex(value)
    if kind is float:
        return value if math.isfinite(value) else repr(value)
    if depth > MAX_DEPTH:
        return TOO_DEEP
    try:
        return _jsonable(value, kind, depth + 1)
    except Exception:  # noqa: BLE001 - a mapping, a property or an `__iter__` of the user's may raise anything
        return _without_address(describe(value))


#: Bits of a whole number that stays one in JSON.
LONGEST_INTEGER: Final = 2048


def _jsonable(value: Any, kind: type, depth: int) -> Any:
    simple = _JSON.get(kind) if is_scalar(kind) else None
    if simple is not None:
        return simple(value)
    if is_lazy(kind):
        return describe(value)
    if issubclass(kind, enum.Enum):
        return jsonable(value.value, depth)
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, Mapping):
        pairs = dict.items(value) if issubclass(kind, dict) else value.items()
        return {_json_key(key): jsonable(child, depth) for key, child in pairs}
    if issubclass(kind, (set, frozenset)):
        return sorted((jsonable(item, depth) for item in value), key=repr)
    if issubclass(kind, types.SimpleNamespace):
        return {name: jsonable(child, depth) for name, child in vars(value).items()}
    if issubclass(kind, _WALKABLE):
        return [jsonable(item, depth) for item in value]
    fields = _fields(kind)
    if fields is not None:
        return {name: jsonable(child, depth) for name, child in _shown_fields(value, fields)}
    return _without_address(describe(value))


def _json_key(key: object) -> str:
    return str.__str__(cast(str, key)) if issubclass(type(key), str) else _without_address(describe(key))


_JSON: Final[dict[type, Callable[[Any], Any]]] = {
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
