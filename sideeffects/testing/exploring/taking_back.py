"""Taking back what an order has written: rows, and what counts keys up.

Before a table is written to for the first time, its rows are copied into a temporary table of the explorer's own
connection. Between two orders the tables that were written get these rows again, in one transaction.
"""

from __future__ import annotations

from typing import Any, Final

from sideeffects.errors import RaceError
from sideeffects.testing.exploring.catalog import Catalog


class Keeper:
    """Keeps the rows of one database.

    Args:
        alias: its alias.
        connection: Django's, a copy that nobody else uses.
        catalog: the database's.
    """

    def __init__(self, alias: str, connection: Any, catalog: Catalog) -> None:
        self.alias: Final = alias
        self.connection: Final = connection
        self._catalog: Final = catalog
        self._vendor: Final[str] = catalog.vendor
        self._copies: Final = {name: f"sideeffects_kept_{number}" for number, name in enumerate(catalog.tables)}
        #: The tables that were copied, each with its sequences as they stood.
        self._kept: Final[dict[str, list[tuple[str, Any]]]] = {}
        self._written: Final[set[str]] = set()
        connection.ensure_connection()
        self._is_free = self._be_free()

    def _be_free(self) -> bool:
        """Switch foreign keys off for this connection, and where that is possible triggers. Returns whether it is."""
        if self._vendor == "sqlite":
            self._send("PRAGMA foreign_keys = OFF")
            return False
        if self._vendor == "mysql":
            self._send("SET SESSION foreign_key_checks = 0")
            self._send("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            return False
        is_free: bool = self._ask("SHOW is_superuser")[0][0] == "on"
        if is_free:
            self._send("SET session_replication_role = replica")
        return is_free

    def before_writing(self, names: frozenset[str] | None) -> None:
        """These tables, or with `None` all, are about to be written to.

        Raises:
            RaceError: that could not be taken back.
        """
        wanted = self._catalog.tables.keys() if names is None else names
        self._written.update(wanted)
        for name in wanted - self._kept.keys():
            self._keep(name)

    def _keep(self, name: str) -> None:
        held = self._catalog.tables[name]
        if held.has_trigger and not self._is_free:
            more = _ON_POSTGRESQL if self._vendor == "postgresql" else ""
            raise RaceError(
                f"what is written to {name} cannot be taken back: it has a trigger, which would run again when its "
                f"rows are put back{more}. Explore without the trigger, or race in processes"
            )
        temporary = "TEMPORARY" if self._vendor == "mysql" else "TEMP"
        rows = f"SELECT {', '.join(held.columns)} FROM {held.name}"  # noqa: S608 - quoted by the catalog, as all here
        self._send(f"CREATE {temporary} TABLE {self._copies[name]} AS {rows}")
        self._kept[name] = [(sequence, self._standing(sequence)) for sequence in held.sequences]

    def _standing(self, sequence: str) -> Any:
        if self._vendor == "postgresql":
            return self._ask(f"SELECT last_value, is_called FROM {sequence}")[0]  # noqa: S608
        if self._vendor == "sqlite":
            rows = self._ask("SELECT seq FROM sqlite_sequence WHERE name = %s", sequence)
            return rows[0][0] if rows else None
        rows = self._ask(
            "SELECT auto_increment FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = %s",
            sequence.strip("`"),
        )
        return rows[0][0]

    def take_back(self) -> None:
        """Give the tables that were written the rows that they had."""
        if not self._written:
            return
        names = self._in_order()
        statements = [f"DELETE FROM {self._catalog.tables[name].name}" for name in names]  # noqa: S608
        for name in reversed(names):
            columns = ", ".join(self._catalog.tables[name].columns)
            rows = f"SELECT {columns} FROM {self._copies[name]}"  # noqa: S608
            if self._vendor == "postgresql":
                rows = f"OVERRIDING SYSTEM VALUE {rows}"
            statements.append(f"INSERT INTO {self._catalog.tables[name].name} ({columns}) {rows}")
        self._written.clear()
        counters = [self._reset(*standing) for name in names for standing in self._kept[name]]
        if self._vendor == "mysql":
            self._in_turn(["START TRANSACTION", *statements, "COMMIT", *counters])
        elif self._vendor == "sqlite":
            self._in_turn(["BEGIN IMMEDIATE", *statements, *counters, "COMMIT"])
        else:
            script = ["BEGIN", "SET CONSTRAINTS ALL DEFERRED", *statements, *counters, "COMMIT"]
            self._send("; ".join(script))

    def _in_turn(self, statements: list[str]) -> None:
        for statement in statements:
            self._send(statement)

    def _in_order(self) -> list[str]:
        """Those that refer to others before these: so their rows go first, and come back last."""
        ordered: list[str] = []

        def place(name: str, above: frozenset[str]) -> None:
            if name in ordered or name in above:
                return
            for child in sorted(self._written):
                if name in self._catalog.tables[child].parents:
                    place(child, above | {name})
            ordered.append(name)

        for name in sorted(self._written):
            place(name, frozenset())
        return ordered

    def _reset(self, sequence: str, standing: Any) -> str:
        if self._vendor == "postgresql":
            value, is_called = standing
            return f"SELECT setval('{sequence}', {value}, {str(is_called).lower()})"
        if self._vendor == "sqlite":
            quoted = sequence.replace("'", "''")
            if standing is None:
                return f"DELETE FROM sqlite_sequence WHERE name = '{quoted}'"  # noqa: S608
            return f"UPDATE sqlite_sequence SET seq = {standing} WHERE name = '{quoted}'"  # noqa: S608
        return f"ALTER TABLE {sequence} AUTO_INCREMENT = {standing or 1}"

    def close(self) -> None:
        """Close the connection, and with it the copies."""
        self.connection.close()

    def _send(self, sql: str) -> None:
        cursor = self.connection.connection.cursor()
        try:
            cursor.execute(sql)
        finally:
            cursor.close()

    def _ask(self, sql: str, *params: Any) -> list[Any]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, params or None)
            return list(cursor.fetchall())


_ON_POSTGRESQL: Final = " (a superuser of PostgreSQL may switch triggers off, and the test's user is none)"
