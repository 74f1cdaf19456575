"""Executing a released call: taken by one worker, noted as running before it is called, and its end after that."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db import connections, transaction
from django.db.models import F
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


class Taken(NamedTuple):
    """A call that this process has taken.

    Attributes:
        row: its row.
        made: what makes the call; `None` if it cannot be made, and stays held therefore.
    """

    row: HeldCall
    made: Made | None


def execute_next(ids: Sequence[int], using: str) -> State | None:
    """Execute one of these calls: the first that is released and that no other worker has.

    Returns:
        what has become of it; `None` when none is left.

    Raises:
        BaseException: something that is no `Exception`, such as Ctrl-C, ended the call. It is noted as `unknown`.
    """
    taken = _take(ids, using)
    if taken is None:
        return None
    row, made = taken
    if made is None:
        return State.HELD
    with workers.at_work(row, using):
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
        return _note(row, ran, using)


def _take(ids: Sequence[int], using: str) -> Taken | None:
    """Take a call, and commit that it is running."""
    connection = connections[using]
    can_skip: bool = connection.features.has_select_for_update_skip_locked
    rows = HeldCall.objects.using(using).filter(pk__in=ids, state=State.RELEASED)
    # Where no row can be locked, the UPDATE alone decides who has it.
    with transaction.atomic(using=using, durable=True) if can_skip else contextlib.nullcontext():
        while True:
            row = (rows.select_for_update(skip_locked=True) if can_skip else rows).order_by("pk").first()
            if row is None:
                return None
            try:
                made = call_of(row)
            except SideEffectError as error:
                if _change(row, using, state=State.HELD, error=storable(str(error))):
                    return Taken(row, None)
            else:
                row.worker = workers.this_worker()
                taking: dict[str, Any] = {"worker": row.worker, "alive_at": Now(), "attempts": F("attempts") + 1}
                if _change(row, using, state=State.RUNNING, error="", **taking):
                    row.attempts += 1
                    return Taken(row, made)


def _change(row: HeldCall, using: str, **values: Any) -> bool:
    """Change a row that is still as it was read. Returns whether it was."""
    same = HeldCall.objects.using(using).filter(pk=row.pk, state=row.state, attempts=row.attempts)
    return same.update(changed_at=timezone.now(), **values) == 1


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
    mine = HeldCall.objects.using(using).filter(
        pk=row.pk, worker=row.worker, attempts=row.attempts, state__in=(State.RUNNING, State.UNKNOWN)
    )
    mine.update(
        state=state,
        error=storable(said),
        duration=None if call.outcome is None else call.outcome.duration,
        changed_at=timezone.now(),
    )
    if error is not None and not isinstance(error, Exception):
        raise error
    return state
