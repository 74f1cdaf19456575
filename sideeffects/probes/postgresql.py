"""PostgreSQL's connections below Django: psycopg's, and what the server is told of a probe."""

from __future__ import annotations

import contextlib
import select
import time
from typing import Any, Final

from sideeffects.database import libpq
from sideeffects.probes.drivers import Looking, Terms, Watch

_CANCEL_SECONDS: Final = 2.0
#: The limit of the session in milliseconds, and the process that serves it.
_WHOSE: Final = (
    b"SELECT 1000 * extract(epoch FROM current_setting('statement_timeout')::interval), pg_catalog.pg_backend_pid()"
)
#: The run itself ends what takes too long; the server does when the run is gone. So its limit may be up to a quarter
#: longer. It is set a tenth longer: a probe that connects first has less time left than the next.
_LONGER: Final = 1.1
_LONGEST: Final = 1.25
#: Milliseconds, eleven days: the server counts up to twice as many, and a timeout may be infinite.
_MOST: Final = 1_000_000_000


class Psycopg(Looking):
    """A connection of psycopg 3."""

    is_told_by_server = True
    refused: tuple[str, ...] = ("commit", "rollback", "set_autocommit", "tpc_begin")

    def __init__(self, raw: Any, watch: Watch) -> None:
        super().__init__(raw, watch)
        self._begin = _beginning(raw)
        #: Milliseconds: what the session was given by whoever made it, and what the server is told now; 0 for none.
        self._given: int | None = None
        self._told = 0
        self._is_own = False
        self._has_blocks = False

    def replacements(self) -> dict[str, Any]:
        """Cursors whose statements are looked at, and blocks of the driver's own."""
        cursors = self.looking[self.raw.cursor_factory]
        return {**super().replacements(), "cursor_factory": cursors, "transaction": self._block}

    def _block(self, *args: Any, **kwargs: Any) -> Any:
        """A block of the driver's own, as its method makes it: one that is left open, only the driver knows of."""
        self._has_blocks = True
        self.watch.use(self)
        return type(self.raw).transaction(self.raw, *args, **kwargs)

    def begin(self, connection: Any, terms: Terms) -> None:  # noqa: ARG002 - as others do
        """Begin it at once, by one message, with what the server is asked to see to."""
        raw = self.raw
        if raw.autocommit:
            raw.autocommit = False
        elif raw.pgconn.transaction_status != libpq.IDLE:  # what a probe before has kept was used past Django since
            raw.pgconn.exec_(b"ROLLBACK")
        statements = self._begin
        if terms.deadline is not None:
            statements += self._ending(terms.deadline)
        if terms.read_only:
            # Once a query has run, the transaction cannot be made to write again.
            statements += b"; SET TRANSACTION READ ONLY; SELECT 1"
        # The driver's own way would begin with a message of its own.
        self._tell(statements)

    def _ending(self, deadline: float) -> bytes:
        """Have the server end what takes longer than the probe may. Returns what is to be said when it begins.

        A session of one's own is told once, and again when a probe may take less or longer: told in each transaction,
        it costs an eighth of the transaction. Behind a pooler the session's next transaction may be somebody else's.
        """
        left = max(1, int(min(_MOST, (deadline - time.monotonic()) * 1000)) + 1)
        if self._given is None:
            self._given, self._is_own = self._ask()
        if self._told and (self._told == self._given <= left or left <= self._told <= _LONGEST * left):
            return b""
        if not self._is_own:
            return b"; SET LOCAL statement_timeout = %d" % min(left, self._given or left)
        longer = int(_LONGER * left)
        limit = min(longer, self._given or longer)
        self._tell(b"SET statement_timeout = %d" % limit)
        self._told = limit
        return b""

    def _ask(self) -> tuple[int, bool]:
        """The session's own limit in milliseconds, 0 for none, and whether the session is nobody else's."""
        asked = self.raw.pgconn.exec_(_WHOSE)
        if asked.status not in libpq.FINE:  # by what is no PostgreSQL, and only speaks like it
            return 0, False
        # A pooler gives out numbers of its own.
        is_own = self.watch.keeps_session and int(asked.get_value(0, 1)) == self.raw.pgconn.backend_pid
        return int(float(asked.get_value(0, 0))), is_own

    def _tell(self, statements: bytes) -> None:
        """Have the server do this."""
        pgconn = self.raw.pgconn
        if pgconn.exec_(statements).status not in libpq.FINE:
            pgconn.exec_(b"ROLLBACK")
            with self.raw.cursor() as cursor:  # which says what is wrong
                cursor.execute(statements)

    def end(self, connection: Any) -> None:  # noqa: ARG002 - as others do
        """Roll it back. The next probe wants the connection as it is."""
        raw, pgconn = self.raw, self.raw.pgconn
        if pgconn.pipeline_status or pgconn.transaction_status == libpq.ACTIVE:
            raw.close()  # what is half done would stay, also for others of a pool, and psycopg would wait for its end
            return
        # The driver's way takes longer, and is needed when it has something to forget or to refuse.
        is_plain = not self._has_blocks and raw.prepare_threshold is None
        if is_plain and self.watch.keeps_session and not self.is_spoilt:
            # The server rolls back while the next probe is made ready.
            pgconn.send_query(b"ROLLBACK")
            if pgconn.flush():
                pgconn.exec_(b"SELECT 1")  # returns when it has been sent, and answered
            else:
                self.is_ending = True
            return
        if not is_plain or pgconn.exec_(b"ROLLBACK").status not in libpq.FINE:
            type(raw).rollback(raw)
        if self.is_spoilt:  # the server takes a moment to notice that a session has ended
            pgconn.exec_(b"SELECT pg_catalog.pg_advisory_unlock_all()")

    def settle(self, seconds: float) -> None:
        """Take the answer to ROLLBACK. Waiting for it, libpq would hold up the threads of the whole process.

        Raises:
            psycopg.Error: the session is lost.
            TimeoutError: there is no answer in time.
        """
        self.is_ending = False
        pgconn = self.raw.pgconn
        pgconn.consume_input()
        while True:
            while pgconn.is_busy():
                _wait_for(pgconn.socket, seconds)
                pgconn.consume_input()
            answer = pgconn.get_result()
            if answer is None:
                return
            if answer.status not in libpq.FINE:
                raise type(self.raw).OperationalError(answer.error_message)

    def cut(self) -> None:
        """End the statement that runs as well: the server looks at its socket only afterwards."""
        if self.raw.pgconn.transaction_status == libpq.ACTIVE:
            with contextlib.suppress(Exception):
                self.raw.cancel_safe(timeout=_CANCEL_SECONDS)
        super().cut()


def _wait_for(file: int, seconds: float) -> None:
    """Wait until there is something to read."""
    if hasattr(select, "poll"):  # everywhere but on Windows
        poll = select.poll()
        poll.register(file, select.POLLIN)
        is_ready = bool(poll.poll(1000 * seconds))
    else:
        is_ready = bool(select.select([file], [], [], seconds)[0])
    if not is_ready:
        raise TimeoutError(f"the server has not answered for {seconds:g} s")


def _beginning(raw: Any) -> bytes:
    """How a connection of psycopg begins its transactions."""
    parts = ["BEGIN"]
    if raw.isolation_level is not None:
        parts.append(f"ISOLATION LEVEL {raw.isolation_level.name.replace('_', ' ')}")
    if raw.read_only is not None:
        parts.append("READ ONLY" if raw.read_only else "READ WRITE")
    if raw.deferrable is not None:
        parts.append("DEFERRABLE" if raw.deferrable else "NOT DEFERRABLE")
    return " ".join(parts).encode()
