"""Sweeping a test case of unittest or Django: each run is a new instance, called as the runner would call it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sideeffects.errors import SideEffectError
from sideeffects.testing.faults.errors import FaultSweepError
from sideeffects.testing.faults.report import FaultSweepFailed, words
from sideeffects.testing.faults.run import SweepRun
from sideeffects.testing.faults.sweep import ATTRIBUTE, VARIABLE, Sweep, Swept

if TYPE_CHECKING:
    from unittest import TestCase, TestResult


#: unittest leaves the frames of such modules out of its tracebacks.
__unittest = True


def call_case(self: TestCase, result: TestResult | None = None) -> Any:
    """What `__call__` of a class with a swept test does: sweep if it is that test, and nobody else sweeps."""
    swept: Swept | None = getattr(getattr(self, self._testMethodName), ATTRIBUTE, None)
    if swept is None or swept.run is not None:
        return _call_above(self, result)
    is_own = result is None
    told: TestResult = self.defaultTestResult() if result is None else result
    if is_own:
        told.startTestRun()
    told.startTest(self)
    try:
        _sweep(self, swept, told)
    finally:
        told.stopTest(self)
        if is_own:
            told.stopTestRun()
    return told


def _call_above(case: TestCase, result: Any) -> Any:
    """What the class does when it is called, this aside."""
    for kind in type(case).__mro__:
        call: Callable[..., Any] | None = vars(kind).get("__call__")
        if call is not None and call is not call_case:
            return call(case, result)
    raise FaultSweepError(f"{type(case).__qualname__} is no test case that could be called")


def _sweep(case: TestCase, swept: Swept, result: TestResult) -> None:
    sweep = Sweep(swept.options, case.id(), f"{VARIABLE}='{{cell}}', and this test alone")
    try:
        for run in sweep.runs():
            events = _run(case, swept, run)
            if not run.cell and any(event != "addSuccess" for event, _ in events):
                run.is_skipped = True
                for event, arguments in events:
                    getattr(result, event)(case, *arguments)
                return
    except SideEffectError as error:  # it says nothing, which is an error of the test; where it was raised is ours
        result.addError(case, _without_traceback(error))
        return
    if sweep.report.failed:
        result.addFailure(case, _without_traceback(FaultSweepFailed(sweep.report)))
    else:
        result.addSuccess(case)


def _without_traceback(error: BaseException) -> Any:
    return type(error), error, None


def _run(case: TestCase, swept: Swept, run: SweepRun) -> list[tuple[str, tuple[Any, ...]]]:
    """Run a new instance, and note what came of it. Returns what a test result is told of it."""
    heard = _heard()
    with swept.making(run):
        type(case)(case._testMethodName)(heard)  # noqa: SLF001 - as unittest itself asks for it
    for event, arguments in heard.events:
        if event == "addSkip":
            run.fail(f"the test was skipped: {arguments[0]}")
        elif event != "addSuccess":
            error = arguments[0][1] if arguments else None
            # A fault that a sub-test has kept to itself may come out of the scenario.
            if error is None or not run.is_expected(error):
                run.fail(words(error) if error is not None else event, error)
    events: list[tuple[str, tuple[Any, ...]]] = heard.events
    return events


def _heard() -> Any:
    """A test result that keeps what it is told, with the exceptions themselves. unittest is imported by now."""
    import unittest

    def hear(event: str) -> Callable[..., None]:
        return lambda heard, _, *arguments: heard.events.append((event, arguments))

    def hear_of_part(heard: Any, test: TestCase, _: object, error: Any) -> None:
        if error is not None:
            event = "addFailure" if issubclass(error[0], test.failureException) else "addError"
            heard.events.append((event, (error,)))

    names = ("addSuccess", "addError", "addFailure", "addSkip", "addExpectedFailure", "addUnexpectedSuccess")
    kind: Any = type(
        "Heard", (unittest.TestResult,), {**{name: hear(name) for name in names}, "addSubTest": hear_of_part}
    )
    heard = kind()
    heard.events = []
    return heard
