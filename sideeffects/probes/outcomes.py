"""Running one test case, and telling what came of it: what unittest reports, turned into one result."""

from __future__ import annotations

import traceback
import unittest
from collections.abc import Sequence
from dataclasses import replace
from types import FrameType, TracebackType
from typing import Any, Final

from sideeffects._core.calls.call import Call
from sideeffects._core.values.describe import text_of
from sideeffects.probes.results import ProbeEffect, ProbeOutcome, ProbeResult

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


class Collector:
    """A `unittest` result for one test case: it keeps what went wrong, and formats nothing before it is asked."""

    failfast = False
    shouldStop = False  # noqa: N815 - unittest's name

    def __init__(self) -> None:
        self.failures: list[tuple[str, BaseException]] = []
        self.errors: list[tuple[str, BaseException]] = []
        self.skipped: list[str] = []
        self._said: dict[int, tuple[str, str]] = {}

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's name, as all below
        """It begins."""

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        """It is over."""

    def addDuration(self, test: unittest.TestCase, elapsed: float) -> None:  # noqa: N802
        """How long it took, since Python 3.12; the runner's own clock counts its fixtures too."""

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        """It passed."""

    def addExpectedFailure(self, test: unittest.TestCase, err: _ExcInfo) -> None:  # noqa: N802
        """It failed, as it says that it does."""

    def addUnexpectedSuccess(self, _test: unittest.TestCase) -> None:  # noqa: N802
        """It passed, and says that it fails."""
        self.failures.append(("", AssertionError("it passed, and is marked as an expected failure")))

    def addSkip(self, _test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        """It, or a part of it, was skipped."""
        self.skipped.append(str(reason))

    def addError(self, _test: unittest.TestCase, err: _ExcInfo) -> None:  # noqa: N802
        """It raised."""
        self.errors.append(("", err[1]))

    def addFailure(self, _test: unittest.TestCase, err: _ExcInfo) -> None:  # noqa: N802
        """An assertion of it failed."""
        self.failures.append(("", err[1]))

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: _ExcInfo | None) -> None:  # noqa: N802
        """A part of it is over."""
        if err is not None:
            is_failure = issubclass(err[0], test.failureException)
            described: Any = subtest
            (self.failures if is_failure else self.errors).append((described._subDescription(), err[1]))  # noqa: SLF001

    # -- what came of it

    @property
    def outcome(self) -> ProbeOutcome:
        """The worst of all."""
        if self.errors:
            return ProbeOutcome.ERRORED
        if self.failures:
            return ProbeOutcome.FAILED
        return ProbeOutcome.SKIPPED if self.skipped else ProbeOutcome.PASSED

    def describe(self) -> None:
        """Put what went wrong so far into words."""
        for _, error in [*self.errors, *self.failures]:
            self._words(error)

    def _words(self, error: BaseException) -> tuple[str, str]:
        if id(error) not in self._said:
            self._said[id(error)] = message_of(error), traceback_of(error)
        return self._said[id(error)]

    @property
    def message(self) -> str:
        """All that went wrong, in one line."""
        wrong = [*self.errors, *self.failures]
        if wrong:
            return "; ".join(f"{part} {self._words(error)[0]}".lstrip() for part, error in wrong)
        return "; ".join(self.skipped)

    @property
    def traceback(self) -> str:
        """All tracebacks."""
        return "\n".join(self._words(error)[1] for _, error in [*self.errors, *self.failures])


def result_of(
    known: ProbeResult, outcome: ProbeOutcome, message: str, trace: str, duration: float, calls: Sequence[Call]
) -> ProbeResult:
    """A probe's result. What its effects were told to keep secret is taken out of what it says."""
    for call in calls:
        message, trace = call.scrubbed(message), call.scrubbed(trace)
    return replace(
        known,
        outcome=outcome,
        message=message,
        traceback=trace,
        duration=duration,
        effects=tuple(ProbeEffect.of(call) for call in calls),
    )


def message_of(error: BaseException) -> str:
    """An exception in one line."""
    text = " ".join(line.strip() for line in text_of(error).splitlines() if line.strip())
    if not text:
        return type(error).__name__
    return f"{type(error).__name__}: {text}" if isinstance(error, LookupError) else text


def traceback_of(error: BaseException) -> str:
    """The traceback without the frames of unittest."""
    shown = traceback.TracebackException.from_exception(error)
    own = [frame for frame in shown.stack if not _is_unittest(frame.filename)]
    if own:
        shown.stack = traceback.StackSummary.from_list(own)
    return "".join(shown.format())


def place_of(frame: FrameType) -> str:
    """Where a thread is, without what led from its start to the probe."""
    stack = traceback.extract_stack(frame)
    within = max((position for position, one in enumerate(stack) if _is_unittest(one.filename)), default=-1)
    return "".join(traceback.StackSummary.from_list(stack[within + 1 :] or stack).format())


_UNITTEST: Final = unittest.__file__.removesuffix("__init__.py")


def _is_unittest(file: str) -> bool:
    return file.startswith(_UNITTEST)
