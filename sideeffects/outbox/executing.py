"""Executing a released call: taken by one worker, noted as running before it is called, and its end after that."""

from __future__ import annotations

import collections
import json
from collections.abc import Iterator, Sequence
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from sideeffects._core.calls.decision import Mode
from sideeffects._core.runtime.released import Ran, run_released
from sideeffects._core.values.describe import text_of
from sideeffects.errors import SideEffectError
from sideeffects.outbox import workers
from sideeffects.outbox.arguments import Made
from sideeffects.outbox.models import HeldCall
from sideeffects.outbox.rows import call_of, storable
from sideeffects.outbox.states import State


def execute_each(ids: Sequence[int], using: str) -> Iterator[State]:
    """Execute those of these calls that are released and that no other worker has, in the order of the calls.

    Yields:
        what has become of each.

    Raises:
        SideEffectError: nothing that is written is committed here.
        BaseException: something that is no `Exception`, such as Ctrl-C, ended the call. It is noted as `unknown`.
    """
    check_commits(using)
    released = HeldCall.objects.using(using).filter(pk__in=ids, state=State.RELEASED).order_by("pk")
    waiting = collections.deque(released)
    while waiting:
        row = waiting.popleft()
        try:
            made = call_of(row)
        except SideEffectError as error:
            if _change(_as_read(row, using), state=State.HELD, error=storable(str(error))):
                yield State.HELD
            continue
        if _take(row, using):
            yield _execute(row, made, using)
        else:  # others are at it: what have they left?
            waiting = collections.deque(released.filter(pk__gt=row.pk))


def check_commits(using: str) -> None:
    """Refuse to execute where nobody commits that a call runs before it does.

    Raises:
        SideEffectError: autocommit is off.
    """
    connection = connections[using]
    if not (connection.in_atomic_block or connection.get_autocommit()):
        raise SideEffectError(
            f"autocommit is off on the database {using!r}: nothing can be released, since a call must be committed "
            f"as running before it runs"
        )


def _take(row: HeldCall, using: str) -> bool:
    """Take a call, and commit that it is running. Returns whether nobody else has it."""
    mine = _as_read(row, using)
    if _locks_in_update(connections[using]):
        free = mine.select_for_update(skip_locked=True).values("pk")
        mine = HeldCall.objects.using(using).filter(pk=row.pk, pk__in=free)
    row.worker = workers.this_worker()
    taking: dict[str, Any] = {"worker": row.worker, "alive_at": Now(), "attempts": row.attempts + 1}
    with transaction.atomic(using=using, durable=True):
        if not _change(mine, state=State.RUNNING, error="", **taking):
            return False
    row.attempts += 1
    return True


def _locks_in_update(connection: BaseDatabaseWrapper) -> bool:
    """Whether an UPDATE can lock what it changes, and skip what others have locked. If not, it alone decides."""
    features = connection.features
    has_both = features.has_select_for_update_skip_locked and features.update_can_self_select
    return has_both and connection.vendor != "oracle"  # whose subqueries cannot lock


def _execute(row: HeldCall, made: Made, using: str) -> State:
    with workers.at_work(row, using):
        try:
            ran = run_released(
                made.declared,
                made.function,
                made.instance,
                made.args,
                made.kwargs,
                number=row.call_id,
                run_id=row.run_id or None,
                origin=row.origin,
                is_redirected="asked" in json.loads(row.shown),
            )
        except Exception as error:  # noqa: BLE001 - settings or a ledger; what the effect raises does not come here
            said = f"it was released, and not executed: {type(error).__name__}: {text_of(error)}"
            return _end(row, using, State.HELD, said)
        return _note(row, ran, using)


def _as_read(row: HeldCall, using: str) -> QuerySet[HeldCall]:
    """The row, as long as it is still as it was read."""
    return HeldCall.objects.using(using).filter(pk=row.pk, state=row.state, attempts=row.attempts)


def _change(rows: QuerySet[HeldCall], **values: Any) -> bool:
    """Change a row. Returns whether it was there."""
    return rows.update(changed_at=timezone.now(), **values) == 1


def _note(row: HeldCall, ran: Ran, using: str) -> State:
    """Note what came of a call. One that was taken for dead meanwhile has an end after all."""
    call, error = ran.call, ran.error
    decision = call.decision
    said = ""
    if decision.mode is not Mode.EXECUTE:
        state, said = State.HELD, f"it was released, and not executed: {decision}"
    elif error is None:
        state = State.DONE
    else:
        state = State.FAILED if isinstance(error, Exception) else State.UNKNOWN
        said = call.scrubbed(f"{type(error).__name__}: {text_of(error)}")
    _end(row, using, state, said, None if call.outcome is None else call.outcome.duration)
    if error is not None and not isinstance(error, Exception):
        raise error
    return state


def _end(row: HeldCall, using: str, state: State, said: str, duration: float | None = None) -> State:
    mine = HeldCall.objects.using(using).filter(
        pk=row.pk, worker=row.worker, attempts=row.attempts, state__in=(State.RUNNING, State.UNKNOWN)
    )
    _change(mine, state=state, error=storable(said), duration=duration)
    return state
