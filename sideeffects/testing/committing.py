"""`commits()`: inside a test that is rolled back, what waits for a commit happens as it would in production."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self, TypeVar, cast

from sideeffects._core.state.state import state
from sideeffects._core.state.switches import Restorer
from sideeffects.database import commits as in_database
from sideeffects.errors import SideEffectError
from sideeffects.guard.call_sites import running_case

F = TypeVar("F", bound=Callable[..., Any])

#: The class attribute that asks for commits in each test of a class.
ATTRIBUTE: Final = "side_effects_commits"


class Commits:
    """What `commits()` gives: a `with` block and a decorator of functions, test methods and `TestCase` classes."""

    def __init__(self) -> None:
        self._open: list[Restorer] = []

    def __enter__(self) -> Self:
        problem = why_not()
        if problem:
            raise SideEffectError(IN_COROUTINE if _runs_loop() else problem)
        self._open.append(in_database.ask())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.pop()()

    def __call__(self, decorated: F) -> F:
        """Decorate a function, a test method or a `TestCase` class.

        Raises:
            TypeError: it is something else, such as a generator.
        """
        target: Any = decorated
        if isinstance(target, type):
            setattr(target, ATTRIBUTE, True)
            return decorated
        if not callable(target) or inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
            raise TypeError(f"commits() decorates functions and TestCase classes, not {target!r}")
        if inspect.iscoroutinefunction(target):

            @functools.wraps(target)
            async def asynchronous(*args: Any, **kwargs: Any) -> Any:
                from asgiref.sync import sync_to_async

                # A thread's connections are its own, and Django's are those of the thread that tests run in.
                problem = await sync_to_async(why_not)()
                if problem:
                    raise SideEffectError(problem)
                leave = in_database.ask()
                try:
                    return await target(*args, **kwargs)
                finally:
                    leave()

            return cast(F, asynchronous)

        @functools.wraps(target)
        def synchronous(*args: Any, **kwargs: Any) -> Any:
            with Commits():
                return target(*args, **kwargs)

        return cast(F, synchronous)


def commits() -> Commits:
    """In a test that is rolled back, do what a commit does at the end of the application's outermost `atomic`.

    The callbacks of `transaction.on_commit` run then. Outside of any such block they run at once; a rollback drops
    them. It holds for all databases and threads of the test. The rows stay in the test's own transaction.

    Use it as a block, or as a decorator of functions, test methods and `TestCase` classes.

    Raises:
        SideEffectError: on entering, when this test is in no transaction of its own: commits are real there.

    Example:
        >>> class OrderTests(unittest.TestCase):
        ...     @commits()
        ...     def test_the_customer_hears_of_it(self):
        ...         place_order(cents=990)
    """
    return Commits()


def why_not() -> str:
    """Why `commits()` can do nothing here and now, in words; empty where it can."""
    from django.db import connections

    if next(in_database.wrapped_connections(), None) is not None:
        return ""
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None and not connection.features.supports_transactions:
            return (
                f"commits() can do nothing with the database {connection.alias!r} ({connection.display_name}): it has "
                f"no transactions, so no test is wrapped in one, and what waits for a commit runs at once"
            )
    case = running_case()
    kind = getattr(sys.modules.get("django.test.testcases"), "TransactionTestCase", None)
    if case is not None and kind is not None and isinstance(case, kind):
        return REAL
    return (
        "commits() has nothing to do here: no transaction of a test is open. It is for tests that are rolled back: "
        "Django's TestCase, pytest-django's `db` or @pytest.mark.django_db. In a TransactionTestCase, and with "
        "transaction=True, commits are real: leave it out there"
    )


def _runs_loop() -> bool:
    """Whether this thread runs an event loop, so that Django's connections are those of another."""
    asyncio = sys.modules.get("asyncio")
    try:
        return asyncio is not None and asyncio.get_running_loop() is not None
    except RuntimeError:
        return False


IN_COROUTINE: Final = (
    "a block with commits() cannot be entered in a coroutine: Django's connections are those of another thread there. "
    "Decorate the test with @commits(), or write the marker or the class attribute"
)
REAL: Final = (
    "commits() has nothing to do in a TransactionTestCase: its commits are real, and what waits for them runs by "
    "itself. Leave it out there"
)


def asked_by_class(kind: Any) -> bool | None:
    """What the class attribute of a test's class says; `None` where it says nothing."""
    asked = getattr(kind, ATTRIBUTE, None)
    return None if asked is None else bool(asked)


def asked_by_settings() -> bool:
    """What `SIDE_EFFECTS["TEST_COMMITS"]` says; not in processes without Django's settings."""
    conf = sys.modules.get("django.conf")
    return conf is not None and conf.settings.configured and state.rules_source().test_commits


def why_not_in(kind: type) -> str:
    """Why tests of a class can have no commits, in words, judging by its bases."""
    testcases = sys.modules.get("django.test.testcases")
    if testcases is not None and issubclass(kind, testcases.TestCase):
        return ""
    if testcases is not None and issubclass(kind, testcases.TransactionTestCase):
        return f"{ATTRIBUTE} of {kind.__qualname__}: {REAL}"
    return f"{ATTRIBUTE} of {kind.__qualname__}: commits are for tests that are rolled back: Django's TestCase"
