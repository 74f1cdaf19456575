"""What may become of a held call."""

from django.db import models


class State(models.TextChoices):
    """What became of a held call."""

    HELD = "held", "held"
    RELEASED = "released", "released"
    RUNNING = "running", "running"
    DONE = "done", "done"
    FAILED = "failed", "failed"
    UNKNOWN = "unknown", "unknown (perhaps done)"
    REJECTED = "rejected", "rejected"
