"""Whether a racer waits for a lock that another one has: the database knows, and is asked."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Final

_TRANSACTION: Final = re.compile(r"^---TRANSACTION .*?(?=^---TRANSACTION |^-{5,}$|\Z)", re.MULTILINE | re.DOTALL)
_THREAD: Final = re.compile(r"(?:MySQL|MariaDB) thread id (\d+)")


def waits(keeper: Any, session: int, others: Collection[int]) -> bool:
    """Whether a session waits for a lock of one of the others.

    Args:
        keeper: a connection of the explorer's to that database, in no transaction.
        session: the number by which the server knows it.
        others: those of the other racers.
    """
    if keeper.vendor == "postgresql":
        return _waits_on_postgresql(keeper, session, others)
    return _waits_on_mysql(keeper, session)


def _waits_on_postgresql(keeper: Any, session: int, others: Collection[int]) -> bool:
    cursor = keeper.connection.cursor()
    try:
        cursor.execute("SELECT pg_blocking_pids(%s)", [session])
        return not set(others).isdisjoint(cursor.fetchone()[0])
    finally:
        cursor.close()


def _waits_on_mysql(keeper: Any, session: int) -> bool:
    cursor = keeper.connection.cursor()
    try:
        cursor.execute("SELECT state FROM information_schema.processlist WHERE id = %s", [session])
        row = cursor.fetchone()
        state = "" if row is None else str(row[0] or "").lower()
        if "lock" in state:  # GET_LOCK, and locks on whole tables
            return "user lock" in state or state.startswith("waiting for")
        # information_schema.innodb_trx would be a tenth of a second old.
        cursor.execute("SHOW ENGINE INNODB STATUS")
        for found in _TRANSACTION.findall(str(cursor.fetchone()[2])):
            thread = _THREAD.search(found)
            if thread is not None and int(thread[1]) == session:
                return "LOCK WAIT" in found
        return False
    finally:
        cursor.close()
