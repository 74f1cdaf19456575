"""Standard output is for what the command reports: programs read it, and terminals do not hold every character."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Generator


def printable(text: str, stream: object, *, keeps_width: bool = False) -> str:
    """The text for this stream; what it cannot hold, such as an umlaut on an ASCII terminal, is spelled out.

    Args:
        text: the text.
        stream: where it is written.
        keeps_width: whether it is a question mark instead, as tables want it.
    """
    encoding: str = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace" if keeps_width else "backslashreplace").decode(encoding)


@contextlib.contextmanager
def kept_clean() -> Generator[None]:
    """Inside, what is printed goes to standard error instead of standard output.

    So does what is written past `sys.stdout`: by log handlers that have kept the stream, and by programs.
    """
    with _descriptor_kept_clean(), contextlib.redirect_stdout(sys.stderr):
        yield


@contextlib.contextmanager
def _descriptor_kept_clean() -> Generator[None]:
    stream = sys.stdout
    try:
        number, other = stream.fileno(), sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # captured in memory, or closed
        number = other = -1
    # The descriptor is the whole process's: two threads would give it back in the wrong order.
    if number < 0 or threading.current_thread() is not threading.main_thread():
        yield
        return
    stream.flush()
    kept = os.dup(number)
    os.dup2(other, number)
    try:
        yield
    finally:
        stream.flush()
        os.dup2(kept, number)
        os.close(kept)
