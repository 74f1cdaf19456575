"""`SmokeTest`, also named `Probe`: a test case for live systems."""

from __future__ import annotations

import asyncio
import enum
import functools
import inspect
import unittest
from collections.abc import Callable, Collection, Sequence
from typing import Any, ClassVar

from asgiref.sync import async_to_sync

from sideeffects._core.state.scope import scope
from sideeffects.probes.greenlets import run_beside, threads_are_greenlets
from sideeffects.probes.protection import guard_in
from sideeffects.probes.results import ProbeOutcome, Results
from sideeffects.probes.running import ProbeRunner
from sideeffects.probes.specs import EVERY_DATABASE, FoundProbes, Spec, traits_of

Totals = tuple[int, int, int, int, list[str], list[str]]


class SmokeTest(unittest.TestCase):
    """A probe: a `unittest.TestCase` that may run on a live system, and is found in `smoke.py` and `probes.py`.

    All that it writes to databases is rolled back, and the declared effects that it calls are held back and reported.
    A test may be `async def`; it uses the databases under the same protection.

    Attributes:
        timeout: seconds for each test; `None` for what the settings or the command say.
        tags: what `--tag` and `?tag=` select by.
        databases: the aliases that it may use, or `"__all__"`.
        force_run: the effects that it may execute, as decorated functions, names or globs.
        only_reads: whether calling an effect that does more than read is refused, instead of held back.
        read_only: whether writing to a database is an error.

    Example:
        >>> class Checkout(SmokeTest):
        ...     timeout = 10
        ...     tags = ["checkout"]
        ...
        ...     def test_an_order(self):
        ...         order = place_order(cents=990)  # its row is rolled back, its effects held back
        ...         self.assertEqual(order.state, "paid")
    """

    timeout: ClassVar[float | None] = None
    tags: ClassVar[Collection[str]] = ()
    databases: ClassVar[Collection[str]] = EVERY_DATABASE
    force_run: ClassVar[Sequence[object]] = ()
    only_reads: ClassVar[bool] = False
    read_only: ClassVar[bool] = False

    #: As in django-smoketest, a message that is given stands for the one that unittest makes.
    longMessage = False

    def __init__(self, methodName: str | Callable[[str], object] = "runTest") -> None:  # noqa: N803 - unittest's name
        self._log: Callable[[str], object] | None = None
        if callable(methodName):
            self._log, methodName = methodName, "runTest"  # noqa: N806 - as above
        super().__init__(methodName)
        _await(self, methodName)

    def run(self, result: unittest.TestResult | None = None) -> Any:
        """Run the test.

        Without a result, on an instance that was made without the name of a test, all tests of the class are run, as
        django-smoketest has it.

        Returns:
            unittest's result; in the second case how many were run, passed, failed and errored, and the lines of
            those that failed and of those that errored.
        """
        if result is None and self._testMethodName == "runTest" and not hasattr(self, "runTest"):
            return self._run_all()
        return super().run(result)

    def _run_all(self) -> Totals:
        results: Results = ProbeRunner(parallel=1).run(FoundProbes(tuple(specs_of(type(self), "", ""))))
        failed = [probe.line for probe in results.having(ProbeOutcome.FAILED)]
        errored = [probe.line for probe in results.having(ProbeOutcome.ERRORED)]
        if self._log is not None:
            for probe in results.having(ProbeOutcome.FAILED, ProbeOutcome.ERRORED):
                self._log(probe.line)
        return results.run, results.count(ProbeOutcome.PASSED), len(failed), len(errored), failed, errored


def specs_of(case: type[unittest.TestCase], app: str, app_name: str) -> list[Spec]:
    """The probes of a class, sorted by name."""
    traits = traits_of(case)
    return [
        Spec(
            f"{case.__module__}.{case.__qualname__}.{name}",
            app,
            app_name,
            case,
            name,
            functools.partial(_made, case, name),
            traits,
        )
        for name in unittest.defaultTestLoader.getTestCaseNames(case)
    ]


def _made(case: Any, name: str) -> unittest.TestCase:
    """An instance for one test, also of classes whose constructor takes no name (django-smoketest's took none)."""
    try:
        made: unittest.TestCase = case(name)
    except TypeError:
        if not issubclass(case, SmokeTest) or case.__init__ is SmokeTest.__init__:
            raise
        without: SmokeTest = case()
        SmokeTest.__init__(without, name)
        return without
    # A SmokeTest has seen to it, and an IsolatedAsyncioTestCase will.
    if not isinstance(made, SmokeTest) and not hasattr(made, "_asyncioTestContext"):
        _await(made, name)
    return made


def _await(case: unittest.TestCase, name: str) -> None:
    """Have a test that is `async def` run, and refuse a generator: unittest lets both pass without running them."""
    test: Any = getattr(case, name, None)
    kind = _kind(getattr(test, "__func__", test))
    if kind is _Kind.COROUTINE:
        vars(case)[name] = _synchronous(test)
    elif kind is _Kind.GENERATOR:
        vars(case)[name] = functools.partial(_refuse, name)


class _Kind(enum.Enum):
    PLAIN = enum.auto()
    COROUTINE = enum.auto()
    GENERATOR = enum.auto()


@functools.lru_cache(1024)
def _kind(function: Any) -> _Kind:
    """Of which kind a function is; looking takes as long as all else that is done for a test."""
    if inspect.iscoroutinefunction(function):
        return _Kind.COROUTINE
    is_generator = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    return _Kind.GENERATOR if is_generator else _Kind.PLAIN


def _refuse(name: str) -> None:
    raise TypeError(f"{name} is a generator (it has a yield), and nobody would run it. Make it a plain def")


def _synchronous(test: Callable[[], Any]) -> Callable[[], object]:
    """A test that is `async def`, run so that what it does with databases comes back to this thread."""

    async def followed() -> object:
        guard, task = guard_in(scope.get()), asyncio.current_task()
        if guard is not None and task is not None:
            guard.follow(asyncio.get_running_loop(), task)
        return await test()

    @functools.wraps(test)
    def run() -> object:
        result: object = run_beside(followed) if threads_are_greenlets() else async_to_sync(followed)()
        return result

    return run
