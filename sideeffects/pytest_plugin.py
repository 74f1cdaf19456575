"""The pytest plugin: the fixture, the marker and the option, by hooks alone.

A suite without effects pays for one short hook a test, and imports only what finds out that this is a test run.
Once there may be calls, `pytest_watcher.py` goes around each test.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, Final

import pytest

from sideeffects._core.calls.decision import Mode
from sideeffects._core.calls.registry import store
from sideeffects._core.state.state import state

if TYPE_CHECKING:
    from sideeffects._core.records.reading import Calls
    from sideeffects.testing.pytest_hooks.watcher import WatcherPlugin
    from sideeffects.testing.races import Race

state.test_run.latch("pytest runs (the sideeffects plugin is imported)")

_NAME: Final = "sideeffects"
#: As in `testing/markers.py`, which a suite without effects does not import.
_USAGE: Final = (
    'side_effects(force_run=[...], record=[...], forbid=[...], stub={"name": value or exception}, guard="off", '
    "commits=True)"
)


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the options."""
    group = parser.getgroup(_NAME, "side effects")
    group.addoption(
        "--side-effects",
        choices=[Mode.RECORD.value, Mode.RAISE.value],
        default=None,
        help="What happens to side effects that no test names: 'record' writes their calls down (the default), "
        "'raise' refuses them. Markers, `with` blocks and FORCE_RUN come first.",
    )
    group.addoption(
        "--side-effects-baseline",
        metavar="FILE",
        default=None,
        help="Accept the undeclared calls to the outside that FILE lists, and fail the run on all others. "
        'By default SIDE_EFFECTS["GUARD"]["BASELINE"].',
    )
    group.addoption(
        "--side-effects-update-baseline",
        action="store_true",
        help="Write what this run finds into the baseline's file, rather than failing on it.",
    )
    group.addoption(
        "--side-effects-coverage",
        action="store_true",
        help="List the declared side effects that no test has called.",
    )
    group.addoption(
        "--side-effects-explore",
        choices=["off", "quick", "full"],
        default=None,
        help="How much of explored races is run: 'full' is every order (the default), 'quick' those with at most two "
        "switches between racers, 'off' those without any.",
    )
    group.addoption(
        "--fault-cell",
        action="append",
        default=[],
        metavar="NAME",
        help="Run only this cell of fault sweeps, by its name in the report: 'sms.send#1:OSError:before'. Repeatable.",
    )
    # By entry point its name is `sideeffects`, by `-p` or `pytest_plugins` that of the module. Once is enough.
    for name in (_NAME, __name__):
        if pluginmanager.get_plugin(name) is None:
            pluginmanager.set_blocked(name)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and look out for effects."""
    config.addinivalue_line(
        "markers",
        f"{_USAGE}: execute, record, refuse or stub these side effects in this test, class or module. Effects are "
        "given as decorated functions, names or globs. If several markers name one effect, the closest decides. "
        "`guard` is what happens to calls to the outside that are not declared: off, warn or raise. With `commits`, "
        "what waits for a commit happens in tests that are rolled back.",
    )
    state.children.collect()
    amount = config.getoption("--side-effects-explore")
    if amount is not None:
        from sideeffects.testing.exploring.amount import choose

        config.add_cleanup(choose(amount))
    lookout = config.stash[_LOOKOUT] = Lookout(config)
    from sideeffects.testing.pytest_hooks.guard import GuardPlugin  # where it is off as well: tests may switch it on
    from sideeffects.testing.pytest_hooks.summary import Summary

    guard = GuardPlugin(config, lookout.watcher)
    config.pluginmanager.register(guard, "sideeffects-guard")
    config.pluginmanager.register(Summary(config, lambda: guard.why_failed), "sideeffects-summary")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Give back what held before: runs of pytest may be nested."""
    lookout = config.stash.get(_LOOKOUT, None)
    if lookout is not None:
        lookout.restore()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Find effects and check the settings' names of them. Sweep, if a test may ask: what it asks with is imported."""
    if "django.apps" in sys.modules:
        from sideeffects.project.test_start import unknown_names

        unknown = unknown_names()
        if unknown:
            raise pytest.UsageError(*unknown)
    cells = session.config.getoption("--fault-cell")
    if cells or "sideeffects.testing.faults" in sys.modules:
        from sideeffects.testing.pytest_hooks.faults import FaultSweeper

        session.config.pluginmanager.register(FaultSweeper(cells or ()))


