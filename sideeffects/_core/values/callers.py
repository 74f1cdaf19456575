"""The caller of an effect: the code and the place in it, also when that is no Python code."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Final

#: The folder of this package, with a separator at its end.
PACKAGE_FOLDER: Final = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "")
#: Stands for whatever calls an effect with no Python frame beneath it: a greenlet, a raw thread, `atexit`.
NOBODY: Final[CodeType] = compile("", "<no Python code>", "exec")


#: The caller: the code, and the offset of the instruction in it.
Site = tuple[CodeType, int]


def caller(depth: int) -> Site:
    """The code that is `depth` calls above the caller of this, and the offset in it."""
    try:
        frame = sys._getframe(depth + 1)  # noqa: SLF001 - there is no other way that does not read source files
    except ValueError:
        return NOBODY, 0
    return frame.f_code, frame.f_lasti


def caller_outside(is_inside: Callable[[str], bool]) -> Site:
    """The innermost code whose module's name is not inside; the outermost, if all are."""
    frame = sys._getframe(1)  # noqa: SLF001 - as above; a Python function has called
    while frame.f_back is not None and is_inside(str(frame.f_globals.get("__name__", ""))):
        frame = frame.f_back
    return frame.f_code, frame.f_lasti


def running_function() -> str:
    """The running function that is not of this package, with `file:line`; empty in the body of a module or class."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - as above
    while frame is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == "sideeffects":
        frame = frame.f_back
    if frame is None or not frame.f_code.co_flags & inspect.CO_OPTIMIZED:
        return ""
    return f"{frame.f_code.co_qualname}() at {frame.f_code.co_filename}:{frame.f_lineno}"


def first_on(code: CodeType, line: int) -> Site:
    """The site that begins a line."""
    return code, next((start for start, _, number in code.co_lines() if number == line), 0)


@functools.lru_cache(maxsize=1024)
def line_of(code: CodeType, instruction: int) -> int:
    """The line of the instruction at that offset in bytes: `frame.f_lineno`, worked out long after the call."""
    for start, end, line in code.co_lines():
        if start <= instruction < end and line is not None:
            return line
    return code.co_firstlineno
