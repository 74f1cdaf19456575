"""What a dry run does to tables as wholes: creating, changing, dropping and emptying them.

The catalog is read before the first statement that may change it, and again at the end. So it does not matter how it
was changed: by CASCADE, in a function, in a block of PL/pgSQL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from sideeffects.dryrun.refusals import Notes
from sideeffects.dryrun.row_counts import MOST_ROWS, RowTally

_MAY_CHANGE: Final = re.compile(r"\b(?:create|alter|drop|rename|do|call|execute|import|into)\b", re.IGNORECASE)
#: What the catalog of tables does not show, or not as this: functions, roles, rights, types, extensions.
_OTHER: Final = re.compile(
    r"\s*(?:(?:create|alter|drop)\b(?!(?:\s+\w+){0,4}?\s+(?:table|index|view)\b)|grant\b|revoke\b|comment\s+on\b)"
    r"[^'$(;]*",
    re.IGNORECASE,
)
_SHOWN: Final = 60

Ask = Callable[[str], Sequence[Sequence[Any]]]


class Table(NamedTuple):
    """A table or view, as the catalog has it.

    Attributes:
        name: as people know it.
        quoted: as SQL takes it, with its schema.
        number: what stays when it is renamed; 0 where nothing does.
        shape: what changes with its columns, constraints and indexes.
    """

    name: str
    quoted: str
    number: int
    shape: str


class Schema:
    """The tables of one database.

    Args:
        ask: executes a query of ours, and returns the rows.
        catalog: the query for all tables, with the columns of `Table`.
        tally: where to write down what has changed.
        remarks: where to write down what the catalog does not show.
    """

    def __init__(self, ask: Ask, catalog: str, tally: RowTally, remarks: Notes) -> None:
        self._ask, self._catalog, self._tally, self._remarks = ask, catalog, tally, remarks
        self._before: dict[str, Table] | None = None
        #: The tables whose rows are counted when they are there again.
        self._lost: dict[str, str] = {}

    def look(self, text: str, *, may_call: bool) -> None:
        """A statement is about to be executed.

        Args:
            text: the statement.
            may_call: whether it may call functions that change tables.
        """
        other = _OTHER.match(text)
        if other:
            what = " ".join(other[0].split())[:_SHOWN]
            self._remarks.note(f"{what!r} was executed, and rolled back (database {self._tally.database!r})")
        if self._before is None and (may_call or _MAY_CHANGE.search(text)):
            self._before = self._tables()

    def empty(self, tables: Iterable[tuple[str, str]]) -> None:
        """Tables were emptied: their names as people know them and as SQL takes them."""
        for name, quoted in tables:
            self._tally.add(name, "truncated", 1)
            self._lost[name] = quoted

    def compare(self) -> None:
        """Find out what has changed, while it has."""
        before = self._before
        if before is None:
            return
        after = self._tables()
        numbers = {table.number: table for table in after.values() if table.number}
        for name, table in before.items():
            now = after.get(name)
            if now is None:
                renamed = numbers.get(table.number)
                self._tally.change(name, f"renamed to {renamed.name}" if renamed else "dropped")
                if renamed is None:
                    self._lost[name] = table.quoted
            elif now != table:
                self._tally.change(name, "altered")
        known = {table.number for table in before.values()} - {0}
        for name, table in after.items():
            if name not in before and table.number not in known:
                self._tally.change(name, "created", self._rows(table.quoted))

    def count_lost(self) -> None:
        """Count the rows of what was dropped or emptied: everything has been rolled back, and they are there again."""
        for name, quoted in self._lost.items():
            self._tally.set_rows(name, self._rows(quoted))

    def _tables(self) -> dict[str, Table]:
        return {row[0]: Table(*row) for row in self._ask(self._catalog)}

    def _rows(self, quoted: str) -> int:
        some = f"SELECT 1 FROM {quoted} LIMIT {MOST_ROWS}"  # noqa: S608 - quoted by the database itself
        return int(self._ask(f"SELECT count(*) FROM ({some}) AS side_effects")[0][0])  # noqa: S608 - as above


SQLITE: Final = """
    SELECT name, '"' || replace(name, '"', '""') || '"', 0, sql || coalesce((
        SELECT group_concat(part, ' ') FROM (
            SELECT i.sql AS part FROM sqlite_master i
            WHERE i.tbl_name = m.name AND i.type IN ('index', 'trigger') ORDER BY i.name
        )), '')
    FROM sqlite_master m WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
"""

POSTGRESQL: Final = """
    SELECT CASE WHEN nspname = current_schema() THEN relname ELSE nspname || '.' || relname END,
           quote_ident(nspname) || '.' || quote_ident(relname),
           c.oid::int8,
           md5(concat_ws(' ',
               (SELECT string_agg(concat_ws(',', attname, atttypid, atttypmod, attnotnull, attisdropped, atthasdef), ';'
                                  ORDER BY attnum) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0),
               (SELECT string_agg(conname || contype::text || convalidated, ';' ORDER BY conname)
                FROM pg_constraint WHERE conrelid = c.oid),
               (SELECT string_agg(indexrelid::text, ';' ORDER BY indexrelid) FROM pg_index WHERE indrelid = c.oid),
               (SELECT string_agg(tgname, ';' ORDER BY tgname)
                FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal),
               CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END))
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND nspname !~ '^pg_' AND nspname <> 'information_schema'
"""

_TRUNCATE: Final = re.compile(r"\s*truncate\s+(?:table\s+)?(.*)", re.IGNORECASE | re.DOTALL)
_NAME: Final = r'(?:"(?:[^"]|"")+"|\w+)'
_NAMES: Final = re.compile(rf"\s*(only\s+)?({_NAME}(?:\s*\.\s*{_NAME})?)\s*\*?\s*(,)?", re.IGNORECASE)
_CASCADE: Final = re.compile(r"\bcascade\b", re.IGNORECASE)


def emptied_by(text: str) -> str:
    """The query for the tables that a TRUNCATE empties, with those that refer to them and their parts.

    Args:
        text: the statement.
    """
    found = _TRUNCATE.match(text)
    rest, names = (found[1] if found else ""), []
    for one in _NAMES.finditer(rest):
        names.append(one[2])
        if one[3] is None:
            break
    listed = ", ".join("to_regclass('{}')".format(name.replace("'", "''")) for name in names)
    links = "SELECT inhparent AS of, inhrelid AS part FROM pg_inherits"
    if _CASCADE.search(rest):
        links += " UNION SELECT confrelid, conrelid FROM pg_constraint WHERE contype = 'f'"
    return f"""
        WITH RECURSIVE links AS ({links}), emptied(oid) AS (
            SELECT unnest(ARRAY[{listed}])::oid UNION SELECT part FROM links JOIN emptied ON links.of = emptied.oid
        )
        SELECT CASE WHEN nspname = current_schema() THEN relname ELSE nspname || '.' || relname END,
               quote_ident(nspname) || '.' || quote_ident(relname)
        FROM emptied JOIN pg_class c ON c.oid = emptied.oid JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relkind = 'r'
    """  # noqa: S608 - names as the statement itself has them
