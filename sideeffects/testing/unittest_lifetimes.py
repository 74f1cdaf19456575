"""Where unittest and Django's runner run the tests: how long the overrides of each test, class and module may last.

And what each test's calls say that has set them going.

`import sideeffects` installs this in a test run without pytest. No mixin is needed for it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, Final

from sideeffects._core.calls.origins import originating
from sideeffects._core.state import threads
from sideeffects._core.state.lifetimes import Lifetime
from sideeffects._core.state.state import state
from sideeffects._core.state.switches import Restorer
from sideeffects.database import commits
from sideeffects.testing import committing, left_open
from sideeffects.testing.mixin import ask_at_end

#: unittest leaves the frames of such modules out of its tracebacks.
__unittest = True

#: Those of the classes and modules whose tests are running.
_shared: Final[dict[object, Lifetime]] = {}


def follow_cases(module: Any) -> None:
    """Let the overrides of each test end with it, and fail it for those that it has left open."""
    threads.install()
    for name in ("run", "debug"):
        setattr(module.TestCase, name, _with_lifetime(getattr(module.TestCase, name)))


def _with_lifetime(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def run(case: Any, *args: Any, **kwargs: Any) -> Any:
        lifetime = Lifetime(case.id()).resume()

        def ask() -> None:
            left = lifetime.left_open()
            if left:
                raise case.failureException(left_open.words(left, "this test"))

        ask_at_end(case, ask)
        end_commits = _commits(case)
        try:
            with originating(f"test {case.id()}"):
                return original(case, *args, **kwargs)
        finally:
            end_commits()
            state.overrides.end(lifetime)
            for shadowing in ("doCleanups", "setUp"):
                vars(case).pop(shadowing, None)

    return run


def _commits(case: Any) -> Restorer:
    """Let the test have commits, if its class or the settings ask for it. Returns what ends that."""
    if "django.test.testcases" not in sys.modules:
        return _nothing
    asked = committing.asked_by_class(type(case))
    problem = committing.why_not_in(type(case)) if asked else ""
    if problem:
        case.setUp = _failing(case, problem)
    elif asked or (asked is None and committing.asked_by_settings()):
        return commits.ask()
    return _nothing


def _nothing() -> None: ...


def _failing(case: Any, problem: str) -> Callable[[], None]:
    def set_up() -> None:
        raise case.failureException(problem)

    return set_up


def follow_suites(module: Any) -> None:
    """The same for what `setUpClass` and `setUpModule` have entered, when the class and the module end."""
    suite = module.TestSuite
    set_up_class, tear_down_class = suite._handleClassSetUp, suite._tearDownPreviousClass  # noqa: SLF001 - no public name
    set_up_module, tear_down_module = suite._handleModuleFixture, suite._handleModuleTearDown  # noqa: SLF001 - as above

    @functools.wraps(set_up_class)
    def handle_class(self: Any, test: Any, result: Any) -> None:
        kind = type(test)
        if kind is not getattr(result, "_previousTestClass", None):
            _shared[kind] = Lifetime(f"{kind.__module__}.{kind.__qualname__}").resume()
        set_up_class(self, test, result)

    @functools.wraps(tear_down_class)
    def end_class(self: Any, test: Any, result: Any) -> None:
        kind = getattr(result, "_previousTestClass", None)
        tear_down_class(self, test, result)
        if kind is not type(test):
            _end(self, result, kind, "tearDownClass", "the class")

    @functools.wraps(set_up_module)
    def handle_module(self: Any, test: Any, result: Any) -> None:
        module_name = type(test).__module__
        if module_name != self._get_previous_module(result):  # it first ends the one before
            _next.append(module_name)
        set_up_module(self, test, result)

    @functools.wraps(tear_down_module)
    def end_module(self: Any, result: Any) -> None:
        name = self._get_previous_module(result)
        tear_down_module(self, result)
        _end(self, result, name, "tearDownModule", "the module")
        if _next:
            begun = _next.pop()
            _shared[begun] = Lifetime(begun).resume()

    suite._handleClassSetUp, suite._tearDownPreviousClass = handle_class, end_class  # noqa: SLF001 - as above
    suite._handleModuleFixture, suite._handleModuleTearDown = handle_module, end_module  # noqa: SLF001 - as above


#: The module whose tests come next, while the one before is ended.
_next: Final[list[str]] = []


def _end(suite: Any, result: Any, key: Any, step: str, what: str) -> None:
    lifetime = _shared.pop(key, None)
    if lifetime is not None:
        left = state.overrides.end(lifetime)
        if left:
            try:  # it asks for the exception that is being handled
                raise AssertionError(left_open.words(left, what))  # noqa: TRY301 - as above
            except AssertionError as error:
                suite._createClassOrModuleLevelException(result, error, step, lifetime.label)  # noqa: SLF001 - as above
