"""What higher floors plug into the lower ones: how to wait for a commit, and which engine runs the background."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from sideeffects._calls import Call
from sideeffects._handles import Handle


class Deferral(Protocol):
    """How an executing call waits for the commit; see `sideeffects.transactions`."""

    def run(self, using: str | None, call: Call | None, work: Callable[[], object]) -> None:
        """Run `work` when the outermost transaction commits, at once when there is none, never on a rollback."""

    async def run_async(
        self, using: str | None, call: Call | None, work: Callable[[], Coroutine[Any, Any, object]]
    ) -> None:
        """The same from asynchronous code."""


class NoTransactions:
    """Without Django there is no transaction to wait for."""

    def run(self, using: str | None, call: Call | None, work: Callable[[], object]) -> None:  # noqa: ARG002
        """Run it at once."""
        work()

    async def run_async(
        self,
        using: str | None,  # noqa: ARG002
        call: Call | None,  # noqa: ARG002
        work: Callable[[], Coroutine[Any, Any, object]],
    ) -> None:
        """Run it at once."""
        await work()


class Engine(Protocol):
    """What runs an enqueued call in the background."""

    def submit(self, handle: Handle, work: Callable[[], object]) -> None:
        """Take `work` over; its result or error goes to `handle`."""


class Plugs:
    """What higher floors put in: how to wait for a commit, and which engine runs the background."""

    def __init__(self) -> None:
        self.deferral: Deferral = NoTransactions()
        self.engine: Callable[[], Engine] = _no_engine


def _no_engine() -> Engine:
    raise RuntimeError("no background engine is installed; `import sideeffects` installs one")


plugs: Final = Plugs()
