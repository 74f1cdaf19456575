"""Which held calls are meant: by number, by effect, by argument, by state."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from django.db.models import Q, QuerySet

from sideeffects._core.calls.registry import glob_matcher, is_glob, matches, registry
from sideeffects._core.values.close_names import did_you_mean
from sideeffects._core.values.kinds import REDACTED
from sideeffects.errors import SideEffectError
from sideeffects.outbox.keeping import alias
from sideeffects.outbox.models import HeldCall
from sideeffects.outbox.states import State


class UnknownChoice(SideEffectError):
    """A number, a name or a condition that means nothing."""


def held_calls() -> QuerySet[HeldCall]:
    """All calls of the outbox, the oldest first."""
    return HeldCall.objects.using(alias()).order_by("pk")


def chosen(
    numbers: Sequence[str] = (),
    *,
    effects: Sequence[str] = (),
    where: Sequence[str] = (),
    states: Iterable[State] | None = None,
) -> list[int]:
    """The primary keys of the calls that are all of this, the oldest first.

    Args:
        numbers: what the listing shows of them, or their call ids; empty for any.
        effects: names of effects, or globs; empty for any.
        where: conditions on arguments, as `name=value`, `name=glob` or `name.key=value`; all of them must hold.
        states: empty for any.

    Raises:
        UnknownChoice: a number or name that the outbox does not have, or a condition that is none.
    """
    found = held_calls()
    if numbers:
        found = found.filter(pk__in=_by_number(numbers))
    if effects:
        found = found.filter(effect__in=_named(effects))
    if states is not None:
        found = found.filter(state__in=list(states))
    if not where:
        return list(found.values_list("pk", flat=True))
    conditions = [_condition(text) for text in where]
    rows = found.values_list("pk", "shown").iterator(chunk_size=_CHUNK)
    return [pk for pk, shown in rows if _fits(json.loads(shown), conditions)]


def read(ids: Sequence[int]) -> Iterator[HeldCall]:
    """The rows of these primary keys, the oldest first, read a part at a time."""
    for start in range(0, len(ids), _CHUNK):
        yield from held_calls().filter(pk__in=ids[start : start + _CHUNK])


def states() -> Iterator[tuple[int, str, int]]:
    """Of each call its primary key, its state and how often it has run."""
    return held_calls().values_list("pk", "state", "attempts").iterator(chunk_size=_CHUNK)


#: As many rows as are read at once.
_CHUNK: Final = 500


def _by_number(numbers: Sequence[str]) -> list[int]:
    found: list[int] = []
    for number in numbers:
        rows = held_calls().filter(Q(pk=int(number)) if number.isdecimal() else Q(call_id=number))
        pk = rows.values_list("pk", flat=True).first()
        if pk is None:
            raise UnknownChoice(f"the outbox has no call {number}")
        found.append(pk)
    return found


def _named(patterns: Sequence[str]) -> list[str]:
    names = sorted(set(held_calls().order_by().values_list("effect", flat=True).distinct()))
    found: list[str] = []
    for pattern in patterns:
        meant = [name for name in names if matches(pattern, name)]
        if not meant and not any(matches(pattern, name) for name in registry):
            known = sorted({*names, *registry})
            raise UnknownChoice(f"{pattern!r} is no effect that has calls here{did_you_mean(pattern, known)}")
        found += meant
    return found


# -- conditions on arguments


def _condition(text: str) -> tuple[list[str], str]:
    path, sign, value = text.partition("=")
    if not sign or not path:
        raise UnknownChoice(f"--where takes name=value, such as 'to=*@example.com', not {text!r}")
    return path.split("."), value


def _fits(shown: Mapping[str, Any], conditions: Sequence[tuple[list[str], str]]) -> bool:
    return all(_agrees(_at(shown["arguments"], path), value, ".".join(path)) for path, value in conditions)


def _at(value: Any, path: Sequence[str]) -> Any:
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return _NOTHING
        value = value[key]
    return value


_NOTHING: Final = object()


def _agrees(value: Any, wanted: str, path: str) -> bool:
    """Whether an argument is what was asked for: a text by glob, anything else as JSON writes it."""
    if value == REDACTED:
        raise UnknownChoice(f"--where cannot ask for {path}: it is sensitive, and the outbox keeps it encrypted")
    if isinstance(value, list):
        return any(_agrees(item, wanted, path) for item in value)
    if value is _NOTHING or isinstance(value, dict):
        return False
    text = value if isinstance(value, str) else json.dumps(value)
    return text == wanted or (is_glob(wanted) and glob_matcher(wanted)(text) is not None)
