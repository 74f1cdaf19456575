"""The isolation level of racers' connections, and what else their sessions are set to."""

from __future__ import annotations

import contextlib
from typing import Any, Final

from sideeffects.errors import RaceError

LEVELS: Final = ("read uncommitted", "read committed", "repeatable read", "serializable")
#: After how many milliseconds PostgreSQL looks for a deadlock. Its default, a second, is long here. When it looks this
#: soon, only the last to wait finds one: it is the same racer each time, unless the machine is busy.
_DEADLOCK_TIMEOUT: Final = 1


def checked(given: Any) -> tuple[str, ...]:
    """The levels that `isolation=` names; empty for the database's own.

    Raises:
        ValueError: one of them is none.
    """
    if given is None:
        return ()
    found = []
    for level in [given] if isinstance(given, str) else given:
        name = str(level).replace("_", " ").replace("-", " ").lower()
        if name not in LEVELS:
            raise ValueError(f"isolation is one of {', '.join(LEVELS)}, or a list of these, not {level!r}")
        found.append(name)
    return tuple(found)


def current(connection: Any) -> str:
    """The level of new transactions on a connection."""
    if connection.vendor == "sqlite":
        return "serializable"
    if connection.vendor == "postgresql":
        set_by_driver = getattr(connection, "isolation_level", None)
        if set_by_driver is not None:
            return str(getattr(set_by_driver, "name", set_by_driver)).replace("_", " ").lower()
        return _value(connection, "SHOW default_transaction_isolation").lower()
    name = "transaction_isolation" if not connection.mysql_is_mariadb or _has_new_name(connection) else "tx_isolation"
    return _value(connection, f"SELECT @@{name}").replace("-", " ").lower()


def _has_new_name(connection: Any) -> bool:
    return bool(connection.mysql_version >= (11, 1))


def _value(connection: Any, sql: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return str(cursor.fetchone()[0])


def refuse_unknown(level: str, alias: str, vendor: str) -> None:
    """Refuse a level that a database does not have.

    Raises:
        RaceError: SQLite is asked for something else than what it does.
    """
    if vendor == "sqlite" and level != "serializable":
        raise RaceError(
            f"the database {alias!r} is on SQLite, which has one isolation level, serializable, not {level}"
        )


def prepare(connection: Any, level: str | None) -> int | None:
    """Set up a session that has just been opened. Returns the number by which the server knows it.

    Args:
        connection: Django's.
        level: its isolation level; `None` leaves it.
    """
    raw = connection.connection
    if connection.vendor == "sqlite":
        raw.execute("PRAGMA busy_timeout = 0")  # it is known at once who has to wait, and tries again later
        return None
    if connection.vendor == "postgresql":
        if level is not None:
            raw.isolation_level = None  # which the driver would ask for with each transaction
            _send(raw, f"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL {level}")
        with contextlib.suppress(Exception):  # superusers may
            _send(raw, f"SET deadlock_timeout = {_DEADLOCK_TIMEOUT}")
        info = getattr(raw, "info", None)
        return int(info.backend_pid if info is not None else raw.get_backend_pid())
    if level is not None:
        _send(raw, f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")
    return int(raw.thread_id())


def _send(raw: Any, sql: str) -> None:
    cursor = raw.cursor()
    try:
        cursor.execute(sql)
    finally:
        cursor.close()
