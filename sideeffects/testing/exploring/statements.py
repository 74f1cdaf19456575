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
    strongest,
    table,
)

#: Quoted names are found as well, so that what looks like a string inside one begins none; they are left in.
_STRINGS: Final = re.compile(
    r"""("(?:[^"]|"")*"|`[^`]*`)|'(?:[^']|'')*'|\$(\w*)\$.*?\$\2\$|--[^\n]*|/\*.*?\*/""", re.DOTALL
)
_NAME: Final = re.compile(r'"((?:[^"]|"")+)"|`([^`]+)`|([^\W\d][\w$]*)')
_FIRST: Final = re.compile(r"[\s(]*([A-Za-z]+)")
_TARGETS: Final = re.compile(
    r"\b(?:insert(?:\s+ignore|\s+or\s+\w+)?\s+into|replace\s+into|"
    r"(?<!\bfor\s)(?<!\bdo\s)(?<!\bkey\s)update(?:\s+only)?|delete\s+from(?:\s+only)?|"
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
#: These concern the session alone, unless they name a table.
_LOCAL: Final = frozenset("savepoint release set show explain pragma declare close describe desc".split())
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
        has_snapshot: whether it surely sees by now what was committed before one moment, under REPEATABLE READ.
    """

    level: str
    is_by_hand: bool = False
    touched: set[tuple[Resource, Access]] = field(default_factory=set)
    has_read: bool = False
    has_snapshot: bool = False

    def end(self) -> None:
        """It was committed, or rolled back."""
        self.is_by_hand = self.has_read = self.has_snapshot = False
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
        takes_snapshot: whether a transaction under REPEATABLE READ sees, from here on, nothing that is committed later.
    """

    footprint: Footprint = NOTHING
    written: frozenset[str] | None = frozenset()
    changes_schema: bool = False
    ends: bool = False
    begins: bool = False
    takes_snapshot: bool = False


@functools.lru_cache(maxsize=4096)
def _words_of(sql: str) -> tuple[str, str, frozenset[str]]:
    """A statement without its strings, its first word, and all of its names."""
    bare = _STRINGS.sub(lambda found: found[1] or " '' ", sql)
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
    if first in _LOCAL and not names & catalog.tables.keys():
        if re.search(r"\bisolation\b", bare, re.IGNORECASE):
            transaction.level = "serializable"  # which is taken to see, and to be seen by, the most
        return Statement()
    writes = first in _WRITES or (first == "with" and _CHANGES.search(_LOCKS.sub("", bare)) is not None)
    targets = _targets(bare) if writes else set()
    if (
        not (writes or first in _READS)
        or _is_beyond_reading(sql, bare, catalog.vendor)
        or names & catalog.opaque
        or not targets <= catalog.tables.keys()
        or (_FAR.search(bare) and not writes)
        or re.search(r"\b(?:nextval|setval)\s*\(", bare, re.IGNORECASE)
    ):
        # It cannot be told, or acts beyond what it names.
        return Statement(everything(catalog.place), None)
    named = names & catalog.tables.keys()
    written: Iterable[str] = ()
    if writes:
        # MySQL's may change each table that they name.
        written = named if catalog.vendor == "mysql" and first in ("update", "delete") else targets or named
    if catalog.vendor == "postgresql" and transaction.level == "serializable":
        # Which of three transactions fails depends on who reads last, even where they read different tables.
        return Statement(everything(catalog.place), frozenset(catalog.affected(written)))
    locks = writes or _LOCKS.search(bare) is not None
    footprint = set(_reading(named, catalog, transaction, locks=locks, writes=writes, is_inside=is_inside))
    if writes:
        footprint |= _writing(written, catalog, is_inside)
    if _ADVISORY.search(bare):
        footprint.add((Resource("lock", catalog.place, ALL), Access.PUBLISH))
    takes_snapshot = catalog.vendor == "postgresql" or not locks  # InnoDB's locking reads see what is there now
    return Statement(strongest(footprint), frozenset(catalog.affected(written)), takes_snapshot=takes_snapshot)


def _is_beyond_reading(sql: str, bare: str, vendor: str) -> bool:
    """Whether a statement has what is not read here: escapes, several statements, MySQL's comments."""
    if "\\" in sql or ";" in bare.rstrip("; \t\r\n"):
        return True
    return vendor == "mysql" and ("#" in bare or re.search(r"/\*M?!", sql) is not None)


def _targets(bare: str) -> set[str]:
    return {target.rpartition(".")[2].strip('"`').lower() for target in _TARGETS.findall(bare)}


def _reading(
    named: Iterable[str], catalog: Catalog, transaction: Transaction, *, locks: bool, writes: bool, is_inside: bool
) -> set[tuple[Resource, Access]]:
    place, level = catalog.place, transaction.level
    if catalog.vendor == "sqlite":
        return {(table(place, ALL), Access.READ)}
    found = {(table(place, name), Access.READ) for name in named}
    if locks and not writes:
        found |= {(table(place, name), Access.LOCK) for name in named}
    if is_inside and level in ("repeatable read", "serializable") and not transaction.has_snapshot:
        found.add((table(place, ALL), Access.READ))
    # SERIALIZABLE locks what it reads, READ UNCOMMITTED sees what others are writing, and InnoDB locks what an
    # INSERT ... SELECT reads.
    if level in ("serializable", "read uncommitted") or (writes and catalog.vendor == "mysql"):
        found |= {(table(place, name), Access.SHARE) for name in named}
    return found


def _writing(written: Iterable[str], catalog: Catalog, is_inside: bool) -> set[tuple[Resource, Access]]:
    place = catalog.place
    if catalog.vendor == "sqlite":  # one lock for the whole file
        return {(table(place, ALL), Access.PUBLISH)}
    access = Access.LOCK if is_inside else Access.PUBLISH
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
