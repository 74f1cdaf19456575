"""A database with two tables, known to Django under an alias of its own, and looked at past Django."""

import sqlite3
from typing import Any

from django.db import connections, transaction

from tests.support.mariadb_server import connect as connect_to_mariadb

ALIAS = "dry"


class Database:
    """Tables `rows` (an id, a unique name) and `parts`, whose `row_id` refers to `rows`.

    That is checked at the commit, or at once where the database knows nothing else (MariaDB).

    Args:
        given: an entry of `DATABASES`.
    """

    alias = ALIAS

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        defaults = dict(connections["default"].settings_dict)
        connections.settings[ALIAS] = {**defaults, **given}
        vendor = connections[ALIAS].vendor
        self.is_postgres = vendor == "postgresql"
        self._is_mysql = vendor == "mysql"
        number = {
            "mysql": "integer PRIMARY KEY AUTO_INCREMENT",
            "postgresql": "serial PRIMARY KEY",
            "sqlite": "integer PRIMARY KEY AUTOINCREMENT",
        }[vendor]
        waits = "" if self._is_mysql else "DEFERRABLE INITIALLY DEFERRED"
        rows = self.rows = "`rows`" if self._is_mysql else "rows"  # a word of MariaDB's
        for table in ("parts", rows):
            self.execute(f"DROP TABLE IF EXISTS {table}")
        self.execute(f"CREATE TABLE {rows} (id {number}, name varchar(40) UNIQUE)")
        self.execute(f"CREATE TABLE parts (id {number}, row_id integer REFERENCES {rows} (id) {waits})")

    @property
    def connection(self) -> Any:
        """Django's."""
        return connections[ALIAS]

    def execute(self, statement: str, parameters: Any = None) -> Any:
        """Execute a statement through Django."""
        with connections[ALIAS].cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else None

    def insert(self, name: str) -> None:
        """Insert one row."""
        self.execute(f"INSERT INTO {self.rows} (name) VALUES (%s)", [name])

    def names(self) -> list[str]:
        """The rows that Django's connection sees."""
        return [name for (name,) in self.execute(f"SELECT name FROM {self.rows} ORDER BY id")]

    def connect(self) -> Any:
        """A connection past Django."""
        if self.is_postgres:
            import psycopg

            names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
            return psycopg.connect(**{key: self.given[name] for key, name in names.items()}, autocommit=True)
        if self._is_mysql:
            return connect_to_mariadb(self.given)
        return sqlite3.connect(self.given["NAME"], timeout=1, isolation_level=None)

    def committed(self) -> list[str]:
        """The rows that somebody else sees, by a connection past Django."""
        connection = self.connect()
        try:
            cursor = connection.cursor()
            cursor.execute(f"SELECT name FROM {self.rows} ORDER BY id")
            return [name for (name,) in cursor.fetchall()]
        finally:
            connection.close()

    def atomic(self, **options: Any) -> Any:
        """A transaction."""
        return transaction.atomic(using=ALIAS, **options)

    def forget(self) -> None:
        """Take the alias away again."""
        connections[ALIAS].close()
        del connections[ALIAS]
        del connections.settings[ALIAS]
