"""What is in force in this process: one `State` with one lock, made of parts that each own one topic.

What belongs to a context (the overrides and captures that a call's own context sees) is not here, but one immutable
`Scope` in one `ContextVar` (`scope.py`). Every switch returns its restorer.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from typing import Any, Final, Protocol

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.policy.override_entry import Stub
from sideeffects._core.policy.rules import Rules
from sideeffects._core.records.ledger import Ledger, SharedLedger
from sideeffects._core.state import floor, live
from sideeffects._core.state.children import Children
from sideeffects._core.state.extension_points import rules_changed, rules_source
from sideeffects._core.state.latch import Latch
from sideeffects._core.state.live import Live
from sideeffects._core.state.open_overrides import OpenOverrides
from sideeffects._core.state.scope import EMPTY, scope, scope_of
from sideeffects._core.state.switches import FastSwitches, Restorer
from sideeffects._core.state.work_origin import NONE, lineage
from sideeffects.errors import SideEffectError

Observer = Callable[[Call], object]
#: Asked of each call that has been decided here, before anything of it happens. What it returns is raised.
Gate = Callable[[Call], SideEffectError | None]


class Faults(Protocol):
    """What lets calls fail, in a test run (see `sideeffects.testing.faults`). It may tighten a decision, only."""

    def meet(
        self, effect: SideEffect, decision: Decision, stub: Stub | None, returns: Any
    ) -> tuple[Decision, Stub | None, object]:
        """A call has been decided, and nothing has been written yet.

        Returns:
            the decision, perhaps made stricter; what a recorded call returns or raises; and what `begun` is called
            with, `None` when this call does not fail.
        """
        ...

    def begun(self, call: Call, fault: object) -> None:
        """The call that `meet` chose has been written down."""

    def finished(self, call: Call) -> None:
        """A call has its outcome. What this raises takes the place of the call's answer."""


class Observing:
    """One registration of an observer: the same function may be registered twice, and removed once.

    Attributes:
        finished: told of each finished call.
        started: told of each call that is about to be executed.
    """

    __slots__ = ("__weakref__", "finished", "started")

    def __init__(self, finished: Observer, started: Observer | None) -> None:
        self.finished = finished
        self.started = started


#: What hears of each call at once, besides those who keep it.
_HEARERS: Final = ("faults", "gates", "live", "observers")


