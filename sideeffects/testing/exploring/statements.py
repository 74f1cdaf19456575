"""What a statement touches, told from its words and the database's catalog.

Each name in it that is a table's counts as touched, whatever it stands for there; what calls functions of the database
or names a view touches everything. So it touches more, now and then, than it truly does, and never less.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from sideeffects.testing.exploring.catalog import Catalog
from sideeffects.testing.exploring.footprints import (
    ALL,
    NOTHING,
    Access,
    Footprint,
    Resource,
    everything,
    released,
    table,
)

_STRINGS: Final = re.compile(r"'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$|--[^\n]*|/\*.*?\*/", re.DOTALL)
_NAME: Final = re.compile(r'"((?:[^"]|"")+)"|`([^`]+)`|([A-Za-z_]\w*)')
_FIRST: Final = re.compile(r"[\s(]*([A-Za-z]+)")
_TARGETS: Final = re.compile(
    r"\b(?:insert(?:\s+ignore|\s+or\s+\w+)?\s+into|replace\s+into|update(?:\s+only)?|delete\s+from(?:\s+only)?|"
    r"merge\s+into)\s+((?:\"[^\"]+\"|`[^`]+`|\w+)(?:\.(?:\"[^\"]+\"|`[^`]+`|\w+))?)",
    re.IGNORECASE,
)
_CHANGES: Final = re.compile(r"\b(?:insert|update|delete|replace|merge)\b", re.IGNORECASE)
_LOCKS: Final = re.compile(
    r"\bfor\s+(?:no\s+key\s+update|update|key\s+share|share)\b|\block\s+in\s+share\s+mode\b", re.IGNORECASE
)
_ADVISORY: Final = re.compile(
    r"\b(?:pg_\w*advisory\w*|get_lock|release_(?:all_)?locks?|is_(?:free|used)_lock)\s*\(", re.IGNORECASE
)
#: What acts beyond the tables that it names.
_FAR: Final = re.compile(
    r"\b(?:nextval|setval|pg_notify|lo_\w+|dblink\w*|query_to_xml\w*|table_to_xml\w*|set_config)\s*\(|\binto\b",
    re.IGNORECASE,
)
_READS: Final = frozenset("select with values table".split())
_WRITES: Final = frozenset("insert update delete replace merge".split())
#: These concern the session alone.
_LOCAL: Final = frozenset("savepoint release set show explain pragma declare fetch move close describe desc".split())
_BEGINS: Final = frozenset("begin start".split())
_ENDS: Final = frozenset("commit end rollback abort".split())
_SCHEMA: Final = frozenset(
    "create alter drop rename comment grant revoke reindex vacuum cluster refresh optimize repair analyze attach "
    "detach reassign security".split()
)


@dataclass(slots=True)
class Transaction:
    """What a connection's transaction has done so far.

    Attributes:
        level: its isolation level, in lower case.
        is_by_hand: whether a statement has begun it, rather than Django.
        touched: what it has touched.
        has_read: whether a statement has gone well in it.
    """

    level: str
    is_by_hand: bool = False
    touched: set[tuple[Resource, Access]] = field(default_factory=set)
    has_read: bool = False

    def end(self) -> None:
        """It was committed, or rolled back."""
        self.is_by_hand = self.has_read = False
        self.touched.clear()

    def footprint_of_end(self, catalog: Catalog) -> Footprint:
        """What its commit or rollback touches."""
        if self.touched and (self.level == "serializable" or catalog.vendor == "sqlite"):
            return everything(catalog.place)
        return released(self.touched)


@dataclass(frozen=True, slots=True)
class Statement:
    """What one statement is about.

    Attributes:
        footprint: what it touches.
        written: the tables that it may change; `None` for all.
        changes_schema: whether it changes tables themselves.
        ends: whether it ends the transaction.
        begins: whether it begins one.
    """

    footprint: Footprint = NOTHING
    written: frozenset[str] | None = frozenset()
    changes_schema: bool = False
    ends: bool = False
    begins: bool = False


@functools.lru_cache(maxsize=4096)
def _words_of(sql: str) -> tuple[str, str, frozenset[str]]:
    """A statement without its strings, its first word, and all of its names."""
    bare = _STRINGS.sub(" '' ", sql)
    found = _FIRST.match(bare)
    names = frozenset("".join(name).lower() for name in _NAME.findall(bare))
    return bare, found[1].lower() if found else "", names


def looked_at(sql: str, catalog: Catalog, transaction: Transaction, *, is_inside: bool) -> Statement:
    """What a statement touches.

    Args:
        sql: the statement.
        catalog: its database's.
        transaction: of the connection that sends it.
        is_inside: whether it is sent inside a transaction.
    """
    bare, first, names = _words_of(sql)
    if first in _SCHEMA:
        return Statement(changes_schema=True)
    if first in _BEGINS:
        waits = re.search(r"\b(?:immediate|exclusive)\b", bare, re.IGNORECASE) is not None
        return Statement(everything(catalog.place) if waits else NOTHING, begins=True)
    if first in _ENDS:
        is_partial = re.search(r"\bto\b", bare, re.IGNORECASE) is not None
        return Statement(transaction.footprint_of_end(catalog), ends=not is_partial)
    if first in _LOCAL:
        if re.search(r"\bisolation\b", bare, re.IGNORECASE):
            transaction.level = "serializable"
        return Statement()
    writes = first in _WRITES or (first == "with" and _CHANGES.search(_LOCKS.sub("", bare)) is not None)
    if (
        "\\" in sql
        or ";" in bare.rstrip("; \t\r\n")
        or not (writes or first in _READS)
        or names & catalog.opaque
        or (_FAR.search(bare) and not writes)
        or re.search(r"\b(?:nextval|setval)\s*\(", bare, re.IGNORECASE)
    ):
        # It cannot be told, or acts beyond what it names.
        return Statement(everything(catalog.place), None)
    named = names & catalog.tables.keys()
    footprint = set(_reading(bare, named, catalog, transaction, is_inside))
    written: Iterable[str] = ()
    if writes:
        written = _targets(bare, catalog) or named
        footprint |= _writing(written, catalog, transaction, is_inside)
    if _ADVISORY.search(bare):
        footprint.add((Resource("lock", catalog.place, ALL), Access.PUBLISH))
    return Statement(frozenset(footprint), frozenset(catalog.affected(written)))


def _targets(bare: str, catalog: Catalog) -> set[str]:
    found = (target.rpartition(".")[2].strip('"`').lower() for target in _TARGETS.findall(bare))
    return {name for name in found if name in catalog.tables}


def _reading(
    bare: str, named: Iterable[str], catalog: Catalog, transaction: Transaction, is_inside: bool
) -> set[tuple[Resource, Access]]:
    place = catalog.place
    if catalog.vendor == "sqlite":
        return {(table(place, ALL), Access.READ)}
    found = {(table(place, name), Access.READ) for name in named}
    if _LOCKS.search(bare):
        found |= {(table(place, name), Access.LOCK) for name in named}
    if is_inside and transaction.level == "serializable":
        found.add((table(place, ALL), Access.READ))
        if catalog.vendor == "mysql":
            found |= {(table(place, name), Access.SHARE) for name in named}
    elif is_inside and transaction.level == "repeatable read" and not transaction.touched:
        found.add((table(place, ALL), Access.READ))  # from here on it sees nothing that is committed later
    return found


def _writing(
    written: Iterable[str], catalog: Catalog, transaction: Transaction, is_inside: bool
) -> set[tuple[Resource, Access]]:
    place = catalog.place
    if catalog.vendor == "sqlite":  # one lock for the whole file
        return {(table(place, ALL), Access.PUBLISH)}
    access = Access.LOCK if is_inside and transaction.level != "read uncommitted" else Access.PUBLISH
    affected = catalog.affected(written)
    found = {(table(place, name), access) for name in affected}
    for name in affected:
        found |= {(table(place, parent), Access.SHARE) for parent in catalog.tables[name].parents - affected}
    return found


_VARYING: Final = re.compile(r"'(?:[^']|'')*'|\b\d+(?:\.\d+)?\b", re.IGNORECASE)
_SAVEPOINT: Final = re.compile(r"[\"`]?\bs\d+_x\d+\b[\"`]?")


@functools.lru_cache(maxsize=4096)
def shape_of(sql: str) -> str:
    """A statement without its values: the same each time that the same code sends it."""
    return " ".join(_SAVEPOINT.sub("?", _VARYING.sub("?", sql)).split())
