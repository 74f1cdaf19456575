"""The clock that no test can freeze or move."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from sideeffects import capture, force_run, side_effect
from sideeffects._core.values import clock
from sideeffects.testing import Race, isolated_registry

freezegun: Any = pytest.importorskip("freezegun")
time_machine: Any = pytest.importorskip("time_machine")

frozen = pytest.mark.parametrize(
    "freeze",
    [freezegun.freeze_time, lambda at: time_machine.travel(at, tick=False)],
    ids=["freezegun", "time-machine"],
)
Freeze = Callable[[str], AbstractContextManager[Any]]


@frozen
def test_it_goes_on_where_time_stands_still(freeze: Freeze) -> None:
    """Both clocks, wherever the test has put the others."""
    before = clock.now(), clock.monotonic()
    with freeze("2030-01-01"):
        assert time.time() == 1_893_456_000
        inside = clock.now(), clock.monotonic()
    after = clock.now(), clock.monotonic()
    assert before[0] < inside[0] < after[0]
    assert before[1] < inside[1] < after[1]


@frozen
def test_calls_have_real_times_and_durations(freeze: Freeze) -> None:
    """`at` is what they are ordered by, and no duration is below zero."""
    with isolated_registry(), capture() as calls:
        move: Callable[..., Any] = side_effect(name="clock.move")(lambda hands: hands.move_to("2029-12-31"))
        began = time.time()
        with force_run(move), freeze("2030-01-01") as hands:
            move(hands)
        outcome = calls[0].outcome
        assert began <= calls[0].at.timestamp() <= time.time()
        assert outcome is not None
        assert 0 < outcome.duration < 60


def test_a_race_ends_after_its_timeout() -> None:
    """Under freezegun as well, which stops what deadlines are counted by."""
    began = clock.monotonic()
    with freezegun.freeze_time("2030-01-01"):
        result = Race(timeout=0.2, using="threads").call_concurrently(2, threading.Event().wait, timeout=25)
    assert len(result.errors) == 2
    assert clock.monotonic() - began < 20
