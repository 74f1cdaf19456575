"""Lines that several processes append to one file and read: one write each, under the file's advisory lock.

The lock belongs to the open file, not to the thread. So a signal handler, or a finaliser, that calls an effect while
its thread is writing or reading would wait for that thread, which waits for it. Its lines are written once the thread
is done (`Turns`).
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Generator


class _Mine(threading.local):
    """What a thread is at."""

    def __init__(self) -> None:
        self.is_busy = False
        self.late: list[str] = []


class Turns:
    """Each thread does one thing at a time with a file.

    Args:
        write: writes lines.
    """

    def __init__(self, write: Callable[[list[str]], object]) -> None:
        self._write = write
        self._mine = _Mine()

    @property
    def is_taken(self) -> bool:
        """Whether this very thread is writing or reading, further up."""
        return self._mine.is_busy

    def append(self, lines: list[str]) -> None:
        """Write lines, at the end of the turn that this thread is in."""
        if self._mine.is_busy:
            self._mine.late += lines
        else:
            with self.taken():
                self._write(lines)

    @contextlib.contextmanager
    def taken(self) -> Generator[None]:
        """Hold the turn, which is not taken."""
        mine = self._mine
        mine.is_busy = True
        try:
            yield
        finally:
            mine.is_busy = False
            late, mine.late = mine.late, []
            if late:
                self.append(late)


def write_lines(descriptor: int, lines: list[str]) -> None:
    """Append lines to a file that is open with `O_APPEND`, by one write."""
    # The first line break ends what a process that was killed while writing may have left.
    data = "\n".join(["", *lines, ""]).encode()
    written = os.write(descriptor, data)
    while written < len(data):  # pragma: no cover - a disk that fills up half-way
        written += os.write(descriptor, data[written:])


@contextlib.contextmanager
def locked(descriptor: int) -> Generator[None]:
    """Hold the advisory lock of a file, where the platform has one."""
    try:
        import fcntl
    except ImportError:  # pragma: no cover - Windows appends without it
        yield
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
