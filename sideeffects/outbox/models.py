"""The rows of the outbox: calls that are held, and pauses of effects.

Texts are JSON in text columns, not JSON columns: those reorder the parameters, and PostgreSQL's refuse characters that
a call may hold.
"""

from __future__ import annotations

import datetime
import json
from typing import Any, ClassVar

from django.db import models
from django.utils import timezone

from sideeffects.outbox.states import State


class HeldCall(models.Model):
    """A call that was held: written in the caller's transaction, and executed when somebody releases it.

    What it shows (`arguments`, `asked`, `details`, `error`) is redacted. The true arguments are in `payload`, for
    executing the call; they are encrypted if they hold sensitive values.
    """

    call_id: models.CharField[str, str] = models.CharField(
        max_length=64, unique=True, help_text="The call's id; it stays the same over retries."
    )
    effect: models.CharField[str, str] = models.CharField(max_length=255)
    state: models.CharField[str, str] = models.CharField(max_length=10, choices=State, default=State.HELD)
    shown: models.TextField[str, str] = models.TextField(help_text="What is shown of the call, as JSON.")
    payload: models.TextField[str, str] = models.TextField(help_text="The true arguments, for executing the call.")
    is_encrypted: models.BooleanField[bool, bool] = models.BooleanField(default=False)
    reason: models.TextField[str, str] = models.TextField(help_text="Why it was held.")
    decided_by: models.TextField[str, str] = models.TextField(
        blank=True, help_text="Where the rule stands that held it: a setting, file and line, or a pause."
    )
    caller: models.TextField[str, str] = models.TextField(help_text="The file and line that called.")
    origin: models.TextField[str, str] = models.TextField(
        blank=True, help_text="What set the code going: a request, a command, a task."
    )
    run_id: models.CharField[str, str] = models.CharField(max_length=255, blank=True, help_text="Its run list.")
    at: models.DateTimeField[datetime.datetime, datetime.datetime] = models.DateTimeField(help_text="When it was held.")
    by: models.CharField[str, str] = models.CharField(
        max_length=255, blank=True, help_text="Who released or rejected it last."
    )
    changed_at: models.DateTimeField[datetime.datetime | None, datetime.datetime | None] = models.DateTimeField(
        null=True, blank=True, help_text="When its state changed last."
    )
    attempts: models.PositiveIntegerField[int, int] = models.PositiveIntegerField(default=0)
    error: models.TextField[str, str] = models.TextField(blank=True, help_text="What went wrong last, redacted.")
    duration: models.FloatField[float | None, float | None] = models.FloatField(
        null=True, blank=True, help_text="Seconds that the last execution took."
    )
    worker: models.CharField[str, str] = models.CharField(
        max_length=255, blank=True, help_text="The process that executes it, or did so last."
    )
    alive_at: models.DateTimeField[datetime.datetime | None, datetime.datetime | None] = models.DateTimeField(
        null=True, blank=True, help_text="When that process was last known to be at work, by the database's clock."
    )

    class Meta:
        """How it is found: by state in the order of the calls, and by effect."""

        verbose_name = "held call"
        ordering = ("id",)
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["state", "id"], name="sideeffects_outbox_state"),
            models.Index(fields=["effect", "state"], name="sideeffects_outbox_effect"),
        ]

    def __str__(self) -> str:
        return f"{self.effect} ({self.state})"

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments by parameter, redacted."""
        return self._shown("arguments") or {}

    @property
    def asked(self) -> dict[str, Any] | None:
        """The arguments that were given, redacted, where a redirect has changed them; else `None`."""
        return self._shown("asked")

    @property
    def details(self) -> dict[str, Any] | None:
        """What the effect's `details=` said of the call, redacted."""
        return self._shown("details")

    def _shown(self, part: str) -> dict[str, Any] | None:
        parts: dict[str, dict[str, Any] | None] = json.loads(self.shown)
        return parts.get(part)


class Pause(models.Model):
    """A pause: calls of the effects that it means get this mode, or what is stricter, while it is in force."""

    class Mode(models.TextChoices):
        """What happens to a call meanwhile."""

        HOLD = "hold", "hold"
        RECORD = "record", "record"
        RAISE = "raise", "refuse"

    pattern: models.CharField[str, str] = models.CharField(
        max_length=255, help_text="The name of an effect, or a glob such as sms.*"
    )
    mode: models.CharField[str, str] = models.CharField(max_length=10, choices=Mode, default=Mode.HOLD)
    why: models.TextField[str, str] = models.TextField()
    paused_by: models.CharField[str, str] = models.CharField(max_length=255, blank=True)
    paused_at: models.DateTimeField[datetime.datetime, datetime.datetime] = models.DateTimeField(default=timezone.now)
    until: models.DateTimeField[datetime.datetime | None, datetime.datetime | None] = models.DateTimeField(
        null=True, blank=True, help_text="When it ends by itself; empty: when somebody resumes."
    )
    resumed_by: models.CharField[str, str] = models.CharField(max_length=255, blank=True)
    resumed_at: models.DateTimeField[datetime.datetime | None, datetime.datetime | None] = models.DateTimeField(
        null=True, blank=True, help_text="When somebody ended it; empty while it is in force."
    )

    class Meta:
        """Those in force are read often: they are the ones that nobody has resumed."""

        ordering = ("-id",)
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["resumed_at"], name="sideeffects_outbox_paused")]

    def __str__(self) -> str:
        return f"{self.pattern}: {self.mode}"


class Effect(Pause):
    """A declared effect, for the admin's list and its permission. It has no rows."""

    class Meta:  # pyright: ignore[reportIncompatibleVariableOverride] - as Django has it
        """Who may view effects."""

        proxy = True
        verbose_name = "effect"
        default_permissions = ("view",)


class LedgerCall(HeldCall):
    """A call of the ledger that processes share, for the admin's list and its permission. It has no rows."""

    class Meta:  # pyright: ignore[reportIncompatibleVariableOverride] - as Django has it
        """Who may view calls."""

        proxy = True
        verbose_name = "call"
        default_permissions = ("view",)
