"""The pytest hooks around each test, for suites in which there are effects.

`pytest_plugin.py` registers them as soon as there may be calls: when an effect is declared, a marker or the fixture is
used, or a child process has called one. Other suites do not pay for them.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
import sys
from collections.abc import Callable, Generator, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import pytest

from sideeffects._core.calls import origins
from sideeffects._core.records import failing_test
from sideeffects._core.records.reading import Calls
from sideeffects._core.state import threads
from sideeffects._core.state.lifetimes import Lifetime
from sideeffects._core.state.state import state
from sideeffects.errors import LedgerError, UnknownSideEffect
from sideeffects.guard.at_test_end import files_of_class
from sideeffects.testing import committing, left_open, noticing
from sideeffects.testing.markers import MARKER, USAGE, Level, is_misspelt, level
from sideeffects.testing.mixin import SideEffectsMixin, ask_at_end
from sideeffects.testing.one_test import WatchedTest, swallowed

if TYPE_CHECKING:
    from unittest import TestCase


class WatcherPlugin:
    """The hooks around each test of one pytest run."""

    def __init__(self) -> None:
        self.watch: WatchedTest | None = None
        self._item: pytest.Item | None = None
        self._is_late = False
        #: Whether its marker asks for commits, which the test then has to be able to have.
        self._must_commit = False
        #: The test that was begun last, and its calls.
        self._last: tuple[pytest.Item, WatchedTest] | None = None
        self._lifetime = Lifetime("")
        self._is_tearing_down = False
        #: What the running test has left open, once what belongs to it alone is torn down.
        self._left = ""
        #: The shared fixtures that were being set up when this began in the midst of a test.
        self._late_fixtures: dict[Any, Lifetime] = {}
        threads.install()

    def join(self, item: pytest.Item) -> None:
        """Begin in the midst of a test: nothing has been called before, since nothing was declared."""
        self.watch = WatchedTest()
        self._item = item
        self._last = item, self.watch
        self._is_late = True
        self._begin_lifetime(item)
        self._lifetime.refine = self._late_fixture

    def calls(self) -> Calls:
        """The calls of the running test, live."""
        if self.watch is None:
            self.watch = WatchedTest()
        return self.watch.calls

    def complain_late(self, item: pytest.Item, start: int) -> None:
        """Fail a test that has been reported, for what a child of it called, from position `start` of the ledger on."""
        complaints = swallowed(state.ledger.read(start)[0], lambda: files_of(item))
        if complaints:
            report = pytest.TestReport(item.nodeid, item.location, {}, "failed", complaints, "teardown")
            item.ihook.pytest_runtest_logreport(report=report)

    # -- around a test

    @pytest.hookimpl
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Begin: no calls yet, and the markers hold. Skipped tests do not come this far."""
        if self.watch is not None:  # another plugin runs the test again
            self.watch.finish()
            self.end_lifetime()
        self.watch = watch = WatchedTest()
        self._item = item
        self._last = item, watch
        self._is_late = False
        self._begin_lifetime(item)
        levels = _levels(item)
        if levels:
            _enter(watch, levels)
        self._must_commit = _commits(item, watch, levels)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Ask, at the end of a test that passed, for what it has to answer for."""
        __tracebackhide__ = True
        watch = self.watch
        if watch is None:
            return (yield)
        if self._must_commit and not _is_test_case(item):
            problem = committing.why_not()
            if problem:
                pytest.fail(problem, pytrace=False)
        if type(item) is not pytest.Function:
            _before_rollback(item, watch)
        try:
            result = yield
        except BaseException:
            _add_section(item, watch)
            raise
        if not watch.is_quiet():
            _ask(item, watch)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """End, whatever happens."""
        __tracebackhide__ = True
        watch = self.watch
        if watch is None:
            return (yield)
        # The hook around the test's own call was not there yet when that began.
        complaints = watch.complaints(lambda: files_of(item)) if self._is_late else ""
        start = state.ledger.end
        self._is_tearing_down = True
        try:
            result = yield
        finally:
            self._is_tearing_down = False
            watch.finish()
            self.end_lifetime()
            self.watch = self._item = None
            origins.current.set("")
            if state.heard():
                state.sync()
        if state.ledger.end != start:
            complaints += swallowed(state.ledger.read(start)[0], lambda: files_of(item))
        complaints = "\n\n".join(filter(None, (complaints, self._left)))
        if complaints:
            pytest.fail(complaints, pytrace=False)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """A test that fails is told of the effects that it has called."""
        report = yield
        if report.failed and self._last is not None and self._last[0] is item:
            lines: list[str] = []
            with contextlib.suppress(LedgerError):  # which is what has failed, perhaps
                lines = failing_test.words(self._last[1].read()[0], _spelt)
            if lines:
                report.sections.append((failing_test.TITLE, "\n".join(lines)))
        return report

    # -- how long overrides may last

    def _begin_lifetime(self, item: pytest.Item) -> None:
        self._left = ""
        self._lifetime = Lifetime(item.nodeid).resume()
        origins.current.set(f"test {item.nodeid}")

    def end_lifetime(self) -> None:
        """Close what the test has left open. What is torn down after that is shared with other tests."""
        if not self._lifetime.is_over:
            self._left = left_open.words(state.overrides.end(self._lifetime), "this test")

    def before_shared_teardown(self) -> None:
        """A shared fixture is about to be torn down: all that belongs to the test alone has been."""
        if self._is_tearing_down:
            self.end_lifetime()

    def _late_fixture(self) -> Lifetime | None:
        """The lifetime of the shared fixture that is being set up, where no hook was around its beginning."""
        frame: FrameType | None = sys._getframe()  # noqa: SLF001 - pytest tells nobody else
        while frame is not None:
            if frame.f_code.co_name == "pytest_fixture_setup" and "fixturedef" in frame.f_locals:
                fixturedef = frame.f_locals["fixturedef"]
                if getattr(fixturedef, "scope", "function") == "function":
                    return None
                if fixturedef not in self._late_fixtures:
                    lifetime = self._late_fixtures[fixturedef] = Lifetime(fixturedef.argname)
                    fixturedef.addfinalizer(functools.partial(_end_fixture, lifetime))
                return self._late_fixtures[fixturedef]
            frame = frame.f_back
        return None

    # -- around a fixture

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, Any, Any]:
        """Let the test step aside while something is set up for several tests."""
        __tracebackhide__ = True
        watch, item = self.watch, self._item
        if watch is None or item is None:
            return (yield)
        if fixturedef.scope == "function" or request.node is item:
            return (yield)
        levels = _levels(request.node)
        aside = _Aside(self, levels, Lifetime(fixturedef.argname))
        fixturedef.addfinalizer(aside.end)
        aside.enter()
        state.sync()
        start = state.ledger.end
        try:
            result = yield
        finally:
            aside.leave()
        fixturedef.addfinalizer(aside.enter)
        complaints = swallowed(state.ledger.read(start)[0], lambda: files_of(item))
        if complaints:
            pytest.fail(f"fixture {fixturedef.argname!r}: {complaints}", pytrace=False)
        return result


def _commits(item: pytest.Item, watch: WatchedTest, levels: Sequence[Level]) -> bool:
    """Let the test have commits, if its closest marker, its class or the settings ask for it.

    Returns:
        whether a marker or the class does.
    """
    said = next((one.commits for one in reversed(levels) if one.commits is not None), None)
    kind = getattr(item, "cls", None)
    said = committing.asked_by_class(kind) if said is None else said
    if said and kind is not None and _is_test_case(item):
        problem = committing.why_not_in(kind)
        if problem:
            pytest.fail(problem, pytrace=False)
    if said or (said is None and committing.asked_by_settings()):
        watch.let_commit()
    return bool(said)


def _is_test_case(item: pytest.Item) -> bool:
    unittest = sys.modules.get("unittest.case")
    kind = getattr(item, "cls", None)
    return unittest is not None and isinstance(kind, type) and issubclass(kind, unittest.TestCase)


def _enter(watch: WatchedTest, levels: Sequence[Level]) -> None:
    problem = ""
    try:
        watch.enter(levels)
    except UnknownSideEffect as error:
        problem = f"UnknownSideEffect: {error}"
    if problem:  # raised from here, it is not shown as raised while handling another
        pytest.fail(problem, pytrace=False)


class _Aside:
    """The bracket around the setup, and later the teardown, of a fixture that several tests share."""

    def __init__(self, watcher: WatcherPlugin, levels: Sequence[Level], lifetime: Lifetime) -> None:
        self._watcher = watcher
        self._levels = levels
        self._lifetime = lifetime
        self._back: Callable[[], None] | None = None

    def enter(self) -> None:
        self._watcher.before_shared_teardown()
        self._lifetime.resume()
        self._back = (self._watcher.watch or WatchedTest()).step_aside(self._levels)

    def leave(self) -> None:
        if self._back is not None:
            self._back()
            self._back = None
            self._lifetime.pause()

    def end(self) -> None:
        """The fixture is torn down."""
        self.leave()
        _end_fixture(self._lifetime)


def _end_fixture(lifetime: Lifetime) -> None:
    complaints = left_open.words(state.overrides.end(lifetime), f"the fixture {lifetime.label!r}")
    if complaints:
        pytest.fail(complaints, pytrace=False)


def _levels(node: Any) -> list[Level]:
    """What the markers of a node and of those that it is in say, the closest last."""
    found: list[Level] = []
    while node is not None:
        if node.own_markers:
            found += [_level(node, mark) for mark in _marks(node)]
        node = node.parent
    found.reverse()
    return found


def _marks(node: Any) -> list[pytest.Mark]:
    """The markers of one node, the closest first.

    Pytest has those of a class's bases before its own, and those of a parameter after the function's.
    """
    for mark in node.own_markers:
        if is_misspelt(mark.name) and not _is_registered(node.config, mark.name):
            pytest.fail(f"@pytest.mark.{mark.name} on {node.nodeid}: the marker is {MARKER!r}: {USAGE}", pytrace=False)
    marks = [mark for mark in node.own_markers if mark.name == MARKER]
    closest: list[Any] = list(getattr(getattr(node, "callspec", None), "marks", ()))
    kind = getattr(node, "obj", None)
    if isinstance(kind, type):
        for base in kind.__mro__:
            own = vars(base).get("pytestmark", [])
            closest += own if isinstance(own, list) else [own]
    places = {id(getattr(mark, "mark", mark)): place for place, mark in enumerate(closest)}
    return sorted(marks, key=lambda mark: places.get(id(mark), len(places)))


def _is_registered(config: pytest.Config, name: str) -> bool:
    """Whether the project or another plugin has a marker of this name."""
    return any(re.match(rf"{re.escape(name)}\b", line) for line in config.getini("markers"))


def _level(node: Any, mark: pytest.Mark) -> Level:
    label = f"@pytest.mark.side_effects on {node.nodeid}"
    problem = f"{label} takes no positional arguments ({mark.args[0]!r})" if mark.args else ""
    if not problem:
        try:
            return level(mark.kwargs, label, node.nodeid)
        except TypeError as error:
            problem = str(error)
    pytest.fail(f"{problem}. The marker is used as {USAGE}", pytrace=False)


def _before_rollback(item: pytest.Item, watch: WatchedTest) -> None:
    """Django's `TestCase` rolls back, and forgets what waits for the commit, before the test's call is over."""
    unittest = sys.modules.get("unittest.case")
    instance = getattr(item, "instance", None)
    if unittest is None or not isinstance(instance, unittest.TestCase):
        return
    if isinstance(instance, SideEffectsMixin):
        instance.leave_asking_to_plugin()
    ask_at_end(cast("TestCase", instance), lambda: _ask(item, watch))


def _spelt(option: str, names: Sequence[str]) -> str:
    return f"@pytest.mark.side_effects({'='.join(failing_test.as_option(option, names))})"


def _ask(item: pytest.Item, watch: WatchedTest) -> None:
    complaints = watch.complaints(lambda: files_of(item))
    if complaints:
        pytest.fail(complaints, pytrace=False)


def _add_section(item: pytest.Item, watch: WatchedTest) -> None:
    """Tell of swallowed refusals in the report of a test that has failed already: they may be the cause."""
    complaints = swallowed(watch.read()[0], lambda: files_of(item))
    if complaints:
        item.add_report_section("call", "side effects", complaints)


def files_of(item: pytest.Item) -> set[str]:
    """The source files whose frames are the test's own."""
    files = {str(item.path)}
    kind = getattr(item, "cls", None)
    if kind is not None:
        files |= files_of_class(kind)
    code = getattr(inspect.unwrap(getattr(item, "obj", None) or files_of), "__code__", None)
    if code is not None:
        files.add(code.co_filename)
    return files


def _follow(kind: Any) -> None:
    """Note what `pytest.raises` and `RaisesGroup` have caught: what is in a group passes no frame of the test."""
    original = kind.__exit__

    @functools.wraps(original)
    def leave(block: Any, *raised: Any) -> Any:
        __tracebackhide__ = True
        answer = original(block, *raised)
        noticing.mark_asked(raised[1], sys._getframe(1).f_code.co_filename)  # noqa: SLF001 - whose block it is
        return answer

    kind.__exit__ = leave


for _name in ("RaisesExc", "RaisesGroup"):
    if hasattr(pytest, _name):  # since 8.4
        _follow(getattr(pytest, _name))
