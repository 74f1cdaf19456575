"""What must not be seen: values under sensitive names, redacted, and taken out of texts that others have written.

It fails closed. What is too deep reads `[too deep]`, because a secret may stand below; what cannot be looked through is
redacted as a whole.
"""

from __future__ import annotations

import collections
import contextlib
import copy
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, cast

from sideeffects._core.values.describe import describe
from sideeffects._core.values.kinds import (
    CIRCULAR,
    MAX_DEPTH,
    REDACTED,
    SCALARS,
    TOO_DEEP,
    dict_base,
    fields_of,
    held_in,
    holding,
    is_holder,
    is_scalar,
    is_walkable,
    refill,
)
from sideeffects._core.values.sensitive_names import is_sensitive


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
        #: How often something was replaced, and how often because it was too deep.
        self._hits = 0
        self._cuts = 0
        #: What has been walked through: each object once, however many paths lead to it, and again only where it stands
        #: less deep than when something below it was too deep. With the object, so that no id comes again.
        self._memo: dict[int, tuple[Any, Any, int, int, int]] = {}

    def of(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind in SCALARS or not is_walkable(kind):
            return value
        if depth > MAX_DEPTH:
            self._cuts += 1
            return self._instead(TOO_DEEP)
        key = id(value)
        if key in self._above:
            return self._instead(CIRCULAR)
        known = self._memo.get(key)
        if known is not None and (not known[3] or depth >= known[4]):
            self._hits += known[2]
            self._cuts += known[3]
            return known[1]
        hits, cuts = self._hits, self._cuts
        self._above.add(key)
        try:
            twin = self._container(value, kind, depth)
        except Exception:  # noqa: BLE001 - what cannot be looked through is not shown
            twin = self._instead(REDACTED)
        finally:
            self._above.discard(key)
        self._memo[key] = value, twin, self._hits - hits, self._cuts - cuts, depth
        return twin

    def _instead(self, marker: str) -> str:
        self._hits += 1
        return marker

    def _named(self, name: object, child: Any, depth: int) -> Any:
        if is_sensitive(name, self._more):
            return self._instead(REDACTED)
        return child if type(child) in SCALARS else self.of(child, depth + 1)

    def _items(self, items: Iterable[Any], depth: int) -> list[Any]:
        """Headers and form data often come as `(name, value)` pairs: the value of a sensitive name is hidden."""
        children = list(items)
        if len(children) == len(("name", "value")) and is_sensitive(children[0], self._more):
            return [children[0], self._instead(REDACTED)]
        below = depth + 1
        return [child if type(child) in SCALARS else self.of(child, below) for child in children]

    def _container(self, value: Any, kind: type, depth: int) -> Any:
        if issubclass(kind, dict):
            base = dict_base(kind)
            pairs = [(key, self._named(key, child, depth)) for key, child in base.items(value)]
            twin = _shallow_dict(value, kind)
            refill(base, twin, pairs)
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
        if is_holder(kind):
            return self._holder(value, depth)
        fields = fields_of(kind)
        if fields is not None:
            twin = copy.copy(value)
            for name in fields:
                if hasattr(value, name):
                    object.__setattr__(twin, name, self._named(name, getattr(value, name), depth))
            return twin
        return self._foreign(value, kind, depth)

    def _holder(self, value: Any, depth: int) -> Any:
        before = self._hits
        items, named = held_in(value)
        shown = self._items(items, depth), {name: self._named(name, child, depth) for name, child in named.items()}
        return value if self._hits == before else holding(value, *shown)

    def _foreign(self, value: Any, kind: type, depth: int) -> Any:
        """A mapping or a view of somebody else's making: itself where it hides nothing, else its plain twin."""
        before = self._hits
        shown: Any
        if issubclass(kind, Mapping):
            shown = {key: self._named(key, child, depth) for key, child in value.items()}
        else:
            shown = self._items(value, depth)
        return value if self._hits == before else shown


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
    yield from _secrets(value, more, False)


SHORTEST_SECRET: Final = 4


def texts_in(value: Any) -> Iterator[str]:
    """All texts in a value that is secret as a whole; as `secrets_in`."""
    yield from _secrets(value, frozenset(), True)


def _secrets(value: Any, more: frozenset[str], is_secret: bool) -> Iterator[str]:
    """However deep they are: a message may quote what is never shown."""
    waiting = [(value, is_secret)]
    seen: dict[tuple[int, bool], Any] = {}  # with the values, so that no id comes again
    while waiting:
        value, is_secret = waiting.pop()
        kind = type(value)
        if is_scalar(kind):
            if is_secret:
                text = _text_in(value, kind)
                if len(text) >= SHORTEST_SECRET and kind not in (bool, type(None)):
                    yield text
        elif is_walkable(kind) and (id(value), is_secret) not in seen:
            seen[id(value), is_secret] = value
            with contextlib.suppress(Exception):  # what cannot be looked through is not shown either
                children = _children(value, kind, more)
                waiting += [(child, is_secret or is_sensitive(name, more)) for name, child in children]


def _text_in(value: Any, kind: type) -> str:
    if kind is bytes:
        return cast(bytes, value).decode("utf-8", "replace")
    return value if kind is str else describe(value)


def _children(value: Any, kind: type, more: frozenset[str]) -> Iterable[tuple[object, Any]]:
    """What a value holds, each with its name; without one it is `None`."""
    if issubclass(kind, dict):
        return list(dict.items(value))
    if issubclass(kind, types.SimpleNamespace):
        return list(vars(value).items())
    if is_holder(kind):
        items, named = held_in(value)
        return [*((None, child) for child in items), *named.items()]
    fields = fields_of(kind)
    if fields is not None:
        return [(name, getattr(value, name, None)) for name in fields]
    if issubclass(kind, Mapping):
        return list(value.items())
    children = list(value)
    names = getattr(kind, "_fields", None)
    if names is not None:
        return list(zip(names, children, strict=True))
    if len(children) == len(("name", "value")) and is_sensitive(children[0], more):
        return [(children[0], children[1])]
    return [(None, child) for child in children]


def scrub(text: str, secrets: Iterable[str]) -> str:
    """`text` without these secrets, as they are and as a `repr` escapes them, the longest first."""
    forms = {form for secret in secrets for form in (secret, repr(secret)[1:-1])}
    for secret in sorted(forms, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    return text
