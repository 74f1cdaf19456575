"""Pausing effects and resuming them: the rows that all processes follow, and what one of them says of an effect."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.registry import EVERYTHING, is_glob, matches, registry
from sideeffects._core.state.state import state
from sideeffects._core.values import clock
from sideeffects.errors import UnknownSideEffect
from sideeffects.outbox.models import Pause
from sideeffects.project.discovery import finding

logger: Final = logging.getLogger("sideeffects")

#: How times are written: by the server's clock in UTC, which is the same for all who read it.
_TIME: Final = "%Y-%m-%d %H:%M UTC"


@dataclass(frozen=True, slots=True)
class Paused:
    """A pause as it was read.

    Attributes:
        number: the row's.
        pattern: the name or glob of the effects that it means.
        decision: what their calls get.
        until: when it ends by itself, in seconds since the epoch; `None` when somebody has to resume.
    """

    number: int
    pattern: str
    decision: Decision
    until: float | None

    @property
    def is_over(self) -> bool:
        """Whether it has ended by itself."""
        return self.until is not None and clock.now() >= self.until


def alias() -> str:
    """The database that the pauses are in."""
    return state.rules_source().outbox.database


def refresh() -> float:
    """Seconds within which all processes follow."""
    return state.rules_source().outbox.refresh


def in_force(using: str | None = None) -> list[Pause]:
    """The pauses that hold now, the newest first.

    Args:
        using: the alias of the database; that of the settings when left out.
    """
    now = timezone.now()
    rows = Pause.objects.using(using or alias()).filter(resumed_at__isnull=True)
    return [row for row in rows if row.until is None or row.until > now]


def read(using: str) -> tuple[Paused, ...]:
    """The pauses in the database, as the runtime asks them."""
    return tuple(
        Paused(row.pk, row.pattern, decision_of(row), None if row.until is None else row.until.timestamp())
        for row in Pause.objects.using(using).filter(resumed_at__isnull=True)
    )


def decision_of(row: Pause) -> Decision:
    """What a call gets by a pause, saying who paused the effect, when and why."""
    return Decision(Mode(row.mode), words(row), f"pause {row.pk} of {row.pattern!r}")


def words(row: Pause) -> str:
    """Who paused it, when, until when and why."""
    until = "" if row.until is None else f" until {time_of(row.until)}"
    return f"paused by {row.paused_by or 'somebody'} at {time_of(row.paused_at)}{until}: {row.why}"


def time_of(moment: datetime.datetime) -> str:
    """A moment as all read it, in UTC."""
    return moment.astimezone(datetime.UTC).strftime(_TIME)


def strictest(paused: Iterable[Paused]) -> Decision | None:
    """What holds of several pauses: the strictest, and of these the newest."""
    found: Paused | None = None
    for one in paused:
        if not one.is_over and (found is None or one.decision.mode > found.decision.mode):
            found = one
    return None if found is None else found.decision


# -- changing them


def pause(
    pattern: str, *, why: str, by: str, mode: str = "hold", until: datetime.datetime | None = None, using: str = ""
) -> Pause:
    """Pause the effects that a pattern means, in place of earlier pauses of the same pattern.

    All processes follow within `SIDE_EFFECTS["OUTBOX"]["REFRESH"]` seconds.

    Args:
        pattern: a name, a glob such as `sms.*`, or `__all__`.
        why: the reason, for people who look for a call that did not execute.
        by: who pauses.
        mode: `hold`, `record` or `raise`.
        until: when the pause ends by itself; when somebody resumes, if left out.
        using: the alias of the database; that of the settings when left out.

    Returns:
        the row.

    Raises:
        UnknownSideEffect: the pattern means no effect that is known here.
        ValueError: there is no reason, or the pause would be over already.
    """
    check_pattern(pattern)
    if not why.strip():
        raise ValueError("say why: people who look for a call that did not execute will read it")
    if until is not None and until <= timezone.now():
        raise ValueError(f"the pause would be over already: it ends at {time_of(until)}")
    using = using or alias()
    with transaction.atomic(using=using):
        _end(Pause.objects.using(using).filter(pattern=pattern, resumed_at__isnull=True), by)
        row = Pause.objects.using(using).create(pattern=pattern, mode=mode, why=why.strip(), paused_by=by, until=until)
    logger.info("%s: %s, %s", pattern, row.mode, words(row))
    return row


def check_pattern(pattern: str) -> None:
    """Refuse a pattern that means no effect.

    Raises:
        UnknownSideEffect: it means none that is known here; the error names those that are close.
    """
    names = [*registry, *(effect.name for effect in finding.not_imported_effects())]
    if pattern != EVERYTHING and not any(matches(pattern, name) for name in names):
        raise UnknownSideEffect(pattern, registry.close_to(pattern, names))


def resume(pattern: str, *, by: str, using: str = "") -> Sequence[Pause]:
    """End the pauses of a pattern, and those whose own pattern it means: `sms.*` ends that of `sms.send`, too.

    Args:
        pattern: as of `pause`.
        by: who resumes.
        using: as of `pause`.

    Returns:
        those that were ended.
    """
    ended = [row for row in in_force(using) if pattern == row.pattern or _means(pattern, row.pattern)]
    for row in ended:
        end(row, by, using)
    return ended


def end(row: Pause, by: str, using: str = "") -> None:
    """End one pause. The arguments are those of `resume`."""
    _end(Pause.objects.using(using or alias()).filter(pk=row.pk, resumed_at__isnull=True), by)
    logger.info("%s: resumed by %s; it was %s", row.pattern, by, words(row))


def _means(pattern: str, paused: str) -> bool:
    return is_glob(pattern) and matches(pattern, paused)


def _end(rows: Any, by: str) -> None:
    rows.update(resumed_at=timezone.now(), resumed_by=by)
