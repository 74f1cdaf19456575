"""Whose code a file is: the user's, an installed package's, the standard library's, or nobody's, such as our own."""

from __future__ import annotations

import os
import sys
from types import FrameType
from typing import Final

from sideeffects._core.values.callers import NOBODY, PACKAGE_FOLDER

LIBRARY_FOLDER: Final = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_SCRIPTS: Final = os.path.dirname(os.path.abspath(sys.executable)) + os.sep
INSTALLED: Final = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")

OWN: Final = 0
PACKAGE: Final = 1
LIBRARY: Final = 2
HIDDEN: Final = 3

#: Packages that call what others have handed them: tasks, threads, receivers, callbacks.
_HANDING_ON: Final = frozenset(("anyio", "asgiref", "blinker", "django", "eventlet", "gevent", "trio"))

_known: dict[str, int] = {}


def absolute(file: str) -> str:
    """The path, made absolute where there is a folder that it could be relative to."""
    try:
        return os.path.abspath(file)
    except FileNotFoundError:
        return file


def kind_of(file: str) -> int:
    """Whose code a file is."""
    kind = _known.get(file)
    if kind is None:
        kind = _known[file] = _kind_of(file)
    return kind


def _kind_of(file: str) -> int:
    if file.startswith("<"):
        return OWN if file in ("<stdin>", "<string>") or file.startswith("<doctest ") else HIDDEN
    path = absolute(file)
    if path.startswith(PACKAGE_FOLDER):
        return HIDDEN
    if any(part in path for part in INSTALLED):
        return PACKAGE
    if path.startswith(LIBRARY_FOLDER):
        return LIBRARY
    return HIDDEN if path.startswith(_SCRIPTS) else OWN


def is_own(frame: FrameType) -> bool:
    """Whether a frame is of the user's own code."""
    code = frame.f_code
    # What dataclasses and the like compile is in `<string>` too; a program given by `-c` is the main module.
    return kind_of(code.co_filename) == OWN and (
        code.co_filename != "<string>" or frame.f_globals.get("__name__") == "__main__"
    )


class _HandsOn(dict[str, bool]):
    """Whether a file's code calls what others have handed to it. Looked up at each call that is written down."""

    def __missing__(self, file: str) -> bool:
        answer = self[file] = self._of(file)
        return answer

    @staticmethod
    def _of(file: str) -> bool:
        kind = kind_of(file)
        if kind == PACKAGE:
            path = absolute(file)
            below = next(path.rpartition(part)[2] for part in INSTALLED if part in path)
            return below.partition(os.sep)[0] in _HANDING_ON
        return kind == LIBRARY or file == NOBODY.co_filename or absolute(file).startswith(PACKAGE_FOLDER)


hands_on: Final = _HandsOn()
