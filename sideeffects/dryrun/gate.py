"""The gate of `dry_run --apply`: each call is held against the plan before it happens.

What belongs to a call that executes, other effects that it calls, is no step of the plan: the dry run did not execute
it, and has not seen them. Nor are calls that only read.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Mode
from sideeffects._core.calls.registry import only_reads
from sideeffects._core.state.scope import scope
from sideeffects._core.state.work_origin import lineage
from sideeffects.dryrun.matching import Matching
from sideeffects.dryrun.planned_calls import PlannedCall, planned
from sideeffects.dryrun.saved_plan import SavedPlan
from sideeffects.dryrun.strands import Place, Strands
from sideeffects.errors import PlanChanged


class Gate:
    """Holds calls against a plan.

    Args:
        saved: the plan.
        owner: who applies it: whose mark the contexts have that belong to it.
        is_whole: whether all calls of this process belong to it.
        keeps_order: whether callbacks after a commit come where they came in the dry run, which they do not where all
            is one transaction.
        passed: called with each call that may happen, and its number.
    """

    def __init__(
        self,
        saved: SavedPlan,
        owner: object,
        *,
        is_whole: bool,
        keeps_order: bool,
        passed: Callable[[int, Call], None],
    ) -> None:
        self._saved = saved
        self._owner = owner
        self._is_whole = is_whole
        self._keeps_order = keeps_order
        self._passed = passed
        self._lock = threading.RLock()
        self._strands = Strands()
        self._matching = Matching((self._placed(place), call) for place, call in saved.calls())
        self._rehearsal: tuple[object, Matching] | None = None
        self.calls: list[Call] = []
        self.changed: PlanChanged | None = None

    def __call__(self, call: Call) -> PlanChanged | None:
        """Ask for a call.

        Returns:
            why it must not happen, if it must not.
        """
        above = lineage.get().effect
        if call.effect.reads or (above and not only_reads(above)) or not self._belongs():
            return None
        came = planned(call, self._saved.ignored, self._saved.digest)
        with self._lock:
            if self.changed is not None:
                return PlanChanged(call.name, f"a call before it differed, at {self.changed.caller}", call.caller)
            if came.untold:
                self.changed = PlanChanged(came.name, came.why_untold(), came.caller, came.untold[0])
                return self.changed
            rehearsal = self._rehearsal
            is_rehearsed = rehearsal is not None and _belongs_to(rehearsal[0])
            matching = rehearsal[1] if rehearsal is not None and is_rehearsed else self._matching
            due = matching.take(self._placed(self._strands.here()), came)
            if due is not None:
                self.changed = _changed(came, due)
                return self.changed
            if not is_rehearsed:
                self.calls.append(call)
                self._passed(len(self.calls), call)
            return None

    @contextmanager
    def rehearsing(self, owner: object) -> Generator[None]:
        """Inside the block, calls of contexts that belong to `owner` are held against the plan, and are no steps."""
        self._rehearsal = owner, self._matching.copy()
        try:
            yield
        finally:
            self._rehearsal = None

    @property
    def is_rehearsing(self) -> bool:
        """Whether that block is open."""
        return self._rehearsal is not None

    def missing(self) -> Sequence[PlannedCall]:
        """The calls of the plan that have not come."""
        return self._matching.missing()

    def _placed(self, place: Place) -> Place:
        return Place(place.strand, "") if self._keeps_order else place

    def _belongs(self) -> bool:
        return self._is_whole or _belongs_to(self._owner)


def _belongs_to(owner: object) -> bool:
    return any(entry.owner is owner for entry in scope.get().entries)


def _changed(came: PlannedCall, due: Sequence[PlannedCall]) -> PlanChanged:
    nearest = min(
        (one for one in due if one.name == came.name and one.is_async == came.is_async),
        key=came.differences,
        default=None,
    )
    if nearest is not None and nearest.difference(came):
        argument = nearest.difference(came)
        was, now = nearest.shown(argument), came.shown(argument)
        problem = f"its argument {argument!r} is {now}, and in the plan it is {was} (made at {nearest.caller})"
        return PlanChanged(came.name, problem, came.caller, argument, was, now)
    if not due:
        return PlanChanged(came.name, "the plan has no further call here", came.caller)
    expected = " or ".join(dict.fromkeys(f"{one.name!r}{' in the background' * one.is_async}" for one in due))
    return PlanChanged(came.name, f"what comes next in the plan is {expected}", came.caller)


def fate_of(call: Call) -> str:
    """What became of a call that may have happened: empty if it has."""
    if call.mode is not Mode.EXECUTE:
        return f"{call.mode.value}: {call.reason}"
    outcome = call.outcome
    if outcome is not None:
        return "" if outcome.error is None else f"failed: {type(outcome.error).__name__}"
    if call.is_async:
        return "handed to the background"
    return "waited for a commit" if call.effect.on_commit is not False else "not ended"
