"""What explored races of the tests race on: five tables under an alias of its own, on any of the databases."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections, transaction

from sideeffects import side_effect

ALIAS = "explored"

KEY = {
    "postgresql": "serial PRIMARY KEY",
    "mysql": "integer PRIMARY KEY AUTO_INCREMENT",
    "sqlite": "integer PRIMARY KEY AUTOINCREMENT",
}
TABLES = ("coupon", "payment", "stock", "notes", "job")


@side_effect(name="explored.charge", returns="recorded")
def charge(cents: int = 100) -> str:
    raise OSError("there is no bank in these tests")


def query(sql: str, *params: Any, using: str = ALIAS) -> list[Any]:
    """Execute a statement through Django; its rows."""
    with connections[using].cursor() as cursor:
        cursor.execute(sql, params or None)
        return list(cursor.fetchall()) if cursor.description else []


def count(table: str) -> int:
    """How many rows a table has."""
    found: int = query(f"SELECT count(*) FROM {table}")[0][0]
    return found


def atomic(**options: Any) -> Any:
    """A transaction."""
    return transaction.atomic(using=ALIAS, **options)


@contextmanager
def explored_database(given: dict[str, Any], alias: str = ALIAS) -> Iterator[str]:
    """The tables, each with a row that has id 1, under an alias that Django knows inside the block; its vendor."""
    defaults = dict(connections.settings["default"])
    connections.settings[alias] = {**defaults, **given, "TEST": dict(defaults["TEST"])}
    connection = connections[alias]
    engine = " ENGINE=InnoDB" if connection.vendor == "mysql" else ""
    for table in TABLES:
        query(f"DROP TABLE IF EXISTS {table}", using=alias)
        query(f"CREATE TABLE {table} (id {KEY[connection.vendor]}, n integer, name varchar(40)){engine}", using=alias)
        query(f"INSERT INTO {table} (n, name) VALUES (0, 'first')", using=alias)
    query("CREATE UNIQUE INDEX notes_name ON notes (name)", using=alias)
    try:
        yield connection.vendor
    finally:
        for table in TABLES:
            query(f"DROP TABLE {table}", using=alias)
        connection.close()
        del connections[alias]
        del connections.settings[alias]


# -- what racers call


def redeem() -> None:
    """Check, then act."""
    if query("SELECT n FROM coupon WHERE id = 1")[0][0] == 0:
        query("INSERT INTO payment (n) VALUES (1)")
        query("UPDATE coupon SET n = n + 1 WHERE id = 1")


def redeem_under_lock() -> None:
    """The cure: whoever comes second waits at the lock, and then sees what the first has done."""
    with atomic():
        if query("SELECT n FROM coupon WHERE id = 1 FOR UPDATE")[0][0] == 0:
            query("INSERT INTO payment (n) VALUES (1)")
            query("UPDATE coupon SET n = n + 1 WHERE id = 1")


def redeem_by_one_statement() -> None:
    """The cure that SQLite has as well."""
    with atomic(), connections[ALIAS].cursor() as cursor:
        cursor.execute("UPDATE coupon SET n = n + 1 WHERE id = 1 AND n = 0")
        if cursor.rowcount:
            cursor.execute("INSERT INTO payment (n) VALUES (1)")
