"""The rows that a command writes for real, counted as in a dry run where that costs nothing.

PostgreSQL is asked before the commit of what is in one transaction; elsewhere each statement's own count is taken. What
triggers and cascades write is known to PostgreSQL alone.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager
from typing import Any

from sideeffects.database.sql import statement_text
from sideeffects.dryrun.drivers import look_again
from sideeffects.dryrun.postgresql import COUNTS
from sideeffects.dryrun.row_counts import KINDS, RowTally, Writes


class RowWatch:
    """Counts on one of Django's connections.

    Args:
        connection: Django's wrapper.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._tally = RowTally(connection.alias)
        #: What SQLite counts when its rows have been fetched: the statement, its target, and the count before. The same
        #: statement again is counted along with it.
        self._returning: tuple[str, tuple[str, str], int] | None = None

    @contextmanager
    def of_transaction(self) -> Generator[Callable[[], None]]:
        """Count inside the block, all of which is in one transaction.

        Yields:
            what is called at its end, before the commit.
        """
        if self._connection.vendor != "postgresql":
            with ExitStack() as stack:
                stack.enter_context(self.of_statements())
                yield stack.close
            return
        before = self._counts()

        def ask() -> None:
            if not self._connection.needs_rollback:
                for table, counts in self._counts().items():
                    for kind, now, then in zip(KINDS, counts, before.get(table, (0, 0, 0)), strict=True):
                        self._tally.add(table, kind, now - then)

        yield ask

    @contextmanager
    def of_statements(self) -> Generator[None]:
        """Count inside the block by what each statement says."""
        with self._connection.execute_wrapper(self._execute):
            try:
                yield
            finally:
                self._settle()

    def writes(self) -> Iterable[Writes]:
        """What was written, by table."""
        return self._tally.writes()

    def _counts(self) -> dict[str, tuple[int, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(COUNTS)
            return {table: tuple(counts) for table, *counts in cursor.fetchall()}

    def _execute(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if self._returning is not None:
            if sql == self._returning[0]:
                return execute(sql, params, many, context)
            self._settle()
        result = execute(sql, params, many, context)
        raw = self._connection.connection
        target = look_again(sql if type(sql) is str else statement_text(sql, raw)).target
        if target is not None:
            cursor = context["cursor"].cursor
            if cursor.description is not None and self._connection.vendor == "sqlite":
                self._returning = sql, target, raw.total_changes
            else:
                self._tally.add(target[1], target[0], cursor.rowcount)
        return result

    def _settle(self) -> None:
        if self._returning is None:
            return
        _, (kind, table), before = self._returning
        self._returning = None
        raw = self._connection.connection
        if raw is not None:
            self._tally.add(table, kind, raw.total_changes - before)
