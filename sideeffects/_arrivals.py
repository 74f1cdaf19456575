"""A call that another process decided and wrote down, on its way to be run in this one."""

from __future__ import annotations

import contextvars
from dataclasses import dataclass
from typing import Final


@dataclass(slots=True)
class Arrival:
    """What a worker knows of the call that it is about to run.

    Attributes:
        name: the effect's name.
        id: the call's `id`, under which its outcome is added where it was written down.
        run_id: the run list that it belongs to.
        is_taken: whether the call has begun here. What the effect calls after that are calls of their own.
    """

    name: str
    id: str
    run_id: str | None = None
    is_taken: bool = False

    def take(self, name: str) -> bool:
        """Whether a call of the effect `name` that begins now is this one. Answers yes once."""
        if self.is_taken or self.name != name:
            return False
        self.is_taken = True
        return True


arriving: Final[contextvars.ContextVar[Arrival | None]] = contextvars.ContextVar("sideeffects_arriving", default=None)
