"""The rows that a dry run wrote, by table, and those whose table nobody can tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

KINDS: Final = ("inserted", "updated", "deleted")
#: Rows are counted up to this many.
MOST_ROWS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Writes:
    """What was written to one table. Attempts count, also those that the command rolled back itself.

    Attributes:
        database: the alias.
        table: the table, with its schema unless that is the usual one; empty for rows whose table is not known.
        inserted: rows that were inserted.
        updated: rows that were updated.
        deleted: rows that were deleted.
        truncated: how often the whole table was emptied by TRUNCATE; its rows are not among `deleted`.
        unattributed: for rows whose table is not known, how many there are: triggers and cascades wrote them, or
            statements that do not say in their first words which table they write to.
        change: what was done to the table as a whole: `created`, `altered`, `dropped`, `renamed to ...`; else empty.
        rows: of a table that was dropped or emptied, the rows that it had before the run; of one that was created,
            those that it had at the end. Counted up to a million; `None` for other tables.

    Example:
        >>> Writes("default", "shop_order", inserted=1, updated=2).updated
        2
    """

    database: str
    table: str
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    truncated: int = 0
    unattributed: int = 0
    change: str = ""
    rows: int | None = None


class RowTally:
    """Counts what is written to one database.

    Args:
        database: the alias.
    """

    def __init__(self, database: str) -> None:
        self.database = database
        self._tables: dict[str, dict[str, int]] = {}
        self._changes: dict[str, str] = {}
        self._rows: dict[str, int] = {}
        self._unattributed = 0

    def add(self, table: str, kind: str, count: int) -> None:
        """Note rows of a table."""
        if count > 0:
            row = self._tables.setdefault(table, {})
            row[kind] = row.get(kind, 0) + count

    def change(self, table: str, what: str, rows: int | None = None) -> None:
        """Note what was done to a table as a whole."""
        self._changes[table] = what
        if rows is not None:
            self._rows[table] = rows

    def set_rows(self, table: str, rows: int) -> None:
        """Note how many rows a table had that was dropped or emptied."""
        self._rows[table] = rows

    def set_total(self, total: int) -> None:
        """Note how many rows were written to all tables together."""
        known = sum(row.get(kind, 0) for row in self._tables.values() for kind in KINDS)
        self._unattributed = max(0, total - known)

    def writes(self) -> Iterable[Writes]:
        """What was written, by table; what is not attributed comes last."""
        for table in sorted({*self._tables, *self._changes}):
            yield Writes(
                self.database,
                table,
                **self._tables.get(table, {}),
                change=self._changes.get(table, ""),
                rows=self._rows.get(table),
            )
        if self._unattributed:
            yield Writes(self.database, "", unattributed=self._unattributed)


def what_of(row: Mapping[str, Any]) -> str:
    """What was written, in words.

    Args:
        row: the fields of a `Writes`.
    """
    parts = [f"{row[kind]} {kind}" for kind in KINDS if row[kind]]
    if row["change"]:
        parts.insert(0, row["change"])
    if row["truncated"]:
        parts.append("emptied by TRUNCATE" + (f" {row['truncated']} times" if row["truncated"] > 1 else ""))
    if row["unattributed"]:
        parts.append(f"{row['unattributed']} unattributed")
    if row["rows"] is not None:
        more = " or more" if row["rows"] == MOST_ROWS else ""
        parts.append(f"it had {row['rows']} row{'' if row['rows'] == 1 else 's'}{more}")
    return ", ".join(parts)
