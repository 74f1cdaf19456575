"""One thread's connection to one database, held in a transaction for the length of a probe.

For Django the connection is inside an `atomic` block from the start, so that blocks of the probe are savepoints and
callbacks wait for a commit that never comes. The transaction itself begins with the connection: nothing is connected
before the probe uses the database, and one that is down fails nobody else.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from sideeffects.probes.refusals import CommitRefused, DatabaseRefused, ProbeOver, WriteRefused
from sideeffects.statements import ends_transaction, text_of, writes

#: What Django keeps of a transaction on a connection, and forgets when it connects.
_STATE: Final = ("in_atomic_block", "savepoint_ids", "atomic_blocks", "needs_rollback", "run_on_commit")
_HOOKED: Final = ("connect", "_cursor", "commit", "rollback", "set_autocommit")
_MISSING: Final = object()
#: SQLite's number for BEGIN, COMMIT and ROLLBACK, and its two answers.
_TRANSACTION: Final = 22
_ALLOW: Final = 0
_DENY: Final = 1


class Terms:
    """What a probe may do with a database.

    Attributes:
        allowed: the aliases, `None` for all.
        read_only: whether it may not write.
        deadline: when it is over, on the clock of `time.monotonic`; `None` for never.
    """

    __slots__ = ("allowed", "deadline", "read_only")

    def __init__(self, allowed: frozenset[str] | None, read_only: bool, deadline: float | None) -> None:
        self.allowed = allowed
        self.read_only = read_only
        self.deadline = deadline


class HeldDatabase:
    """A connection of the thread that runs probes.

    Args:
        connection: Django's wrapper.
    """

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.attempts: list[str] = []
        self._terms = Terms(None, read_only=False, deadline=None)
        self._is_ours = False
        self._is_prepared = False
        self._is_over = False
        self._before: dict[str, Any] = {}
        self._raw: Any = None

    # -- one probe

    def start(self, terms: Terms) -> None:
        """Hold the connection in a transaction from here on."""
        connection = self.connection
        self._terms = terms
        self._is_prepared = self._is_ours = False
        self.attempts = []
        if connection.errors_occurred:
            connection.close_if_unusable_or_obsolete()
        self._enter()
        self._before = {name: vars(connection).get(name, _MISSING) for name in _HOOKED}
        self._originals: dict[str, Callable[..., Any]] = {name: getattr(connection, name) for name in _HOOKED}
        hooks = vars(connection)
        hooks["connect"] = self._connect
        hooks["_cursor"] = self._cursor
        for name in ("commit", "rollback", "set_autocommit"):
            hooks[name] = self._refusal(f"connection.{name}()")
        connection.execute_wrappers.insert(0, self._execute)

    def stop(self) -> None:
        """Roll back, and give the connection back as it was."""
        connection = self.connection
        if self._execute in connection.execute_wrappers:
            connection.execute_wrappers.remove(self._execute)
        for name, value in self._before.items():
            vars(connection).pop(name, None)
            if value is not _MISSING:
                vars(connection)[name] = value
        self._before = {}
        self._leave()

    def abandon(self) -> None:
        """From another thread: the probe hangs. Nothing that it has written stays, and it can write nothing more."""
        self._is_over = True
        raw = self.connection.connection
        if raw is not None:
            with contextlib.suppress(Exception):
                _cut(raw, self.connection.vendor)

    def _enter(self) -> None:
        connection = self.connection
        _set_state(connection, in_atomic_block=True)
        connection.commit_on_exit = True
        if connection.connection is not None:
            self._begin()

    def _leave(self) -> None:
        connection = self.connection
        self._release_raw()
        _set_state(connection, in_atomic_block=False)
        if connection.closed_in_transaction:
            connection.connection = None
            connection.closed_in_transaction = False
        elif connection.connection is not None:
            if self._is_over:
                self.discard()
                return
            try:
                connection.rollback()
                connection.set_autocommit(connection.settings_dict["AUTOCOMMIT"])
            except Exception:  # noqa: BLE001 - a connection that cannot roll back is of no use; the database rolls back
                self.discard()

    def discard(self) -> None:
        """Close the connection, in whatever state it is."""
        connection = self.connection
        with contextlib.suppress(Exception):
            connection.close()
        connection.connection = None
        connection.closed_in_transaction = False

    # -- first use

    def _connect(self) -> None:
        """As Django connects, within the transaction: it would forget that there is one."""
        self._check()
        connection = self.connection
        kept = {name: getattr(connection, name) for name in _STATE}
        ours, self._is_ours = self._is_ours, True
        try:
            with self._unhooked():
                self._originals["connect"]()
        finally:
            vars(connection).update(kept)
            self._is_ours = ours
        self._begin()

    def _begin(self) -> None:
        connection = self.connection
        connection.in_atomic_block = False
        ours, self._is_ours = self._is_ours, True
        try:
            with self._unhooked():
                connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
        finally:
            self._is_ours = ours
            connection.in_atomic_block = True
        self._hold_raw()

    @contextlib.contextmanager
    def _unhooked(self) -> Any:
        """Django's own `set_autocommit` inside."""
        hooked = vars(self.connection).pop("set_autocommit", _MISSING)
        try:
            yield
        finally:
            if hooked is not _MISSING:
                vars(self.connection)["set_autocommit"] = hooked

    def _cursor(self, name: str | None = None) -> Any:
        self._check()
        if not self._is_prepared and not self._is_ours:
            self._prepare()
        return self._originals["_cursor"](name) if name is not None else self._originals["_cursor"]()

    def _prepare(self) -> None:
        """What the database itself is asked to see to, before the probe's first statement."""
        connection = self.connection
        connection.ensure_connection()
        self._is_prepared = True
        if connection.vendor == "postgresql":
            statements = []
            if self._terms.deadline is not None:
                left = max(1, int((self._terms.deadline - time.monotonic()) * 1000))
                statements.append(f"SET LOCAL statement_timeout = {left}")
            if self._terms.read_only:
                # Once a query has run, the transaction cannot be made to write again.
                statements += ["SET TRANSACTION READ ONLY", "SELECT 1"]
            if statements:
                with connection.wrap_database_errors, connection.connection.cursor() as cursor:
                    cursor.execute("; ".join(statements))

    # -- what is refused

    def _check(self) -> None:
        if self._is_over:
            raise ProbeOver(f"this probe is past its timeout: it can use the database {self._alias!r} no more")
        allowed = self._terms.allowed
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
        if not self._is_ours:
            self._check()
            text = text_of(sql, self.connection.connection)
            if ends_transaction(text):
                self._refuse(text.strip())
            if self._terms.read_only and self.connection.vendor != "postgresql" and writes(text):
                raise WriteRefused(
                    f"this probe is read-only, and would have written to the database {self._alias!r}: {text[:200]}"
                )
        return execute(sql, params, many, context)

    def _refusal(self, what: str) -> Callable[..., None]:
        def refuse(*_: object, **__: object) -> None:
            self._refuse(what)

        return refuse

    def _refuse(self, what: str) -> None:
        self.note(what)
        raise CommitRefused(f"a probe can neither commit nor end its transaction, and this one tried to: {what}")

    def note(self, what: str) -> None:
        """Write down an attempt, so that it counts when the probe swallows the refusal."""
        frame: Any = sys._getframe(2)  # noqa: SLF001 - who tried
        while frame is not None and _is_machinery(frame.f_code.co_filename):
            frame = frame.f_back
        where = "" if frame is None else f" ({frame.f_code.co_filename}:{frame.f_lineno})"
        self.attempts.append(f"{what} on the database {self._alias!r}{where}")

    # -- below Django: scripts and raw connections commit without asking it

    def _hold_raw(self) -> None:
        self._raw = raw = self.connection.connection
        if self.connection.vendor == "sqlite":
            raw.set_authorizer(self._authorize)
        else:
            with contextlib.suppress(AttributeError, TypeError):  # drivers written in C take no new attributes
                raw.commit = self._refusal("commit() of the driver's connection")

    def _release_raw(self) -> None:
        raw, self._raw = self._raw, None
        if raw is not None and not self._is_over:
            if self.connection.vendor == "sqlite":
                with contextlib.suppress(Exception):  # it has been closed
                    raw.set_authorizer(None)
            else:
                vars(raw).pop("commit", None) if hasattr(raw, "__dict__") else None

    def _authorize(self, action: int, what: str | None, *_: object) -> int:
        if action == _TRANSACTION and not self._is_ours:
            self.note(f"{what}, past Django,")
            return _DENY
        return _ALLOW


