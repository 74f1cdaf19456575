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
import contextlib
import contextvars
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

from sideeffects._core.calls import process
from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.policy.policy import Entry, Rules, Stub
from sideeffects._core.records.ledger import Journal, Ledger, SharedLedger
from sideeffects._core.values.frozen import Frozen

TEST_RUN_VARIABLE: Final = "SIDE_EFFECTS_TEST_RUN"
JOURNAL_VARIABLE: Final = "SIDE_EFFECTS_JOURNAL"

Restorer = Callable[[], None]
Observer = Callable[[Call], object]


class Scope(Frozen):
    """What a context sees: its overrides, innermost last, and the ledgers of its captures.

    Attributes:
        entries: the overrides.
        captures: the ledgers.
        first: the override that speaks before all others: what it says while it is open needs no second opinion.
    """

    entries: tuple[Entry, ...] = ()
    captures: tuple[Ledger, ...] = ()
    first: Entry | None = None


EMPTY: Final = Scope()


def _scope(entries: tuple[Entry, ...], captures: tuple[Ledger, ...]) -> Scope:
    """`EMPTY` itself when there is nothing, so that looking for nothing is one comparison."""
    if not entries and not captures:
        return EMPTY
    return Scope(entries, captures, entries[-1] if entries and not entries[-1].outermost else None)


def _placed(entries: tuple[Entry, ...], entry: Entry) -> tuple[Entry, ...]:
    """`entries` with one more: innermost, except that those which are to speak before all others stay so."""
    place = len(entries)
    while place and entries[place - 1].foremost and not entry.foremost:
        place -= 1
    return (*entries[:place], entry, *entries[place:])


scope: Final[contextvars.ContextVar[Scope]] = contextvars.ContextVar("sideeffects_scope", default=EMPTY)


class Faults(Protocol):
    """What lets calls fail, in a test run (see `sideeffects.testing.faults`). It may tighten a decision, only."""

    def meet(
        self, effect: SideEffect, decision: Decision, stub: Stub | None, returns: Any
    ) -> tuple[Decision, Stub | None, object]:
        """A call has been decided, and nothing has been written yet.

        Returns:
            the decision, made stricter perhaps; what a recorded call returns or raises; and what `begun` is to be
            told, `None` when this call does not fail.
        """
        ...

    def begun(self, call: Call, fault: object) -> None:
        """The call that `meet` chose has been written down."""

    def finished(self, call: Call) -> None:
        """A call has its outcome. What this raises takes the place of the call's answer."""


class Switched(Protocol):
    """What has a fast switch."""

    switch: list[bool]


