"""A connection that is in a transaction already: a probe gets a savepoint of it, and how that is told."""

from __future__ import annotations

from typing import Any

from sideeffects.probes.databases import HeldDatabase
from sideeffects.probes.drivers import Terms
from sideeffects.probes.sqlite import driver_of


class HeldSavepoint(HeldDatabase):
    """A connection that is in a transaction of somebody else (a `TestCase`): the probe gets a savepoint of it."""

    def start(self, terms: Terms) -> None:
        """Make the savepoint."""
        connection = self.connection
        self.hold()
        self._terms = terms
        self.is_read_only = terms.read_only
        self.attempts = []
        self._kept = {name: getattr(connection, name) for name in ("needs_rollback", "run_on_commit", "commit_on_exit")}
        self._kept |= {name: list(getattr(connection, name)) for name in ("savepoint_ids", "atomic_blocks")}
        connection.run_on_commit = []
        with self._unhooked():
            self._savepoint = connection.savepoint()
            if terms.read_only and connection.vendor == "postgresql":  # until the savepoint is gone back to
                with connection.cursor() as cursor:
                    cursor.execute("SET TRANSACTION READ ONLY")
        connection.savepoint_ids.append(self._savepoint)
        self._driver = self._known = driver_of(connection, self)
        self._driver.hold()
        self._look(self._driver)
        self.is_ours = False

    def stop(self) -> None:
        """Go back to it."""
        connection = self.connection
        self.is_ours = True
        self._driver = None
        self._release_driver()
        connection.needs_rollback = False
        try:
            with self._unhooked():
                connection.savepoint_rollback(self._savepoint)
                connection.savepoint_commit(self._savepoint)
        except Exception:  # noqa: BLE001 - whoever holds the transaction must not commit it either
            self._kept["needs_rollback"] = True
        vars(connection).update(self._kept)


def held(connection: Any, *, is_borrowed: bool) -> HeldDatabase:
    """How a connection is held: in a transaction of its own, or in a savepoint when it is in one already."""
    is_inside = connection.in_atomic_block or (connection.connection is not None and not connection.autocommit)
    return (HeldSavepoint if is_inside else HeldDatabase)(connection, is_borrowed=is_borrowed)
