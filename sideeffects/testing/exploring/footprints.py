"""What a step touches, and whether the order of two steps can matter.

Within a transaction a write is seen by nobody until the commit, but it locks: so its order matters to other writes and
locks, while that of the commit matters to readers as well. Where nobody can tell what a step touches, it touches all.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Iterable
from typing import Final, NamedTuple


class Access(enum.IntEnum):
    """How a step touches a resource. What matters to one of these matters to all that follow it, too."""

    #: It sees what is committed.
    READ = 0
    #: It locks against writers, as a foreign key does with the row that it refers to.
    SHARE = 1
    #: It writes, or locks, and others see nothing of it yet.
    LOCK = 2
    #: Others see it from now on, or get what was locked.
    PUBLISH = 3


#: Stands for all tables of a database, and all keys of a cache.
ALL: Final = "*"


class Resource(NamedTuple):
    """A table, an advisory lock, a key of a cache, or the outside.

    Attributes:
        kind: which of these.
        place: in which database or cache.
        name: its name there; `ALL` for all of them.
    """

    kind: str
    place: str
    name: str


Footprint = frozenset[tuple[Resource, Access]]

NOTHING: Final[Footprint] = frozenset()
#: Effects and what `step` names: what they share is not known, so their order counts.
OUTSIDE: Final[Footprint] = frozenset({(Resource("outside", "", ""), Access.PUBLISH)})

_MATTERS: Final = frozenset(
    {
        (Access.READ, Access.PUBLISH),
        (Access.SHARE, Access.LOCK),
        (Access.SHARE, Access.PUBLISH),
        (Access.LOCK, Access.LOCK),
        (Access.LOCK, Access.PUBLISH),
        (Access.PUBLISH, Access.PUBLISH),
    }
)


def table(place: str, name: str) -> Resource:
    """A table of a database; `ALL` for all of them."""
    return Resource("table", place, name)


def everything(place: str) -> Footprint:
    """Whatever a database has: its tables and its advisory locks."""
    return frozenset({(table(place, ALL), Access.PUBLISH), (Resource("lock", place, ALL), Access.PUBLISH)})


@functools.lru_cache(maxsize=65536)
def matters(one: Footprint, other: Footprint) -> bool:
    """Whether two steps of different racers may give something else in the other order."""
    return any(
        (min(first, second), max(first, second)) in _MATTERS
        for here, first in one
        for there, second in other
        if here.kind == there.kind and here.place == there.place and _is_same(here.name, there.name)
    )


def _is_same(one: str, other: str) -> bool:
    return one == other or ALL in (one, other)


def strongest(touched: Iterable[tuple[Resource, Access]]) -> Footprint:
    """Of each resource the strongest access, which says all that the others do."""
    found: dict[Resource, Access] = {}
    for resource, access in touched:
        found[resource] = max(access, found.get(resource, access))
    return frozenset(found.items())


def released(touched: Iterable[tuple[Resource, Access]]) -> Footprint:
    """What the end of a transaction touches that has touched this: what it wrote is seen, what it locked is free."""
    return frozenset(
        (resource, Access.SHARE if access is Access.SHARE else Access.PUBLISH)
        for resource, access in touched
        if access is not Access.READ
    )
