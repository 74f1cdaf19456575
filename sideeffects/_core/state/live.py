"""`SIDE_EFFECTS_LIVE` in the environment: a line for each decision, written at once.

Read once, when the package is first imported, as `SIDE_EFFECTS_MODE` is.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import Any, Final

VARIABLE: Final = "SIDE_EFFECTS_LIVE"
_STANDARD_ERROR: Final = 2


class Live:
    """Where the lines go.

    Args:
        path: the file; `-` for standard error.
    """

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def write(self, record: dict[str, Any]) -> None:
        """Write a line, by one write, so that those of several processes do not mix.

        Raises:
            OSError: it cannot be written.
        """
        import json  # where somebody wants lines

        line = f"{json.dumps(record, ensure_ascii=True)}\n".encode()
        if self.path == "-":
            _write_all(_STANDARD_ERROR, line)
            return
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _write_all(descriptor, line)
        finally:
            os.close(descriptor)


def _write_all(descriptor: int, line: bytes) -> None:
    written = os.write(descriptor, line)
    while written < len(line):
        written += os.write(descriptor, line[written:])


def live_in(environment: MutableMapping[str, str]) -> Live | None:
    """What the variable says; children that work elsewhere find the same file."""
    path = environment.get(VARIABLE, "")
    if not path:
        return None
    if path != "-":
        path = environment[VARIABLE] = os.path.abspath(path)
    return Live(path)


at_start: Final = live_in(os.environ)
