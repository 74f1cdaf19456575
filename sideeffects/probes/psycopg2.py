"""PostgreSQL's connections below Django, by psycopg2: a savepoint tells what its methods, written in C, do unseen."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from typing import Any, Final

from sideeffects.probes.drivers import Looking, Terms, Watch

#: How long the server is given to take a request to cancel, in seconds.
_CANCEL_SECONDS: Final = 2.0
#: The server's own limit comes a little after that of the run.
_LONGER: Final = 1.1
_MOST: Final = 1_000_000_000
#: A stricter limit of the server or the settings holds.
_LIMIT: Final = """
    SELECT set_config(
        'statement_timeout', (CASE WHEN given > 0 THEN least(given, %(most)s) ELSE %(most)s END)::text, true
    ) FROM (
        SELECT (1000 * extract(epoch FROM current_setting('statement_timeout')::interval))::bigint AS given
    ) AS session
"""


class Psycopg2(Looking):
    """A connection of psycopg2."""

    is_told_by_server = True
    refused: tuple[str, ...] = ("commit", "rollback", "set_session", "set_isolation_level", "tpc_begin", "reset")

    def __init__(self, raw: Any, watch: Watch) -> None:
        super().__init__(raw, watch)
        self._cursors = raw.cursor_factory
        self._savepoint = f"probe_{secrets.token_hex(8)}"

    def hold(self) -> None:
        """Look at each statement."""
        super().hold()
        self.raw.cursor_factory = self.looking[self._cursors or self._plain_cursors]

    def release(self) -> None:
        """Stop looking."""
        super().release()
        self.raw.cursor_factory = self._cursors

    @property
    def _plain_cursors(self) -> Any:
        with self._cursor() as cursor:
            return type(cursor)

    def _cursor(self) -> Any:
        """One that nobody looks at."""
        arguments = {"cursor_factory": self._cursors} if self._cursors else {}
        return contextlib.closing(type(self.raw).cursor(self.raw, **arguments))

    def _do(self, statement: str, parameters: Any = None) -> None:
        with self._cursor() as cursor:
            cursor.execute(statement, parameters)

    def begin(self, connection: Any, terms: Terms) -> None:  # noqa: ARG002 - as others do
        """Begin it, with what the server is asked to see to."""
        type(self.raw).rollback(self.raw)  # of what a probe before has kept, and used past Django since
        self.raw.autocommit = False
        if terms.deadline is not None:
            left = max(1, int(min(_MOST, _LONGER * 1000 * (terms.deadline - time.monotonic()))))
            self._do(_LIMIT, {"most": left})
        if terms.read_only:
            # Once a query has run, the transaction cannot be made to write again.
            self._do("SET TRANSACTION READ ONLY")
            self._do("SELECT 1")
        self._do(f"SAVEPOINT {self._savepoint}")

    def is_in_transaction(self) -> bool:
        """Whether the savepoint is still there, which goes with its transaction."""
        try:
            self._do(f"ROLLBACK TO SAVEPOINT {self._savepoint}")
        except Exception:  # noqa: BLE001 - it is gone, or its session is
            return False
        return True

    def end(self, connection: Any) -> None:  # noqa: ARG002 - as others do
        """Roll it back."""
        type(self.raw).rollback(self.raw)
        if self.is_spoilt:  # the server takes a moment to notice that a session has ended
            self._do("SELECT pg_catalog.pg_advisory_unlock_all()")

    def cut(self) -> None:
        """End the statement that runs as well: the server looks at its socket only afterwards."""
        asking = threading.Thread(target=self._cancel, name="probe cancel", daemon=True)
        asking.start()
        asking.join(_CANCEL_SECONDS)
        super().cut()

    def _cancel(self) -> None:
        with contextlib.suppress(Exception):
            self.raw.cancel()


def connection_class(given: Any) -> Any:
    """A class of psycopg2's connections whose methods can be replaced, and whose blocks go through them.

    Args:
        given: the class that the settings name, or psycopg2's own.
    """

    class Held(given):  # type: ignore[misc]
        def __exit__(self, *_: object) -> None:
            self.commit()

    return Held