@pytest.fixture
def side_effects(request: pytest.FixtureRequest) -> Calls:
    """The side effects that this test has called so far, its fixtures included: a live `sideeffects.Calls`."""
    return request.config.stash[_LOOKOUT].watcher().calls()


@pytest.fixture
def race() -> Race:
    """Calls a function concurrently: `race(5, function, argument=1)`; `race.configured(timeout=5)` is another one."""
    from sideeffects.testing.races import Race

    return Race()


class Lookout:
    """Notices when there may be calls in one run of pytest. Until then a test costs one short hook."""

    def __init__(self, config: pytest.Config) -> None:
        self._plugins = config.pluginmanager
        self._watcher: WatcherPlugin | None = None
        self._item: pytest.Item | None = None
        self._option_before = state.option
        option = config.getoption("--side-effects")
        if option is not None:
            state.option = Mode(option)
            state.switches.disturb()
        self._plugins.register(self)
        self._forget = store.when_declared(self._watch)

    def restore(self) -> None:
        """Stop watching, and give back the option that held before this run."""
        self._forget()
        for plugin in (self, self._watcher):
            if plugin is not None and self._plugins.is_registered(plugin):
                self._plugins.unregister(plugin)
        state.option = self._option_before
        state.switches.disturb()

    def watcher(self) -> WatcherPlugin:
        """The hooks around each test; from now on they are there, instead of those here."""
        if self._watcher is None:
            from sideeffects.testing.pytest_hooks.watcher import WatcherPlugin

            self._watcher = WatcherPlugin()
            if self._item is not None:
                self._watcher.join(self._item)
            self._plugins.unregister(self)
            self._plugins.register(self._watcher)
        return self._watcher

    def _watch(self) -> None:
        self.watcher()

    @pytest.hookimpl
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """What the children of the collection have called is no test's. Markers and the fixture ask for watching."""
        state.sync()
        if _is_asked_for(session.items) or _wants_commits():
            self._watch()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        """No effect is declared in this process: only a child of the test before may have called one."""
        if state.heard():
            self._take_over()
        self._item = item

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, Any, Any]:
        """A child of the last test, too."""
        result = yield
        if self._watcher is None and state.heard():
            self._take_over()
        return result

    def _take_over(self) -> None:
        item, self._item = self._item, None
        start = state.ledger.end
        state.sync()
        watcher = self.watcher()
        if item is not None:
            watcher.complain_late(item, start)


_LOOKOUT: Final = pytest.StashKey[Lookout]()


def _wants_commits() -> bool:
    """Whether the settings say that tests have commits. Wrong settings are said elsewhere."""
    conf = sys.modules.get("django.conf")
    rules = getattr(conf.settings, "SIDE_EFFECTS", None) if conf is not None and conf.settings.configured else None
    return isinstance(rules, dict) and bool(rules.get("TEST_COMMITS"))


def _is_asked_for(items: Sequence[pytest.Item]) -> bool:
    parent: Any = None
    for item in items:
        if "side_effects" in getattr(item, "fixturenames", ()):
            return True
        if getattr(getattr(item, "cls", None), "side_effects_commits", None):
            return True
        node: Any = item
        while node is not None and node is not parent:  # whose markers the item before has shown
            for mark in node.own_markers:
                if "effect" in mark.name:  # misspelt as well: the watcher says so
                    return True
            node = node.parent
        parent = item.parent
    return False
