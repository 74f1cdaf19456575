"""Rows of one transaction that share INSERTs: written by the hundred, and before anything could tell the difference.

They wait on the connection. They are written before a savepoint begins or ends, before a statement that names their
table, and before the commit. A rollback forgets those that wait, and so does a connection that is closed: a savepoint
that is gone back to began after all others were written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from sideeffects.database.holding import Replaced

#: Rows in one INSERT.
BATCH: Final = 100
_NAME: Final = "_side_effects_waiting"

Write = Callable[[Sequence[Any]], object]


def add(connection: Any, row: object, table: str, write: Write) -> None:
    """Let a row wait for others, inside the `atomic` block that is open on a connection.

    Args:
        connection: one of Django's.
        row: the row.
        table: the table that it is written to: statements that name it come after the row.
        write: writes rows. It is called on this thread, inside the transaction.
    """
    waiting = vars(connection).get(_NAME) or _Waiting(connection, table, write)
    waiting.rows.append(row)
    if len(waiting.rows) >= BATCH:
        waiting.write()


def write_now(connection: Any) -> None:
    """Write the rows that wait: what comes next may be rolled back by itself."""
    waiting = vars(connection).get(_NAME)
    if waiting is not None:
        waiting.write()


class _Waiting:
    """The rows that wait on a connection, from the first one to the end of the transaction."""

    def __init__(self, connection: Any, table: str, write: Write) -> None:
        self.rows: list[Any] = []
        self._connection = connection
        self._table = table
        self._write = write
        # The driver's side: `commit()` and `rollback()` are replaced by those who hold a connection.
        ending = {"_commit": self._committing, "_rollback": self._rolling_back, "_close": self._closing}
        self._replaced = Replaced(connection, ending)
        self._replaced.put()
        vars(connection)[_NAME] = self
        # At the front: the first wrapper is called first, and Django's `execute_wrapper` removes the last one.
        connection.execute_wrappers.insert(0, self._before)

    def write(self) -> None:
        """Write them now."""
        rows, self.rows = self.rows, []
        if not rows:
            return
        try:
            self._write(rows)
        except BaseException:
            # Whoever catches this must not commit without the rows.
            self._connection.needs_rollback = True
            raise

    def _end(self) -> None:
        self.rows = []
        self._replaced.take_away()
        vars(self._connection).pop(_NAME, None)
        self._connection.execute_wrappers.remove(self._before)

    def _before(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        if self.rows:
            text = sql if isinstance(sql, str) else str(sql)
            words = text[:_WORDS].upper().split()
            if words[:2] == ["ROLLBACK", "TO"]:
                self.rows = []
            elif self._table in text or words[:1] in (["SAVEPOINT"], ["RELEASE"]):
                self.write()
        return execute(sql, params, many, context)

    def _committing(self) -> None:
        try:
            self.write()
        except BaseException as error:
            from django.db import DatabaseError

            # Django rolls back after these. After others, such as Ctrl-C, it turns autocommit on, which some databases
            # take for a commit.
            if not isinstance(error, DatabaseError):
                self._connection.close()
            raise
        self._end()
        self._replaced.originals["_commit"]()

    def _rolling_back(self) -> None:
        self._end()
        self._replaced.originals["_rollback"]()

    def _closing(self) -> None:
        self._end()
        self._replaced.originals["_close"]()


#: As many characters as the words take that are looked for.
_WORDS: Final = 24
