"""The file in which the children of a test run write their calls."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Any

from sideeffects._core.calls.call import Call
from sideeffects._core.records.lines import Turns, locked, write_lines
from sideeffects._core.records.pairing import Pairing


class Journal:
    """An append-only file of calls, one JSON line each, that several processes write and one reads.

    A line is one `write` on a descriptor opened with `O_APPEND`, under an advisory lock where the platform has
    one, so that lines of several processes never mix. What a killed process left half-written is counted in `torn`.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._offset = 0
        #: A descriptor of the file, kept open in the process that reads it.
        self._ear: int | None = None
        self.torn = 0
        self._pairing = Pairing()
        self._turns = Turns(self._append)

    def expect(self, call: Call) -> None:
        """Look for the outcome of a call that this process has handed to another."""
        self._pairing.expect(call)

    def write_call(self, call: Call) -> None:
        """Write a call down."""
        self._write({"call": call.to_record()})

    def write_outcome(self, call: Call) -> None:
        """Add the outcome of a call that was written before."""
        self._write(call.outcome_record())

    def _write(self, record: dict[str, Any]) -> None:
        import json  # in test runs alone

        self._turns.append([json.dumps(record, ensure_ascii=True)])

    def _append(self, lines: list[str]) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with locked(descriptor):
                write_lines(descriptor, lines)
        finally:
            os.close(descriptor)

    def listen(self) -> None:
        """Make the file and keep it open, so that `has_news` is one look without searching the file system."""
        if self._ear is None:
            self._ear = os.open(self.path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def has_news(self) -> bool:
        """Whether anything was written since the last time."""
        if self._ear is not None:
            return os.lseek(self._ear, 0, os.SEEK_END) != self._offset
        return os.access(self.path, os.F_OK)  # `os.stat` would raise, which costs twice as much

    def read_new(self) -> list[Call]:
        """The calls written since the last time; outcomes are added to the calls that they belong to."""
        if not os.access(self.path, os.F_OK) or self._turns.is_taken:
            return []
        with self._turns.taken(), self._lock:
            found = os.stat(self.path)
            if self._ear is not None and not os.path.samestat(found, os.fstat(self._ear)):
                # Somebody has emptied the folder, and children have made the file anew.
                os.close(self._ear)
                self._ear, self._offset = None, 0
                self.listen()
            if found.st_size == self._offset:
                return []
            # Locked, so that nobody is writing: a line without an end is one that will never get it.
            with open(self.path, "rb") as file, locked(file.fileno()):
                file.seek(self._offset)
                data = file.read()
            self._offset += len(data)
            return [call for call in map(self._take, filter(None, data.split(b"\n"))) if call is not None]

    def _take(self, line: bytes) -> Call | None:
        try:
            import json

            return self._pairing.take(json.loads(line))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):  # torn, or of another version
            self.torn += 1
            return None

    def remove(self) -> None:
        """Delete the file."""
        if self._ear is not None:
            os.close(self._ear)
            self._ear = None
        with contextlib.suppress(OSError):
            os.unlink(self.path)
