"""The overrides of this process that are open: entering, leaving, and which of them a call sees.

An override is added on entering and removed by identity on leaving, wherever it stands by then. Nothing is ever
"restored to what was before": two threads may leave in another order than they entered.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator, Sequence

from sideeffects._core.policy.override_entry import OverrideEntry
from sideeffects._core.records.ledger import Ledger
from sideeffects._core.state import lifetimes
from sideeffects._core.state.open_in_parent import Signs, inherit
from sideeffects._core.state.scope import Scope, drop, placed, scope, scope_of, was_entered_here
from sideeffects._core.state.switches import FastSwitches, Restorer

#: After how many blocks entered in one test those that have been left are forgotten.
_MANY = 100


class OpenOverrides:
    """Those of the whole process; what belongs to one context is in its `Scope`.

    Args:
        lock: the lock of the process's state.
        switches: kept on while an override may be seen.
    """

    __slots__ = ("_signs", "_switches", "entries", "lock")

    def __init__(self, lock: threading.RLock, switches: FastSwitches) -> None:
        self.lock = lock
        self._switches = switches
        #: Those that a test run sees from everywhere, newest last.
        self.entries: tuple[OverrideEntry, ...] = ()
        self._signs = Signs()

    def visible(self, own: Scope, test_run: bool) -> Iterator[tuple[OverrideEntry, bool]]:
        """The overrides that a call sees, in the order in which they speak, each with whether it is outlived."""
        outermost: list[tuple[OverrideEntry, bool]] = []
        unheard = [entry for entry in own.entries if entry.closed and (entry.ended or was_entered_here(entry))]
        for entry in unheard:
            # Left elsewhere: this is no work that outlives the block, it only has not heard of it.
            drop(entry)
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

    def enter(self, entry: OverrideEntry) -> Restorer:
        """Put an override into force in this context (and, in a test run, for all others). Returns its restorer."""
        with self.lock:
            self._open(entry)
            if not entry.context_only:
                self.entries = (*self.entries, entry)
                self._belong(entry)
        own = scope.get()
        entry.token = scope.set(scope_of(placed(own.entries, entry), own.captures))
        return lambda: self.discard(entry)

    def discard(self, entry: OverrideEntry) -> None:
        """Remove an override, wherever it stands by now; work that outlives it sees that it is closed.

        The collector may come here at any moment, to close a generator that somebody has dropped: also while an
        override is being entered on the same thread, which may then put back what is removed here. Therefore whoever
        looks at overrides looks whether they are closed, and this context keeps a token.
        """
        is_here = was_entered_here(entry)
        with self.lock:
            self._close(entry)
            entry.ended = not is_here and entry.parent == 0
            self.entries = tuple(other for other in self.entries if not other.closed)
        drop(entry)
        if is_here:
            entry.token = scope.set(scope.get())

    def end(self, lifetime: lifetimes.Lifetime) -> list[OverrideEntry]:
        """Close what a test, or a fixture of several, has left open. Returns it."""
        lifetime.pause()
        with self.lock:
            lifetime.is_over = True
            left = lifetime.left_open()
            lifetime.entries = []
            for entry in left:
                self._close(entry)
            self.entries = tuple(other for other in self.entries if not other.closed)
        return left

    def _belong(self, entry: OverrideEntry) -> None:
        lifetime = None if entry.outermost else lifetimes.current()
        if lifetime is None:
            return
        if lifetime.is_over:
            self._close(entry)
        elif len(lifetime.entries) < _MANY:
            lifetime.entries.append(weakref.ref(entry))
        else:
            lifetime.entries = [weakref.ref(one) for one in (*lifetime.left_open(), entry)]

    def _open(self, entry: OverrideEntry) -> None:
        self._switches.keep_on(entry)
        if hasattr(os, "fork"):
            entry.signs = (self._signs.put_up(),)

    def _close(self, entry: OverrideEntry) -> None:
        entry.closed = True
        if entry.signs:
            self._signs.take_down(entry.signs[-1])

    def after_fork(self) -> None:
        """In the child: what is open here is open for as long as it is open in the parent."""
        parent, self._signs = self._signs.pid, Signs()
        for entry in list(self._switches.reasons):
            if isinstance(entry, OverrideEntry):
                inherit(entry, parent, self._signs)

    def surround(self, entries: Sequence[OverrideEntry], ledger: Ledger) -> Restorer:
        """Put overrides that hold for their context only into force, and write its calls into `ledger`, in one step.

        The overrides keep the fast switches on, for as long as something may see them, and so for the ledger as well.
        Returns its restorer, which leaves whatever was entered inside as well.
        """
        own = scope.get()
        seen = own.entries
        with self.lock:
            for entry in entries:
                self._open(entry)
                seen = placed(seen, entry)
        token = scope.set(scope_of(seen, (*own.captures, ledger)))

        def leave() -> None:
            with self.lock:
                for entry in entries:
                    self._close(entry)
                ledger.close()
            scope.reset(token)

        return leave

    def still_open(self) -> list[str]:
        """The overrides that are in force here, and those elsewhere that something still refers to; in words."""
        own = scope.get()
        found = [f"an override entered at {entry.origin}" for entry in self.entries]
        found += [f"an override in the test's own context, entered at {entry.origin}" for entry in own.entries]
        found += [
            f"an override entered at {entry.origin}, which is never left"
            for entry in self._switches.reasons
            if isinstance(entry, OverrideEntry)
            and not entry.closed
            and entry not in self.entries
            and entry not in own.entries
        ]
        return found
