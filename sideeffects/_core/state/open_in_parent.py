"""Whether an override is still open in the process that this one was forked from.

A child forked inside a block has a copy of what is in force there, and would keep it for good. So each open override
has a number in memory that a process shares with its children; closing the override changes it. Nothing else is shared,
and nobody has to be asked or told.
"""

from __future__ import annotations

import os
from typing import Any, Final, NamedTuple

from sideeffects._core.policy.override_entry import OverrideEntry

_PLACES: Final = 512


class Sign(NamedTuple):
    """The place of one open override, and the number that stands there as long as it is open."""

    page: memoryview
    place: int
    number: int

    @property
    def is_up(self) -> bool:
        return bool(self.page[self.place] == self.number)


class Signs:
    """The signs that this process puts up for the children that it may have. Its state's lock is held meanwhile."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._free: list[tuple[memoryview, int]] = []

    def put_up(self) -> Sign:
        if not self._free:
            import mmap  # when there is an override

            page = memoryview(mmap.mmap(-1, _PLACES * 8)).cast("Q")
            self._free = [(page, place) for place in range(_PLACES)]
        page, place = self._free.pop()
        return Sign(page, place, page[place])

    def take_down(self, sign: Sign) -> None:
        if sign.is_up:
            sign.page[sign.place] = sign.number + 1
            self._free.append((sign.page, sign.place))


class InheritedEntry(OverrideEntry):
    """An override that was open when this process was forked.

    It is closed once it has been left here, or in one of the processes above, or when the one above is gone.
    """

    __slots__ = ()

    @property
    def closed(self) -> bool:
        return _left_here.__get__(self) or self.parent != os.getppid() or not all(sign.is_up for sign in self.signs)

    @closed.setter
    def closed(self, value: bool) -> None:
        _left_here.__set__(self, value)


_left_here: Final[Any] = vars(OverrideEntry)["closed"]


def inherit(entry: OverrideEntry, parent: int, signs: Signs) -> None:
    """In a child: let an entry that was open at the fork end with that of its parent, also for the child's children."""
    entry.parent = parent
    if entry.closed:
        return
    entry.__class__ = InheritedEntry
    entry.signs = (*entry.signs, signs.put_up())
    entry.token = None  # what the child does outlives the block, rather than not having heard of its end
