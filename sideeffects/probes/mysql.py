"""MySQL and MariaDB below Django, by mysqlclient or PyMySQL: each probe has a session of its own.

The probe's transaction is a global one (`XA START`): inside it the server itself refuses commits and whatever commits
by itself, out of procedures and prepared statements too. Where a server refuses global transactions (Galera), only the
words of statements are looked at. Everywhere a savepoint from the beginning tells at the end whether it is still the
same transaction.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from sideeffects.database import mysql
from sideeffects.database.sql import statement_text, writes
from sideeffects.probes.drivers import Driver, Terms, Watch
from sideeffects.probes.refusals import CommitRefused, WriteRefused

#: How long somebody who hangs waits for the server to end the session, in seconds.
_KILL_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.01
#: The server's own limit comes a little after that of the run.
_LONGER: Final = 1.1
#: Eleven days: the server counts no longer than a year, and a timeout may be infinite.
_MOST_SECONDS: Final = 1_000_000.0


class MySQL(Driver):
    """A connection of mysqlclient or PyMySQL: every statement, by whatever cursor, goes through its `query`."""

    sees_all = True
    ends_session = True
    refused: tuple[str, ...] = ("commit", "rollback", "autocommit", "begin", "change_user")

    def __init__(self, raw: Any, watch: Watch) -> None:
        super().__init__(raw, watch)
        self._savepoint = f"probe_{secrets.token_hex(8)}"
        #: Whether the transaction is the probe's own, and not a savepoint in somebody else's; and whether it is global.
        self._has_own = self._is_global = False
        #: The server warns of temporary tables as of tables that know no transactions.
        self._may_have_temporary = False
        self._thread = mysql.thread_of(raw)
        self._connect_again: Callable[[], Any] | None = None

    def replacements(self) -> dict[str, Any]:
        """Refusals, and what looks at each statement."""
        refusals = {name: call for name, call in super().replacements().items() if hasattr(self.raw, name)}
        return {**refusals, "query": self._query}

    def _query(self, sql: Any, *args: Any, **options: Any) -> Any:
        query = type(self.raw).query
        watch = self.watch
        if watch.is_ours:
            return query(self.raw, sql, *args, **options)
        if watch.is_over:
            watch.refuse_late()
        watch.use(self)
        text = statement_text(sql, self.raw)
        self._look(text)
        try:
            return query(self.raw, sql, *args, **options)
        except Exception as error:
            if error.args[:1] == (mysql.REFUSED_IN_GLOBAL,) and "ACTIVE" in str(error):
                watch.note(text.strip())
                raise CommitRefused(
                    f"a probe can neither commit nor end its transaction, and this one tried to: {text.strip()}"
                ) from error
            raise

    def _look(self, text: str) -> None:
        why = mysql.irrevocable(text)
        if why:
            raise WriteRefused(f"a probe leaves nothing behind, and this {why}: {text[:200]}")
        if mysql.may_make_temporary_tables(text):
            self._may_have_temporary = True
        if mysql.ends_transaction(text):
            self.refuse(text.strip())
        if self.watch.is_read_only and not self._has_own and writes(text):
            raise WriteRefused(f"this probe is read-only, and would have written to the database: {text[:200]}")

    # -- one probe

    def begin(self, connection: Any, terms: Terms) -> None:
        """Begin it, with what the server is asked to see to."""
        parameters = connection.get_connection_params()
        patience = dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), int(_KILL_SECONDS))
        self._connect_again = lambda: type(self.raw)(**{**parameters, **patience})
        self._has_own = True
        self._do(f"SET SESSION {', '.join(_settings(terms, is_mariadb=mysql.is_mariadb(self.raw)))}")
        try:
            self._do(f"XA START '{self._savepoint}'")
            self._do(f"SAVEPOINT {self._savepoint}")
            self._is_global = True
        except Exception:  # noqa: BLE001 - whatever the server has against it
            type(self.raw).rollback(self.raw)
            self._do("START TRANSACTION")
            self._do(f"SAVEPOINT {self._savepoint}")

    def is_in_transaction(self) -> bool:
        """Whether the savepoint is still there: it goes with its transaction, also by a deadlock or a lost session."""
        try:
            self._do(f"ROLLBACK TO SAVEPOINT {self._savepoint}")
        except Exception:  # noqa: BLE001 - it is gone, or its session is
            return False
        return True

    def end(self, connection: Any) -> None:  # noqa: ARG002 - as others do
        """Roll it back, and let go of what does not belong to it: the server takes a moment to end the session."""
        if self._is_global:
            with contextlib.suppress(Exception):  # after a deadlock, it has come to its end
                self._do(f"XA END '{self._savepoint}'")
            self._do(f"XA ROLLBACK '{self._savepoint}'")
        else:
            self._do("ROLLBACK")
        warnings = self._do("SHOW WARNINGS")
        if not self._may_have_temporary and any(number == mysql.NOT_ROLLED_BACK for _, number, _ in warnings):
            self.left_behind = "written to a table that knows no transactions (MyISAM, Aria), and that stays written"
        self._do("DO RELEASE_ALL_LOCKS()")

    def _do(self, statement: str) -> Any:
        with contextlib.closing(type(self.raw).cursor(self.raw)) as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    # -- a probe that hangs

    def cut(self) -> None:
        """Have the server end the session, and what runs in it, and free the thread that waits for the answer.

        It is asked by another thread, which waits for no longer than a moment: the server may have stopped.
        """
        asking = threading.Thread(target=self._kill, name="probe kill", daemon=True)
        asking.start()
        asking.join(_KILL_SECONDS)
        # On closing it, PyMySQL would wait for the thread that reads.
        own = getattr(self.raw, "_sock", None)
        if own is not None:
            own.shutdown(socket.SHUT_RDWR)
        else:
            with socket.socket(fileno=os.dup(self.raw.fileno())) as shared:
                shared.shutdown(socket.SHUT_RDWR)

    def _kill(self) -> None:
        assert self._connect_again is not None  # noqa: S101 - it has begun
        with contextlib.suppress(Exception), contextlib.closing(self._connect_again()) as another:
            cursor = another.cursor()
            cursor.execute(f"KILL {self._thread}")
            until = time.monotonic() + _KILL_SECONDS
            while time.monotonic() < until:  # what it has locked is free when it is gone
                cursor.execute("SELECT 1 FROM information_schema.processlist WHERE id = %s", [self._thread])
                if not cursor.fetchall():
                    return
                time.sleep(_LOOK_SECONDS)


def _settings(terms: Terms, *, is_mariadb: bool) -> list[str]:
    """What the session is told: that no statement commits by itself, may write, or takes longer than the probe may."""
    told = ["autocommit = 0"]
    if terms.read_only:
        told.append(f"{'tx_read_only' if is_mariadb else 'transaction_read_only'} = 1")
    if terms.deadline is not None:
        seconds = _LONGER * max(0.001, min(_MOST_SECONDS, terms.deadline - time.monotonic()))
        name = "max_statement_time" if is_mariadb else "max_execution_time"
        limit = f"{seconds:.3f}" if is_mariadb else f"{1000 * seconds:.0f}"
        # A stricter one of the server or the settings holds.
        told.append(f"{name} = IF(@@{name} > 0, LEAST(@@{name}, {limit}), {limit})")
    return told
