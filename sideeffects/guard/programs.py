"""Which programs may be started: those that the standard library starts for itself, and what the settings name."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable
from types import FrameType
from typing import Any, Final

from sideeffects._core.values.whose_code import LIBRARY, kind_of

#: Modules of the standard library that start programs in order to find something out, or to run Python itself.
_FOR_ITSELF: Final = frozenset(
    """
    _aix_support _osx_support concurrent.futures.process ctypes.util getpass locale multiprocessing.context
    multiprocessing.forkserver multiprocessing.popen_fork multiprocessing.popen_forkserver
    multiprocessing.popen_spawn_posix multiprocessing.popen_spawn_win32 multiprocessing.resource_tracker
    multiprocessing.util platform sysconfig uuid
    """.split()
)
#: The modules by which programs are started: the code that calls these starts the program.
_STARTERS: Final = frozenset(("subprocess", "os", "pty"))
#: Modules of ours that start programs for the test run itself; each adds its own name.
ours: Final[set[str]] = set()


def is_for_itself(frame: FrameType) -> bool:
    """Whether the standard library starts a program for itself, or a module of ours does."""
    at: FrameType | None = frame
    while at is not None and at.f_globals.get("__name__") in _STARTERS:
        at = at.f_back
    module = "" if at is None else str(at.f_globals.get("__name__", ""))
    if module in _FOR_ITSELF:
        return at is not None and kind_of(at.f_code.co_filename) == LIBRARY
    return module in ours


def is_allowed(program: str, patterns: Iterable[str]) -> bool:
    """Whether a program is allowed, by its name or by its path."""
    name = os.path.basename(program)
    return any(
        fnmatch.fnmatchcase(program if os.sep in pattern else name, pattern)
        or (os.sep not in pattern and fnmatch.fnmatchcase(name.removesuffix(".exe"), pattern))
        for pattern in patterns
    )


def as_text(value: Any) -> str:
    """A path or a word as text."""
    return os.fsdecode(value) if isinstance(value, str | bytes | os.PathLike) else str(value)


def of_shell(command: Any) -> str:
    """The program that a command for the shell starts: its first word; the shell itself, where it may start others."""
    text = as_text(command)
    if any(sign in text for sign in ";|&`\n<>") or "$(" in text:
        return "sh"
    import shlex  # for those who ask a shell

    try:
        words = shlex.split(text, comments=True)
    except ValueError:
        return "sh"
    return next((word for word in words if "=" not in word), "sh")


def started_by(executable: Any, arguments: Any) -> str:
    """The program that `subprocess` is asked to start, behind the shell if it asks one."""
    given = list(arguments) if isinstance(arguments, list | tuple) else [arguments]
    program = as_text(executable) if executable else as_text(given[0]) if given else ""
    if os.path.basename(program) in _SHELLS and len(given) > _COMMAND and given[1] == "-c":
        return of_shell(given[_COMMAND])
    return program


_SHELLS: Final = frozenset(("sh", "bash", "dash", "ash", "zsh", "ksh"))
_COMMAND: Final = 2
