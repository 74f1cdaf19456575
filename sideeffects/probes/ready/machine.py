"""Whether the machine has room left on its disk and in its memory. Memory needs `psutil` (the extra `ready`)."""

from __future__ import annotations

import importlib
import shutil
from typing import Any

from django.conf import settings

from sideeffects.probes.ready.base import ReadyProbe


class Disk(ReadyProbe):
    """Whether the disk has room.

    Attributes:
        path: a path on that disk; by default `settings.BASE_DIR`, or else the working directory.
        at_most: percent of it that may be used.
    """

    path: str = ""
    at_most: float = 90

    def test_room(self) -> None:
        """Ask the file system."""
        path = self.path or getattr(settings, "BASE_DIR", ".")
        usage = shutil.disk_usage(path)
        used = 100 * usage.used / (usage.used + usage.free)
        self.assertLessEqual(
            used,
            self.at_most,
            f"the disk of {path} is {used:.0f} % full, {self.at_most:g} % are allowed; "
            f"{_gibibytes(usage.free)} are free",
        )


class Memory(ReadyProbe):
    """Whether memory is available.

    Attributes:
        at_most: percent of it that may be used.
    """

    at_most: float = 90

    def test_room(self) -> None:
        """Ask the system."""
        try:
            psutil: Any = importlib.import_module("psutil")
        except ImportError as error:
            raise AssertionError("this probe needs psutil: pip install sideeffects[ready]") from error
        memory = psutil.virtual_memory()
        self.assertLessEqual(
            memory.percent,
            self.at_most,
            f"{memory.percent:.0f} % of the memory is used, {self.at_most:g} % is allowed; "
            f"{_gibibytes(memory.available)} are available",
        )


def _gibibytes(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
