"""What all tests share: a configured Django, and the fixture that leaves the test run."""

import gc
import os
import signal
import weakref
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from django.conf import settings

from sideeffects._core.policy.policy import Entry
from sideeffects._core.state.state import EMPTY, JOURNAL_VARIABLE, TEST_RUN_VARIABLE, scope, state
from sideeffects._core.state.work_origin import NONE, lineage
from sideeffects.testing import guard
from tests.support.postgres_server import postgres_server

# The machines that run this are slow and shared: an example that takes long has found nothing.
hypothesis.settings.register_profile("sideeffects", deadline=None, print_blob=True)
hypothesis.settings.load_profile("sideeffects")

# Whether nothing may be skipped for want of a tool. pytest-xdist starts its workers after this, hence the variable.
if "CI" in os.environ:
    os.environ["TESTS_IN_CI"] = "1"
IS_CI = "TESTS_IN_CI" in os.environ
# Runs of pytest inside the tests word their summaries otherwise where these are set.
for variable in ("CI", "BUILD_NUMBER"):
    os.environ.pop(variable, None)

# What a shell starts in the background ignores Ctrl-C, and so do its children; tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

if not settings.configured:
    settings.configure(
        SECRET_KEY="tests",
        USE_TZ=True,
        ALLOWED_HOSTS=["*"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    )

# No test of ours leaves this machine; what starts programs starts Python and servers for it.
_guard = guard("raise", allow_processes=["*"])


def pytest_sessionstart() -> None:
    _guard.__enter__()


def pytest_sessionfinish() -> None:
    _guard.__exit__(None, None, None)


#: What tells a process, and the children that it starts, that this is a test run.
VARIABLES = ("PYTEST_VERSION", TEST_RUN_VARIABLE, JOURNAL_VARIABLE)
#: What of the state a test run fills, and what the fixture takes away for the length of a test.
TAKEN_AWAY = {
    "latched": False,
    "why_test_run": "",
    "test_run_signs": str,
    "option": None,
    "entries": (),
    "observers": (),
    "journal": None,
    "_journal": None,
    "_journal_owner": 0,
}


@pytest.fixture(scope="session")
def postgres() -> Iterator[dict[str, Any]]:
    """A database on a real PostgreSQL, as an entry of Django's `DATABASES`. All suites of this worker share it."""
    with postgres_server() as database:
        yield database


@pytest.fixture
def production() -> Iterator[None]:
    """Inside, this process counts as outside any test run; afterwards everything is as it was.

    The latch of a test run cannot be undone through any public door, so this flips it. Overrides and captures that
    were open before are out of force inside. A test that leaves an override, a capture or an observer open fails.
    """
    before = {name: getattr(state, name) for name in TAKEN_AWAY}
    doubts, live, own, line = set(state.doubts), state._live, scope.get(), lineage.get()
    environment = {name: os.environ.pop(name, None) for name in VARIABLES}
    for name, value in TAKEN_AWAY.items():
        setattr(state, name, value)
    state.doubts.clear()
    state._live = weakref.WeakSet()
    state.disturb()
    scope.set(EMPTY)
    lineage.set(NONE)
    try:
        yield
    finally:
        leaks = _leaks()
        with state.lock:
            for name, value in before.items():
                setattr(state, name, value)
            state.doubts.clear()
            state.doubts.update(doubts)
            live.update(state._live)
            state._live = live
            state.disturb()
        scope.set(own)
        lineage.set(line)
        for name, value in environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
    assert not leaks, f"this test left open: {', '.join(leaks)}"
    assert state.in_test_run(), "the test run is over"
    assert not state._off, "an effect may bypass the runtime in a test run"


def _leaks() -> list[str]:
    """What the test left in force, in words."""
    gc.collect()
    found = [f"an override entered at {entry.origin}" for entry in state.entries]
    found += [f"the observer {observer!r}" for observer in state.observers]
    own = scope.get()
    found += [f"an override in the test's own context, entered at {entry.origin}" for entry in own.entries]
    found += ["a capture in the test's own context"] * len(own.captures)
    found += [
        f"an override entered at {entry.origin}, which is never left"
        for entry in state._live
        if isinstance(entry, Entry) and not entry.closed and entry not in state.entries and entry not in own.entries
    ]
    return found
