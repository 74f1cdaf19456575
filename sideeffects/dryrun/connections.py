"""One of Django's connections in a dry run: what Django believes it commits stays in a transaction that is rolled back.

Django's own bookkeeping runs as it always does. Only its lowest steps are replaced on this one connection: beginning a
transaction makes a savepoint, committing releases it, rolling back goes back to it. So everything that Django builds on
these holds: autocommit, `atomic`, `durable=True`, callbacks after the commit, and `select_for_update` being an error
outside a transaction.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Final

from sideeffects.database import waiting_rows
from sideeffects.database.holding import Replaced, TransactionState, is_in_transaction, set_fresh
from sideeffects.dryrun import other_connections
from sideeffects.dryrun.drivers import Given, Link
from sideeffects.dryrun.escapes import connecting
from sideeffects.dryrun.membership import Holder
from sideeffects.dryrun.mysql import MySQLLink
from sideeffects.dryrun.postgresql import PostgresLink
from sideeffects.dryrun.row_counts import RowTally
from sideeffects.dryrun.sqlite import SqliteLink
from sideeffects.dryrun.strands import marking_hooks

_LINKS: Final[dict[str, type[Link]]] = {"mysql": MySQLLink, "postgresql": PostgresLink, "sqlite": SqliteLink}
#: Whose driver's connections say whether they are in a transaction; MySQL's server does, when ours is begun.
_TELLING: Final = ("postgresql", "sqlite")


class HeldConnection:
    """A connection of the thread in which a dry run runs.

    Args:
        connection: Django's wrapper.
        holder: the dry run.
        serial: a number that no other dry run of this process has.
    """

    def __init__(self, connection: Any, holder: Holder, serial: int) -> None:
        self.connection = connection
        self.alias: str = connection.alias
        self.tally = RowTally(self.alias)
        self._refusals, self._remarks = holder.refusals, holder.remarks
        self._serial = serial
        self._link: Link | None = None
        self._make: Callable[[], Any] | None = None
        waiting_rows.write_now(connection)  # these are not the dry run's
        self._state = TransactionState(connection)
        self._autocommit = connection.autocommit
        self._replaced = Replaced(connection, self._hooks())
        self._originals = self._replaced.originals
        self._is_nested = False
        self._was_open = False

    # -- the block

    def start(self) -> None:
        """Hold the connection from here on.

        Raises:
            DryRunRefused: it is in a transaction that is broken already.
        """
        connection = self.connection
        self._was_open = connection.connection is not None
        if self._was_open and (connection.needs_rollback or connection.closed_in_transaction):
            self._refusals.refuse(
                f"a dry run cannot begin inside a transaction that is to be rolled back (database {self.alias!r})"
            )
        self._is_nested = self._was_open and (
            connection.in_atomic_block
            or not connection.autocommit
            or (connection.vendor in _TELLING and is_in_transaction(connection.connection))
        )
        self._replaced.put()
        set_fresh(connection)
        connection.autocommit = connection.settings_dict["AUTOCOMMIT"]
        if self._was_open:
            self._hold()

    def count(self) -> None:
        """Find out what was written, while it is still there."""
        link = self._link
        if link is not None and not link.is_over:
            link.count()

    def stop(self) -> None:
        """Roll everything back, and give the connection back as it was."""
        connection = self.connection
        link, self._link, self._make = self._link, None, None
        is_sound = True
        if link is not None:
            try:
                link.end()
            except Exception:  # noqa: BLE001 - what cannot be rolled back is closed, and the database rolls back
                is_sound = False
        self._replaced.take_away()
        if not self._was_open or not is_sound or (link is not None and link.ends_session):
            # What was opened here was set up inside the transaction that has just been taken back.
            connection.in_atomic_block = False
            with contextlib.suppress(Exception):
                connection.close()
            if not is_sound and connection.connection is not None:
                connection.connection = None
        is_lost = self._is_nested and not is_sound
        self._state.restore(needs_rollback=is_lost)
        connection.autocommit = self._autocommit
        if is_lost:
            connection.closed_in_transaction = True

    def is_of(self, connection: Any) -> bool:
        """Whether it is this connection that is held."""
        return self.connection is connection

    # -- what is replaced

    def _hooks(self) -> dict[str, Callable[..., Any]]:
        connection = self.connection
        if connection.vendor not in _LINKS:
            return dict.fromkeys(("_cursor", "connect", "create_cursor"), self._refuse_database)
        hooks: dict[str, Callable[..., Any]] = {
            "connect": self._connect,
            "init_connection_state": self._init_connection_state,
            "create_cursor": self._create_cursor,
            "_set_autocommit": self._set_autocommit,
            "_commit": self._commit,
            "_rollback": self._rollback,
            "close": self._close,
            **marking_hooks(connection, connection.run_and_clear_commit_hooks, connection.on_commit),
        }
        if hasattr(connection, "_start_transaction_under_autocommit"):
            hooks["_start_transaction_under_autocommit"] = self._begin
        unasked = other_connections.unasked(connection)
        if unasked is not None:
            hooks["_cursor"] = unasked
        return hooks

    def _hold(self) -> None:
        kind = _LINKS.get(self.connection.vendor)
        if kind is not None:
            around = self._replaced.owner_of("create_cursor")
            outer = around._link if isinstance(around, HeldConnection) else None  # noqa: SLF001 - another of this class
            # Opened in here, it may be in the transaction of the dry run around this one.
            self._is_nested = self._is_nested or outer is not None
            notes = self._refusals, self._remarks
            link = kind(Given(self.connection, *notes, self.tally, self._serial, self._is_nested, outer))
            link.begin()
            self._link = link
            self._make = link.maker()

    def _refuse_database(self, *_: object, **__: object) -> None:
        self._refusals.refuse(
            f"the database {self.alias!r} ({self.connection.vendor}) was used, and a dry run cannot be sure to take "
            f"back what is done to it: dry runs know SQLite, PostgreSQL, MariaDB and MySQL"
        )

    def _connect(self) -> None:
        token = connecting.set(True)
        try:
            self._originals["connect"]()
        finally:
            connecting.reset(token)

    def _init_connection_state(self) -> None:
        """The last step of connecting that is not the application's own: it is held before anybody can use it."""
        self._originals["init_connection_state"]()
        self._hold()

    def _create_cursor(self, name: str | None = None) -> Any:
        if self._make is not None:
            return self._make()
        create = self._originals["create_cursor"]
        cursor = create() if name is None else create(name)
        return cursor if self._link is None else self._link.watched(cursor)

    def _set_autocommit(self, autocommit: bool) -> None:
        if self._link is None:  # it is being connected
            self._originals["_set_autocommit"](autocommit)
        elif not autocommit:
            with self.connection.wrap_database_errors:
                self._link.want_transaction()
        else:
            with self.connection.wrap_database_errors:
                self._link.commit()
            self._link.is_wanted = False

    def _begin(self) -> None:
        if self._link is None:
            self._originals["_start_transaction_under_autocommit"]()
        else:
            self._link.want_transaction()

    def _commit(self) -> None:
        if self._link is None:
            self._originals["_commit"]()
        else:
            with self.connection.wrap_database_errors:
                self._link.commit()

    def _rollback(self) -> None:
        if self._link is None:
            self._originals["_rollback"]()
        else:
            with self.connection.wrap_database_errors:
                self._link.rollback()

    def _close(self) -> None:
        """Closing would roll back what the command believes to be committed. What was not is rolled back."""
        connection = self.connection
        if connection.in_atomic_block:
            self._refusals.refuse(
                f"the connection to the database {self.alias!r} was closed inside an atomic block: that would "
                f"lose all that the dry run has written so far"
            )
        connection.validate_thread_sharing()
        connection.run_on_commit = []
        link = self._link
        if link is not None:
            with connection.wrap_database_errors:
                link.rollback()
            link.is_wanted = False
            connection.autocommit = connection.settings_dict["AUTOCOMMIT"]
            if not connection.autocommit:
                link.want_transaction()
