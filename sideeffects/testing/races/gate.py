"""One gate for all racers, and the memory that they share with the process that opens it.

Racers wait at a pipe that nobody writes to: closing its other end wakes all of them in one system call. The death of
the process that holds it does so too, and must not start a race. That is why there is a flag in shared memory.
"""

from __future__ import annotations

import mmap
import os
import struct
from typing import Final

_STAMP: Final = struct.Struct("=d")
_PID: Final = struct.Struct("=i")

#: What a racer exits with when the gate was never opened.
NEVER_OPENED: Final = 117

_HEAD: Final = 16
_PER_RACER: Final = 32


class Memory:
    """What a race's processes share: the gates' flags and, by racer, its process and when it started and ended."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._map = mmap.mmap(-1, _HEAD + count * _PER_RACER)

    def raise_flag(self, gate: int) -> None:
        """Note that a gate is open."""
        self._map[gate] = 1

    def flag(self, gate: int) -> bool:
        """Whether it is."""
        return self._map[gate] == 1

    def set_pid(self, racer: int, pid: int) -> None:
        """Note a racer's process; 0 once it is gone."""
        _PID.pack_into(self._map, _HEAD + racer * _PER_RACER, pid)

    def pids(self) -> list[int]:
        """The racers' processes that are not known to be gone."""
        found: list[int] = [_PID.unpack_from(self._map, _HEAD + racer * _PER_RACER)[0] for racer in range(self.count)]
        return [pid for pid in found if pid]

    def stamp(self, racer: int, place: int, at: float) -> None:
        """Note when a racer started (place 0) or ended (place 1), by `_core.values.clock`."""
        _STAMP.pack_into(self._map, _HEAD + racer * _PER_RACER + 8 * (place + 1), at)

    def stamped(self, racer: int, place: int) -> float | None:
        """When that was; `None` when it did not happen."""
        at: float = _STAMP.unpack_from(self._map, _HEAD + racer * _PER_RACER + 8 * (place + 1))[0]
        return at or None

    def close(self) -> None:
        """Give the memory back."""
        self._map.close()


class Gate:
    """A gate that opens once, for all who wait at it and who come later."""

    def __init__(self, memory: Memory, number: int) -> None:
        self._memory = memory
        self._number = number
        self._waiting, self._holding = os.pipe()

    @property
    def is_open(self) -> bool:
        """Whether it was opened."""
        return self._memory.flag(self._number)

    def leave_it_to_others(self) -> None:
        """In a racer: do not hold it."""
        os.close(self._holding)

    def open(self) -> None:
        """Let all through."""
        self._memory.raise_flag(self._number)
        os.close(self._holding)

    def wait(self) -> None:
        """Wait until it opens. If whoever was to open it dies, this process ends."""
        os.read(self._waiting, 1)
        if not self._memory.flag(self._number):
            os._exit(NEVER_OPENED)
