"""Races between threads: the same doors, where racers share mocks and memory with the test."""

import contextvars
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.db import connection, connections, transaction

from sideeffects import Calls, forbid, force_run
from sideeffects.testing import Race, RaceError, TerminatedProcessError
from tests.support import race_project
from tests.support.race_project import ALIAS, Account

THREADS = Race(using="threads", databases=[])


@pytest.fixture
def account(tmp_path: Path, django_db_blocker: Any) -> Iterator[Account]:
    """A table to race on."""
    with django_db_blocker.unblock():
        held = Account({"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "races.sqlite3")})
        held.reset()
        yield held
        held.close()


def test_threads_share_what_the_test_has(side_effects: Calls) -> None:
    """Its mocks, its memory, what is in force, and its process."""
    seen: list[int] = []
    with mock.patch.object(race_project, "add", return_value="mocked"), force_run("racing.charge"):
        results = THREADS.make_concurrent_calls(
            (lambda: race_project.add(1), {}),
            ("tests.support.race_project:add", {"a": 1}),
            (lambda: seen.append(5), {}),
            (race_project.charge, {"cents": 1}),
            (race_project.wait_a_little, {"value": 7}),
        )
    assert results == ["mocked", "mocked", None, "executed", 7]
    assert seen == [5]
    assert side_effects.one("racing.charge").racer == 3


def test_calls_tell_their_thread(side_effects: Calls) -> None:
    """Also those made by a racer's own threads."""
    race_project.notify("here")
    result = THREADS.call_concurrently(4, race_project.notify_in_a_thread)
    assert sorted(call.racer for call in result.calls) == [0, 1, 2, 3]
    assert next(call.racer for call in side_effects) is None


def test_errors_are_wrapped_and_others_kept(side_effects: Calls) -> None:
    """The exception is the very one that was raised."""
    raised = ValueError("no")

    def fail() -> None:
        raise raised

    result = THREADS.make_concurrent_calls((fail, {}), (race_project.simple, {}))
    assert result.errors[0].error is raised
    assert result.errors[0].racer == 0
    assert result.successes == [True]
    with forbid("racing.notify"):
        assert "was refused" in str(THREADS.call_concurrently(1, race_project.try_a_raise).errors[0])
    side_effects.assert_called("racing.notify", times=1)


def test_threads_have_connections_of_their_own(account: Account) -> None:
    """And leave none open."""
    opened: set[int] = set()

    def look() -> bool:
        connection = connections[ALIAS]
        connection.ensure_connection()
        opened.add(id(connection))
        return connection.connection is not account.connection.connection

    race = Race(using="threads", databases=[ALIAS])
    assert race.call_concurrently(4, look) == [True] * 4
    assert len(opened) == 4
    result = race.call_concurrently(5, race_project.pay_once)
    assert (sorted(result), result.calls.count("racing.charge")) == ([False] * 4 + [True], 1)


def test_threads_meet_at_an_effect(account: Account) -> None:
    """As processes do."""
    race = Race(using="threads", databases=[ALIAS], meet_at="racing.charge", patience=0.3)
    result = race.call_concurrently(4, race_project.pay_carelessly)
    assert result.errors == []
    assert (result.calls.count("racing.charge"), result.met) == (4, [0, 1, 2, 3])
    account.reset()
    result = race.call_concurrently(3, race_project.pay_once)
    assert (sorted(result), len(result.met)) == ([False, False, True], 1)


def test_a_thread_past_its_time_is_told_of() -> None:
    """It cannot be killed: the test gets its stack, and the others' results."""
    let_go = threading.Event()
    race = THREADS.configured(timeout=0.2)
    result = race.make_concurrent_calls((let_go.wait, {}), (race_project.simple, {}))
    let_go.set()
    error = result.errors[0].error
    assert isinstance(error, TerminatedProcessError)
    assert "A thread cannot be killed" in str(error)
    assert "in wait" in error.stack
    assert result.successes == [True]
    for thread in threading.enumerate():
        if thread.name.startswith("racer-"):
            thread.join(10)


def test_the_switch_interval_holds_during_the_race() -> None:
    """And not after it."""
    before = sys.getswitchinterval()
    result = THREADS.configured(switch_interval=1e-5).call_concurrently(2, sys.getswitchinterval)
    assert result == [pytest.approx(1e-5)] * 2
    assert sys.getswitchinterval() == before


def test_a_seed_gives_the_same_delays_again() -> None:
    """Up to 4 milliseconds."""
    first = THREADS.configured(seed=4).call_concurrently(5, time.perf_counter)
    assert first.seed == 4
    assert first.start_skew > 0.0002


def test_refusals_hold_for_threads(account: Account) -> None:
    """A thread does not see the test's transaction either."""
    race = Race(using="threads", databases=[ALIAS])
    with (
        transaction.atomic(using=ALIAS),
        pytest.raises(RaceError, match="a transaction is open on the database 'races'"),
    ):
        race.call_concurrently(2, race_project.balance)
    connections.settings["memory"] = {**connections.settings["default"], "NAME": ":memory:"}
    try:
        with pytest.raises(RaceError, match=r"'memory' is an in-memory SQLite .* no other thread can see"):
            Race(using="threads", databases=["memory"]).call_concurrently(2, race_project.simple)
    finally:
        del connections["memory"], connections.settings["memory"]


@pytest.mark.django_db(transaction=True)
def test_threads_see_the_memory_that_django_shares() -> None:
    """What Django makes of an SQLite in memory for tests is for all threads; theirs leave no connection open."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE seen (number integer)")
        cursor.execute("INSERT INTO seen VALUES (7)")
    raw: list[Any] = []

    def look() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT number FROM seen")
            raw.append(connection.connection)
            found: int = cursor.fetchone()[0]
            return found

    try:
        assert Race(using="threads").call_concurrently(3, look) == [7, 7, 7]
        assert len({id(one) for one in (connection.connection, *raw)}) == 4
        for one in raw:
            with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
                one.total_changes  # noqa: B018 - asks it
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE seen")


def test_a_context_of_the_test_is_seen_by_its_threads() -> None:
    """Each racer has a copy."""
    variable = contextvars.ContextVar("variable", default=0)
    variable.set(5)

    def change() -> int:
        variable.set(variable.get() + 1)
        return variable.get()

    assert THREADS.call_concurrently(3, change) == [6, 6, 6]
    assert variable.get() == 5
