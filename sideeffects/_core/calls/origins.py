"""What set the code of this context going: a request, a command, a task, a test.

Whoever begins such a piece of work says so here; each call that is made in it keeps what was said. The worker of an
enqueued call is told what its caller's was.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Generator
from typing import Final

#: A text, or an object whose `str()` it is: a request knows its route only once it has been resolved. Empty where
#: nobody has said anything.
current: Final[contextvars.ContextVar[object]] = contextvars.ContextVar("sideeffects_origin", default="")


def origin() -> str:
    """What set the code of this context going; empty where nobody has said anything."""
    return str(current.get())


@contextlib.contextmanager
def originating(what: object) -> Generator[None]:
    """Let the calls inside say that `what` set them going.

    Args:
        what: a text, or an object whose `str()` is it, asked when somebody reads a call.
    """
    token = current.set(what)
    try:
        yield
    finally:
        current.reset(token)
