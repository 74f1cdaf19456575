"""A connection that is in a transaction already, such as that of a `TestCase`: the probe gets a savepoint of it."""

from __future__ import annotations

from typing import Any

from sideeffects.database.holding import TransactionState
from sideeffects.probes.databases import HeldDatabase, driver_of
from sideeffects.probes.drivers import Terms


class HeldSavepoint(HeldDatabase):
    """A connection that is in a transaction of somebody else (a `TestCase`): the probe gets a savepoint of it."""

    def start(self, terms: Terms) -> None:
        """Make the savepoint."""
        connection = self.connection
        self.hold()
        self.terms = terms
        self.is_read_only = terms.read_only
        self._state = TransactionState(connection)
        connection.run_on_commit = []
        with self._replaced.lifted():
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
        connection.needs_rollback = is_lost = False
        try:
            with self._replaced.lifted():
                connection.savepoint_rollback(self._savepoint)
                connection.savepoint_commit(self._savepoint)
        except Exception:  # noqa: BLE001 - the transaction around it must not be committed either
            is_lost = True
            self._note_ended()
        self._state.restore(needs_rollback=is_lost)


def held(connection: Any, *, is_borrowed: bool) -> HeldDatabase:
    """How a connection is held: in a transaction of its own, or in a savepoint when it is in one already."""
    is_inside = connection.in_atomic_block or (connection.connection is not None and not connection.autocommit)
    return (HeldSavepoint if is_inside else HeldDatabase)(connection, is_borrowed=is_borrowed)
