"""Probes that write to files of SQLite take turns: a file has one writer at a time, and a probe is one to its end."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from typing import Final


class WriteTurns:
    """Whose turn it is to write. All files share it: two probes with two files would wait for each other for ever."""

    def __init__(self) -> None:
        self._is_free = threading.Condition()
        self._thread: int | None = None
        self._holders: set[object] = set()

    def take(self, holder: object, waiting: AbstractContextManager[object]) -> None:
        """Wait until no other thread writes.

        Args:
            holder: which of the databases that the thread holds is about to be written.
            waiting: is entered while there is somebody to wait for.
        """
        thread = threading.get_ident()
        with self._is_free:
            if self._thread not in (None, thread):
                with waiting:
                    self._is_free.wait_for(lambda: self._thread is None)
            self._thread = thread
            self._holders.add(holder)

    def give_back(self, holder: object) -> None:
        """End the writing of a database; any thread may call this. Nothing happens where nobody wrote."""
        with self._is_free:
            if holder in self._holders:
                self._holders.remove(holder)
                if not self._holders:
                    self._thread = None
                    self._is_free.notify()


turns: Final = WriteTurns()
