"""The pytest plugin: the fixture, the marker and the option, by hooks alone.

A test without a marker and without calls costs three short hook calls. It imports no Django.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import pytest

from sideeffects._calls import Mode
from sideeffects._reading import Calls
from sideeffects._state import state
from sideeffects.errors import UnknownSideEffect
from sideeffects.testing._levels import USAGE, Level, level
from sideeffects.testing._unittest import SideEffectsMixin, ask_at_end
from sideeffects.testing._watch import Watch, collect_own_children, files_of_class, swallowed

if TYPE_CHECKING:
    from unittest import TestCase

    from sideeffects.testing.races import Race

state.latch("pytest runs (the sideeffects plugin is imported)")

_NAME: Final = "sideeffects"


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add `--side-effects`."""
    group = parser.getgroup(_NAME, "side effects")
    group.addoption(
        "--side-effects",
        choices=[Mode.RECORD.value, Mode.RAISE.value],
        default=None,
        help="What happens to side effects that no test names: 'record' writes their calls down (the default), "
        "'raise' refuses them. Markers, with blocks and FORCE_RUN come first.",
    )
    # By entry point its name is `sideeffects`, by `-p` or `pytest_plugins` that of the module. Once is enough.
    for name in (_NAME, __name__):
        if pluginmanager.get_plugin(name) is None:
            pluginmanager.set_blocked(name)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and start watching."""
    config.addinivalue_line(
        "markers",
        f"{USAGE}: execute, record, refuse or stub these side effects in this test, class or module. Effects are "
        "given as decorated functions, names or globs. The closest marker wins, name by name.",
    )
    collect_own_children()
    config.pluginmanager.register(Watcher(config), _NAME + "-watcher")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Give back what held before: runs of pytest may be nested."""
    watcher = _watcher(config)
    if watcher is not None:
        config.pluginmanager.unregister(watcher)
        watcher.restore()


def _watcher(config: pytest.Config) -> Watcher | None:
    found: Watcher | None = config.pluginmanager.get_plugin(_NAME + "-watcher")
    return found


@pytest.fixture
def side_effects(request: pytest.FixtureRequest) -> Calls:
    """The side effects that this test has called so far, its fixtures included: a live `sideeffects.Calls`."""
    watcher = _watcher(request.config)
    assert watcher is not None  # noqa: S101 - narrows the type for both checkers
    if watcher.watch is None:
        watcher.watch = Watch()
    return watcher.watch.calls


@pytest.fixture
def race() -> Race:
    """Calls a function concurrently: `race(5, function, argument=1)`; `race.configured(timeout=5)` does so otherwise."""
    from sideeffects.testing.races import Race

    return Race()


class Watcher:
    """The hooks around each test of one pytest run."""

    def __init__(self, config: pytest.Config) -> None:
        self.watch: Watch | None = None
        self._item: pytest.Item | None = None
        self._option_before = state.option
        option = config.getoption("--side-effects")
        if option is not None:
            state.option = Mode(option)
            state.disturb()

    def restore(self) -> None:
        """Give back the option that held before this run."""
        state.option = self._option_before
        state.disturb()

    @pytest.hookimpl
    def pytest_collection_finish(self) -> None:
        """What the children of the collection have called is no test's."""
        state.sync()

    # -- around a test

    @pytest.hookimpl
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Begin: no calls yet, and the markers hold. Skipped tests do not come this far."""
        if self.watch is not None:  # another plugin runs the test again
            self.watch.finish()
        self.watch = watch = Watch()
        self._item = item
        levels = _levels(item)
        if levels:
            _enter(watch, levels)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Ask, at the end of a test that passed, for what it has to answer for."""
        watch = self.watch
        if watch is None:
            return (yield)
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
        watch = self.watch
        if watch is None:
            return (yield)
        start = state.ledger.end
        try:
            result = yield
        finally:
            watch.finish()
            self.watch = self._item = None
            state.sync()
        if state.ledger.end != start:
            complaints = swallowed(state.ledger.read(start)[0], lambda: _files(item))
            if complaints:
                pytest.fail(complaints, pytrace=False)
        return result

    # -- around a fixture

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, Any, Any]:
        """Let the test step aside while something is set up for several tests."""
        watch, item = self.watch, self._item
        if watch is None or item is None:
            return (yield)
        if fixturedef.scope == "function" or request.node is item:
            return (yield)
        levels = _levels(request.node)
        aside = _Aside(self, levels)
        fixturedef.addfinalizer(aside.leave)
        aside.enter()
        state.sync()
        start = state.ledger.end
        try:
            result = yield
        finally:
            aside.leave()
        fixturedef.addfinalizer(aside.enter)
        complaints = swallowed(state.ledger.read(start)[0], lambda: _files(item))
        if complaints:
            pytest.fail(f"fixture {fixturedef.argname!r}: {complaints}", pytrace=False)
        return result


