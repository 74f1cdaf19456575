"""Calls of effects are steps: the racer stops before the call is decided."""

from __future__ import annotations

import sys
from typing import Final

from sideeffects._core.policy.override_entry import OverrideEntry, OverrideRule
from sideeffects._core.runtime import deciding
from sideeffects._core.state.state import state
from sideeffects.testing.exploring.footprints import OUTSIDE
from sideeffects.testing.exploring.racer import Racer, Step

#: Overrides are looked at more than once in a decision, and also when somebody asks how it would be.
_DECIDING: Final = deciding.decided.__code__


class BeforeEffects(OverrideEntry):
    """Looked at before all overrides, at each call of an effect in a racer. It decides nothing; it stops.

    Args:
        racer: whose calls these are.
    """

    __slots__ = ()

    def __init__(self, racer: Racer) -> None:
        super().__init__((), "Race(explore=True)", context_only=True, foremost=True, owner=racer)

    def find(self, name: str) -> OverrideRule | None:
        """Stop before the effect."""
        if sys._getframe(1).f_code is _DECIDING:  # noqa: SLF001 - one look of several stands for the call
            racer = self.owner
            assert isinstance(racer, Racer)  # noqa: S101 - as it was made
            racer.stop_before(Step("effect", lambda: name, OUTSIDE))
        return None


def enter(racer: Racer) -> None:
    """Stop before the effects of this context, and of the threads that it starts, for as long as the context lives."""
    state.overrides.enter(BeforeEffects(racer))
