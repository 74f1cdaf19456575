"""How much is explored: what `--side-effects-explore` says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

Amount = Literal["off", "quick", "full"]
#: So many switches of racers at most.
_SWITCHES: Final[dict[str, int | None]] = {"off": 0, "quick": 2, "full": None}
_said: Final[list[Amount]] = ["full"]


def choose(amount: Amount) -> Callable[[], None]:
    """Explore so much from now on. Returns what goes back to how much it was before."""
    before, _said[0] = _said[0], amount

    def restore() -> None:
        _said[0] = before

    return restore


def bounded(given: int | None) -> int | None:
    """How many switches an order has at most, where a race asks for this many."""
    said = _SWITCHES[_said[0]]
    return given if said is None else said if given is None else min(said, given)
