"""What people do with held calls: release, retry, reject, prune. For the command and the admin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from django.db import connections, transaction
from django.db.models import QuerySet
from django.utils import timezone

from sideeffects._core.calls.handle import Handle
from sideeffects._core.calls.parcel import Parcel
from sideeffects._core.state import extension_points
from sideeffects._core.state.state import state
from sideeffects.outbox import workers
from sideeffects.outbox.executing import check_commits, execute_each
from sideeffects.outbox.keeping import alias
from sideeffects.outbox.models import HeldCall
from sideeffects.outbox.states import State

#: Which states an action takes calls from.
RELEASED_FROM: Final = (State.HELD, State.RELEASED)
RETRIED_FROM: Final = (State.FAILED, State.UNKNOWN)
REJECTED_FROM: Final = (State.HELD, State.RELEASED, State.FAILED, State.UNKNOWN)
PRUNED_FROM: Final = (State.DONE, State.REJECTED)

#: As many rows as one statement names.
_CHUNK: Final = 500
#: As many calls as a worker reads at once.
_WINDOW: Final = 50

Progress = Callable[[int], object]


@dataclass(slots=True)
class Result:
    """What an action has done.

    Attributes:
        changed: how many calls it has released, rejected or deleted.
        missed: those that were in no state for it: their primary keys.
        done: how many were executed, here.
        failed: how many raised, here.
        kept: how many could not be executed and are held as before; each row says why.
        handed_over: how many were given to an engine whose workers execute them.
    """

    changed: int = 0
    missed: list[int] = field(default_factory=list)
    done: int = 0
    failed: int = 0
    kept: int = 0
    handed_over: int = 0


def release(
    ids: Iterable[int], *, by: str, on_progress: Progress | None = None, result: Result | None = None
) -> Result:
    """Release held calls, and execute them: here, or by the workers of the engine. Inside a transaction: after it.

    Those that somebody has released before, and that nobody has executed, are executed as well.

    Args:
        ids: the primary keys of the rows.
        by: who releases them.
        on_progress: told again and again how many calls have been executed or handed over.
        result: what will be returned; it grows while calls are executed.

    Returns:
        what was done. Inside a transaction nothing is executed yet.

    Raises:
        SideEffectError: autocommit is off; nothing was released.
    """
    return _hand_on(list(ids), RELEASED_FROM, by, on_progress, result)


def retry(ids: Iterable[int], *, by: str, on_progress: Progress | None = None, result: Result | None = None) -> Result:
    """Execute calls again that failed, or that nobody knows to have been done. As `release`."""
    return _hand_on(list(ids), RETRIED_FROM, by, on_progress, result)


def reject(ids: Iterable[int], *, by: str) -> Result:
    """Let calls never be executed. Those that run, or are done, stay as they are."""
    values = {"state": State.REJECTED, "by": by, "changed_at": timezone.now()}
    result = Result()
    for rows in _eligible(list(ids), REJECTED_FROM, alias(), result):
        result.changed += rows.update(**values)
    return result


def prune(ids: Iterable[int]) -> Result:
    """Delete calls that are done or rejected."""
    result = Result()
    for rows in _eligible(list(ids), PRUNED_FROM, alias(), result):
        result.changed += rows.delete()[0]
    return result


def note_dead() -> int:
    """Note of calls whose worker has died that they are perhaps done. Returns how many."""
    return workers.note_dead(alias())


def _hand_on(
    ids: list[int], states: Sequence[State], by: str, on_progress: Progress | None, result: Result | None
) -> Result:
    using = alias()
    check_commits(using)
    workers.note_dead(using)
    result = Result() if result is None else result
    values = {"state": State.RELEASED, "by": by, "changed_at": timezone.now()}
    for rows in _eligible(ids, states, using, result):
        result.changed += rows.exclude(state=State.RELEASED).update(**values)
    # At once outside a transaction. What is to be executed must have been committed as released.
    transaction.on_commit(lambda: _execute(ids, using, result, on_progress or _nobody), using=using)
    return result


def _eligible(ids: list[int], states: Sequence[State], using: str, result: Result) -> Iterator[QuerySet[HeldCall]]:
    """Those of the calls that are in one of these states, a part at a time. Between two looks they may change."""
    for chunk in _chunks(ids, _CHUNK):
        rows = HeldCall.objects.using(using).filter(pk__in=chunk, state__in=states)
        there = set(rows.values_list("pk", flat=True))
        result.missed += [pk for pk in chunk if pk not in there]
        yield rows


def _nobody(_: int) -> None:
    """Nobody wants to hear of the progress."""


def _execute(ids: list[int], using: str, result: Result, on_progress: Progress) -> None:
    is_here = state.rules_source().engine == "threads"
    for window in _chunks(ids, _WINDOW):
        if is_here:
            for became in execute_each(window, using):
                _count(became, result)
                on_progress(result.done + result.failed + result.kept)
        else:
            rows = HeldCall.objects.using(using).filter(pk__in=window, state=State.RELEASED)
            for pk, number, name in rows.values_list("pk", "call_id", "effect"):
                _submit(pk, number, name)
                result.handed_over += 1
            on_progress(result.handed_over)


def _count(became: State, result: Result) -> None:
    if became is State.DONE:
        result.done += 1
    elif became is State.HELD:
        result.kept += 1
    else:
        result.failed += 1


def _submit(pk: int, number: str, name: str) -> None:
    parcel = Parcel(number, name, (), {}, held=str(pk))
    engine = extension_points.engine.last()
    engine.check(parcel)
    engine.submit(parcel, Handle.waiting(number, name), lambda: execute_kept(str(pk)))


def execute_kept(held: str) -> None:
    """What a worker does with a call that was released: execute it, unless another one has."""
    using = alias()
    for _ in execute_each([int(held)], using):
        pass
    connections[using].close_if_unusable_or_obsolete()


def _chunks(ids: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
