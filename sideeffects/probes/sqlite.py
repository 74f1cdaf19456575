"""SQLite's connections below Django: one that is borrowed has an authorizer, one that is made for probes a class."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from sideeffects.database.sql import statement_text, writes
from sideeffects.probes.drivers import Driver, Looking, Terms, Watch
from sideeffects.probes.turns import turns

#: What SQLite asks its authorizer about, where nothing is written.
_READS: Final = frozenset(
    (
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_PRAGMA,
        sqlite3.SQLITE_DETACH,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_SAVEPOINT,
        sqlite3.SQLITE_RECURSIVE,
    )
)
_CUT_SECONDS: Final = 2.0
_INTERRUPT_SECONDS: Final = 0.005
_ATTEMPTS: Final = 100


class BorrowedSQLite(Driver):
    """A connection of `sqlite3` that others use after the probe: its authorizer is asked what may be done."""

    def hold(self) -> None:
        """Be asked."""
        self.raw.set_authorizer(self._authorize)

    def begin(self, connection: Any, terms: Terms) -> None:  # noqa: ARG002 - SQLite knows no such terms
        """As Django begins it, without its cursors."""
        _begin_sqlite(connection)

    def end(self, connection: Any) -> None:  # noqa: ARG002 - as others do
        """Roll it back."""
        self.raw.rollback()

    def release(self) -> None:
        """Stop being asked."""
        self.raw.set_authorizer(None)

    def _authorize(self, action: int, what: str | None, *_: object) -> int:
        if self.watch.is_ours:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_TRANSACTION:
            self.watch.note(f"{what}")
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_DENY if action not in _READS and self.watch.is_read_only else sqlite3.SQLITE_OK


class OwnSQLite(Looking):
    """A connection of `sqlite3` that was made for probes (`factory_for`).

    It has no authorizer. SQLite keeps a lock while it asks one, and Python keeps its own while it waits for SQLite's in
    many places: two threads at one connection, as when a probe hangs, might then wait for each other for ever.
    """

    def __init__(self, raw: Any, watch: Watch) -> None:
        super().__init__(raw, watch)
        self._lock = threading.Lock()
        self._settling: threading.Thread | None = None
        self._is_released = False
        self._writes = False

    def hold(self) -> None:
        """Look at each statement."""
        self.raw.driver = self

    def release(self) -> None:
        """Stop looking. It may be closed when this returns: nothing else uses it by then."""
        with self._lock:
            self._is_released = True
            settling = self._settling
        if settling is not None:
            settling.join()
        self.raw.driver = None

    def begin(self, connection: Any, terms: Terms) -> None:
        """As Django begins it, without its cursors."""
        self._writes = False
        if getattr(connection, "transaction_mode", None):  # IMMEDIATE and EXCLUSIVE are for writing
            turns.take(self.watch, terms.waiting())
        _begin_sqlite(connection)

    def before(self, method: str, query: Any, cursor: Any, options: Mapping[str, Any]) -> tuple[Any, None]:
        """Look at it, and wait for those who write."""
        looked = super().before(method, query, cursor, options)
        if not self._writes and not self.watch.is_ours and writes(statement_text(query, self.raw)):
            turns.take(self.watch, self.watch.terms.waiting())
            self._writes = True
        return looked

    def end(self, connection: Any) -> None:  # noqa: ARG002 - as others do
        """Roll it back."""
        sqlite3.Connection.rollback(self.raw)

    def cut(self) -> None:
        """Roll back, and refuse further writes. It is not closed: its thread may be inside it."""
        with self._lock:
            if self._is_released:
                return
            # From Python 3.14 on, waiting for SQLite's lock keeps Python's: what runs has to let go first.
            self.raw.interrupt()
            time.sleep(_INTERRUPT_SECONDS)
            settling = self._settling = threading.Thread(target=self._settle, name="probe rollback", daemon=True)
            settling.start()
        until = time.monotonic() + _CUT_SECONDS
        while settling.is_alive() and time.monotonic() < until:
            self.raw.interrupt()  # what the other thread runs, or begins in the meantime
            settling.join(_INTERRUPT_SECONDS)

    def _settle(self) -> None:
        for _ in range(_ATTEMPTS):  # an interruption may be meant for the other thread, and hit this one
            with contextlib.suppress(Exception):
                _plainly(self.raw, "PRAGMA query_only = ON")
                sqlite3.Connection.rollback(self.raw)
                return


def _plainly(raw: Any, sql: str) -> None:
    """Execute by a cursor that nobody looks at."""
    sqlite3.Connection.cursor(raw).execute(sql)


def _begin_sqlite(connection: Any) -> None:
    mode = getattr(connection, "transaction_mode", None)
    _plainly(connection.connection, f"BEGIN {mode}" if mode else "BEGIN")


def factory_for(factory: Any) -> Any:
    """A class of SQLite's connections whose every way to a statement or a commit can be looked at."""

    class Held(factory):  # type: ignore[misc]
        driver: OwnSQLite | None = None

        def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
            return super().cursor(factory if self.driver is None else self.driver.looking[factory])

        def execute(self, *arguments: Any) -> Any:
            return self.cursor().execute(*arguments)

        def executemany(self, *arguments: Any) -> Any:
            return self.cursor().executemany(*arguments)

        def executescript(self, *arguments: Any) -> Any:
            return self.cursor().executescript(*arguments)

        def commit(self) -> None:
            self._ask("commit() of the driver's connection")
            super().commit()

        def rollback(self) -> None:
            self._ask("rollback() of the driver's connection")
            super().rollback()

        def __exit__(self, *arguments: object) -> Any:
            self._ask("leave a block of the driver's connection")
            return super().__exit__(*arguments)

        def __setattr__(self, name: str, value: Any) -> None:
            if name in ("isolation_level", "autocommit"):
                self._ask(f"set {name} of the driver's connection")
            super().__setattr__(name, value)

        def _ask(self, what: str) -> None:
            if self.driver is not None and not self.driver.watch.is_ours:
                self.driver.refuse(what)

    return Held
