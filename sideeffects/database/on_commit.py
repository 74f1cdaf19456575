"""Waiting for a commit, with Django's `transaction.on_commit`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterator
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from sideeffects._core.calls.call import Call
from sideeffects._core.state.extension_points import late_errors
from sideeffects._core.state.state import state

__tracebackhide__ = True


class Deferred:
    """An executing call that waits for a commit; recognisable among a connection's callbacks."""

    def __init__(self, call: Call | None, work: Callable[[], object]) -> None:
        self.call = call
        self.has_run = False
        self._work = work
        self._late_errors = late_errors.get()

    def __call__(self) -> None:
        """Run it: the transaction has committed."""
        # `captureOnCommitCallbacks(execute=True)` does so too, and leaves it among the connection's callbacks.
        self.has_run = True
        try:
            self._work()
        except Exception as error:
            if self._late_errors is None or isinstance(error, CancelledError):
                raise
            self._late_errors(error)


class DjangoTransactions:
    """Deferral by `django.db.transaction.on_commit`; at once where Django has no settings."""

    def run(self, using: str | None, call: Call | None, work: Callable[[], object]) -> None:
        """Run `work` when the outermost transaction commits, at once when there is none, never on a rollback."""
        if not _has_databases():
            work()
            return
        from django.db import transaction

        connection = transaction.get_connection(using)
        if not connection.in_atomic_block and (connection.connection is None or connection.autocommit):
            # In no transaction: `on_commit` would find that out by connecting, which tests without a database may not.
            work()
            return
        transaction.on_commit(Deferred(call, work), using=using)

    async def run_async(
        self, using: str | None, call: Call | None, work: Callable[[], Coroutine[Any, Any, object]]
    ) -> None:
        """The same from asynchronous code: the callback runs the coroutine to its end."""
        if not _has_databases():
            await work()
            return
        from asgiref.sync import async_to_sync, sync_to_async

        async def waited_for() -> None:
            await work()  # asgiref warns of what is not itself an `async def`

        await sync_to_async(self.run)(using, call, async_to_sync(waited_for))

    @contextmanager
    def as_worker(self) -> Generator[None]:
        """Inside, a test's own transaction counts for none."""
        from sideeffects.database import commits  # in tests that run what was enqueued

        leave = commits.ask()
        try:
            yield
        finally:
            leave()

    def savepoints(self) -> Callable[[], AbstractContextManager[object]] | None:
        """What makes a savepoint in each transaction that is open here, for one piece of work; `None` without any."""
        if not _has_databases():
            return None
        from django.db import connections, transaction

        open_ones = [c.alias for c in connections.all(initialized_only=True) if c.in_atomic_block]
        if not open_ones:
            return None

        @contextmanager
        def savepoints() -> Generator[None]:
            with ExitStack() as stack:
                for alias in open_ones:
                    stack.enter_context(transaction.atomic(using=alias))
                yield

        return savepoints


def _has_databases() -> bool:
    """Whether there is a Django with settings; otherwise there is no transaction to wait for."""
    import sys

    conf = sys.modules.get("django.conf")
    if conf is None or not conf.settings.configured:
        return False
    from django.db import connections

    return connections.settings != {"default": {"ENGINE": "django.db.backends.dummy"}} and bool(
        connections.settings["default"]["ENGINE"] != "django.db.backends.dummy" or len(connections.settings) > 1
    )


def pending() -> Iterator[Call]:
    """The executing calls that wait for a commit on this thread's connections."""
    import sys

    if "django.db" not in sys.modules or not state.test_run.is_on() or not _has_databases():
        return
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        for callback in connection.run_on_commit:
            deferred = callback[1]
            if isinstance(deferred, Deferred) and deferred.call is not None and not deferred.has_run:
                yield deferred.call
