"""What stands around each probe: its databases are rolled back, and its effects are held back.

Effects are held back by an override of the probe's own context, also in a test run: no other request, thread or test
sees it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.known import check_known
from sideeffects._core.calls.registry import EVERYTHING, matches, only_reads
from sideeffects._core.policy.override_entry import OverrideEntry, OverrideRule
from sideeffects._core.records.ledger import Ledger
from sideeffects._core.state import threads
from sideeffects._core.state.scope import EMPTY, Scope, scope
from sideeffects._core.state.state import state
from sideeffects._core.state.switches import Restorer
from sideeffects.database.sql import statement_text, writes
from sideeffects.probes.databases import HeldDatabase
from sideeffects.probes.drivers import Terms
from sideeffects.probes.refusals import DatabaseRefused, WriteRefused
from sideeffects.probes.savepoints import held
from sideeffects.probes.specs import Traits

_HELD_BACK: Final = OverrideRule(
    EVERYTHING,
    Decision(Mode.RECORD, "a probe is running, and effects that it does not force are held back", "a probe"),
)


_REFUSED: Final = OverrideRule(
    EVERYTHING, Decision(Mode.RAISE, "the probe says that it only reads (only_reads = True)", "a probe")
)


class _HoldingBack(OverrideEntry):
    """What holds the effects of a probe back: whatever is entered inside it may be stricter, and no looser.

    Outside a test run, effects that the probe forces are left to the other overrides, among them the one that forces
    them. In a test run they are left to what the tests had entered by then: a probe is no test, and names nothing for
    one. Work that outlives the probe, and a probe past its timeout, force nothing any more. Effects that only read are
    left to the ordinary table while the probe runs.

    Args:
        owner: the guard.
        traits: what the probe's class asks for.
        outside: what was in force around the probe, in a test run; `None` elsewhere.
    """

    def __init__(self, owner: Guard, traits: Traits, outside: tuple[OverrideEntry, ...] | None) -> None:
        self._held_back = _REFUSED if traits.only_reads else _HELD_BACK
        super().__init__((self._held_back,), "a probe", context_only=True, foremost=True, owner=owner)
        self.is_over = False
        force = traits.force
        self._force = tuple(rule.pattern for rule in force) if force else ()
        self._outside = outside

    def find(self, name: str) -> OverrideRule | None:
        """What the overrides inside and around the probe say of an effect, as far as it is no looser than this."""
        if not self.closed and not self.is_over and only_reads(name):
            return None
        is_forced = bool(self._force) and not self.closed and not self.is_over
        is_forced = is_forced and any(matches(own, name) for own in self._force)
        outside = self._outside
        if is_forced and outside is None:
            return None
        has_been_forced_inside = False
        for entry in reversed(scope.get().entries):
            rule = None if entry.closed or entry.foremost else entry.find(name)
            if rule is None:
                continue
            is_strict = rule.decision.mode >= self._held_back.decision.mode
            if is_strict or (is_forced and outside is not None and entry in outside):
                return rule
            if not is_forced:
                return self._held_back
            has_been_forced_inside = True
        if not is_forced or outside is None or has_been_forced_inside:
            return self._held_back
        return None


class Guard:
    """The protection of one thread that runs probes, one after the other.

    Args:
        is_borrowed: whether the thread's connections are somebody else's, and may be in a transaction.
    """

    def __init__(self, *, is_borrowed: bool = False) -> None:
        self._is_borrowed = is_borrowed
        #: Makes a block in which the time of the probe that runs does not.
        self.waiting: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext
        self._databases: tuple[HeldDatabase, ...] = ()
        self._covered: frozenset[int] = frozenset()
        self._started: list[HeldDatabase] = []
        self._holding: _HoldingBack | None = None
        self._leave: Restorer | None = None
        self._lock = threading.Lock()
        self._is_over = False
        self._ledger = Ledger()
        self._task: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None

    # -- one probe

    def start(self, terms: Terms, traits: Traits) -> None:
        """Protect this thread from here on.

        Raises:
            UnknownSideEffect: one of the forced names means no declared effect.
        """
        # Before anything here can raise: what is left of the probe before would be said of this one.
        self._ledger = Ledger()
        for database in self._databases:
            database.forget()
        force = traits.force
        for rule in force:
            check_known(rule.pattern)
        install()
        self._find_databases()
        try:
            outside: tuple[OverrideEntry, ...] | None = None
            if force and state.test_run.is_on(state.rules_source()):
                outside = (*scope.get().entries, *state.overrides.entries)
            self._holding = holding = _HoldingBack(self, traits, outside)
            entries: tuple[OverrideEntry, ...] = (holding,)
            if force and outside is None:
                entries = OverrideEntry(tuple(force), "a probe", context_only=True), holding
            self._leave = state.overrides.surround(entries, self._ledger)
            for database in self._databases:
                database.start(terms)
                self._started.append(database)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Roll everything back, and let go."""
        with self._lock:
            started, self._started = self._started, []
        for database in reversed(started):
            database.stop()
        if self._is_borrowed:
            self._release()
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()
        self._task = self._holding = None

    @property
    def attempts(self) -> list[str]:
        """The probe's attempts to commit, each with its place."""
        return [attempt for database in self._databases for attempt in database.attempts]

    @property
    def breaches(self) -> list[str]:
        """What came about although a probe may not do it, a sentence each."""
        return [breach for database in self._databases for breach in database.breaches]

    @property
    def calls(self) -> Sequence[Call]:
        """The effects that the probe called."""
        return self._ledger.read(0)[0] if self._ledger.end else ()

    def _find_databases(self) -> None:
        if self._is_borrowed or not self._databases:
            self._databases = tuple(held(connections[alias], is_borrowed=self._is_borrowed) for alias in connections)
            self._covered = frozenset(id(database.connection) for database in self._databases)

    def _release(self) -> None:
        for database in self._databases:
            database.release()

    def covers(self, connection: Any) -> bool:
        """Whether what is done on this connection is rolled back."""
        return id(connection) in self._covered

    def follow(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
        """The probe runs in this task, which is cancelled when the probe is past its timeout."""
        self._task = loop, task

    # -- the end

    def abandon(self) -> None:
        """From another thread: the probe that runs hangs. Let it execute nothing more, and use no database."""
        self._is_over = True
        if self._holding is not None:
            self._holding.is_over = True
        for database in self._databases:
            database.abandon()

    def cut(self) -> None:
        """From another thread, after `abandon`: free what the probe holds."""
        task = self._task
        if task is not None:
            with contextlib.suppress(RuntimeError):  # its loop is closed: it ended just now
                task[0].call_soon_threadsafe(task[1].cancel)
        with self._lock:
            started = list(self._started)
        for database in started:
            database.cut()

    def close(self) -> None:
        """Close the thread's connections."""
        self._release()
        for database in self._databases:
            database.close()


def guard_in(own: Scope) -> Guard | None:
    """The guard of the probe to which a context belongs."""
    for entry in own.entries:
        if isinstance(entry.owner, Guard):
            return entry.owner
    return None


def is_inside_a_probe() -> bool:
    """Whether a probe is running in this context."""
    return guard_in(scope.get()) is not None


# -- before probes


@contextlib.contextmanager
def writing_refused() -> Generator[None]:
    """Refuse what would be written by this thread inside the block: probes are imported on live systems."""
    with contextlib.ExitStack() as stack:
        for alias in connections:
            stack.enter_context(connections[alias].execute_wrapper(_refuse_writing))
        yield


def _refuse_writing(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    text = statement_text(sql, context["connection"].connection)
    if writes(text):
        raise WriteRefused(
            f"importing probes must not write to a database, where nothing would roll it back; this would have been "
            f"written: {text[:200]}"
        )
    return execute(sql, params, many, context)


# -- other threads of a probe

_installed: Final[list[bool]] = []


def install() -> None:
    """Patch Django's cursors, once: a thread that a probe starts has connections which nobody would roll back."""
    if _installed:
        return
    with state.lock:
        if not _installed:
            threads.install()
            for name in ("connect", "_cursor"):  # each way to a statement goes through them
                setattr(BaseDatabaseWrapper, name, _guarded(getattr(BaseDatabaseWrapper, name)))
            _installed.append(True)


def _guarded(original: Any) -> Any:
    @functools.wraps(original)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        own = scope.get()
        if own is not EMPTY:
            guard = guard_in(own)
            if guard is not None and not guard.covers(self):
                raise DatabaseRefused(
                    f"a probe used the database {self.alias!r} in another thread or on another connection, where "
                    f"nothing would be rolled back. Use it in the probe's own thread; in a SmokeTest, an async "
                    f"test does so by itself"
                )
        return original(self, *args, **kwargs)

    return guarded
