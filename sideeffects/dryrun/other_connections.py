"""Connections that a dry run does not hold, those of other threads that belong to it: they may read.

Nothing is written on them: not by words, and not for the database either, which is told so around each statement. They
are let go after each, since a thread may belong to somebody else with its next piece of work.
"""

from __future__ import annotations

import contextlib
import functools
import re
import sqlite3
from collections.abc import Callable, Generator, Mapping
from typing import Any, Final

from sideeffects._core.state.state import state
from sideeffects.database import libpq, sql as statements
from sideeffects.database.cursors import watched
from sideeffects.database.own_reads import is_own
from sideeffects.dryrun.drivers import look
from sideeffects.dryrun.escapes import connecting
from sideeffects.dryrun.membership import belong
from sideeffects.dryrun.refusals import Notes, Refusals

_OTHER: Final = "in another thread, or on another connection, than the one that the dry run rolls back"
_ADVICE: Final = "write in the thread that began the dry run (async_to_sync() uses it, asyncio.run() does not)"
#: What Django itself sends around the statements of a transaction. None of it leaves anything.
_DJANGO: Final = re.compile(
    r"""\s*(?:begin(?:\s+(?:deferred|immediate|exclusive))?|
    (?:savepoint|release\s+savepoint|rollback\s+to\s+savepoint)\s+[\w"]+)\s*\Z""",
    re.IGNORECASE | re.VERBOSE,
)
#: What SQLite asks about: changing rows, and ATTACH (VACUUM does that, too); and what stays of PRAGMA.
_SQLITE_WRITES: Final = frozenset(
    (sqlite3.SQLITE_DELETE, sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_ATTACH)
)
_SQLITE_SETTINGS: Final = frozenset(("application_id", "journal_mode", "schema_version", "user_version"))
#: PostgreSQL's codes.
_READ_ONLY: Final = "25006"
_LOCKED: Final = "55P03"
#: A connection that reads what the dry run has locked would wait for the dry run, which perhaps waits for it.
_PATIENCE: Final = "SELECT set_config('lock_timeout', '5s', true) WHERE current_setting('lock_timeout') = '0'"
_MARK: Final = "side_effects_reading"
_installed: Final[list[bool]] = []
#: What was patched, by what stands there now.
_originals: Final[dict[Any, Callable[..., Any]]] = {}


def install() -> None:
    """Patch how Django's connections make cursors, once."""
    if _installed:
        return
    from django.db.backends.base import base

    kind: Any = base.BaseDatabaseWrapper

    with state.lock:
        if not _installed:
            _installed.append(True)
            kind._cursor = _cursor(kind._cursor)  # noqa: SLF001 - each way to a statement goes through it


def unasked(connection: Any) -> Callable[..., Any] | None:
    """How a connection that is held makes cursors without asking at each; `None` if its class has a way of its own."""
    original = _originals.get(type(connection)._cursor)  # noqa: SLF001 - as above
    return None if original is None else functools.partial(original, connection)


