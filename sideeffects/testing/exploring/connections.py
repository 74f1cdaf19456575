"""Statements, COMMIT and ROLLBACK are steps: racers' connections stop before them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection
from typing import Any, Final, Self

from sideeffects._core.state.state import state
from sideeffects._core.values.sensitive_names import is_sensitive
from sideeffects.database.sql import statement_text
from sideeffects.errors import RaceError
from sideeffects.testing.exploring import isolation
from sideeffects.testing.exploring.catalog import Catalog
from sideeffects.testing.exploring.racer import Racer, Step, racer_here
from sideeffects.testing.exploring.statements import Statement, Transaction, looked_at, shape_of


class Hooked:
    """One connection of a racer's.

    Attributes:
        connection: Django's.
        catalog: its database's.
        transaction: what it has done so far.
        session: the number by which the server knows it; `None` for SQLite.
    """

    def __init__(self, connection: Any, racer: Racer, catalog: Catalog, level: str, wanted: str | None) -> None:
        self.connection = connection
        self.catalog = catalog
        self.transaction = Transaction(level)
        self.session: int | None = None
        self._first = racer
        self._level = level
        self._wanted = wanted
        connection.execute_wrappers.append(self._execute)
        for name in ("_commit", "_rollback"):
            setattr(connection, name, self._ending(name, getattr(connection, name)))

    def _racer(self) -> Racer:
        """The racer that uses it now: threads of a pool work for one and then for another."""
        return racer_here() or self._first

    def is_inside(self) -> bool:
        """Whether a transaction is open."""
        return bool(self.connection.in_atomic_block or not self.connection.autocommit or self.transaction.is_by_hand)

    def connected(self) -> None:
        """It has a new session."""
        self.transaction = Transaction(self._level)
        self.session = isolation.prepare(self.connection, self._wanted)

    def _execute(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        text = statement_text(sql, self.connection.connection)
        seen = looked_at(text, self.catalog, self.transaction, is_inside=self.is_inside())
        refuse_schema_changes(text, seen)
        shown = functools.partial(_filled, text, params, many)
        step = Step("sql", shown, seen.footprint, shape=shape_of(text), connection=self, written=seen.written)
        self._racer().stop_before(step)
        if self.is_inside():  # what fails keeps locks, too
            self.transaction.touched |= seen.footprint
        result = self._patiently(functools.partial(execute, sql, params, many, context))
        self._note(seen)
        return result

    def _note(self, seen: Statement) -> None:
        if seen.ends:
            self.transaction.end()
            return
        if seen.begins:
            self.transaction.is_by_hand = not self.connection.in_atomic_block
        elif self.is_inside():
            self.transaction.has_read = True
            self.transaction.has_snapshot |= seen.takes_snapshot

    def _patiently(self, act: Callable[[], Any]) -> Any:
        """SQLite waits by trying again; as here, it does so only while it has no lock that another may wait for."""
        while True:
            try:
                return act()
            except Exception as error:
                if not is_busy(error) or self.transaction.has_read or not self._racer().wait_until_free():
                    raise

    def _ending(self, name: str, original: Callable[[], Any]) -> Callable[[], Any]:
        kind = name.strip("_")

        def end() -> Any:
            footprint = self.transaction.footprint_of_end(self.catalog)
            self._racer().stop_before(Step(kind, kind.upper, footprint, connection=self))
            self.transaction.has_read = False  # a commit waits for readers, whatever it has read
            result = self._patiently(original)
            self.transaction.end()
            return result

        return end


def refuse_schema_changes(text: str, seen: Statement) -> None:
    """Refuse what no row put back would take back.

    Raises:
        RaceError: the statement changes tables.
    """
    if seen.changes_schema:
        raise RaceError(
            f"this statement changes tables, which cannot be taken back between two orders: {text[:200]}. "
            f"Do it before the race"
        )


def is_busy(error: BaseException) -> bool:
    """Whether SQLite says that somebody else has the lock."""
    cause = error.__cause__
    name = getattr(cause, "sqlite_errorname", getattr(error, "sqlite_errorname", ""))
    return name == "SQLITE_BUSY"


_WORD: Final = re.compile(r"\w+")


def _filled(sql: str, params: Any, many: bool) -> str:
    """The statement as it reads with its values, for people; without these where one may be a secret."""
    more = state.rules_source().sensitive
    if not params or many or any(is_sensitive(name, more) for name in _WORD.findall(sql)):
        return sql
    try:
        return sql % tuple(f"'{value}'" if isinstance(value, str) else str(value) for value in params)
    except (TypeError, ValueError):
        return sql


class Watch:
    """Hooks each connection that a racer opens, in whichever of its threads.

    Args:
        catalogs: by alias; others are refused.
        level: the isolation level to set; `None` leaves it.
        levels: by alias, the level that holds.
    """

    def __init__(self, catalogs: dict[str, Catalog], level: str | None, levels: dict[str, str]) -> None:
        self._catalogs: Final = catalogs
        self._level: Final = level
        self._levels: Final = levels

    def __enter__(self) -> Self:
        from django.db.backends.signals import connection_created

        connection_created.connect(self._created, weak=False, dispatch_uid="sideeffects.exploring")
        return self

    def __exit__(self, *_: object) -> None:
        from django.db.backends.signals import connection_created

        connection_created.disconnect(dispatch_uid="sideeffects.exploring")

    def _created(self, connection: Any, **_: Any) -> None:
        racer = racer_here()
        if racer is None:
            return
        catalog = self._catalogs.get(connection.alias)
        if catalog is None:
            connection.close()
            raise RaceError(
                f"this racer may not use the database {connection.alias!r}: the race explores "
                f"{_listed(self._catalogs)}. Race(databases=[...]) names what it uses"
            )
        hooked = next((one for one in racer.connections if one.connection is connection), None)
        if hooked is None:
            level = self._level or self._levels[connection.alias]
            hooked = Hooked(connection, racer, catalog, level, self._level)
            racer.connections.append(hooked)
        hooked.connected()


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "no database"
