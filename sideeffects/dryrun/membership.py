"""Which dry runs a context belongs to.

A dry run belongs to a context. Where all of a process is one, also what no context of it reaches belongs to it: threads
that were there before, and those that were started past `threading`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from sideeffects._core.policy.policy import Rules
from sideeffects._core.state.scope import EMPTY, scope
from sideeffects._core.state.state import state
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
#: Where those that begin now are, what the settings said before all effects were held back; see `process.py`.
is_whole: Final[list[Callable[[], Rules]]] = []


def rules_for_real() -> Rules:
    """What the settings say of runs that are not dry."""
    return (is_whole[0] if is_whole else state.rules_source)()


def belong() -> Sequence[Holder]:
    """The dry runs to which this context belongs, innermost first."""
    own = scope.get()
    if own is EMPTY:
        return everywhere
    owners = (entry.owner for entry in reversed(own.entries))
    return [owner for owner in owners if isinstance(owner, Holder)] or everywhere
