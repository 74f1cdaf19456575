"""A cache for a shop on one machine that has no Redis."""

import fcntl
from pathlib import Path
from typing import Any

from django.core.cache.backends.filebased import FileBasedCache


class CountingFileCache(FileBasedCache):
    """Django's cache in files, in which several processes may count at once: a budget needs that."""

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        """Count, one process after the other."""
        with Path(f"{self._dir}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            counted: Any = super().incr(key, delta, version)
        return int(counted)
