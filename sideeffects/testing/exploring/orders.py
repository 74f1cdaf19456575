"""Running one order: a racer goes on by one step at a time, as a plan says, and then with as few switches as may be."""

from __future__ import annotations

import sys
import time
import traceback as tracebacks
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from sideeffects._core.values import clock
from sideeffects.errors import RaceError
from sideeffects.testing.exploring import waiting
from sideeffects.testing.exploring.racer import Racer, Step
from sideeffects.testing.exploring.taking_back import Keeper

#: Seconds after which the database is asked whether a racer waits for a lock: most statements take less.
_SOON: Final = 0.0015
_LATER: Final = 0.0005


@dataclass(slots=True)
class Event:
    """A step that was taken.

    Attributes:
        racer: whose.
        step: which.
        others: the racers that could have gone on instead.
        is_switch: whether the racer before could have gone on.
        waited: whether it then waited for a lock that another had.
        released: at which event the racer went on, where it waited; `None` where it did not, or never did.
    """

    racer: int
    step: Step
    others: tuple[int, ...]
    is_switch: bool
    waited: bool = False
    released: int | None = None


@dataclass(slots=True)
class Order:
    """One order, as it was run.

    Attributes:
        events: its steps.
        ends: after how many events each racer had ended; `None` for one that has not.
        stuck: the racer that came to no step within the timeout, with where it stands.
        deadlock: after how many events all waited for each other, the first time; `None` where they never did.
    """

    events: list[Event] = field(default_factory=list)
    ends: list[int | None] = field(default_factory=list)
    stuck: tuple[int, str] | None = None
    deadlock: int | None = None

    @property
    def schedule(self) -> str:
        """Whose step each was: `112212`."""
        return "".join(str(event.racer + 1) for event in self.events)

    @property
    def switches(self) -> int:
        """How often a racer was left that could have gone on."""
        return sum(event.is_switch for event in self.events)


class Runner:
    """Runs orders.

    Args:
        racers: the racers.
        keepers: a connection of the explorer's for each database, by the database's place.
        timeout: seconds that one order may take.
    """

    def __init__(self, racers: Sequence[Racer], keepers: dict[str, Keeper], timeout: float) -> None:
        self._racers: Final = racers
        self._keepers: Final = keepers
        self._timeout: Final = timeout

    def run(self, start: Callable[[Racer], None], plan: Sequence[int]) -> Order:
        """Run one order.

        Args:
            start: starts a racer on its call.
            plan: whose steps come first; once it cannot be followed, it ends.

        Raises:
            RaceError: it did what cannot be explored.
        """
        order = Order(ends=[None] * len(self._racers))
        run = _Run(self._racers, self._keepers, order, clock.monotonic() + self._timeout)
        try:
            for racer in self._racers:
                start(racer)
                run.await_arrival(racer)
            run.follow(plan)
        except _Stuck as stuck:
            order.stuck = stuck.racer.index, _stack(stuck.racer)
            self.abandon(stuck.racer)
            return order
        except BaseException:
            self.abandon()
            raise
        self.abandon()
        for racer in self._racers:
            if racer.complaint is not None:
                raise racer.complaint
            if isinstance(racer.error, RaceError):
                raise racer.error
        return order

    def abandon(self, stuck: Racer | None = None) -> None:
        """End what still runs, as far as it stands at a step; the one that is stuck when it comes to one."""
        for racer in self._racers:
            if not racer.is_done:
                racer.abandon()
        deadline = clock.monotonic() + _PATIENCE
        for racer in self._racers:
            while (
                racer is not stuck
                and not racer.is_done
                and racer.arrived.acquire(timeout=max(0.0, deadline - clock.monotonic()))
            ):
                if not racer.is_done:
                    racer.abandon()


#: Seconds for which racers that are called off are waited for.
_PATIENCE: Final = 2.0


class _Stuck(Exception):
    def __init__(self, racer: Racer) -> None:
        super().__init__(racer.index)
        self.racer = racer