def _cursor(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def cursor(self: Any, name: str | None = None) -> Any:
        holders = belong()
        if holders and not any(holder.holds(self) for holder in holders):
            # Without its name: on the server it would be open longer than the statement.
            return cursor_for_reading(self, original, holders[0].refusals, holders[0].remarks)
        return original(self, name)

    _originals[cursor] = original
    return cursor


def cursor_for_reading(connection: Any, original: Callable[..., Any], refusals: Refusals, remarks: Notes) -> Any:
    """A cursor of Django's that can only read.

    Args:
        connection: Django's wrapper.
        original: how it makes cursors.
        refusals: where to write down what is refused.
        remarks: where to write down that something was read.

    Raises:
        DryRunRefused: the database cannot be kept from being written to.
    """
    token = connecting.set(True)
    try:
        made = original(connection) if _can_be_kept(connection) else None
    finally:
        connecting.reset(token)
    raw = connection.connection
    if made is None or not (connection.vendor == "sqlite" or libpq.is_psycopg(raw)):
        refusals.refuse(f"the database {connection.alias!r} was used {_OTHER}: {_ADVICE}")
    kind = ReadOnlySqlite if connection.vendor == "sqlite" else ReadOnlyPostgres
    reader = kind(connection, refusals, remarks)
    reader.keep_connection()
    made.cursor.__class__ = watched(type(made.cursor), reader)
    return made


def _can_be_kept(connection: Any) -> bool:
    if connection.vendor == "sqlite":
        return not connection.is_in_memory_db()  # another connection is another database, or waits for this one's locks
    return bool(connection.vendor == "postgresql")


class ReadOnly:
    """Keeps one connection from being written to while a statement runs."""

    def __init__(self, connection: Any, refusals: Refusals, remarks: Notes) -> None:
        self.raw: Any = connection.connection
        self.alias: str = connection.alias
        self._is_shared: bool = connection.allow_thread_sharing
        self.refusals = refusals
        self._remarks = remarks

    def keep_connection(self) -> None:
        """See to it that nothing is written on the driver's connection past Django, if nobody else does."""

    def before(
        self,
        method: str,
        query: Any,
        cursor: Any,  # noqa: ARG002 - as a `Watcher`
        options: Mapping[str, Any],  # noqa: ARG002 - as above
    ) -> tuple[Any, tuple[str, contextlib.ExitStack]]:
        """Have the database refuse what writes, from here until the statement has ended.

        Raises:
            DryRunRefused: it writes.
        """
        text = statements.statement_text(query, self.raw)
        with contextlib.ExitStack() as stack:
            token = connecting.set(True)
            stack.callback(connecting.reset, token)
            if not _DJANGO.match(text):
                self._check(method, text)
                stack.enter_context(self.kept())
            return query, (text, stack.pop_all())

    def after(self, seen: tuple[str, contextlib.ExitStack], cursor: Any) -> None:  # noqa: ARG002 - as above
        """Let the connection go."""
        seen[1].close()

    def failed(self, seen: tuple[str, contextlib.ExitStack], cursor: Any, error: BaseException) -> None:  # noqa: ARG002
        """Let it go, and see why it failed."""
        text, stack = seen
        with stack:
            self.judge(text, error)

    def _check(self, method: str, text: str) -> None:
        if method not in ("execute", "executemany"):
            self.refuse(text, "cannot be kept from writing")
        seen = look(text)
        if seen.reason:
            self.refuse(text, seen.reason)
        if seen.writes:
            self.refuse(text, "writes")
        if not is_own.get():
            self._remarks.note(
                f"the database {self.alias!r} was read {_OTHER}: what the dry run itself had written is not seen there"
            )

    def refuse(self, text: str, reason: str) -> None:
        """Refuse a statement."""
        self.refusals.refuse(f"{text.strip()[:200]!r} {reason}, {_OTHER}: {_ADVICE} (database {self.alias!r})")

    @contextlib.contextmanager
    def kept(self) -> Generator[None]:
        """The database refuses what writes."""
        raise NotImplementedError

    def judge(self, text: str, error: BaseException) -> None:
        """Refuse what the database has refused as writing."""
        raise NotImplementedError


class ReadOnlySqlite(ReadOnly):
    """A connection of `sqlite3`."""

    def keep_connection(self) -> None:
        """By an authorizer, which stays: it asks whose turn it is. Setting it makes SQLite ask for all statements."""
        if not self._is_shared:  # see `SqliteLink.begin`
            self.raw.set_authorizer(self._authorize)

    def _authorize(self, action: int, what: str | None, argument: str | None, *_: object) -> int:
        writes = action in _SQLITE_WRITES or (
            action == sqlite3.SQLITE_PRAGMA and argument and str(what).lower() in _SQLITE_SETTINGS
        )
        holders = belong() if writes and not connecting.get() else ()
        for holder in holders[:1]:
            holder.refusals.note(
                f"writing to {what!r} without Django was refused, {_OTHER}: {_ADVICE} (database {self.alias!r})"
            )
        return sqlite3.SQLITE_DENY if holders else sqlite3.SQLITE_OK

    @contextlib.contextmanager
    def kept(self) -> Generator[None]:
        """As SQLite's `query_only` has it."""
        before = self.raw.execute("PRAGMA query_only").fetchone()[0]
        self.raw.execute("PRAGMA query_only = ON")
        try:
            yield
        finally:
            self.raw.execute(f"PRAGMA query_only = {before}")

    def judge(self, text: str, error: BaseException) -> None:
        """SQLite says it in words."""
        if "readonly database" in str(error):
            self.refuse(text, "writes")


class ReadOnlyPostgres(ReadOnly):
    """A connection of psycopg 3."""

    @contextlib.contextmanager
    def kept(self) -> Generator[None]:
        """In a read-only transaction, or a read-only part of the one that there is; both are rolled back."""
        raw = self.raw
        if raw.pgconn.transaction_status == libpq.INERROR:
            yield  # nothing is executed
            return
        if raw.pgconn.transaction_status == libpq.IDLE and raw.autocommit:
            begin, end = "BEGIN READ ONLY", "ROLLBACK"
        else:
            first = "BEGIN; " if raw.pgconn.transaction_status == libpq.IDLE else ""
            begin = f"{first}SAVEPOINT {_MARK}; SET LOCAL transaction_read_only = on"
            end = f"ROLLBACK TO SAVEPOINT {_MARK}; RELEASE SAVEPOINT {_MARK}"
        self._send(f"{begin}; {_PATIENCE}")
        try:
            yield
        finally:
            self._send(end)

    def _send(self, sql: str) -> None:
        if self.raw.pgconn.exec_(sql.encode()).status not in libpq.FINE:
            self.refuse(sql, "failed")

    def judge(self, text: str, error: BaseException) -> None:
        """PostgreSQL says it by a code."""
        code = getattr(error, "sqlstate", None)
        if code == _READ_ONLY:
            self.refuse(text, "writes")
        if code == _LOCKED:
            self.refuse(text, "waits for a lock, which the dry run itself may hold")