def _enter(watch: Watch, levels: Sequence[Level]) -> None:
    problem = ""
    try:
        watch.enter(levels)
    except UnknownSideEffect as error:
        problem = f"UnknownSideEffect: {error}"
    if problem:  # raised from here, it is not shown as raised while handling another
        pytest.fail(problem, pytrace=False)


class _Aside:
    """The bracket around the setup, and later the teardown, of a fixture that several tests share."""

    def __init__(self, watcher: Watcher, levels: Sequence[Level]) -> None:
        self._watcher = watcher
        self._levels = levels
        self._back: Callable[[], None] | None = None

    def enter(self) -> None:
        self._back = (self._watcher.watch or Watch()).step_aside(self._levels)

    def leave(self) -> None:
        if self._back is not None:
            self._back()
            self._back = None


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
    marks = [mark for mark in node.own_markers if mark.name == "side_effects"]
    closest: list[Any] = list(getattr(getattr(node, "callspec", None), "marks", ()))
    kind = getattr(node, "obj", None)
    if isinstance(kind, type):
        for base in kind.__mro__:
            own = vars(base).get("pytestmark", [])
            closest += own if isinstance(own, list) else [own]
    places = {id(getattr(mark, "mark", mark)): place for place, mark in enumerate(closest)}
    return sorted(marks, key=lambda mark: places.get(id(mark), len(places)))


def _level(node: Any, mark: pytest.Mark) -> Level:
    label = f"@pytest.mark.side_effects on {node.nodeid}"
    problem = f"{label} takes no positional arguments ({mark.args[0]!r})" if mark.args else ""
    if not problem:
        try:
            return level(mark.kwargs, label, node.nodeid)
        except TypeError as error:
            problem = str(error)
    pytest.fail(f"{problem}. The marker is used as {USAGE}", pytrace=False)


def _before_rollback(item: pytest.Item, watch: Watch) -> None:
    """Django's `TestCase` rolls back, and forgets what waits for the commit, before the test's call is over."""
    unittest = sys.modules.get("unittest.case")
    instance = getattr(item, "instance", None)
    if unittest is None or not isinstance(instance, unittest.TestCase):
        return
    if isinstance(instance, SideEffectsMixin):
        instance.leave_asking_to_plugin()
    ask_at_end(cast("TestCase", instance), lambda: _ask(item, watch))


def _ask(item: pytest.Item, watch: Watch) -> None:
    complaints = watch.complaints(lambda: _files(item))
    if complaints:
        pytest.fail(complaints, pytrace=False)


def _add_section(item: pytest.Item, watch: Watch) -> None:
    """Tell of swallowed refusals in the report of a test that has failed already: they may be the cause."""
    complaints = swallowed(watch.read()[0], lambda: _files(item))
    if complaints:
        item.add_report_section("call", "side effects", complaints)


def _files(item: pytest.Item) -> set[str]:
    """The source files whose frames are the test's own."""
    files = {str(item.path)}
    kind = getattr(item, "cls", None)
    if kind is not None:
        files |= files_of_class(kind)
    code = getattr(inspect.unwrap(getattr(item, "obj", None) or _files), "__code__", None)
    if code is not None:
        files.add(code.co_filename)
    return files