class State:
    """The process's state. There is one, `state`."""

    __slots__ = (
        "children",
        "faults",
        "floor",
        "gates",
        "is_quiet",
        "ledger",
        "live",
        "lock",
        "observers",
        "option",
        "overrides",
        "shared",
        "shows_current",
        "stubs",
        "switches",
        "test_run",
    )

    #: Whether nobody but the ledgers has to hear of a call that is recorded: one look for each call, in place of four.
    is_quiet: bool

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.observers: tuple[Observing, ...] = ()
        #: What may refuse calls, once they have been decided.
        self.gates: tuple[Gate, ...] = ()
        #: What lets the calls of a test run fail, while a fault sweep runs.
        self.faults: Faults | None = None
        #: Where a line of each decision is written at once.
        self.live: Live | None = live.at_start
        self.ledger = Ledger()
        self.switches = FastSwitches(self.lock)
        #: The stubs that a test run has put into force: what is said of a call that one answers, and where it stands.
        self.stubs: set[tuple[str, str]] = set()
        #: Where calls are written for other processes as well, as the rules last read say.
        self.shared: SharedLedger | None = None
        #: The decision that no other of this process is looser than.
        self.floor: Decision | None = floor.at_start
        self._begin()

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _HEARERS:
            object.__setattr__(self, name, value)
            return
        with self.lock:
            object.__setattr__(self, name, value)
            object.__setattr__(self, "is_quiet", not any(getattr(self, one, None) for one in _HEARERS))

    def _begin(self) -> None:
        self.overrides = OpenOverrides(self.lock, self.switches)
        self.children = Children(self.lock, self.ledger, self.sync)
        self.test_run = Latch(self.lock, self.switches, self.children)
        self.observers = ()
        self.gates = ()
        #: Whether each executing call is written down, since its function may ask which call it is.
        self.shows_current = False
        #: What `--side-effects` says.
        self.option: Mode | None = None

    def after_fork(self) -> None:
        """In the child: a lock that another thread held would stay locked for good."""
        self.lock = threading.RLock()
        for part in (self.switches, self.overrides, self.children, self.test_run):
            part.lock = self.lock
        self.children.after_fork()
        self.overrides.after_fork()

    @property
    def rules_source(self) -> Callable[[], Rules]:
        """What says which rules hold."""
        return rules_source.last

    def follow(self, rules: Rules | None) -> None:
        """Do what new rules say of records and of the test run; with `None`, forget what may hold no longer."""
        with self.lock:
            self.switches.disturb()
            self.shared = None if rules is None else rules.shared
            if rules is not None:
                self.ledger.bound = rules.max_calls
                self.test_run.is_on(rules)  # now, so that children started before the first call know it too

    # -- who hears of calls

    def watch(self, ledger: Ledger) -> Restorer:
        """Write this context's calls into `ledger` as well. Returns its restorer."""
        self.switches.keep_on(ledger)
        own = scope.get()
        scope.set(scope_of(own.entries, (*own.captures, ledger)))
        return lambda: self.unwatch(ledger)

    def unwatch(self, ledger: Ledger) -> None:
        """Write no further calls into `ledger`, those of work that outlives its block neither."""
        with self.lock:
            ledger.close()
            self.switches.reasons.discard(ledger)
        own = scope.get()
        if ledger in own.captures:
            scope.set(scope_of(own.entries, tuple(other for other in own.captures if other is not ledger)))

    def add_observer(self, observer: Observer, at_start: Observer | None = None) -> Restorer:
        """Tell `observer` of each finished call, and `at_start` of each that is about to be executed.

        Returns its remover, which may be called more than once.
        """
        marker = Observing(observer, at_start)
        with self.lock:
            forget = self.switches.keep_on(marker)
            self.observers = (*self.observers, marker)

        def remove() -> None:
            with self.lock:
                self.observers = tuple(other for other in self.observers if other is not marker)
                forget()

        return remove

    def show_current(self) -> None:
        """Let all executing calls be such that their functions can ask for them, from now on."""
        with self.lock:
            self.shows_current = True
            self.switches.disturb()

    # -- what may refuse calls

    def add_gate(self, gate: Gate) -> Restorer:
        """Let no call of this process happen, in whichever context, before `gate` was asked. Returns its remover."""
        with self.lock:
            forget = self.switches.keep_on(gate)
            self.gates = (*self.gates, gate)

        def remove() -> None:
            with self.lock:
                self.gates = tuple(other for other in self.gates if other is not gate)
                forget()

        return remove

    # -- calls of other processes

    def expect(self, call: Call) -> None:
        """Take over what another process writes of a call that this one has enqueued."""
        self.children.expect(call)
        if self.shared is not None:
            self.shared.expect(call)

    def heard(self) -> bool:
        """Whether others may have written something. Each test asks more than once, and mostly nobody has."""
        return self.shared is not None or self.children.have_news()

    def sync(self) -> None:
        """Take over what children, and in a test run all who share the ledger, have written since the last time."""
        if self.test_run.is_latched:
            with contextlib.suppress(Exception):  # while the settings are wrong no call gets far enough to be written
                self.rules_source()
        shared = self.shared
        if shared is not None and self.test_run.is_latched:
            calls, lost = shared.new_calls(self.children.path)
            for call in calls:
                self.ledger.append(call)
            self.ledger.lose(lost)
        self.children.take_over()

    # -- for tests

    def set_aside(self) -> Callable[[], list[str]]:
        """Begin anew, as a process outside any test run that has nothing in force, until what this returns is called.

        The latch of a test run cannot be undone in any other way: this is for tests of what happens in production.

        Returns:
            what puts everything back, and tells in words what was left open inside.
        """
        own, line = scope.get(), lineage.get()
        with self.lock:
            before = (
                self.overrides,
                self.children,
                self.test_run,
                self.observers,
                self.gates,
                self.shows_current,
                self.option,
            )
            reasons = self.switches.set_aside()
            self._begin()
        scope.set(EMPTY)
        lineage.set(NONE)

        def put_back() -> list[str]:
            leaks = [*self.overrides.still_open(), *(f"the observer {one.finished!r}" for one in self.observers)]
            leaks += [f"the gate {gate!r}" for gate in self.gates]
            leaks += ["a capture in the test's own context"] * len(scope.get().captures)
            with self.lock:
                (
                    self.overrides,
                    self.children,
                    self.test_run,
                    self.observers,
                    self.gates,
                    self.shows_current,
                    self.option,
                ) = before
                self.switches.put_back(reasons)
            scope.set(own)
            lineage.set(line)
            return leaks

        return put_back


state: Final = State()
rules_changed.add(state.follow)


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=state.after_fork)
