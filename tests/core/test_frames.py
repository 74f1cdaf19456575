"""What tracebacks show of calls: no argument in a frame of this package."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from django.test import RequestFactory
from django.views.debug import ExceptionReporter

import sideeffects
from sideeffects import Calls, capture, forbid, force_run, run_side_effects, side_effect, stub
from sideeffects.testing import isolated_registry

CARD = ["4111-2222-3333-4444"]
PACKAGE = str(Path(sideeffects.__file__).parent)


@pytest.fixture(autouse=True)
def own_registry() -> Iterator[None]:
    """Effects of one test are unknown to the next."""
    with isolated_registry():
        yield


def declared() -> dict[str, Callable[[], Any]]:
    """Failing effects of all kinds, each as a call that has the number."""
    options: dict[str, Any] = {"sensitive": ["number"]}

    @side_effect(name="charge", async_ok=True, **options)
    def charge(number: str) -> None:
        raise OSError("boom")

    class Bank:
        @side_effect(name="method", async_ok=True, **options)
        def method(self, number: str) -> None:
            raise OSError("boom")

    @side_effect(name="later", **options)
    async def later(number: str) -> None:
        raise OSError("boom")

    @side_effect(name="commit", on_commit=True, **options)
    def commit(number: str) -> None:
        raise OSError("boom")

    @side_effect(name="commit_later", on_commit=True, **options)
    async def commit_later(number: str) -> None:
        raise OSError("boom")

    @side_effect(name="stream", **options)
    async def stream(number: str) -> AsyncIterator[int]:
        raise OSError("boom")
        yield 1

    @side_effect(name="opened", **options)
    @asynccontextmanager
    async def opened(number: str) -> AsyncIterator[int]:
        raise OSError("boom")
        yield 1

    async def streamed() -> None:
        async for _ in stream(CARD[0]):
            pass

    async def entered() -> None:
        async with opened(CARD[0]):
            pass

    return {
        "charge": lambda: charge(CARD[0]),
        "keyword": lambda: charge(number=CARD[0]),
        "method": lambda: Bank().method(CARD[0]),
        "enqueued": lambda: charge.enqueue(CARD[0]).result(5),
        "enqueued method": lambda: Bank().method.enqueue(CARD[0]).result(5),
        "later": lambda: asyncio.run(later(CARD[0])),
        "commit": lambda: commit(CARD[0]),
        "commit later": lambda: asyncio.run(commit_later(CARD[0])),
        "stream": lambda: asyncio.run(streamed()),
        "opened": lambda: asyncio.run(entered()),
        "run list": lambda: run_side_effects("list", [(charge, {"number": CARD[0]}, False)], swallow=False),
        "wrong arguments": lambda: charge(CARD[0], 3),  # type: ignore[call-arg]
        "wrong arguments later": lambda: asyncio.run(later(CARD[0], 3)),  # type: ignore[call-arg]
    }


BLOCKS: dict[str, Callable[[], Any]] = {
    "forbidden": lambda: forbid("*"),
    "executed": lambda: force_run("*"),
    "stubbed": lambda: stub("*", raises=OSError("boom")),
}
WAYS = [(name, block) for name in declared() for block in BLOCKS if not (block == "stubbed" and "commit" in name)]


@pytest.mark.parametrize(("name", "block"), WAYS)
def test_frames_of_this_package_hold_no_argument(name: str, block: str) -> None:
    """Neither `unittest --locals`, `pytest --showlocals --full-trace` nor Django's report has the value from us."""
    calls = declared()
    with pytest.raises(Exception) as raised, BLOCKS[block]():  # noqa: PT011 - of many kinds
        calls[name]()
    frames = traceback.TracebackException.from_exception(raised.value, capture_locals=True).stack
    ours = [frame for frame in frames if frame.filename.startswith(PACKAGE)]
    assert ours
    assert [frame for frame in ours if CARD[0] in repr(frame.locals)] == []
    report = ExceptionReporter(RequestFactory().get("/"), type(raised.value), raised.value, raised.value.__traceback__)
    shown = [frame for frame in report.get_traceback_frames() if str(frame["filename"]).startswith(PACKAGE)]
    assert [frame for frame in shown if CARD[0] in str(frame["vars"])] == []


def asserted(calls: Calls) -> dict[str, Callable[[], Any]]:
    """Assertions that fail, each of which is given the number."""
    return {
        "called": lambda: calls.assert_called("charge", number=[CARD[0], "more"]),
        "by a mapping": lambda: calls.assert_called("charge", arguments={"number": f"{CARD[0]} more"}),
        "not called": lambda: calls.assert_not_called("charge", number=[CARD[0]][0]),
        "waited for": lambda: calls.wait_for("charge", times=2, timeout=0, number=[CARD[0]][0]),
        "no parameter": lambda: calls.assert_called("charge", nubmer=[CARD[0]][0]),
        "by position": lambda: calls.assert_called("charge", [CARD[0]][0]),  # type: ignore[arg-type]
    }


@pytest.mark.parametrize("name", ["called", "by a mapping", "not called", "waited for", "no parameter", "by position"])
def test_frames_of_assertions_hold_no_expected_value(name: str) -> None:
    """What a test expects of a secret is one as well."""
    charge = declared()["charge"]
    with capture() as calls, pytest.raises((AssertionError, TypeError)) as raised:
        charge()
        asserted(calls)[name]()
    frames = traceback.TracebackException.from_exception(raised.value, capture_locals=True).stack
    ours = [frame for frame in frames if frame.filename.startswith(PACKAGE)]
    assert ours
    assert [frame for frame in ours if CARD[0] in repr(frame.locals)] == []


@pytest.mark.parametrize("name", ["charge", "later", "wrong arguments"])
def test_pytest_hides_frames_of_this_package(name: str) -> None:
    """What a failing test shows ends in the line that called the effect, or in the effect."""
    with pytest.raises(Exception) as raised, force_run("*"):  # noqa: PT011 - of many kinds
        declared()[name]()
    shown = [entry for entry in raised.traceback if not entry.ishidden(raised)]
    assert [entry for entry in shown if str(entry.path).startswith(PACKAGE)] == []
