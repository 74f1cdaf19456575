"""Holding the calls of a run against those of a plan, strand by strand.

Nobody can tell which thread of the plan a thread of the run is. It is one of those that have begun with the same calls.
So the strands of a plan are laid into a tree: each call leads to the calls that may follow it. A strand of the run goes
down that tree, and on no branch there may be more strands than the plan has. That is all that is needed: where each
branch has room for those that are on it, the strands of both can be paired.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterable, Iterator, Sequence

from sideeffects.dryrun.planned_calls import PlannedCall
from sideeffects.dryrun.strands import FIRST, Place


class _Node:
    """A place in the tree.

    Attributes:
        call: the call that leads here.
        room: how many strands of the plan come by.
        taken: how many of the run have.
        following: what may come next, by its key.
    """

    __slots__ = ("call", "following", "room", "taken")

    def __init__(self, call: PlannedCall | None) -> None:
        self.call = call
        self.room = 0
        self.taken = 0
        self.following: dict[str, _Node] = {}

    def add(self, calls: Iterable[PlannedCall]) -> None:
        node = self
        for call in calls:
            node = node.following.setdefault(call.key, _Node(call))
            node.room += 1

    def missing(self) -> Iterator[PlannedCall]:
        waiting: list[_Node] = [self]
        while waiting:
            node = waiting.pop()
            if node.call is not None:
                for _ in range(node.room - node.taken):
                    yield node.call
            waiting.extend(reversed(node.following.values()))


class Matching:
    """The calls of a plan, and how far a run has come.

    Args:
        calls: the calls of each strand, in order.
    """

    def __init__(self, calls: Iterable[tuple[Place, PlannedCall]]) -> None:
        self._lock = threading.Lock()
        strands: dict[Place, list[PlannedCall]] = {}
        for place, call in calls:
            strands.setdefault(place, []).append(call)
        self._first: dict[Place, _Node] = {}
        self._others = _Node(None)
        for place, of_strand in strands.items():
            root = self._first.setdefault(place, _Node(None)) if place.strand == FIRST else self._others
            root.add(of_strand)
        self._at: dict[Place, _Node] = {}

    def copy(self) -> Matching:
        """One that goes on from here by itself."""
        with self._lock:
            twin = Matching(())
            twin._first, twin._others, twin._at = copy.deepcopy((self._first, self._others, self._at))
            return twin

    def take(self, place: Place, call: PlannedCall) -> Sequence[PlannedCall] | None:
        """A call has come.

        Args:
            place: where in the run.
            call: what is compared of it.

        Returns:
            `None` if the plan has it here, else the calls that the plan has here.
        """
        with self._lock:
            node = self._at.get(place) or (self._first.get(place) if place.strand == FIRST else self._others)
            if node is None:
                return ()
            following = node.following.get(call.key)
            if following is None or following.taken == following.room:
                return [one.call for one in node.following.values() if one.call and one.taken < one.room]
            following.taken += 1
            self._at[place] = following
            return None

    def missing(self) -> list[PlannedCall]:
        """The calls of the plan that have not come."""
        with self._lock:
            return [call for root in (*self._first.values(), self._others) for call in root.missing()]
