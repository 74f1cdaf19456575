"""Below Django: the driver's own connection, which can commit without asking Django.

psycopg (`postgresql.py`) and the connections of SQLite that are made for probes (`sqlite.py`) make their cursors by a
factory, so that each statement can be looked at. What other drivers are told past Django is not seen.
"""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from sideeffects.database.cursors import WatchedClasses
from sideeffects.database.holding import Replaced, is_in_transaction
from sideeffects.database.sql import ends_transaction, irrevocable, is_plain, statement_text, stays_with_session, writes
from sideeffects.probes.refusals import CommitRefused, WriteRefused


class Terms:
    """What a probe may do with databases.

    Attributes:
        allowed: the aliases, `None` for all.
        read_only: whether it may not write.
        deadline: when it is over, on the clock of `time.monotonic`; `None` for never.
        waiting: makes a block in which its time does not run, since it waits for another probe.
    """

    __slots__ = ("allowed", "deadline", "read_only", "waiting")

    def __init__(
        self,
        allowed: frozenset[str] | None,
        read_only: bool,
        deadline: float | None,
        waiting: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.allowed = allowed
        self.read_only = read_only
        self.deadline = deadline
        self.waiting = waiting


class Watch(Protocol):
    """The held connection, as its driver sees it.

    Attributes:
        is_ours: whether the statement is one of the protection itself.
        is_over: whether the probe is past its timeout.
        is_read_only: whether writing is refused.
        keeps_session: whether the session is the protection's alone, and ends with it.
        terms: what the probe may do.
    """

    is_ours: bool
    is_over: bool
    is_read_only: bool
    keeps_session: bool
    terms: Terms

    def note(self, what: str) -> None:
        """An attempt to commit was made."""

    def refuse_late(self) -> None:
        """A probe past its timeout wants to go on."""

    def use(self, driver: Driver) -> None:
        """Something of the driver's connection is about to be used, maybe before the probe has begun to use it."""


class Driver:
    """How a driver's connection is held. This one takes away `commit()` where the driver lets it be replaced."""

    #: Whether all statements are looked at, those past Django as well.
    sees_all = False
    #: Whether a rollback leaves something with the session, which then must end with the probe.
    is_spoilt = False
    #: Whether the session ends with each probe, whatever it has done.
    ends_session = False
    #: What the probe has done that no rollback took back; known once it has been rolled back.
    left_behind = ""
    #: Whether the rollback has been asked for, and not yet been answered.
    is_ending = False
    #: The methods that a probe may not call.
    refused: tuple[str, ...] = ("commit",)

    def __init__(self, raw: Any, watch: Watch) -> None:
        self.raw = raw
        self.watch = watch
        self._replaced: Replaced | None = None

    def hold(self) -> None:
        """From here on a probe uses it."""
        self._replaced = Replaced(self.raw, self.replacements())
        self._replaced.put()

    def replacements(self) -> dict[str, Any]:
        """What the driver's connection has instead of its own methods."""
        return {name: functools.partial(self._refuse_call, name) for name in self.refused}

    def release(self) -> None:
        """The probe is over."""
        if self._replaced is not None:
            self._replaced.take_away()

    def begin(self, connection: Any, terms: Terms) -> None:  # noqa: ARG002 - not all databases know such terms
        """Begin the transaction."""
        set_autocommit(connection, autocommit=False)

    def end(self, connection: Any) -> None:
        """Roll it back."""
        self.raw.rollback()
        set_autocommit(connection, autocommit=True)

    def settle(self, seconds: float) -> None:
        """Wait until the database has rolled back, so that what the probe has locked is free."""

    def is_in_transaction(self) -> bool:
        """Whether the transaction is still the one that was begun, as far as the driver tells."""
        return is_in_transaction(self.raw)

    def cut(self) -> None:
        """Take it away from the thread that hangs on it, so that the database rolls its transaction back.

        Closing it under a thread that is inside the driver may crash the process. A server notices when its socket
        is shut.
        """
        if hasattr(self.raw, "fileno"):
            with socket.socket(fileno=os.dup(self.raw.fileno())) as shared:
                shared.shutdown(socket.SHUT_RDWR)
        else:
            self.raw.close()

    def _refuse_call(self, name: str, *_: object, **__: object) -> None:
        self.refuse(f"{name}() of the driver's connection")

    def refuse(self, what: str) -> None:
        """Write an attempt down, and raise.

        Raises:
            CommitRefused: always.
        """
        self.watch.note(what)
        raise CommitRefused(f"a probe can neither commit nor end its transaction, and this one tried to: {what}")


def set_autocommit(connection: Any, *, autocommit: bool) -> None:
    """As Django sets it, below what is hooked and what looks whether the connection is in a block."""
    connection._set_autocommit(autocommit)  # noqa: SLF001 - the one method that each backend has for it
    connection.autocommit = autocommit


class Looking(Driver):
    """A connection whose cursors are of a class that looks at each statement."""

    sees_all = True
    #: Whether the database itself refuses what writes, where the probe may only read.
    is_told_by_server = False

    def __init__(self, raw: Any, watch: Watch) -> None:
        super().__init__(raw, watch)
        #: That class, for cursors of a class.
        self.looking = WatchedClasses(self)

    def before(
        self,
        method: str,
        query: Any,
        cursor: Any,  # noqa: ARG002 - as a `Watcher`
        options: Mapping[str, Any],  # noqa: ARG002 - as above
    ) -> tuple[Any, None]:
        """Refuse a statement that ends the transaction, or that no transaction takes back.

        Raises:
            CommitRefused: it is one of the former.
            WriteRefused: it is one of the latter, or writes although the probe may only read.
        """
        watch = self.watch
        if not watch.is_ours:
            if watch.is_over:
                watch.refuse_late()
            watch.use(self)
            text = statement_text(query, self.raw)
            if method == "executescript":
                self.refuse("executescript(), which commits first")
            if not is_plain(text):
                self._look_closer(text)
            if watch.is_read_only and not self.is_told_by_server and writes(text):
                raise WriteRefused(f"this probe is read-only, and would have written to the database: {text[:200]}")
        return query, None

    def after(self, seen: None, cursor: Any) -> None:
        """Nothing is done behind a statement."""

    def failed(self, seen: None, cursor: Any, error: BaseException) -> None:
        """Nor behind one that failed."""

    def _look_closer(self, text: str) -> None:
        if ends_transaction(text):
            self.refuse(text.strip())
        if self.is_told_by_server:
            why = irrevocable(text)
            if why:
                raise WriteRefused(f"a probe leaves nothing behind, and this {why}: {text[:200]}")
            if stays_with_session(text):
                self.is_spoilt = True
