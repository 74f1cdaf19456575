"""What no rollback takes back of a PostgreSQL session: advisory locks, which are given back, and sequences.

Django sets a sequence after rows with given keys, as `loaddata` does. It cannot be put back afterwards either: others
may have drawn numbers in the meantime. So it is left out, and said. Altering the sequence instead would be rolled back,
but others could not insert until then.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

#: Those that this session holds, each as how it gives one back.
_LOCKS: Final = """
    SELECT CASE mode WHEN 'ShareLock' THEN 'pg_advisory_unlock_shared' ELSE 'pg_advisory_unlock' END ||
           CASE objsubid WHEN 1 THEN format('(%s)', (classid::int8 << 32) | objid::int8)
                         ELSE format('(%s, %s)', classid::int8::bit(32)::int4, objid::int8::bit(32)::int4) END
    FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class AdvisoryLocks:
    """Those that a session held when this was made.

    Args:
        cursor: to ask by.
    """

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self._before = self._held()

    def _held(self) -> frozenset[str]:
        self._cursor.execute(_LOCKS)
        return frozenset(unlock for (unlock,) in self._cursor.fetchall())

    def give_back(self) -> bool:
        """Give back those that were taken since.

        Returns:
            whether one is gone that was held before.
        """
        held = self._held()
        for unlock in held - self._before:
            self._cursor.execute(f"SELECT {unlock}")
            while self._cursor.fetchone()[0]:  # as often as it was taken
                self._cursor.execute(f"SELECT {unlock}")
        return bool(self._before - held)


# -- sequences

#: Exactly as `DatabaseOperations.sequence_reset_sql` of Django's PostgreSQL has it, in 5.2 to 6.1.
_RESET: Final = re.compile(
    r"""SELECT setval\(pg_get_serial_sequence\('("(?:[^"'\\]|"")+"(?:\."(?:[^"'\\]|"")+")?)','([^'\\]+)'\), """
    r"""coalesce\(max\(("(?:[^"'\\]|"")+")\), 1\), max\(\3\) IS NOT null\) FROM \1;"""
)


class Reset(NamedTuple):
    """A statement that sets a sequence, as Django spells it.

    Attributes:
        column: whose keys come from it.
        instead: a query that answers with the same row, and sets nothing.
    """

    column: str
    instead: str


def reset_of(query: Any) -> Reset | None:
    """What a statement sets, if it is exactly Django's."""
    if type(query) is not str or not query.startswith("SELECT setval("):
        return None
    found = _RESET.fullmatch(query)
    if found is None:
        return None
    table, _, column = found.groups()
    instead = f"SELECT coalesce(max({column}), 1) AS setval FROM {table}"  # noqa: S608 - quoted names, and no more
    return Reset(f"{table}.{column}".replace('"', ""), instead)
