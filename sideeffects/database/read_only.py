"""Connections of their own, from which nothing is written, for code that is only looked at.

While it is in force, the thread has other connections: fresh ones, which connect when they are first used and are
closed at the end. A transaction that is open on its own goes on untouched, whatever the code does: commit, roll back,
close, fail. Statements that write are refused at the cursor, and by the database where it can be told to. In threads
that the code starts, databases are refused altogether, since nobody would close their connections. So are connections
past Django.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import os
import re
import sqlite3
import sys
from collections.abc import Callable, Generator
from typing import Any, Final

from sideeffects._core.state import import_hooks
from sideeffects._core.state.scope import EMPTY, scope
from sideeffects._core.state.state import state
from sideeffects.database import driver_connections
from sideeffects.database.sql import statement_text, writes

#: Told what was to be done; raises what refuses it.
Refuse = Callable[[str], None]

#: How a fresh connection is told, before anything else is done on it.
_READ_ONLY: Final = {
    "sqlite": "PRAGMA query_only = ON",
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
}
_SQLITE_WRITES: Final = (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE)
#: What begins and ends transactions, which here are nobody else's.
_CONTROL: Final = re.compile(r"\s*(?:begin|start\s+transaction|commit|end|rollback)\b[^;]*;?\s*\Z", re.IGNORECASE)
#: Whether Django itself is connecting.
_is_connecting: Final[contextvars.ContextVar[bool]] = contextvars.ContextVar("sideeffects_read_only", default=False)
_installed: Final[list[bool]] = []


class ReadOnly:
    """What is done to databases inside is only reading, in every context that has an override with this as its owner.

    Args:
        refuse: raises the refusal; it is given the statement, or what else was to be done.
    """

    def __init__(self, refuse: Refuse) -> None:
        self.refuse = refuse
        self._connections: list[Any] = []

    @contextlib.contextmanager
    def in_force(self) -> Generator[None]:
        """Put other connections in the place of this thread's own."""
        from django.db import connections  # there are none without it

        _install()
        with contextlib.ExitStack() as stack:
            for alias in connections:
                stack.enter_context(self._replaced(connections, alias))
            yield

    @contextlib.contextmanager
    def _replaced(self, connections: Any, alias: str) -> Generator[None]:
        own = connections[alias]
        fresh = own.copy(alias)
        fresh.settings_dict.get("OPTIONS", {}).pop("pool", None)  # what it is told must reach no other request
        self._connections.append(fresh)
        connections[alias] = fresh
        try:
            yield
        finally:
            connections[alias] = own
            with contextlib.suppress(Exception):  # it may be in any state
                if fresh.connection is not None:
                    fresh.connection.close()  # Django's own `close` keeps databases in memory

    def authorize(self, action: int, table: str | None, *_: object) -> int:
        """What SQLite asks of each statement: it refuses whatever raises here."""
        if action in _SQLITE_WRITES and not str(table).startswith("sqlite_"):
            self.refuse(f"the table {table} was written")
        return sqlite3.SQLITE_OK

    def check(self, connection: Any) -> None:
        """Refuse a connection that is not one of these."""
        if not any(own is connection for own in self._connections):
            self.refuse(f"the database {connection.alias!r} was used in another thread")


def _here() -> ReadOnly | None:
    own = scope.get()
    if own is EMPTY or _is_connecting.get():
        return None
    return next((entry.owner for entry in own.entries if isinstance(entry.owner, ReadOnly)), None)


def _install() -> None:
    """Patch Django's connections, once: code in other threads has others than those of the block."""
    if _installed:
        return
    from django.db.backends.base.base import BaseDatabaseWrapper  # as above

    with state.lock:
        if not _installed:
            _installed.append(True)
            for name, around in (("connect", _connecting), ("_cursor", _looking)):
                setattr(BaseDatabaseWrapper, name, around(getattr(BaseDatabaseWrapper, name)))
            sys.addaudithook(_in_sqlite)
            import_hooks.after_import("psycopg", _in_psycopg)
            driver_connections.wrap_each(
                lambda original, driver: _refusing(original, f"a connection of {driver} was opened without Django")
            )


def _connecting(original: Any) -> Any:
    @functools.wraps(original)
    def connect(self: Any, *args: Any, **kwargs: Any) -> Any:
        here = _here()
        if here is None:
            return original(self, *args, **kwargs)
        here.check(self)
        token = _is_connecting.set(True)  # what the project does on each connection is none of the code's
        try:
            connected = original(self, *args, **kwargs)
            with self.cursor() as cursor:
                if self.vendor == "sqlite" and self.is_in_memory_db():
                    cursor.execute("PRAGMA read_uncommitted = ON")  # a transaction of the thread's own locks its tables
                if self.vendor in _READ_ONLY:
                    cursor.execute(_READ_ONLY[self.vendor])
            if self.vendor == "sqlite":
                self.connection.set_authorizer(here.authorize)  # it hears of statements past Django's cursors
        finally:
            _is_connecting.reset(token)
        return connected

    return connect


_PAST_DJANGO: Final = "the database {!r} was opened without Django"


def _in_sqlite(
    event: str,
    args: tuple[Any, ...],
    # Bound here: at the interpreter's end the module's names are gone, and events still come.
    wanted: str = "sqlite3.connect",
    is_over: Callable[[], bool] = sys.is_finalizing,
) -> None:
    if event == wanted and not is_over():
        here = _here()
        if here is not None and args[0] != ":memory:":
            here.refuse(_PAST_DJANGO.format(os.fsdecode(args[0])))


def _in_psycopg(module: Any) -> None:
    for kind in (module.Connection, module.AsyncConnection):
        kind.connect = classmethod(_refusing(kind.connect.__func__, _PAST_DJANGO.format("PostgreSQL")))
    module.connect = module.Connection.connect


def _refusing(original: Callable[..., Any], what: str) -> Callable[..., Any]:
    """Refuses connections that are opened in C, without an audit event."""

    @functools.wraps(original)
    def connect(*args: Any, **kwargs: Any) -> Any:
        here = _here()
        if here is not None:
            here.refuse(what)
        return original(*args, **kwargs)

    return connect


def _looking(original: Any) -> Any:
    @functools.wraps(original)
    def _cursor(self: Any, *args: Any, **kwargs: Any) -> Any:
        here = _here()
        if here is None:
            return original(self, *args, **kwargs)
        here.check(self)
        wrapped = original(self, *args, **kwargs)
        wrapped.cursor = _Cursor(wrapped.cursor, self, here.refuse)
        return wrapped

    return _cursor


class _Cursor:
    """A driver's cursor that looks at statements."""

    def __init__(self, cursor: Any, connection: Any, refuse: Refuse) -> None:
        self._cursor = cursor
        self._connection = connection
        self._refuse = refuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._cursor, name)
        return self._looked_at(found) if name in _STATEMENTS else found

    def __iter__(self) -> Any:
        return iter(self._cursor)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self._cursor.close()

    def _looked_at(self, method: Any) -> Any:
        def run(sql: Any, *args: Any, **kwargs: Any) -> Any:
            text = statement_text(sql, self._connection.connection)
            if method.__name__ == "callproc" or (writes(text) and not _CONTROL.match(text)):
                self._refuse(text)
            return method(sql, *args, **kwargs)

        return run


_STATEMENTS: Final = frozenset(("execute", "executemany", "executescript", "callproc", "copy", "copy_expert", "stream"))
