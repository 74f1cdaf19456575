"""What is in force: all mutable state, in one place. Every switch returns its restorer.

Two things are kept apart. What belongs to a context (the overrides and captures that a call's own context sees) is
one immutable `Scope` in one `ContextVar`. What belongs to the process (all open overrides, the test-run latch,
observers, the ledger, the fast switches) is in one `State`.

**The fast switch.** wrapt calls a function directly, without entering Python, while the wrapper's `enabled` object is
false. Each effect has a list for this; empty means off. It starts on. It goes off only by `settle`, under the lock,
when the decision just taken would be taken again for every later call and nobody is watching; everything that could
change that calls `disturb` first, which turns all of them on again and makes every decision taken before it too old
to turn one off. In a test run it never goes off.
"""

from __future__ import annotations

import atexit
import contextvars
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, Protocol

from sideeffects._calls import Call, Mode, process_id
from sideeffects._ledger import Journal, Ledger
from sideeffects._policy import Entry, Rules

TEST_RUN_VARIABLE: Final = "SIDE_EFFECTS_TEST_RUN"
JOURNAL_VARIABLE: Final = "SIDE_EFFECTS_JOURNAL"

Restorer = Callable[[], None]
Observer = Callable[[Call], object]


class Scope(NamedTuple):
    """What a context sees: its overrides, innermost last, and the ledgers of its captures."""

    entries: tuple[Entry, ...] = ()
    captures: tuple[Ledger, ...] = ()


EMPTY: Final = Scope()


def _scope(entries: tuple[Entry, ...], captures: tuple[Ledger, ...]) -> Scope:
    """`EMPTY` itself when there is nothing, so that looking for nothing is one comparison."""
    return Scope(entries, captures) if entries or captures else EMPTY


scope: Final[contextvars.ContextVar[Scope]] = contextvars.ContextVar("sideeffects_scope", default=EMPTY)


class Switched(Protocol):
    """What has a fast switch."""

    switch: list[bool]


