"""What can be wrong with a fault sweep, apart from the code that it sweeps."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from sideeffects._core.values.close_names import did_you_mean
from sideeffects.errors import SideEffectError


class FaultSweepError(SideEffectError):
    """A fault sweep that cannot be made, so that it says nothing. The message names the fix."""


class ScenarioFails(FaultSweepError):
    """The scenario fails although no effect does. Its own exception is the cause of this one."""


class NotRepeatable(FaultSweepError):
    """The scenario called other effects than in its first run, before any of them had failed."""


class UnknownFaultCell(FaultSweepError):
    """A cell that the scenario does not have.

    Args:
        name: the cell as it was asked for.
        known: the names of the cells that there are.
        where: the scenario.
    """

    def __init__(self, name: str, known: Collection[str], where: str) -> None:
        super().__init__(name, tuple(known), where)
        self.name = name
        self.known = tuple(known)
        self.where = where

    def __str__(self) -> str:
        hint = did_you_mean(self.name, self.known, f". It has {_listed(self.known)}.", is_sentence=True)
        return f"the fault sweep of {self.where} has no cell {self.name!r}{hint}"


_MOST: Final = 20


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more
