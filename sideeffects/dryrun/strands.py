"""Where in a run a call is made: in which strand of it, and after whose commit.

The order of calls means something only within a strand: a thread, one job of a pool, or a task of asyncio. From run to
run, strands have other numbers and names; only the one from which all others descend is known.
"""

from __future__ import annotations

import contextlib
import contextvars
import sys
import threading
from collections.abc import Callable, Generator
from typing import Any, Final, NamedTuple

from sideeffects._core.state.work_origin import lineage

#: The number of the strand from which all others descend.
FIRST: Final = 0


class Place(NamedTuple):
    """Where in a run a call is made.

    Attributes:
        strand: the number of its strand.
        after: the database after whose commit a callback has made it; empty elsewhere.
    """

    strand: int
    after: str


class Strands:
    """The strands of one run; it is made in the first of them."""

    def __init__(self) -> None:
        self._first = threading.current_thread(), _task()
        self._numbers: dict[tuple[object, ...], int] = {}

    def here(self) -> Place:
        """Where the code that runs now is. Called under a lock."""
        thread, task = threading.current_thread(), _task()
        if (thread, task) == self._first:
            return Place(FIRST, _after.get())
        # Each job that is handed to a pool has a lineage of its own. Its connections are its own as well: what comes
        # after their commits is in the order of the strand.
        key = thread, task, lineage.get()
        return Place(self._numbers.setdefault(key, FIRST + 1 + len(self._numbers)), "")


def _task() -> object:
    """The task of asyncio that runs here, if one does."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    try:
        task: object = asyncio.current_task()
    except RuntimeError:
        return None
    return task


# -- callbacks after a commit

_after: Final[contextvars.ContextVar[str]] = contextvars.ContextVar("sideeffects_after_commit", default="")


@contextlib.contextmanager
def after_commit_of(alias: str) -> Generator[None]:
    """What runs inside was waiting for a commit of that database."""
    token = _after.set(alias)
    try:
        yield
    finally:
        _after.reset(token)


def marking_hooks(connection: Any, run_hooks: Callable[[], None], on_commit: Callable[..., None]) -> dict[str, Any]:
    """What is to stand in the place of a connection's own methods, so that callbacks after its commits are known.

    Args:
        connection: Django's wrapper.
        run_hooks: its `run_and_clear_commit_hooks`.
        on_commit: its `on_commit`.
    """

    def run() -> None:
        with after_commit_of(connection.alias):
            run_hooks()

    def register(func: Callable[[], object], robust: bool = False) -> None:
        if connection.in_atomic_block:
            on_commit(func, robust)
        else:  # it runs at once
            with after_commit_of(connection.alias):
                on_commit(func, robust)

    return {"run_and_clear_commit_hooks": run, "on_commit": register}
