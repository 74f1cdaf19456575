"""All points at which higher folders put in what `_core` calls without importing it.

Each is a list. Where exactly one can be in force, it is what was put in last.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol

from sideeffects._core.calls import registry
from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.policy.rules import Rules
from sideeffects._core.records import runner as enqueued
from sideeffects._core.values.points import Point
from sideeffects.errors import SideEffectBlocked, SideEffectError

if TYPE_CHECKING:
    from sideeffects._core.calls.handle import Handle  # imports executors, which a suite without effects does not need
    from sideeffects._core.calls.parcel import Parcel


class Deferral(Protocol):
    """How an executing call waits for the commit; see `sideeffects.database.on_commit`."""

    def run(self, using: str | None, call: Call | None, work: Callable[[], object]) -> None:
        """Run `work` when the outermost transaction commits, at once when there is none, never on a rollback."""

    async def run_async(
        self, using: str | None, call: Call | None, work: Callable[[], Coroutine[Any, Any, object]]
    ) -> None:
        """The same from asynchronous code."""

    def as_worker(self) -> AbstractContextManager[object]:
        """Inside, a test's own transaction counts for none: what is run there waits for no commit, as in a worker."""
        ...

    def savepoints(self) -> Callable[[], AbstractContextManager[object]] | None:
        """What makes a savepoint in each transaction that is open here, for one piece of work; `None` without any."""


class Keeper(Protocol):
    """What keeps held calls, so that they can be executed later."""

    def keep(self, call: Call, declared: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any], /) -> None:
        """Keep a call; given what is `Declared`, and the arguments as they are to be used.

        Raises:
            SideEffectBlocked: it cannot be kept; the reason says why.
        """

    async def keep_async(
        self, call: Call, declared: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any], /
    ) -> None:
        """The same from asynchronous code."""


class NoKeeper:
    """Without the outbox nothing can be held, and what cannot be held is refused."""

    def keep(self, call: Call, *_: object) -> None:
        """Refuse it."""
        raise SideEffectBlocked(
            call.name,
            f"it would have been held ({call.reason}), which needs the outbox: "
            f"add 'sideeffects.outbox' to INSTALLED_APPS, and run `migrate`",
            call.caller,
            call.decision.origin,
        )

    async def keep_async(self, call: Call, *_: object) -> None:
        """Refuse it."""
        self.keep(call)


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

    def as_worker(self) -> AbstractContextManager[object]:
        """There is nothing to leave out."""
        return nullcontext()

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


def _no_engine() -> Engine:
    raise RuntimeError("no background engine is installed; `import sideeffects` installs one")


def _no_outbox(held: str) -> object:
    raise SideEffectError(
        f"the held call {held} cannot be executed by this process: its INSTALLED_APPS lack 'sideeffects.outbox'"
    )


def _no_counter(*_: object) -> bool:
    raise LookupError("there is no cache to count in")


#: What says which rules hold. One is in force.
rules_source: Final[Point[Callable[[], Rules]]] = Point(Rules)

#: Told of the rules that have just been read; of `None` when a setting has changed, so that they will be read again.
rules_changed: Final[Point[Callable[[Rules | None], object]]] = Point()

#: Told once, when this process turns out to be in a test run.
test_run_began: Final[Point[Callable[[], object]]] = Point()

#: Finds effects in modules that are not yet imported, and returns what could not be looked into.
discovery: Final = registry.discovery

#: Runs enqueued calls in a test. One is in force.
runner: Final = enqueued.runner

#: How an executing call waits for the commit. One is in force.
deferral: Final[Point[Deferral]] = Point(NoTransactions())

#: Gives the engine that runs the background. One is in force.
engine: Final[Point[Callable[[], Engine]]] = Point(_no_engine)

#: Keeps held calls. One is in force.
keeper: Final[Point[Keeper]] = Point[Keeper](NoKeeper())

#: Executes a call that was held and has been released, in a worker; given where it is kept. One is in force.
released: Final[Point[Callable[[str], object]]] = Point(_no_outbox)

#: Notes in which open transactions a call is made, and may refuse it. Told whether this is a test run.
places: Final[Point[Callable[[Call, Rules, bool], SideEffectError | None]]] = Point()

#: Asked, outside a test run, what else holds for a call of an effect for which this mode has been decided: a pause. It
#: queries nothing, and answers `None` where nothing else holds. What is less strict than the mode does not count.
pauses: Final[Point[Callable[[SideEffect, Mode], Decision | None]]] = Point()

#: Counts a call for a budget: given what the budget is for, how many seconds its periods have, and how many calls may
#: execute in one. Answers whether this one may. What it raises means that nobody can tell. One is in force.
counter: Final[Point[Callable[[str, int, int], bool]]] = Point(_no_counter)

#: Told of each refusal in a test run, before it is raised.
refusals: Final[Point[Callable[[SideEffectError], object]]] = Point()

#: Told of each error that a run list has swallowed, or that was raised in a background of this process, with the call
#: that raised it (its values redacted, with `name`, `run_id`, `is_async`, `arguments` and `scrubbed`). What it raises
#: is logged, and changes nothing.
errors: Final[Point[Callable[[BaseException, Call], object]]] = Point()

#: Called with an error of what waits for a commit, instead of raising it where the commit is made. It is set while a
#: run list that swallows errors hands over a task.
late_errors: Final[ContextVar[Callable[[Exception], object] | None]] = ContextVar("sideeffects_late", default=None)