def _set_state(connection: Any, *, in_atomic_block: bool) -> None:
    connection.in_atomic_block = in_atomic_block
    connection.savepoint_ids = []
    connection.atomic_blocks = []
    connection.needs_rollback = False
    connection.run_on_commit = []


class HeldSavepoint(HeldDatabase):
    """A connection that is in a transaction of somebody else (a `TestCase`): the probe gets a savepoint of it."""

    def _enter(self) -> None:
        connection = self.connection
        self._kept = {name: getattr(connection, name) for name in ("needs_rollback", "run_on_commit", "commit_on_exit")}
        self._kept |= {name: list(getattr(connection, name)) for name in ("savepoint_ids", "atomic_blocks")}
        connection.run_on_commit = []
        self._savepoint = connection.savepoint()
        connection.savepoint_ids.append(self._savepoint)
        self._hold_raw()

    def _leave(self) -> None:
        connection = self.connection
        self._release_raw()
        connection.needs_rollback = False
        with contextlib.suppress(Exception):
            connection.savepoint_rollback(self._savepoint)
            connection.savepoint_commit(self._savepoint)
        vars(connection).update(self._kept)

    def _begin(self) -> None:
        """It has begun."""


def held(connection: Any) -> HeldDatabase:
    """How a connection is held: in a transaction of its own, or in a savepoint when it is in one already."""
    is_inside = connection.in_atomic_block or (connection.connection is not None and not connection.autocommit)
    return HeldSavepoint(connection) if is_inside else HeldDatabase(connection)


def _is_machinery(file: str) -> bool:
    folder = os.path.dirname(file)
    return folder == _HERE or f"{os.sep}django{os.sep}" in file or file.endswith("contextlib.py")


_HERE: Final = os.path.dirname(__file__)


def _cut(raw: Any, vendor: str) -> None:
    """Take the connection away from the thread that hangs on it, so that the database rolls its transaction back.

    Closing it under a thread that is inside the driver may crash the process. A server notices when its socket is shut.
    """
    if vendor == "sqlite":
        us = threading.get_ident()
        raw.set_authorizer(lambda *_: _ALLOW if threading.get_ident() == us else _DENY)
        raw.interrupt()
        raw.rollback()
        raw.close()
        return
    cancel = _canceller(raw)
    file = raw.fileno() if hasattr(raw, "fileno") else None
    if file is None:
        raw.close()
        return
    with socket.socket(fileno=os.dup(file)) as shared:
        with contextlib.suppress(Exception):
            cancel()
        shared.shutdown(socket.SHUT_RDWR)


def _canceller(raw: Any) -> Callable[[], object]:
    """What ends the statement that the connection runs, also where the server looks at its socket only afterwards."""
    if hasattr(raw, "cancel_safe"):
        return functools.partial(raw.cancel_safe, timeout=_CANCEL_SECONDS)
    return getattr(raw, "cancel", lambda: None)


_CANCEL_SECONDS: Final = 2.0
