"""Which process this is: its id, a token that no earlier process of that id has, and its place in a race."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

RACER_VARIABLE: Final = "SIDE_EFFECTS_RACER"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Identity:
    """One process, as long as it stays the same one.

    Attributes:
        pid: its id.
        token: tells it from others that have had that id.
        racer: which racer of a race it is, or which one has started it (see `sideeffects.testing.races`).
    """

    pid: int
    token: str
    racer: int | None


def _new() -> Identity:
    racer = os.environ.get(RACER_VARIABLE, "")
    return Identity(os.getpid(), os.urandom(8).hex(), int(racer) if racer.isdecimal() else None)


#: This process: read it where it is used, since a child of a fork is another one.
current: Identity = _new()


def _after_fork_in_child() -> None:
    global current  # noqa: PLW0603 - as above
    fresh = _new()
    current = Identity(fresh.pid, fresh.token, current.racer)


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=_after_fork_in_child)


def set_racer(index: int) -> None:
    """Let this process, and its children, be a racer of a race: their calls say so."""
    global current  # noqa: PLW0603 - a racer is a process
    current = Identity(current.pid, current.token, index)
    os.environ[RACER_VARIABLE] = str(index)
