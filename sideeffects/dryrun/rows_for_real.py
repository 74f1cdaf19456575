"""The rows that a command writes for real, counted as in a dry run as far as that costs nothing.

PostgreSQL is asked before the commit; elsewhere each statement's own count is taken. What triggers and cascades write
is known to PostgreSQL alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any, Self

from sideeffects.database.sql import statement_text
from sideeffects.dryrun.drivers import look_again
from sideeffects.dryrun.postgresql import COUNTS
from sideeffects.dryrun.row_counts import KINDS, RowTally, Writes


class RowWatch:
    """Counts on one of Django's connections, inside a `with` block.

    Args:
        connection: Django's wrapper.
        in_one_transaction: whether all that is written until `ask` is in one transaction.
    """

    def __init__(self, connection: Any, *, in_one_transaction: bool) -> None:
        self._connection = connection
        self._tally = RowTally(connection.alias)
        self._asks = in_one_transaction and connection.vendor == "postgresql"
        self._stack = ExitStack()
        #: What PostgreSQL had counted before.
        self._before: dict[str, tuple[int, ...]] = {}
        #: What SQLite counts when its rows have been fetched: the target, and its count before.
        self._returning: tuple[tuple[str, str], int] | None = None

    def __enter__(self) -> Self:
        if self._asks:
            self._before = self._counts()
        else:
            self._stack.enter_context(self._connection.execute_wrapper(self._execute))
        return self

    def __exit__(self, *_: object) -> None:
        self._settle()
        self._stack.close()

    def ask(self) -> None:
        """Before the commit: ask the database, if that counts itself."""
        connection = self._connection
        if not self._asks or connection.needs_rollback:
            return
        for table, counts in self._counts().items():
            before = self._before.get(table, (0, 0, 0))
            for kind, now, then in zip(KINDS, counts, before, strict=True):
                self._tally.add(table, kind, now - then)

    def _counts(self) -> dict[str, tuple[int, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(COUNTS)
            return {table: tuple(counts) for table, *counts in cursor.fetchall()}

    def writes(self) -> Iterable[Writes]:
        """What was written, by table."""
        return self._tally.writes()

    def _execute(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if self._returning is not None:
            self._settle()
        result = execute(sql, params, many, context)
        target = look_again(sql if type(sql) is str else statement_text(sql, context["connection"].connection)).target
        if target is not None:
            cursor = context["cursor"].cursor
            if cursor.description is not None and self._connection.vendor == "sqlite":
                self._returning = target, self._connection.connection.total_changes
            else:
                self._tally.add(target[1], target[0], cursor.rowcount)
        return result

    def _settle(self) -> None:
        if self._returning is None:
            return
        (kind, table), before = self._returning
        self._returning = None
        raw = self._connection.connection
        if raw is not None:
            self._tally.add(table, kind, raw.total_changes - before)
