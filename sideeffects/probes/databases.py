"""One thread's connection to one database, held in a transaction for the length of a probe.

For Django the connection is inside an `atomic` block from the start, so that blocks of the probe are savepoints and
callbacks wait for a commit that never comes. It is not connected, for Django: the probe's first use connects, or takes
the driver's connection of the probe before, and begins the transaction. One that is down fails nobody else.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Generator
from typing import Any, Final

from sideeffects.database import libpq
from sideeffects.database.holding import Replaced, TransactionState, set_fresh
from sideeffects.database.places import place_of_use
from sideeffects.database.sql import ends_transaction, statement_text, writes
from sideeffects.probes.drivers import Driver, Terms, Watch, set_autocommit
from sideeffects.probes.mysql import MySQL
from sideeffects.probes.postgresql import Psycopg
from sideeffects.probes.psycopg2 import Psycopg2, connection_class
from sideeffects.probes.refusals import CommitRefused, DatabaseRefused, ProbeOver, WriteRefused
from sideeffects.probes.sqlite import BorrowedSQLite, OwnSQLite, factory_for
from sideeffects.probes.turns import turns

#: How long the last rollback of a thread is waited for, and the most for any.
_LAST_SECONDS: Final = 2.0
_MOST_SECONDS: Final = 3600.0


class HeldDatabase:
    """A connection of the thread that runs probes.

    Args:
        connection: Django's wrapper.
        is_borrowed: whether it is used by others after the probe.
    """

    def __init__(self, connection: Any, *, is_borrowed: bool) -> None:
        self.connection = connection
        self._is_borrowed = is_borrowed
        #: Others wait for a connection of a pool: it goes back after each probe.
        self._is_pooled = bool(connection.settings_dict.get("OPTIONS", {}).get("pool"))
        self.keeps_session = not is_borrowed and not self._is_pooled and _is_closed_for_good(connection)
        #: What the probe tried, and what came about although it may not: a sentence each.
        self.attempts: list[str] = []
        self.breaches: list[str] = []
        self.is_ours = True
        self.is_read_only = False
        self.is_over = False
        self.terms = Terms(None, read_only=False, deadline=None)
        #: The driver's connection that waits for the probe's first use, and the one that is in use.
        self._waiting: Any = None
        self._driver: Driver | None = None
        self._known: Driver | None = None
        refusals = {name: self._refusal(f"connection.{name}()") for name in ("commit", "rollback", "set_autocommit")}
        own = {
            "connect": self._connect,
            "_cursor": self._cursor,
            "temporary_connection": self._temporary_connection,
            "close_if_unusable_or_obsolete": _keep,
        }
        self._replaced = Replaced(connection, {**own, **refusals})
        self._originals = self._replaced.originals
        self._wrapper = self._execute

    # -- one thread

    def hold(self) -> None:
        """Stand before the connection from here on, whatever the probe before has done to it."""
        self._replaced.put()

    def _look(self, driver: Driver) -> None:
        """Look at statements by Django, where the driver's connection does not look at all their words."""
        wrappers = self.connection.execute_wrappers
        if not driver.sees_all and (not wrappers or wrappers[0] is not self._wrapper):
            wrappers.insert(0, self._wrapper)

    def release(self) -> None:
        """Give the connection back as it was."""
        self._replaced.take_away()
        while self._wrapper in self.connection.execute_wrappers:
            self.connection.execute_wrappers.remove(self._wrapper)

    def discard(self) -> None:
        """Close the connection, in whatever state it is."""
        connection = self.connection
        self._driver = None
        self._release_driver()
        set_fresh(connection)
        connection.closed_in_transaction = False
        with contextlib.suppress(Exception):
            if connection.vendor == "sqlite" and connection.is_in_memory_db():
                connection.connection.rollback()  # closing it would take the database away
                set_autocommit(connection, autocommit=connection.settings_dict["AUTOCOMMIT"])
                return
            connection.close()
        connection.connection = None

    def _release_driver(self) -> None:
        known, self._known = self._known, None
        if known is not None:
            with contextlib.suppress(Exception):  # it has been closed, or taken away
                known.release()

    # -- one probe

    def start(self, terms: Terms) -> None:
        """Hold the connection in a transaction from here on."""
        connection = self.connection
        self.hold()
        self.terms = terms
        self.is_read_only = terms.read_only
        self._driver = None
        if self._known is not None and self._known.is_ending:
            self._settle(terms.deadline)
        if connection.errors_occurred and connection.connection is not None:
            self.discard()
            connection.errors_occurred = False
        self._waiting, connection.connection = connection.connection, None
        set_fresh(connection, in_atomic_block=True)
        self.is_ours = False
        if self._is_borrowed and self._waiting is not None:
            # Nobody looks at a cursor that an earlier probe has kept: it must find a transaction.
            with contextlib.suppress(Exception):  # the probe's first use tells
                self._connect()

    def stop(self) -> None:
        """Roll back."""
        self.is_ours = True
        driver, self._driver = self._driver, None
        try:
            self._roll_back(driver)
        finally:
            turns.give_back(self)

    def _roll_back(self, driver: Driver | None) -> None:
        connection = self.connection
        if self._is_borrowed:  # else the next probe sets it anew
            set_fresh(connection)
        if connection.closed_in_transaction:
            connection.connection = None
            connection.closed_in_transaction = False
        elif connection.connection is None:
            connection.connection, self._waiting = self._waiting, None
        elif self.is_over or driver is None or driver.raw is not connection.connection:
            self.discard()
        else:
            is_over = not driver.is_in_transaction()
            if is_over and not self.attempts:
                self._note_ended()
            try:
                driver.end(connection)
                if driver.left_behind:
                    self.breaches.append(f"this probe has {driver.left_behind}, on the database {self._alias!r}")
                if driver.ends_session or ((is_over or driver.is_spoilt) and not self._is_borrowed):
                    driver.raw.close()  # what it has set for the session would stay, also for others of a pool
                    self.discard()
                elif self._is_pooled:
                    self.discard()
                elif self._is_borrowed:
                    self._release_driver()
                    set_autocommit(connection, autocommit=connection.settings_dict["AUTOCOMMIT"])
            except Exception:  # noqa: BLE001 - a connection that cannot roll back is of no use; the database rolls back
                self.discard()

    def close(self) -> None:
        """There are no more probes in this thread. Nobody watches how long this takes."""
        if self._known is not None and self._known.is_ending:
            self._settle(time.monotonic() + _LAST_SECONDS)
        self.discard()

    def _settle(self, until: float | None) -> None:
        """Wait until the rollback is over, so that no probe waits for the locks of the one before it."""
        seconds = _MOST_SECONDS if until is None else max(0.0, min(_MOST_SECONDS, until - time.monotonic()))
        try:
            if self._known is not None:
                self._known.settle(seconds)
        except Exception:  # noqa: BLE001 - the session is lost, or will be rolled back when it is closed
            self.discard()

    def abandon(self) -> None:
        """From another thread: the probe hangs. It can no longer use the database."""
        self.is_over = True

    def cut(self) -> None:
        """From another thread, after `abandon`: nothing that it has written stays, and no session."""
        driver = self._driver or self._known
        if driver is not None:
            with contextlib.suppress(Exception):
                driver.cut()
        turns.give_back(self)

    # -- first use

    def _connect(self) -> None:
        """As Django connects, within the transaction: it would forget that there is one."""
        self._check()
        connection = self.connection
        self.is_ours = True
        try:
            waiting, self._waiting = self._waiting, None
            if waiting is not None:
                connection.connection = waiting
                try:
                    self._begin()
                except Exception:  # noqa: BLE001, S110 - the server has closed it since the last probe
                    pass
                else:
                    return
            self._connect_anew()
        finally:
            self.is_ours = False

    def _connect_anew(self) -> None:
        connection = self.connection
        state = TransactionState(connection)
        try:
            self.discard()
            with self._replaced.lifted(), self._made_for_probes():
                self._originals["connect"]()
            self._begin()
        except BaseException:
            self.discard()
            raise
        finally:
            state.restore()

    @contextlib.contextmanager
    def _made_for_probes(self) -> Generator[None]:
        """A connection made inside is of a class that can be held, where the driver's own cannot."""
        connection = self.connection
        if self._is_borrowed or connection.vendor not in ("sqlite", "postgresql"):
            yield
            return
        parameters = connection.get_connection_params()
        if connection.vendor == "sqlite" and not connection.is_in_memory_db():
            # It can be rolled back from another thread.
            parameters["factory"] = factory_for(parameters.get("factory", sqlite3.Connection))
        elif libpq.is_psycopg2_module(connection.Database):
            given = parameters.get("connection_factory") or connection.Database.extensions.connection
            parameters["connection_factory"] = connection_class(given)
        else:
            yield
            return
        vars(connection)["get_connection_params"] = lambda: parameters
        try:
            yield
        finally:
            del vars(connection)["get_connection_params"]

    def _begin(self) -> None:
        connection = self.connection
        driver = self._known
        if driver is None or driver.raw is not connection.connection:
            driver = driver_of(connection, self)
        driver.begin(connection, self.terms)
        connection.autocommit = False
        if driver is not self._known:
            driver.hold()
            self._known = driver
        self._look(driver)
        self._driver = driver
        if self.is_over:  # `cut` has looked for the driver before there was one
            self._check()

    def _cursor(self, name: str | None = None) -> Any:
        if self.is_over:
            self._check()
        return self._originals["_cursor"](name)

    @contextlib.contextmanager
    def _temporary_connection(self) -> Generator[Any]:
        """Django asks for the server's version when it first needs it, and would close what it has opened for that."""
        with self.connection.cursor() as cursor:
            yield cursor

    # -- what is refused

    def _check(self) -> None:
        if self.is_over:
            self.refuse_late()
        allowed = self.terms.allowed
        if allowed is not None and self._alias not in allowed:
            raise DatabaseRefused(
                f"this probe uses the database {self._alias!r}, and its class says databases = {sorted(allowed)}. "
                f"Add {self._alias!r} to it"
            )

    @property
    def _alias(self) -> str:
        alias: str = self.connection.alias
        return alias

    def _execute(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        if self.is_ours:
            return execute(sql, params, many, context)
        self._check()
        self.use()
        connection = self.connection
        text = statement_text(sql, connection.connection)
        if ends_transaction(text, ddl_commits=not connection.features.can_rollback_ddl):
            self._refuse(text.strip())
        if self.is_read_only and writes(text):
            raise WriteRefused(
                f"this probe is read-only, and would have written to the database {self._alias!r}: {text[:200]}"
            )
        return execute(sql, params, many, context)

    def use(self, driver: Driver | None = None) -> None:
        """A cursor of a probe before, or of `setUpClass`, may be the first that is used: it begins the transaction.

        Raises:
            DatabaseRefused: its connection is no longer the one that is held.
        """
        if self._driver is None:
            self._connect()
        if driver is not None and self._driver is not driver:
            raise DatabaseRefused(
                f"this probe used a cursor or a connection of the database {self._alias!r} that was kept from before "
                f"and has been replaced since. Ask Django for a cursor where it is used"
            )

    def refuse_late(self) -> None:
        """The probe is past its timeout.

        Raises:
            ProbeOver: always.
        """
        raise ProbeOver(f"this probe is past its timeout: it can no longer use the database {self._alias!r}")

    def _refusal(self, what: str) -> Callable[..., None]:
        def refuse(*_: object, **__: object) -> None:
            self._refuse(what)

        return refuse

    def _refuse(self, what: str) -> None:
        self.note(what)
        raise CommitRefused(f"a probe can neither commit nor end its transaction, and this one tried to: {what}")

    def _note_ended(self) -> None:
        self.breaches.append(
            f"the transaction of this probe on the database {self._alias!r} has ended before the probe did: by "
            f"a statement that bypassed Django, by a deadlock, or because the session ended. What it had written by "
            f"then may have stayed"
        )

    def forget(self) -> None:
        """Another probe begins: what is said of the one before is not said of this one."""
        self.attempts, self.breaches = [], []

    def note(self, what: str) -> None:
        """Write down an attempt, so that it counts when the probe swallows the refusal."""
        self.attempts.append(f"{what} on the database {self._alias!r} ({place_of_use()})")


def _keep() -> None:
    """What `close_old_connections` asks of a connection: without the probe's transaction, this one would not close."""


def _is_closed_for_good(connection: Any) -> bool:
    """Whether closing the connection ends the session: packages that pool connections keep it."""
    return all(getattr(type(connection), name).__module__.startswith("django.") for name in ("close", "_close"))


def driver_of(connection: Any, watch: Watch) -> Driver:
    """How the driver's connection inside Django's is held."""
    raw = connection.connection
    if connection.vendor == "sqlite":
        return (OwnSQLite if hasattr(type(raw), "driver") else BorrowedSQLite)(raw, watch)
    if connection.vendor == "mysql":
        return MySQL(raw, watch)
    if connection.vendor == "postgresql" and libpq.is_psycopg2_module(connection.Database):
        return Psycopg2(raw, watch)
    return Psycopg(raw, watch) if libpq.is_psycopg(raw) else Driver(raw, watch)