class State:
    """The process's state. There is one, `state`."""

    __slots__ = (
        "_generation",
        "_is_test_run",
        "_journal",
        "_journal_owner",
        "_live",
        "_off",
        "doubts",
        "entries",
        "ledger",
        "lock",
        "observers",
        "option",
        "rules_source",
        "test_run_signs",
        "why_test_run",
    )

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.ledger = Ledger()
        self.entries: tuple[Entry, ...] = ()
        self.observers: tuple[Observer, ...] = ()
        self.option: Mode | None = None
        self.rules_source: Callable[[], Rules] = Rules
        self.test_run_signs: Callable[[], str] = str
        self.why_test_run = ""
        #: Reasons for which the fast switch stays on for good (pytest is imported, say).
        self.doubts: set[str] = set()
        self._is_test_run = False
        self._generation = 0
        self._off: list[Switched] = []
        self._live: weakref.WeakSet[Any] = weakref.WeakSet()
        self._journal: Journal | None = None
        self._journal_owner = 0

    # -- the test-run latch

    def in_test_run(self, rules: Rules | None = None) -> bool:
        """Whether this process is in a test run. Once it is, it stays so until it exits."""
        if self._is_test_run:
            return True
        why = self.test_run_signs()
        if not why and rules is not None and rules.test_run:
            why = 'SIDE_EFFECTS["TEST_RUN"] is true'
        if why:
            self.latch(why)
            return True
        return False

    def latch(self, why: str) -> None:
        """Note that this is a test run, for this process and for the children that it starts."""
        with self.lock:
            if not self._is_test_run:
                self.why_test_run = why
                self._is_test_run = True
                self.disturb()
            os.environ[TEST_RUN_VARIABLE] = "1"
            self._open_journal()

    # -- overrides and captures

    def visible(self, own: Scope, test_run: bool) -> Iterator[tuple[Entry, bool]]:
        """The overrides that a call sees, in the order in which they speak, each with whether it is outlived."""
        outermost: list[tuple[Entry, bool]] = []
        for entry in reversed(own.entries):
            outlived = entry.closed
            if outlived and entry.home is here():
                continue
            if entry.outermost:
                outermost.append((entry, outlived))
            else:
                yield entry, outlived
        if test_run:
            for entry in reversed(self.entries):
                if entry not in own.entries:
                    if entry.outermost:
                        outermost.append((entry, False))
                    else:
                        yield entry, False
        yield from outermost

    def enter(self, entry: Entry) -> Restorer:
        """Put an override into force in this context (and, in a test run, for all others). Returns its restorer."""
        entry.home = here()
        with self.lock:
            self._live.add(entry)
            self.disturb()
            if not entry.context_only:
                self.entries = (*self.entries, entry)
        own = scope.get()
        scope.set(_scope((*own.entries, entry), own.captures))
        return lambda: self.discard(entry)

    def discard(self, entry: Entry) -> None:
        """Remove an override, wherever it stands by now; work that outlives it sees that it is closed."""
        with self.lock:
            entry.closed = True
            self.entries = tuple(other for other in self.entries if other is not entry)
        own = scope.get()
        if entry in own.entries:
            scope.set(_scope(tuple(other for other in own.entries if other is not entry), own.captures))

    def watch(self, ledger: Ledger) -> Restorer:
        """Write this context's calls into `ledger` as well. Returns its restorer."""
        with self.lock:
            self._live.add(ledger)
            self.disturb()
        own = scope.get()
        scope.set(_scope(own.entries, (*own.captures, ledger)))

        def stop() -> None:
            now = scope.get()
            scope.set(_scope(now.entries, tuple(other for other in now.captures if other is not ledger)))

        return stop

    def add_observer(self, observer: Observer) -> Restorer:
        """Tell `observer` of each finished call. Returns its remover, which may be called more than once."""
        marker = _Once(observer)
        with self.lock:
            self.disturb()
            self.observers = (*self.observers, marker)

        def remove() -> None:
            with self.lock:
                self.observers = tuple(other for other in self.observers if other is not marker)

        return remove

    # -- the fast switch

    @property
    def generation(self) -> int:
        """Grows with every change that may change a decision."""
        return self._generation

    def disturb(self) -> None:
        """Something may have changed: every effect goes through the runtime again."""
        with self.lock:
            self._generation += 1
            for switched in self._off:
                switched.switch[:] = [True]
            self._off = []

    def settle(self, switched: Switched, generation: int, rules: Rules) -> None:
        """Turn an effect's switch off, if what was decided at `generation` still holds and nobody is watching."""
        with self.lock:
            if (
                self._generation == generation
                and not self._is_test_run
                and not self.doubts
                and not self.observers
                and not self.entries
                and rules.settled
                and not len(self._live)
                and not self.test_run_signs()
            ):
                switched.switch.clear()
                self._off.append(switched)

    # -- calls of child processes

    def _open_journal(self) -> None:
        """Name the file in which the children of this test run write their calls, unless an ancestor did."""
        path = os.environ.get(JOURNAL_VARIABLE)
        if path:
            if self._journal is None or self._journal.path != path:
                self._journal = Journal(path)
                self._journal_owner = 0
            return
        self.own_journal()

    def own_journal(self) -> None:
        """Collect the calls of the children that this process starts from now on."""
        with self.lock:
            self.sync()
            path = os.path.join(_temporary_folder(), f"sideeffects-{os.getpid()}-{os.urandom(12).hex()}.jsonl")
            os.environ[JOURNAL_VARIABLE] = path
            self._journal = Journal(path)
            self._journal_owner = process_id()
            atexit.register(_remove_own, self._journal, os.getpid())

    @property
    def journal(self) -> Journal | None:
        """Where this process reports its calls, when it is a child in a test run; `None` in the collecting one."""
        return None if self._journal_owner == process_id() else self._journal

    def sync(self) -> None:
        """Take over what children have written since the last time."""
        journal = self._journal
        if journal is not None and self._journal_owner == process_id():
            for call in journal.read_new():
                self.ledger.append(call)


def _temporary_folder() -> str:
    """`tempfile.gettempdir()`; imported here since only a test run needs it, and production pays for no import."""
    import tempfile

    return tempfile.gettempdir()


class _Once:
    """One registration of an observer: the same function may be registered twice, and removed once."""

    __slots__ = ("observer",)

    def __init__(self, observer: Observer) -> None:
        self.observer = observer

    def __call__(self, call: Call) -> object:
        return self.observer(call)


def here() -> object:
    """The task, else the thread, that is running: what "the own context" means when a block is left elsewhere."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None:
        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None
        if task is not None:
            return task
    return threading.current_thread()


def _remove_own(journal: Journal, owner: int) -> None:
    if os.getpid() == owner:
        journal.remove()


state: Final = State()


def _after_fork_in_child() -> None:
    state.lock = threading.RLock()
    state.ledger.after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)
