"""What all tests share: a configured Django, and the fixture that leaves the test run."""

import gc
import os
import signal
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from django.conf import settings

from sideeffects._core.state import extension_points
from sideeffects._core.state.children import JOURNAL_VARIABLE
from sideeffects._core.state.latch import TEST_RUN_VARIABLE
from sideeffects._core.state.state import state
from sideeffects._core.values.points import Point
from sideeffects.guard.children import VARIABLE as GUARD_VARIABLE
from sideeffects.testing import guard, isolated_registry
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
# pytest imports readline, which tells the workers of pytest-xdist how wide a terminal would be if there were one.
for variable in ("COLUMNS", "LINES"):
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
VARIABLES = ("PYTEST_VERSION", TEST_RUN_VARIABLE, JOURNAL_VARIABLE, GUARD_VARIABLE)


@pytest.fixture(scope="session")
def postgres() -> Iterator[dict[str, Any]]:
    """A database on a real PostgreSQL, as an entry of Django's `DATABASES`. All suites of this worker share it."""
    with postgres_server() as database:
        yield database


@pytest.fixture(autouse=True)
def _outbox_of_one_test() -> Iterator[None]:
    """A test that installs the outbox leaves nothing that holds calls, or asks for pauses, in the tests after it."""
    points: tuple[Point[Any], ...] = (extension_points.pauses, extension_points.keeper, extension_points.released)
    before = [tuple(point) for point in points]
    yield
    for point, found in zip(points, before, strict=True):
        for one in point:
            if one not in found:
                point.remove(one)


@pytest.fixture
def own_registry() -> Iterator[None]:
    """Effects of one test are unknown to the next: `pytestmark = pytest.mark.usefixtures("own_registry")`."""
    with isolated_registry():
        yield


@pytest.fixture
def production() -> Iterator[None]:
    """Inside, this process counts as outside any test run; afterwards everything is as it was.

    Overrides and captures that were open before are out of force inside. A test that leaves an override, a capture or
    an observer open fails.
    """
    environment = {name: os.environ.pop(name, None) for name in VARIABLES}
    put_back = state.set_aside()
    try:
        yield
    finally:
        gc.collect()
        leaks = put_back()
        for name, value in environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
    assert not leaks, f"this test left open: {', '.join(leaks)}"
    assert state.test_run.is_on(), "the test run is over"
    assert state.switches.are_on, "an effect may bypass the runtime in a test run"
