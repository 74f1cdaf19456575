"""SQLite: one transaction around everything, which the library itself is told to keep open.

SQLite asks an authorizer before it compiles a statement. This one refuses BEGIN, COMMIT and ROLLBACK, by whatever way
they come: statements, `commit()` of the driver's connection, scripts.

Outside a transaction of the command's own, each statement is one. SQLite undoes a statement that fails by itself; what
fails at the commit alone, foreign keys that point nowhere, is asked for (`sqlite_deferred_keys.py`) and undone here.
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, Final

from sideeffects.dryrun.drivers import MARK, Given, Link, Look
from sideeffects.dryrun.schema import SQLITE, Schema
from sideeffects.dryrun.sqlite_deferred_keys import Debts

_CHANGES: Final = frozenset((sqlite3.SQLITE_DELETE, sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE))


class SqliteLink(Link):
    """A connection of `sqlite3`."""

    _total = 0
    #: In a transaction of somebody else's, what it owes is its own business.
    _debts: Debts | None = None
    _may_owe = False
    _has_mark = False
    #: A statement that returns rows is counted when they have been fetched: its target, and the count before it.
    _returning: tuple[tuple[str, str], int] | None = None

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self._schema = Schema(self._ask, SQLITE, given.tally, given.remarks)

    def _ask(self, sql: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self.raw.execute(sql).fetchall()
        return rows

    def begin(self) -> None:
        """Begin it, or make a savepoint in the one that there is."""
        if not self.given.is_nested:
            self.run("BEGIN")
        self.run(f"SAVEPOINT {self.hold}")
        # SQLite lets nobody replace a database by `backup()` that is being read, and it asks no authorizer about that.
        self.raw.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
        self._total = self.raw.total_changes
        if self.given.connection.allow_thread_sharing:
            # SQLite keeps a lock while it asks, and Python keeps its own while it waits for SQLite's in many places:
            # two threads at one connection might wait for each other for ever.
            return
        if not self.given.is_nested:
            self._debts = Debts(self.raw)
        self.raw.set_authorizer(self.authorize)

    def run(self, sql: str) -> None:
        """Execute a statement of our own."""
        self.raw.execute(sql)

    def count(self) -> None:
        """What the statements did not account for is unattributed."""
        if not self.raw.in_transaction:
            self.lost()
        self._settle()
        self._schema.compare()
        own = 0 if self._debts is None else self._debts.changes
        self.given.tally.set_total(self.raw.total_changes - self._total - own)

    def end(self) -> None:
        """Roll it back."""
        outer = self.given.outer
        self.raw.set_authorizer(outer.authorize if isinstance(outer, SqliteLink) else None)
        if self.given.is_nested:
            self.run(f"ROLLBACK TO SAVEPOINT {self.hold}")
            self.run(f"RELEASE SAVEPOINT {self.hold}")
        elif self.raw.in_transaction:
            self.run("ROLLBACK")
        with contextlib.suppress(sqlite3.Error):
            self._schema.count_lost()

    def authorize(self, action: int, what: str | None, *_: object) -> int:
        """What SQLite asks before it compiles a statement."""
        if action == sqlite3.SQLITE_TRANSACTION:
            self.given.refusals.note(f"{what} without Django was refused (database {self._alias!r})")
            return sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_ATTACH:
            self.given.refusals.note(
                f"ATTACH {what!r} was refused: no rollback takes back the file, or the attaching (database "
                f"{self._alias!r})"
            )
            return sqlite3.SQLITE_DENY
        if action in _CHANGES and not self.raw.in_transaction:  # a conflict has ended it: `INSERT OR ROLLBACK`
            self.lost()
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK

    @property
    def may_be_kept(self) -> bool:
        """What is shared between threads has no authorizer; elsewhere nobody can commit."""
        return bool(self.given.connection.allow_thread_sharing)

    def maker(self) -> Callable[[], Any] | None:
        """Such cursors at once, where it is known which Django makes."""
        from django.db.backends.sqlite3 import base

        kind = type(self.given.connection)
        if self.given.outer is not None or kind.create_cursor is not base.DatabaseWrapper.create_cursor:
            return None
        return functools.partial(self.raw.cursor, self.classes[base.SQLiteCursorWrapper])

    # -- the command's own transactions

    def begin_own(self) -> None:
        """Begin it."""
        if self._has_mark:
            self._has_mark = False
            self.run(f"RELEASE SAVEPOINT {MARK}")
        super().begin_own()

    def commit(self) -> None:
        """Check what a commit checks."""
        self._settle()
        if self._may_owe and self.has_base and self._debts is not None and self._debts.are_there():
            raise _violated()
        self._may_owe = False
        super().commit()

    def rollback(self) -> None:
        """Nothing is owed any more."""
        self._may_owe = False
        super().rollback()

    # -- statements

    def before(self, method: str, query: Any, cursor: Any, options: Mapping[str, Any]) -> tuple[Any, Look]:  # noqa: ARG002 - as others do
        """As for all, and the transaction is still there."""
        if not self.raw.in_transaction:
            self.lost()
        if self._returning is not None:
            self._settle()
        seen = self.look(query)
        if seen.writes and not seen.is_single:
            self._schema.look(seen.text, may_call=False)
        if self._debts is not None and not seen.only_reads and self._debts.may_arise(seen):
            self._may_owe = True
            if not self.has_base:
                self._mark()
        return query, seen

    def _mark(self) -> None:
        """A savepoint to go back to, should the statement fail where it would have been committed."""
        if self._has_mark:
            self._has_mark = False
            self.run(f"RELEASE SAVEPOINT {MARK}")
        self.run(f"SAVEPOINT {MARK}")
        self._has_mark = True

    def failed(self, seen: Look, cursor: Any, error: BaseException) -> None:  # noqa: ARG002 - as others do
        """Note what cannot be done where it could be taken back, whoever swallows the error."""
        if "within a transaction" in str(error):
            self.given.refusals.note(
                f"{seen.text.strip()[:200]!r} cannot run inside a transaction, so that no rollback could take it back "
                f"(database {self._alias!r})"
            )

    def after(self, seen: Look, cursor: Any) -> None:
        """Count what a statement has written, and check what its commit would, outside a transaction."""
        target = seen.target
        returns = target is not None and cursor.description is not None
        if target is not None and not returns:
            self.given.tally.add(target[1], target[0], cursor.rowcount)
        if self._may_owe and not self.has_base and self._debts is not None:
            self._may_owe = False
            if self._debts.are_there():
                self.run(f"ROLLBACK TO SAVEPOINT {MARK}")
                raise _violated()
        if target is not None and returns:
            self._returning = target, self.raw.total_changes

    def _settle(self) -> None:
        """Count the rows of a statement that has returned them: SQLite does so when the last one is fetched."""
        if self._returning is not None:
            (kind, table), before = self._returning
            self._returning = None
            count = self.raw.total_changes - before
            if count > 1:  # not all need be of this table: triggers count in that, and not in this
                count = min(count, self.raw.execute("SELECT changes()").fetchone()[0])
            self.given.tally.add(table, kind, count)


def _violated() -> sqlite3.IntegrityError:
    """What SQLite says at such a commit."""
    return sqlite3.IntegrityError("FOREIGN KEY constraint failed")