class _Run:
    """One order, while it runs."""

    def __init__(self, racers: Sequence[Racer], keepers: dict[str, Keeper], order: Order, deadline: float) -> None:
        self._racers = racers
        self._keepers = keepers
        self._order = order
        self._deadline = deadline
        #: Those that wait for a lock, each with its event, in the order in which they came to wait.
        self._waiting: dict[Racer, Event] = {}

    def follow(self, plan: Sequence[int]) -> None:
        left = list(reversed(plan))
        last: Racer | None = None
        while True:
            self._settle()
            ready = [racer for racer in self._racers if not racer.is_done and racer not in self._waiting]
            if not ready:
                if not self._waiting:
                    return
                self._let_somebody_through()
                continue
            chosen = next((racer for racer in ready if left and racer.index == left[-1]), None)
            if left:
                left = left[:-1] if chosen is not None else []
            if chosen is None:
                chosen = last if last in ready else ready[0]
            assert chosen is not None  # noqa: S101 - one of those that are ready
            assert chosen.at is not None  # noqa: S101 - it stands before a step
            others = tuple(racer.index for racer in ready if racer is not chosen)
            event = Event(chosen.index, chosen.at, others, last is not chosen and last in ready)
            self._order.events.append(event)
            last = chosen
            self._take(chosen, event)

    def _take(self, racer: Racer, event: Event) -> None:
        hooked = event.step.connection
        if hooked is not None and event.step.written != frozenset():
            self._keepers[hooked.catalog.place].before_writing(event.step.written)
        if event.step.keep is not None:
            event.step.keep()
        racer.let_go()
        if not self.await_arrival(racer):
            event.waited = True
            self._waiting[racer] = event

    def await_arrival(self, racer: Racer) -> bool:
        """Wait until a racer stands at its next step, or has ended. Returns false if it waits for a lock instead."""
        patience = _SOON
        while not racer.arrived.acquire(timeout=patience):
            if racer not in self._waiting and self._is_blocked(racer):
                return False
            if clock.monotonic() > self._deadline:
                raise _Stuck(racer)
            patience = _LATER if patience == _SOON else min(0.02, patience * 1.5)
        if racer.is_busy:
            return False
        if racer.is_done:
            self._order.ends[racer.index] = len(self._order.events)
        return True

    def _settle(self) -> None:
        """Find which of those that waited have got what they waited for."""
        for racer, event in list(self._waiting.items()):
            if self._has_come(racer):
                del self._waiting[racer]
                event.released = len(self._order.events) - 1

    def _has_come(self, racer: Racer) -> bool:
        if racer.is_busy:
            racer.retry()
            return self.await_arrival(racer)
        patience = 0.0
        while True:
            if racer.arrived.acquire(timeout=patience):
                if racer.is_done:
                    self._order.ends[racer.index] = len(self._order.events)
                return not racer.is_busy
            if self._is_blocked(racer):
                return False
            if clock.monotonic() > self._deadline:
                raise _Stuck(racer)
            patience = _LATER

    def _let_somebody_through(self) -> None:
        """All wait, so they wait for each other: the database ends that, and SQLite when its timeout is over."""
        if self._order.deadlock is None:
            self._order.deadlock = len(self._order.events)
        first = next(iter(self._waiting))
        if first.is_busy:
            first.give_up()
            del self._waiting[first]
            self.await_arrival(first)
            return
        count = len(self._waiting)
        while len(self._waiting) == count:
            if clock.monotonic() > self._deadline:
                raise _Stuck(first)
            time.sleep(_LATER)
            self._settle()

    def _is_blocked(self, racer: Racer) -> bool:
        for hooked in racer.connections:
            keeper = self._keepers[hooked.catalog.place]
            if hooked.session is not None and hooked.connection.connection is not None:
                others = [
                    other.session
                    for one in self._racers
                    for other in one.connections
                    if one is not racer and other.session is not None and other.catalog.place == hooked.catalog.place
                ]
                if waiting.waits(keeper.connection, hooked.session, others):
                    return True
        return False


def _stack(racer: Racer) -> str:
    frame = sys._current_frames().get(racer.thread.ident or 0)  # noqa: SLF001 - documented in spite of its name
    return "" if frame is None else "".join(tracebacks.format_stack(frame))
