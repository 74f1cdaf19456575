"""Foreign keys of SQLite that wait for the commit: whether some point nowhere, asked where there is no commit.

SQLite counts them, and says so by refusing a COMMIT, which a dry run never tries. It does tell in another way: as long
as it has counted none, it takes fewer steps to change a row that refers to another, since there is nothing that the
change could settle. Steps can be counted. How many there are is tried out at the beginning, so that nothing here
depends on the version of SQLite; and before anybody is told, SQLite is asked in the way that takes long.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from sideeffects.dryrun.drivers import Look

_OWING: Final = "id INTEGER PRIMARY KEY, owed REFERENCES side_effects_owed DEFERRABLE INITIALLY DEFERRED"
_LAY: Final = (
    "CREATE TEMP TABLE side_effects_owed (id INTEGER PRIMARY KEY)",
    f"CREATE TEMP TABLE side_effects_owing ({_OWING})",
    "INSERT INTO temp.side_effects_owed VALUES (1), (2)",
    "INSERT INTO temp.side_effects_owing VALUES (1, 1)",
)
_CHANGE: Final = "UPDATE temp.side_effects_owing SET owed = 3 - owed WHERE id = 1"
_OWE: Final = "INSERT INTO temp.side_effects_owing VALUES (2, 3)"
_PAY: Final = "DELETE FROM temp.side_effects_owing WHERE id = 2"
#: Tables that refer to others or are referred to, and those with triggers, which may write to any.
_RELATED: Final = """
    SELECT lower(m.name) FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table'
    UNION SELECT lower(f."table") FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table'
    UNION SELECT lower(tbl_name) FROM sqlite_master WHERE type = 'trigger'
"""


class Debts:
    """Of one connection.

    Args:
        raw: the connection of `sqlite3`, in a transaction in which nothing has been done yet.

    Attributes:
        changes: how many changes of rows are our own.
    """

    def __init__(self, raw: Any) -> None:
        self.changes = 0
        self._raw = raw
        self._none = -1
        self._is_told = False
        self._related: frozenset[str] | None = None
        if raw.execute("PRAGMA foreign_keys").fetchone()[0]:
            self._learn()

    def _learn(self) -> None:
        raw = self._raw
        before = raw.total_changes
        try:
            for statement in _LAY:
                raw.execute(statement)
            self._none = self._steps()
            raw.execute(_OWE)
            some = self._steps()
            raw.execute(_PAY)
            self._is_told = self._steps() == self._none != some
        except sqlite3.Error:  # without temporary tables there is no way to ask
            self._is_told = False
        self.changes += raw.total_changes - before

    def may_arise(self, seen: Look) -> bool:
        """Whether a statement may leave a foreign key that points nowhere."""
        if not self._is_told:
            return False
        if seen.target is None:
            if seen.writes:
                self._related = None  # it may have changed tables
            return seen.writes
        if self._related is None:
            self._related = frozenset(name for (name,) in self._raw.execute(_RELATED))
        table = seen.target[1].lower()
        return table in self._related or "." in table

    def are_there(self) -> bool:
        """Whether there is one now."""
        return (
            self._changed() != self._none
            and self._changed() != self._none  # the first time after tables have changed it takes more steps
            and self._raw.execute("PRAGMA foreign_key_check").fetchone() is not None
        )

    def _changed(self) -> int:
        before = self._raw.total_changes
        try:
            return self._steps()
        except sqlite3.Error:
            return self._none
        finally:
            self.changes += self._raw.total_changes - before

    def _steps(self) -> int:
        raw, steps = self._raw, [0]

        def step() -> int:
            steps[0] += 1
            return 0

        raw.set_progress_handler(step, 1)
        try:
            raw.execute(_CHANGE)
        finally:
            raw.set_progress_handler(None, 0)
        return steps[0]
