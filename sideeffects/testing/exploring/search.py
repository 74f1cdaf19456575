"""Which orders are run: those with few switches first, and none that cannot differ from one that was run."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sideeffects.testing.exploring.footprints import Footprint, matters
from sideeffects.testing.exploring.orders import Order
from sideeffects.testing.exploring.traces import Beginning, Item, Matters, Trace

#: So often the search begins anew when a racer takes other steps than before: what code keeps in memory is filled then.
_FRESH_STARTS: Final = 3


def always(_: Footprint, __: Footprint) -> bool:
    """As if the order of any two steps could matter: nothing is pruned."""
    return True


@dataclass(frozen=True, slots=True)
class NotRepeatable:
    """A racer has taken another step than in an order that was the same to it so far.

    Attributes:
        racer: which.
        expected: the step that it took then.
        found: the one that it took now; empty when it took none.
    """

    racer: int
    expected: str
    found: str


class Search:
    """Finds orders to run.

    Args:
        count: how many racers there are.
        limit: how many orders are run at most.
        bound: how many switches an order may have at most; `None` for any number.
        matters: whether the order of two steps can matter.

    Attributes:
        run: how many orders were run.
        is_complete: whether these were all.
        not_repeatable: what stopped the search, if racers took other steps without a reason.
    """

    def __init__(self, count: int, limit: int, bound: int | None, matters: Matters = matters) -> None:
        self._count: Final = count
        self._limit: Final = limit
        self._bound: Final = bound
        self._matters: Final = matters if bound is None else always
        self._numbers: Final = itertools.count()
        self.run = 0
        self.is_complete = False
        self.not_repeatable: NotRepeatable | None = None
        self._fresh_starts = 0
        self._begin()

    def _begin(self) -> None:
        self._todo: list[tuple[int, int, Beginning]] = [(0, next(self._numbers), Beginning((), (), ()))]
        #: For each step with its clock, the orders that have it, a bit each.
        self._seen: dict[Item, int] = {}
        self._queued: set[frozenset[Item]] = set()
        self._known = 0

    def through(self, run: Callable[[Beginning], Order]) -> None:
        """Run orders until there are no others, or enough.

        Args:
            run: runs one.
        """
        while self._todo:
            _, _, beginning = heapq.heappop(self._todo)
            if self._known and self._is_covered(beginning):
                continue
            if self.run >= self._limit:
                return
            order = run(beginning)
            self.run += 1
            if order.stuck is not None:
                return
            difference = _difference(beginning, order)
            if difference is not None:
                if self._fresh_starts == _FRESH_STARTS:
                    self.not_repeatable = difference
                    return
                self._fresh_starts += 1
                self._begin()
                continue
            self._learn(order)
        self.is_complete = True

    def _learn(self, order: Order) -> None:
        trace = Trace(order, self._count, self._matters)
        bit = 1 << self._known
        self._known += 1
        for item in trace.items:
            self._seen[item] = self._seen.get(item, 0) | bit
        for beginning in trace.reversals() if self._bound is None else _alternatives(order, trace, self._bound):
            key = frozenset(beginning.items)
            if key not in self._queued and not self._is_covered(beginning):
                self._queued.add(key)
                heapq.heappush(self._todo, (_switches(beginning.racers), next(self._numbers), beginning))

    def _is_covered(self, beginning: Beginning) -> bool:
        """Whether an order that was run begins so."""
        orders = -1
        for item in beginning.items:
            orders &= self._seen.get(item, 0)
            if not orders:
                return False
        return True


def _switches(racers: tuple[int, ...]) -> int:
    return sum(one != other for one, other in itertools.pairwise(racers))


def _difference(beginning: Beginning, order: Order) -> NotRepeatable | None:
    """Whether a racer took another step than it had to, up to where the order could be followed."""
    told = enumerate(itertools.zip_longest(beginning.racers, beginning.shapes, order.events))
    for number, (racer, shape, event) in told:
        if racer is None or number == order.deadlock:  # which of them goes on then, the database decides
            return None
        if event is None:
            return NotRepeatable(racer, shape, "")
        if event.racer != racer:
            return None  # who was to come had to wait
        if event.step.shape != shape:
            return NotRepeatable(racer, shape, event.step.shape)
    return None


def _alternatives(order: Order, trace: Trace, bound: int) -> list[Beginning]:
    """Each other choice at each step that does not switch too often."""
    items, events, found = trace.items, order.events, []
    switches = 0
    for place, event in enumerate(events):
        before = events[place - 1].racer if place else None
        # To switch before what touches nothing is to switch after it.
        for other in event.others if event.step.footprint or before != event.racer else ():
            could_go_on = before is not None and (before == event.racer or before in event.others)
            if switches + (could_go_on and other != before) <= bound:
                following = next(later for later in events[place:] if later.racer == other)
                number = sum(earlier.racer == other for earlier in events[:place])
                clock = tuple(
                    number + 1 if racer == other else sum(earlier.racer == racer for earlier in events[:place])
                    for racer in range(len(order.ends))
                )
                found.append(
                    Beginning(
                        (*(one.racer for one in events[:place]), other),
                        (*(one.step.shape for one in events[:place]), following.step.shape),
                        (*items[:place], (other, number, clock)),
                    )
                )
        switches += event.is_switch
    return found
