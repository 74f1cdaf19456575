"""What higher floors plug into the lower ones: how to wait for a commit, and which engine runs the background."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol

from sideeffects._core.calls.call import Call
from sideeffects._core.policy.rules import Rules
from sideeffects.errors import SideEffectError

if TYPE_CHECKING:
    from sideeffects._core.calls.handle import Handle  # imports executors, which a suite without effects needs not
    from sideeffects._core.calls.parcel import Parcel


class Deferral(Protocol):
    """How an executing call waits for the commit; see `sideeffects.database.on_commit`."""

    def run(self, using: str | None, call: Call | None, work: Callable[[], object]) -> None:
        """Run `work` when the outermost transaction commits, at once when there is none, never on a rollback."""

    async def run_async(
        self, using: str | None, call: Call | None, work: Callable[[], Coroutine[Any, Any, object]]
    ) -> None:
        """The same from asynchronous code."""

    def savepoints(self) -> Callable[[], AbstractContextManager[object]] | None:
        """What makes a savepoint in each transaction that is open here, for one piece of work; `None` without any."""


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

    def savepoints(self) -> None:
        """There is none."""


class Engine(Protocol):
    """What runs an enqueued call in the background."""

    def check(self, parcel: Parcel) -> None:
        """Refuse, when it is enqueued, what could not be taken over later.

        Raises:
            TypeError: an argument cannot travel; the message names it.
        """

    def submit(self, parcel: Parcel, handle: Handle, work: Callable[[], object]) -> None:
        """Take a call over.

        Args:
            parcel: the call as it travels by name, for engines whose workers are other processes; they hand it to
                `sideeffects._core.runtime.worker.run_parcel`.
            handle: receives the result or error, from engines that have results.
            work: the call itself, for engines that run it in this process.
        """


class Plugs:
    """What higher floors put in: how to wait for a commit, which engine runs the background, who hears of errors."""

    def __init__(self) -> None:
        self.deferral: Deferral = NoTransactions()
        self.engine: Callable[[], Engine] = _no_engine
        #: Told of each error that a run list has swallowed, or that was raised in a background of this process, with
        #: the call that raised it (its values redacted, with `name`, `run_id`, `is_async`, `arguments` and `scrubbed`).
        #: What it raises is logged, and changes nothing.
        self.report_error: Callable[[BaseException, Call], object] = _tell_nobody
        #: Notes in which open transactions a call is made, and may refuse it. Told whether this is a test run.
        self.place: Callable[[Call, Rules, bool], SideEffectError | None] = _nowhere
        #: Told of each refusal in a test run, before it is raised.
        self.refused: Callable[[SideEffectError], object] = _tell_nobody
        #: Told when the settings have been read, or have changed.
        self.rules_changed: Callable[[], object] = _tell_nobody


#: Told of an error of what waits for a commit, in place of whoever commits: set while a run list that swallows errors
#: hands over a task.
late_errors: Final[ContextVar[Callable[[Exception], object] | None]] = ContextVar("sideeffects_late", default=None)


def _no_engine() -> Engine:
    raise RuntimeError("no background engine is installed; `import sideeffects` installs one")


def _tell_nobody(*_: object) -> None:
    """Where nothing is plugged in that reports errors."""


def _nowhere(call: Call, rules: Rules, is_test_run: bool) -> None:
    del call, rules, is_test_run


plugs: Final = Plugs()