class State:
    """The process's state. There is one, `state`."""

    __slots__ = (
        "_journal",
        "_journal_owner",
        "_live",
        "_looked_at",
        "_off",
        "doubts",
        "entries",
        "faults",
        "generation",
        "journal",
        "latched",
        "ledger",
        "lock",
        "observers",
        "option",
        "rules_source",
        "shared",
        "test_run_signs",
        "when_latched",
        "why_test_run",
    )

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.ledger = Ledger()
        self.entries: tuple[Entry, ...] = ()
        self.observers: tuple[Watching, ...] = ()
        #: What lets the calls of a test run fail, while a fault sweep runs.
        self.faults: Faults | None = None
        self.option: Mode | None = None
        self.rules_source: Callable[[], Rules] = Rules
        #: Where calls are written for other processes as well, as the rules last read say.
        self.shared: SharedLedger | None = None
        self.test_run_signs: Callable[[], str] = str
        self.why_test_run = ""
        #: Told once, when this process turns out to be in a test run.
        self.when_latched: Callable[[], object] = bool
        #: Reasons for which the fast switch stays on for good (pytest is imported, say).
        self.doubts: set[str] = set()
        #: Whether this is known to be a test run; see `in_test_run`.
        self.latched = False
        #: The generation in which the signs of a test run were last looked for, in vain.
        self._looked_at = -1
        #: Grows with every change that may change a decision.
        self.generation = 0
        self._off: list[Switched] = []
        self._live: weakref.WeakSet[Any] = weakref.WeakSet()
        #: Where this process reports its calls, when it is a child in a test run; `None` in the collecting one.
        self.journal: Journal | None = None
        self._journal: Journal | None = None
        self._journal_owner = 0

    # -- the test-run latch

    def in_test_run(self, rules: Rules | None = None) -> bool:
        """Whether this process is in a test run. Once it is, it stays so until it exits."""
        if self.latched:
            return True
        generation = self.generation
        why = ""
        # Looking costs more than recording a call. A sign that comes up later either latches or disturbs (`_test_run`
        # sees to it), and the fast switch relies on that as well.
        if self._looked_at == generation:
            if rules is None or not rules.test_run:
                return False
        else:
            why = self.test_run_signs()
            if not why:
                self._looked_at = generation
        if not why and rules is not None and rules.test_run:
            why = 'SIDE_EFFECTS["TEST_RUN"] is true'
        if why:
            self.latch(why)
            return True
        return False

    def latch(self, why: str) -> None:
        """Note that this is a test run, for this process and for the children that it starts."""
        with self.lock:
            is_new = not self.latched
            if is_new:
                self.why_test_run = why
                self.latched = True
                self.disturb()
            os.environ[TEST_RUN_VARIABLE] = "1"
            self._open_journal()
        if is_new:
            self.when_latched()

    # -- overrides and captures

    def visible(self, own: Scope, test_run: bool) -> Iterator[tuple[Entry, bool]]:
        """The overrides that a call sees, in the order in which they speak, each with whether it is outlived."""
        outermost: list[tuple[Entry, bool]] = []
        unheard = [entry for entry in own.entries if entry.closed and _was_entered_here(entry)]
        for entry in unheard:
            # Left elsewhere: this is no work that outlives the block, it only has not heard of it.
            _drop(entry)
        for entry in reversed(own.entries):
            if entry in unheard:
                continue
            outlived = entry.closed
            if entry.outermost:
                outermost.append((entry, outlived))
            else:
                yield entry, outlived
        if test_run:
            for entry in reversed(self.entries):
                if not entry.closed and entry not in own.entries:
                    if entry.outermost:
                        outermost.append((entry, False))
                    else:
                        yield entry, False
        yield from outermost

    def enter(self, entry: Entry) -> Restorer:
        """Put an override into force in this context (and, in a test run, for all others). Returns its restorer."""
        with self.lock:
            self._live.add(entry)
            self.disturb()
            if not entry.context_only:
                self.entries = (*self.entries, entry)
        own = scope.get()
        entry.token = scope.set(_scope(_placed(own.entries, entry), own.captures))
        return lambda: self.discard(entry)

    def discard(self, entry: Entry) -> None:
        """Remove an override, wherever it stands by now; work that outlives it sees that it is closed.

        The collector may come here at any moment, to close a generator that somebody has dropped: also while an
        override is being entered on the same thread, which may then put back what is removed here. Therefore whoever
        looks at overrides looks whether they are closed, and the token is kept.
        """
        with self.lock:
            entry.closed = True
            self.entries = tuple(other for other in self.entries if not other.closed)
        _drop(entry)

    def surround(self, entries: Sequence[Entry], ledger: Ledger) -> Restorer:
        """Put overrides that hold for their context only into force, and write its calls into `ledger`, at one stroke.

        The overrides keep the fast switches on, for as long as something may see them, and so for the ledger as well.
        Returns its restorer, which leaves whatever was entered inside as well.
        """
        own = scope.get()
        placed = own.entries
        with self.lock:
            for entry in entries:
                self._live.add(entry)
                placed = _placed(placed, entry)
            self.disturb()
        token = scope.set(_scope(placed, (*own.captures, ledger)))

        def leave() -> None:
            with self.lock:
                for entry in entries:
                    entry.closed = True
                ledger.close()
            scope.reset(token)

        return leave

    def watch(self, ledger: Ledger) -> Restorer:
        """Write this context's calls into `ledger` as well. Returns its restorer."""
        with self.lock:
            self._live.add(ledger)
            self.disturb()
        own = scope.get()
        scope.set(_scope(own.entries, (*own.captures, ledger)))
        return lambda: self.unwatch(ledger)

    def unwatch(self, ledger: Ledger) -> None:
        """Write no further calls into `ledger`, those of work that outlives its block neither."""
        with self.lock:
            ledger.close()
            self._live.discard(ledger)
        own = scope.get()
        if ledger in own.captures:
            scope.set(_scope(own.entries, tuple(other for other in own.captures if other is not ledger)))

    def add_observer(self, observer: Observer, at_start: Observer | None = None) -> Restorer:
        """Tell `observer` of each finished call, and `at_start` of each that is about to be executed.

        Returns its remover, which may be called more than once.
        """
        marker = Watching(observer, at_start)
        with self.lock:
            self.disturb()
            self.observers = (*self.observers, marker)

        def remove() -> None:
            with self.lock:
                self.observers = tuple(other for other in self.observers if other is not marker)

        return remove

    # -- the fast switch

    def keep_on(self, reason: object) -> Restorer:
        """Keep all fast switches on, while `reason` is not taken back. Returns its restorer."""
        with self.lock:
            self._live.add(reason)
            self.disturb()
        return lambda: self._live.discard(reason)

    def disturb(self) -> None:
        """Something may have changed: every effect goes through the runtime again."""
        with self.lock:
            self.generation += 1
            for switched in self._off:
                switched.switch[:] = [True]
            self._off = []

    def settle(self, switched: Switched, generation: int, rules: Rules) -> None:
        """Turn an effect's switch off, if what was decided at `generation` still holds and nobody is watching."""
        with self.lock:
            if (
                self.generation == generation
                and not self.latched
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
                self._journal = self.journal = Journal(path)
                self._journal_owner = 0
            return
        self.own_journal()

    def own_journal(self) -> Journal:
        """Collect the calls of the children that this process starts from now on, and return where they write."""
        with self.lock:
            self.sync()
            path = os.path.join(temporary_folder(), f"sideeffects-{os.getpid()}-{os.urandom(12).hex()}.jsonl")
            os.environ[JOURNAL_VARIABLE] = path
            self._journal = Journal(path)
            self._journal_owner = process.current.pid
            self.journal = None
            atexit.register(_remove_own, self._journal, os.getpid())
            return self._journal

    def collect_children(self) -> None:
        """A process that runs tests keeps the calls of its own children, instead of reporting to its parent."""
        if self.journal is not None:
            journal = self.own_journal()
            util = sys.modules.get("multiprocessing.util")
            if util is not None:
                # What multiprocessing has forked runs this at its end, and (before 3.13) nothing known to `atexit`.
                util.Finalize(None, journal.remove, exitpriority=0)
        if self._journal is not None:
            self._journal.listen()

    def collect_for_now(self) -> Restorer:
        """As `collect_children`, for a while. Who reports to a parent then hands on what it has collected."""
        parent = self.journal
        start = self.ledger.end
        self.collect_children()
        own = self._journal
        if parent is None or own is None:
            return lambda: None
        self.journal = parent

        def restore() -> None:
            with self.lock:
                self.sync()
                for call in self.ledger.read(start)[0]:
                    if call.pid != os.getpid():
                        parent.write_call(call.handed_on())
                self._journal, self._journal_owner = parent, 0
                os.environ[JOURNAL_VARIABLE] = parent.path
            own.remove()

        return restore

    def after_fork(self) -> None:
        """In the child: it reports its calls. A lock that another thread held would stay locked for good."""
        self.lock = threading.RLock()
        self.journal = self._journal

    def expect(self, call: Call) -> None:
        """Take over what another process writes of a call that this one has enqueued."""
        if self._journal is not None and self._journal_owner == process.current.pid:
            self._journal.expect(call)
        if self.shared is not None:
            self.shared.expect(call)

    def heard(self) -> bool:
        """Whether children may have written something. Each test asks more than once, and mostly nobody has."""
        return self.shared is not None or (self._journal is not None and self._journal.has_news())

    def sync(self) -> None:
        """Take over what children, and in a test run all who share the ledger, have written since the last time."""
        journal = self._journal
        if self.latched:
            with contextlib.suppress(Exception):  # while the settings are wrong no call gets far enough to be written
                self.rules_source()
        shared = self.shared
        if shared is not None and self.latched:
            calls, lost = shared.new_calls("" if journal is None else journal.path)
            for call in calls:
                self.ledger.append(call)
            self.ledger.lose(lost)
        if journal is not None and self._journal_owner == process.current.pid:
            known = journal.torn
            for call in journal.read_new():
                self.ledger.append(call)
            if journal.torn != known:
                self.ledger.lose(journal.torn - known)


def temporary_folder() -> str:
    """As `tempfile.gettempdir()` finds it, which however writes a file in order to try; importing writes none."""
    variables = (os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    for folder in (*variables, "/tmp", "/var/tmp"):  # noqa: S108 - the file in it has a name that nobody can guess
        if folder and os.path.isdir(folder) and os.access(folder, os.W_OK):
            return os.path.abspath(folder)
    import tempfile

    return tempfile.gettempdir()


class Watching:
    """One registration of an observer: the same function may be registered twice, and removed once.

    Attributes:
        finished: told of each finished call.
        started: told of each call that is about to be executed.
    """

    __slots__ = ("finished", "started")

    def __init__(self, finished: Observer, started: Observer | None) -> None:
        self.finished = finished
        self.started = started


def _was_entered_here(entry: Entry) -> bool:
    """Whether this very context, not one that was copied from it, entered the override. Answers yes once.

    A token can be used in the context that made it, and nowhere else. The scope that it brings back may be an old
    one: what stood in the context is put there again.
    """
    token = entry.token
    if token is None:
        return False
    own = scope.get()
    try:
        scope.reset(token)
    except ValueError:
        return False
    scope.set(own)
    entry.token = None
    return True


def _drop(entry: Entry) -> None:
    """Take an override out of this context."""
    own = scope.get()
    if entry in own.entries:
        scope.set(_scope(tuple(other for other in own.entries if other is not entry), own.captures))


def _remove_own(journal: Journal, owner: int) -> None:
    if os.getpid() == owner:  # pragma: no branch - in a fork this runs after coverage has ended
        journal.remove()


state: Final = State()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=state.after_fork)
