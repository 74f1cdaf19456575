"""The secrets in a value as texts, to be taken out of what others have written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, Final, cast

from sideeffects._core.values.describe import describe
from sideeffects._core.values.kinds import REDACTED, is_scalar, is_walkable
from sideeffects._core.values.parts import is_pair, named_beside, parts_of
from sideeffects._core.values.sensitive_names import is_sensitive


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
                items, named = parts_of(value, kind)
                last = [(items.pop(), True)] if is_pair(kind, items, more) else []
                waiting += [*((child, is_secret) for child in items), *last]
                beside = named_beside(dict(named), more) or None
                waiting += [(child, is_secret or name == beside or is_sensitive(name, more)) for name, child in named]


def _text_in(value: Any, kind: type) -> str:
    if kind is bytes:
        return cast(bytes, value).decode("utf-8", "replace")
    return value if kind is str else describe(value)


def scrub(text: str, secrets: Iterable[str]) -> str:
    """`text` without these secrets, as they are and as a `repr` escapes them, the longest first."""
    forms = {form for secret in secrets for form in (secret, repr(secret)[1:-1])}
    for secret in sorted(forms, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    return text
