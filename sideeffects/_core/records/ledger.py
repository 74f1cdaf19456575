"""Where calls are written: in memory, bounded; and what a ledger that processes share looks like from below."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from typing import Final, Protocol

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.outcome import NO_RESULT, Outcome
from sideeffects._core.calls.row import Row
from sideeffects._core.records.tally import Tally

DEFAULT_BOUND: Final = 10_000


_ledgers: Final[weakref.WeakSet[Ledger]] = weakref.WeakSet()


class Ledger:
    """Calls in the order in which they were written; the oldest are dropped, and counted, past the bound.

    Positions count from the first call ever written, so that a view keeps its place when calls are dropped.
    """

    def __init__(self, bound: int = DEFAULT_BOUND) -> None:
        #: A row becomes a call when it is first read; `None` stands for a call that was lost.
        self._calls: list[Call | Row | None] = []
        self._trimmed = 0
        self._is_closed = False
        #: Run lists that have lost calls, each with the position of the last one that was dropped.
        self._dropped_runs: dict[str, int] = {}
        self._dropped_tally = Tally()
        self._lock = threading.RLock()
        #: Whether the thread that holds the lock is reading, so that positions must not shift.
        self._is_read = False
        self.bound = bound
        _ledgers.add(self)

    @property
    def bound(self) -> int:
        """How many calls are kept."""
        return self._bound

    @bound.setter
    def bound(self, bound: int) -> None:
        self._bound = bound
        # Trimmed a quarter at a time: dropping the first of a list costs as much as the list is long.
        self._limit = bound + (bound >> 2) + 16

    @property
    def end(self) -> int:
        """How many calls have ever been written."""
        with self._lock:
            return self._trimmed + len(self._calls)

    @property
    def dropped(self) -> int:
        """How many of them are no longer kept."""
        return max(self._trimmed, self.end - self.bound)

    def append(self, call: Call | Row) -> None:
        """Write a call down, or the row of one that was answered with nothing and is of no run list.

        Without the lock, which would cost more than the rest: `list.append` is one step for all threads, on
        free-threaded builds too. The lock is for what shifts positions, and for those who read them.
        """
        if self._is_closed:
            return
        calls = self._calls
        calls.append(call)
        if len(calls) > self._limit:
            self._trim()

    def _trim(self) -> None:
        with self._lock:
            if self._is_read:
                return  # by this very thread, further up: a signal handler or a finaliser has called an effect
            surplus = len(self._calls) - self._bound
            if surplus > self._limit - self._bound:  # otherwise another thread was here first
                for position, call in enumerate(self._calls[:surplus], self._trimmed):
                    if isinstance(call, Call) and call.run_id is not None:
                        self._dropped_runs[call.run_id] = position
                self._dropped_tally.count(self._calls[:surplus])
                del self._calls[:surplus]
                self._trimmed += surplus

    def read(self, start: int, stop: int | None = None) -> tuple[list[Call], int]:
        """The calls from position `start` up to `stop`, by time, and how many of that range were dropped."""
        with self._lock:
            now = self.end  # read once: others may be appending
            end = now if stop is None else min(stop, now)
            first = max(start, self._trimmed, now - self._bound)
            places = range(first - self._trimmed, end - self._trimmed)
            was_read, self._is_read = self._is_read, True
            try:
                kept = [call for call in map(self._at, places) if call is not None]
            finally:
                self._is_read = was_read
            lost = max(0, min(first, end) - start) + len(places) - len(kept)
        if any(call.is_foreign for call in kept):
            from sideeffects._core.records.pairing import in_order  # of calls of several processes

            kept = in_order(kept)  # what others have called is read after the fact, and belongs between this one's
        return kept, lost

    def of_run(self, run_id: str, start: int = 0) -> tuple[list[Call], bool]:
        """The calls of one run list from position `start` on, and whether these are all that were written of it."""
        with self._lock:
            stretch = self._calls[max(0, start - self._trimmed) :]
            calls = [call for call in stretch if isinstance(call, Call) and call.run_id == run_id]
            is_dropped = self._dropped_runs.get(run_id, -1) >= start
            return calls, not is_dropped and None not in stretch

    def tally(self, start: int = 0) -> Tally:
        """Counts the calls from position `start` on; from the beginning on those that were dropped, too."""
        tally = Tally()
        with self._lock:
            tally.count(self._calls[max(0, start - self._trimmed) :])
            if not start:
                tally.add(self._dropped_tally.as_data())
        return tally

    def _at(self, place: int) -> Call | None:
        """The call at a place in the list. It is made of its row once, so that all readers get the same one."""
        call = self._calls[place]
        if isinstance(call, tuple):
            call = self._calls[place] = Call(call, NO_RESULT)
        return call

    def lose(self, count: int) -> None:
        """Note that `count` calls were made here and are lost."""
        with self._lock:
            self._calls += [None] * count

    def close(self) -> None:
        """Keep what is there, and take no more."""
        with self._lock:
            self._is_closed = True

    def clear(self) -> None:
        """Forget the calls; positions go on."""
        with self._lock:
            forgotten = len(self._calls)
            self._dropped_tally.count(self._calls[:forgotten])
            del self._calls[:forgotten]  # not `clear()`, which would also take what was appended in between
            self._trimmed += forgotten

    def after_fork(self) -> None:
        """A lock that another thread held at the fork would stay locked for good."""
        self._lock = threading.RLock()
        self._is_read = False


def _after_fork_in_child() -> None:
    for ledger in list(_ledgers):
        ledger.after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=_after_fork_in_child)


class SharedLedger(Protocol):
    """A ledger that other processes write and read as well; see `sideeffects.ledgers`."""

    def write_call(self, call: Call, outcome: Outcome | None) -> None:
        """Write a call down, with its outcome where that is known already.

        Raises:
            LedgerError: it could not be.
        """

    def write_outcome(self, call: Call) -> None:
        """Add the outcome of a call that was written before, perhaps by another process."""

    def batch(self, run_id: str) -> contextlib.AbstractContextManager[None]:
        """Inside, the recorded calls of a run list may be written several at a time."""
        ...

    def expect(self, call: Call) -> None:
        """Look for the outcome of a call that this process has handed to another."""

    def new_calls(self, journal: str) -> tuple[list[Call], int]:
        """What other processes have written since the last time, and how many records were lost.

        Calls that are in the journal of that path as well are left out.
        """
        ...

    def of_run(self, run_id: str) -> tuple[list[Call], str]:
        """The calls of one run list, by all processes, and in words what is missing of the ledger, if anything."""
        ...

    def clear(self) -> None:
        """Remove all calls, those of other processes too."""
