"""Which orders are one: those in which only neighbours were swapped whose order cannot matter.

Such orders form a *trace*, which is told by what happens before what. For each step a clock says, racer by racer, how
many of its steps happened before: by the racer's own order, or since the two touch the same thing, or since the racer
waited. What waits is done by the step that lets it go on, so that one counts as touching what both touch. Two orders
with the same clocks are one.

From each order that was run follow others: for each two steps of different racers that touch the same thing, with
nothing between that orders them, the later one is to come first (Flanagan and Godefroid, "Dynamic partial-order
reduction", POPL 2005). `u` below is what leads there: all steps that happen after neither, and then the later one. If
each `u` of each order that was run begins an order that was run, all were; the clocks tell whether it does, so that no
order is run twice (as in Abdulla and others, "Optimal dynamic partial order reduction", POPL 2014).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sideeffects.testing.exploring.footprints import Footprint
from sideeffects.testing.exploring.orders import Order

#: How many steps of each racer happened before, up to and with a step.
Clock = tuple[int, ...]
#: A step, by its racer and how many that had taken before, with its clock.
Item = tuple[int, int, Clock]
Matters = Callable[[Footprint, Footprint], bool]


def joined(one: Clock, other: Clock) -> Clock:
    """What happened before either."""
    return tuple(map(max, one, other))


@dataclass(frozen=True, slots=True)
class Beginning:
    """How an order begins.

    Attributes:
        racers: whose step each is.
        shapes: and which.
        items: the steps with their clocks.
    """

    racers: tuple[int, ...]
    shapes: tuple[str, ...]
    items: tuple[Item, ...]


class Trace:
    """An order that was run, and its clocks.

    Args:
        order: the order.
        count: how many racers there are.
        matters: whether the order of two steps can matter.
    """

    def __init__(self, order: Order, count: int, matters: Matters) -> None:
        self._events: Final = order.events
        self._count: Final = count
        self._matters: Final = matters
        #: What each step has before it by its own racer alone.
        self._own: Final[list[Clock]] = []
        self._clocks: Final[list[Clock]] = []
        self._numbers: Final[list[int]] = []
        #: The steps that had waited until then.
        self._released: Final[dict[int, list[int]]] = {}
        for place, event in enumerate(self._events):
            if event.waited and event.released is not None:
                self._released.setdefault(event.released, []).append(place)
        self._footprints: Final = [self._footprint(place) for place in range(len(self._events))]
        nothing: Clock = (0,) * count
        latest: list[Clock] = [nothing] * count
        taken = [0] * count
        for place, event in enumerate(self._events):
            own = latest[event.racer]
            for earlier in self._waits_that_end_with(place, event.racer):
                own = joined(own, self._clocks[earlier])
            clock = own
            for earlier in range(place):
                if self._races(earlier, place, self._footprints[place]):
                    clock = joined(clock, self._clocks[earlier])
            number = taken[event.racer]
            taken[event.racer] += 1
            latest[event.racer] = clock = _with(clock, event.racer, number + 1)
            self._own.append(own)
            self._clocks.append(clock)
            self._numbers.append(number)

    def _waits_that_end_with(self, place: int, racer: int) -> Iterator[int]:
        """What let the racer go on that had waited before this step."""
        for event in reversed(self._events[:place]):
            if event.racer == racer:
                if event.waited and event.released is not None:
                    yield min(event.released, place - 1)
                return

    def _footprint(self, place: int, among: Collection[int] | None = None) -> Footprint:
        """What a step touches, and what it lets go on; where `among` is given, of these only."""
        released = self._released.get(place, ())
        return self._events[place].step.footprint.union(
            *(self._events[one].step.footprint for one in released if among is None or one in among)
        )

    def _races(self, earlier: int, place: int, footprint: Footprint) -> bool:
        is_same_racer = self._events[earlier].racer == self._events[place].racer
        return not is_same_racer and self._matters(self._footprints[earlier], footprint)

    @property
    def items(self) -> list[Item]:
        """Its steps, with their clocks."""
        return [
            (event.racer, number, clock)
            for event, number, clock in zip(self._events, self._numbers, self._clocks, strict=True)
        ]

    def reversals(self) -> Iterator[Beginning]:
        """For each two steps that race, how an order begins in which the later one comes first."""
        for late in range(len(self._events)):
            before = self._own[late]
            for early in range(late - 1, -1, -1):
                other = self._events[early]
                if before[other.racer] > self._numbers[early] or not self._races(early, late, self._footprints[late]):
                    continue
                before = joined(before, self._clocks[early])
                yield self._reversed(early, late)

    def _reversed(self, early: int, late: int) -> Beginning:
        kept = [
            place
            for place in range(len(self._events))
            if place != late and not self._happens_before(early, place) and not self._happens_before(late, place)
        ]
        event = self._events[late]
        clock, footprint = self._own[late], self._footprint(late, kept)
        for place in kept:
            if self._races(place, late, footprint):
                clock = joined(clock, self._clocks[place])
        clock = _with(clock, event.racer, self._numbers[late] + 1)
        clocks = {place: self._clocks[place] for place in kept} | {late: clock}
        places = self._with_few_switches(clocks)
        return Beginning(
            tuple(self._events[place].racer for place in places),
            tuple(self._events[place].step.shape for place in places),
            tuple((self._events[place].racer, self._numbers[place], clocks[place]) for place in places),
        )

    def _happens_before(self, early: int, place: int) -> bool:
        return place >= early and self._clocks[place][self._events[early].racer] > self._numbers[early]

    def _with_few_switches(self, clocks: dict[int, Clock]) -> list[int]:
        """These steps in an order that their clocks allow: by one racer for as long as it can go on."""
        found = (self._linear(clocks, first) for first in {self._events[place].racer for place in clocks})
        return min(found, key=self._switches)

    def _linear(self, clocks: dict[int, Clock], current: int) -> list[int]:
        left = {
            racer: [place for place in sorted(clocks) if self._events[place].racer == racer]
            for racer in range(self._count)
        }
        done, places = [0] * self._count, list[int]()
        while len(places) < len(clocks):
            for racer in sorted(left, key=lambda one: (one != current, one)):
                if left[racer] and _may_come(clocks[left[racer][0]], done, racer):
                    places.append(left[racer].pop(0))
                    done[racer] += 1
                    current = racer
                    break
            else:
                raise AssertionError("no order of the steps agrees with their vector clocks: a bug in sideeffects")
        return places

    def _switches(self, places: Sequence[int]) -> int:
        racers = [self._events[place].racer for place in places]
        return sum(one != other for one, other in itertools.pairwise(racers))


def _with(clock: Clock, racer: int, number: int) -> Clock:
    return (*clock[:racer], number, *clock[racer + 1 :])


def _may_come(clock: Clock, done: Sequence[int], racer: int) -> bool:
    return all(before <= taken for one, (before, taken) in enumerate(zip(clock, done, strict=True)) if one != racer)
