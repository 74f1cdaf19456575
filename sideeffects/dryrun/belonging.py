"""Which dry runs a context belongs to.

A dry run belongs to a context. Where all of a process is one, also what no context of it reaches belongs to it: threads
that were there before, and those that were started past `threading`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sideeffects._state import EMPTY, scope
from sideeffects.dryrun.refusals import Notes, Refusals


class Holder:
    """A dry run, as it stands in the contexts that belong to it."""

    def __init__(self) -> None:
        self.refusals = Refusals()
        self.remarks = Notes()

    def holds(self, connection: Any) -> bool:
        """Whether what is done on this connection is rolled back."""
        raise NotImplementedError


#: The dry runs that are all that their process does.
everywhere: Final[list[Holder]] = []
#: Whether those that begin now are; see `process.py`.
is_whole: Final[list[bool]] = []


def belong() -> Sequence[Holder]:
    """The dry runs to which this context belongs, innermost first."""
    own = scope.get()
    if own is EMPTY:
        return everywhere
    owners = (entry.owner for entry in reversed(own.entries))
    return [owner for owner in owners if isinstance(owner, Holder)] or everywhere
