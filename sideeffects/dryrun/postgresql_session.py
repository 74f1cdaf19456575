"""PostgreSQL's advisory locks: a session holds them until it gives them back, whatever is rolled back."""

from __future__ import annotations

from typing import Any, Final

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
