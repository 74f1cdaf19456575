"""What stands around each probe: its databases are rolled back, and its effects are held back.

Effects are held back by an override of the probe's own context, also in a test run: no other request, thread or test
sees it.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from typing import Any, Final

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from sideeffects import _propagation
from sideeffects._calls import Call, Decision, Mode
from sideeffects._ledger import Ledger
from sideeffects._policy import Entry, OverrideRule
from sideeffects._reading import check_known
from sideeffects._registry import EVERYTHING
from sideeffects._state import EMPTY, Restorer, Scope, scope, state
from sideeffects.probes.databases import HeldDatabase, Terms, held
from sideeffects.probes.refusals import DatabaseRefused

_HELD_BACK: Final = (
    OverrideRule(
        EVERYTHING,
        Decision(Mode.RECORD, "a probe is running, and effects that it does not force are held back", "a probe"),
    ),
)


class Guard:
    """The protection of one thread that runs probes, one after the other.

    Args:
        is_borrowed: whether the thread's connections are somebody else's, and may be in a transaction.
    """

    def __init__(self, *, is_borrowed: bool = False) -> None:
        self._is_borrowed = is_borrowed
        self._databases: tuple[HeldDatabase, ...] = ()
        self._covered: frozenset[int] = frozenset()
        self._started: list[HeldDatabase] = []
        self._force: Restorer | None = None
        self._undo: list[Restorer] = []
        self._lock = threading.Lock()
        self._is_over = False
        self._ledger = Ledger()

    # -- one probe

    def start(self, terms: Terms, force: Sequence[OverrideRule]) -> None:
        """Protect this thread from here on.

        Raises:
            UnknownSideEffect: one of the forced names means no declared effect.
        """
        for rule in force:
            check_known(rule.pattern)
        install()
        self._find_databases()
        self._ledger = Ledger()
        try:
            # Two overrides: a probe past its timeout loses what it may execute, and keeps what holds it back.
            self._undo.append(state.enter(Entry(_HELD_BACK, "a probe", context_only=True, owner=self)))
            if force:
                self._force = state.enter(Entry(tuple(force), "a probe", context_only=True))
                self._undo.append(self._force)
            self._undo.append(state.watch(self._ledger))
            for database in self._databases:
                self._started.append(database)
                database.start(terms)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Roll everything back, and let go."""
        with self._lock:
            started, self._started = self._started, []
        for database in reversed(started):
            database.stop()
        while self._undo:
            self._undo.pop()()
        self._force = None

    @property
    def attempts(self) -> list[str]:
        """The probe's attempts to commit, each with its place."""
        return [attempt for database in self._databases for attempt in database.attempts]

    @property
    def calls(self) -> Sequence[Call]:
        """The effects that the probe called."""
        return self._ledger.read(0)[0]

    def _find_databases(self) -> None:
        if self._is_borrowed or not self._databases:
            self._databases = tuple(held(connections[alias]) for alias in connections)
            self._covered = frozenset(id(database.connection) for database in self._databases)

    def covers(self, connection: Any) -> bool:
        """Whether what is done on this connection is rolled back."""
        return id(connection) in self._covered

    # -- the end

    def abandon(self) -> None:
        """From another thread: the probe that runs hangs. Free what it holds, and let it execute nothing more."""
        with self._lock:
            self._is_over = True
            started = list(self._started)
        if self._force is not None:
            self._force()
        for database in started:
            database.abandon()

    def close(self) -> None:
        """Close the thread's connections."""
        for database in self._databases:
            database.discard()


def guard_in(own: Scope) -> Guard | None:
    """The guard of the probe to which a context belongs."""
    for entry in own.entries:
        if isinstance(entry.owner, Guard):
            return entry.owner
    return None


def is_inside_a_probe() -> bool:
    """Whether a probe is running in this context."""
    return guard_in(scope.get()) is not None


# -- other threads of a probe

_installed: Final[list[bool]] = []


def install() -> None:
    """Patch Django's cursors, once: a thread that a probe starts has connections which nobody would roll back."""
    if _installed:
        return
    with state.lock:
        if not _installed:
            _propagation.install()
            original: Any = getattr(BaseDatabaseWrapper, "_cursor")  # noqa: B009 - each way to a statement goes through it

            @functools.wraps(original)
            def cursor(self: Any, name: str | None = None) -> Any:
                own = scope.get()
                if own is not EMPTY:
                    guard = guard_in(own)
                    if guard is not None and not guard.covers(self):
                        raise DatabaseRefused(
                            f"a probe used the database {self.alias!r} in another thread or on another connection, "
                            f"where nothing would be rolled back. Use it in the probe's own thread; asynchronous "
                            f"probes that are SmokeTests do"
                        )
                return original(self, name)

            setattr(BaseDatabaseWrapper, "_cursor", cursor)  # noqa: B010 - a method, for the checkers
            _installed.append(True)
