"""`SIDE_EFFECTS_LIVE` in the environment: a line for each decision, written at once.

Read once, when the package is first imported, as `SIDE_EFFECTS_MODE` is.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, MutableMapping
from typing import Any, Final

from sideeffects._core.records.lines import Turns, locked

VARIABLE: Final = "SIDE_EFFECTS_LIVE"
_STANDARD_ERROR: Final = 2
#: The same, opened once more: an advisory lock belongs to the open file, and children share the inherited one.
_AGAIN: Final = "/dev/fd/2"
#: Windows has none of these. A pipe that nobody reads is not waited for.
_HOW: Final = os.O_WRONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)


class Live:
    """Where the lines go.

    Args:
        path: the file; `-` for standard error.
    """

    __slots__ = ("_turns", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self._turns = Turns(self._append)

    def write(self, record: dict[str, Any]) -> None:
        """Write a line, so that those of several threads and processes do not mix.

        Raises:
            OSError: it cannot be written.
        """
        import json  # where somebody wants lines

        self._turns.append([f"{json.dumps(record, ensure_ascii=True)}\n"])

    def _append(self, lines: list[str]) -> None:
        data = "".join(lines).encode()
        if self.path == "-":
            with _turn_at_standard_error():
                _write_all(_STANDARD_ERROR, data)
            return
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with locked(descriptor):
                _write_all(descriptor, data)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _turn_at_standard_error() -> Generator[None]:
    """Have standard error for oneself: what is longer than a pipe takes at once would mix with what others write."""
    try:
        descriptor = os.open(_AGAIN, _HOW)
    except OSError:  # a socket cannot be opened again; nor does every platform have this
        yield
        return
    try:
        with locked(descriptor):
            yield
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    while written < len(data):
        written += os.write(descriptor, data[written:])


def live_in(environment: MutableMapping[str, str]) -> Live | None:
    """What the variable says; children that work elsewhere find the same file."""
    path = environment.get(VARIABLE, "")
    if not path:
        return None
    if path != "-":
        path = environment[VARIABLE] = os.path.abspath(path)
    return Live(path)


at_start: Final = live_in(os.environ)
