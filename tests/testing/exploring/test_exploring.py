"""Explored races: every order of a few racers' steps, on each database, and what is said of them."""

import contextlib
import threading
import time
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, connections

from sideeffects import Calls, forbid, force_run, stub
from sideeffects.testing import Race, RaceError, RaceResult, TerminatedProcessError, step
from tests.support.explored_database import (
    ALIAS,
    TABLES,
    atomic,
    charge,
    count,
    query,
    redeem,
    redeem_by_one_statement,
    redeem_under_lock,
)


def explored(**options: Any) -> Race:
    return Race(explore=True, databases=[ALIAS], **options)


def paid_once(_: RaceResult) -> bool:
    return count("payment") == 2  # with the row that was there


def test_what_is_checked_first_and_then_done_is_done_twice(on_each: str) -> None:
    """The order with the fewest switches is shown, and runs again as it was."""
    result = explored(check=paid_once).call_concurrently(2, redeem)
    assert result.complete
    assert result.failures >= 1
    assert result.schedule is not None
    assert count("payment") == 1  # taken back
    again = Race(schedule=result.schedule, databases=[ALIAS], check=paid_once).call_concurrently(2, redeem)
    assert (again.failures, again.schedules, again.schedule) == (1, 1, result.schedule)
    assert count("payment") == 3  # one order alone is left as it ended


def test_the_cure_holds_in_every_order(on_each: str) -> None:
    """Whoever waits for a lock is no choice until it is free, on PostgreSQL, MariaDB and SQLite."""
    cure = redeem_by_one_statement if on_each == "sqlite" else redeem_under_lock
    result = explored(check=paid_once).call_concurrently(2, cure)
    assert (result.complete, result.failures, result.schedule) == (True, 0, None), result.summary()
    assert result.schedules > 2
    assert result.summary() == f"2 racers, {result.schedules} orders, and none fails"


def test_three_racers(on_each: str) -> None:
    """Two may wait for the same lock."""
    cure = redeem_by_one_statement if on_each == "sqlite" else redeem_under_lock
    result = explored(check=paid_once).call_concurrently(3, cure)
    assert result.complete
    assert not result.failures, result.summary()
    assert explored(check=paid_once, max_schedules=30).call_concurrently(3, redeem).failures


def test_the_first_failure_is_seen_at_a_glance(on_postgres: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table, the places where a racer stood while the other went on, what failed, and how to run it again."""
    monkeypatch.setenv("COLUMNS", "200")
    shown = explored(check=paid_once).call_concurrently(2, redeem).summary().splitlines()
    assert shown[0].split() == ["racer", "1", "racer", "2"]
    assert shown[1].startswith("  1  SELECT n FROM coupon WHERE id = 1  ")
    assert "explored_database.py:" in shown[1]
    assert shown[-2].endswith("orders fail")
    assert shown[-1].startswith('rerun: Race(schedule="')
    assert any(line.startswith("racer 1 stood between ") for line in shown)


def test_what_was_written_is_taken_back(on_each: str) -> None:
    """Rows of all tables that were written, and the numbers of the next ones; those of `setup` as well."""
    before = {table: query(f"SELECT * FROM {table} ORDER BY id") for table in TABLES}
    seen = set()

    def setup() -> None:
        query("INSERT INTO stock (n) VALUES (5)")

    def act(name: str) -> None:
        query("INSERT INTO payment (n) VALUES (1)")
        query("DELETE FROM job")
        query("UPDATE notes SET name = %s", name)

    def check(_: RaceResult) -> None:
        seen.add(str((query("SELECT max(id) FROM payment"), query("SELECT max(id) FROM stock"), count("job"))))

    result = explored(setup=setup, check=check, max_schedules=6).make_concurrent_calls(
        (act, {"name": "a"}), (act, {"name": "b"})
    )
    assert result.schedules > 1
    assert len(seen) == 1
    assert {table: query(f"SELECT * FROM {table} ORDER BY id") for table in TABLES} == before


def test_a_deadlock_is_an_outcome(on_postgres: None) -> None:
    """Two that lock in two orders: in some orders one of them is ended by the database."""

    def lock(first: str, second: str) -> None:
        with atomic():
            query(f"UPDATE {first} SET n = n + 1")
            query(f"UPDATE {second} SET n = n + 1")

    result = explored().make_concurrent_calls(
        (lock, {"first": "coupon", "second": "stock"}), (lock, {"first": "stock", "second": "coupon"})
    )
    assert result.complete
    assert result.failures
    assert "deadlock detected" in str(result.errors[0].error)
    assert "[waits until after" in result.timeline()


def test_sqlite_locks_as_sqlite_does(on_sqlite: None) -> None:
    """Who has read in a transaction cannot wait for the lock to write; who begins by writing can."""

    def add(begin: str) -> None:
        with atomic():
            number = query("SELECT n FROM coupon WHERE id = 1")[0][0] if begin == "read" else 0
            query("UPDATE coupon SET n = %s", number + 1)

    reading = explored().call_concurrently(2, add, begin="read")
    assert isinstance(reading.errors[0].error, OperationalError)
    writing = explored(check=lambda result: not result.errors).call_concurrently(2, add, begin="write")
    assert writing.complete
    assert not writing.failures, writing.summary()


def test_effects_are_steps(on_postgres: None) -> None:
    """Recorded, stubbed, forced; what they are called with is in the result, with its racer."""

    def pay() -> Any:
        if query("SELECT n FROM coupon WHERE id = 1")[0][0] == 0:
            answer = charge(cents=5)
            query("UPDATE coupon SET n = 1")
            return answer
        return None

    def once(result: RaceResult) -> bool:
        return result.calls.count(charge) == 1

    result = explored(check=once).call_concurrently(2, pay)
    assert "effect explored.charge" in result.timeline()
    assert sorted(call.racer for call in result.calls) == [0, 1]
    with stub(charge, returns="stubbed"):
        assert "stubbed" in explored(check=once).call_concurrently(2, pay)
    with stub(charge, raises=OSError("the bank is shut")):
        failing = explored().call_concurrently(2, pay)
    assert failing.failures == failing.schedules
    assert "= OSError: the bank is shut" in failing.timeline()
    with force_run(charge):
        failing = explored(check=once).call_concurrently(2, pay)
    assert isinstance(failing.errors[0].error, OSError)


def test_named_steps_are_steps() -> None:
    """For what racers share that is no database: without one, too. Elsewhere `step` does nothing."""
    seats: set[str] = set()

    def reserve(name: str) -> bool:
        taken = set(seats)
        step("seats read")
        if taken:
            return False
        seats.add(name)
        return True

    step("nobody explores")
    result = Race(explore=True, databases=[], setup=seats.clear, check=lambda result: sum(result) == 1)
    found = result.make_concurrent_calls((reserve, {"name": "a"}), (reserve, {"name": "b"}))
    assert found.failures == found.schedules
    assert "step seats read" in found.timeline()


def check_locks_that_do_not_wait() -> None:
    """`nowait` fails, and `skip_locked` passes over what another racer has locked."""

    def nowait() -> None:
        with atomic():
            query("SELECT n FROM coupon FOR UPDATE NOWAIT")
            query("UPDATE coupon SET n = n + 1")

    def skip() -> list[Any]:
        with atomic():
            found = query("SELECT id FROM job WHERE n = 0 LIMIT 1 FOR UPDATE SKIP LOCKED")
            for row in found:
                query("UPDATE job SET n = 1 WHERE id = %s", *row)
            return found

    assert isinstance(explored().call_concurrently(2, nowait).errors[0].error, OperationalError)
    assert not explored(check=lambda result: sum(map(bool, result)) == 1).call_concurrently(2, skip).failures


def test_locks_that_do_not_wait(on_postgres: None) -> None:
    """`nowait` fails, `skip_locked` goes by, a unique index lets one in, and advisory locks make racers wait."""

    def unique() -> None:
        query("INSERT INTO notes (name) VALUES ('mine')")

    def advisory() -> None:
        with atomic():
            query("SELECT pg_advisory_xact_lock(1)")
            redeem()

    check_locks_that_do_not_wait()
    failing = explored().call_concurrently(2, unique)
    assert failing.failures == failing.schedules
    assert isinstance(failing.errors[0].error, IntegrityError)
    assert not explored(check=paid_once).call_concurrently(2, advisory).failures


def test_locks_of_mariadb(on_mariadb: None) -> None:
    """The same there: `nowait`, `skip_locked`, and locks that have a name."""

    def named() -> None:
        query("SELECT GET_LOCK('coupon', 20)")
        redeem()
        query("SELECT RELEASE_LOCK('coupon')")

    check_locks_that_do_not_wait()
    locked = explored(check=paid_once).call_concurrently(2, named)
    assert locked.complete
    assert not locked.failures, locked.summary()


def test_isolation_levels(on_each: str) -> None:
    """Write skew is there under REPEATABLE READ, and SERIALIZABLE ends one of the two; a list explores each."""
    query("INSERT INTO stock (n, name) VALUES (0, 'second')")

    def leave(own: int) -> bool:
        try:
            with atomic():
                if query("SELECT count(*) FROM stock WHERE n = 0")[0][0] < 2:
                    return False
                query("UPDATE stock SET n = 1 WHERE id = %s", own)
        except DatabaseError:
            return False
        return True

    def one_stays(result: RaceResult) -> bool:
        return query("SELECT count(*) FROM stock WHERE n = 0")[0][0] >= 1

    calls = [(leave, {"own": 1}), (leave, {"own": 2})]
    cured = explored(check=one_stays, isolation="SERIALIZABLE").make_concurrent_calls(*calls)
    assert (cured.complete, cured.failures) == (True, 0), cured.summary()
    if on_each == "sqlite":  # which has no other
        return
    skewed = explored(check=one_stays, isolation="repeatable read").make_concurrent_calls(*calls)
    assert skewed.failures
    assert "under repeatable read" in skewed.summary()
    both = explored(check=one_stays, isolation=["serializable", "repeatable_read"]).make_concurrent_calls(*calls)
    assert both.failures
    assert both.schedules > cured.schedules


def test_savepoints(on_each: str) -> None:
    """What is rolled back to a savepoint is seen by nobody. Its locks are free from then on, but for SQLite's."""

    def change_its_mind() -> None:
        with atomic():
            try:
                with atomic():
                    query("UPDATE coupon SET n = n + 7 WHERE id = 1")
                    raise ZeroDivisionError
            except ZeroDivisionError:
                query("INSERT INTO payment (n) VALUES (1)")

    def add() -> None:
        query("UPDATE coupon SET n = n + 1 WHERE id = 1")

    def only_one_added(_: RaceResult) -> bool:
        return (query("SELECT n FROM coupon"), count("payment")) == ([(1,)], 2)

    race, calls = explored(check=only_one_added), [(change_its_mind, {}), (add, {})]
    result = race.make_concurrent_calls(*calls)
    assert result.complete
    assert not result.failures, result.summary()
    schedule, until = ("11121111", 8) if on_each == "sqlite" else ("1121111", 4)  # BEGIN is a step of SQLite's
    between = race.configured(explore=False, schedule=schedule).make_concurrent_calls(*calls)
    assert f"[waits until after {until}]" in between.timeline(), between.timeline()


def test_a_racer_that_never_comes_to_a_step(on_postgres: None) -> None:
    """It is told with its stack after the timeout, and the others are called off."""
    over = threading.Event()

    def compute() -> None:
        query("SELECT 1")
        over.wait(20)

    result = explored(timeout=0.3).make_concurrent_calls((compute, {}), (redeem, {}))
    over.set()
    stuck, other = (error.error for error in result.errors)
    assert isinstance(stuck, TerminatedProcessError)
    assert "over.wait(20)" in stuck.stack
    assert "racer 2 was called off" in str(other)
    assert result.failures == 1
    assert not result.complete


def test_threads_of_a_racer(on_postgres: None) -> None:
    """Their steps are the racer's, as long as they follow each other; side by side they are refused."""

    def in_a_thread() -> None:
        thread = threading.Thread(target=lambda: (redeem(), connections.close_all()))
        thread.start()
        thread.join()

    result = explored(check=paid_once).call_concurrently(2, in_a_thread)
    assert result.complete
    assert result.failures

    def side_by_side() -> None:
        both = threading.Barrier(2)

        def ask() -> None:
            connections[ALIAS].ensure_connection()
            both.wait(20)
            with contextlib.suppress(RaceError):
                query("SELECT 1")
            connections.close_all()

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    with pytest.raises(RaceError, match=r"two threads of racer \d are at a step at once"):
        explored(check=paid_once).call_concurrently(2, side_by_side)


def test_coroutines(on_postgres: None) -> None:
    """What is synchronous in them runs in the racer's own thread."""
    from asgiref.sync import sync_to_async

    async def pay() -> None:
        await sync_to_async(redeem)()

    result = explored(check=paid_once).call_concurrently(2, pay)
    assert result.complete
    assert result.failures


def test_calls_are_among_the_tests_own(side_effects: Calls) -> None:
    """Of all orders."""
    result = Race(explore=True, databases=[], check=lambda result: result.calls.count(charge) == 2).call_concurrently(
        2, charge
    )
    assert not result.failures
    side_effects.assert_called(charge, times=2 * result.schedules)


def test_refusals_and_secrets(on_postgres: None) -> None:
    """A refused call is an outcome; what stands beside the name of a secret is not shown."""

    def sign_in() -> None:
        query("UPDATE notes SET name = %s WHERE name = %s", "new", "hunter2")
        query("SELECT n AS password FROM notes WHERE name = %s", "hunter2")
        charge()

    with forbid(charge):
        result = explored().call_concurrently(2, sign_in)
    assert result.failures == result.schedules
    assert "was refused" in str(result.errors[0].error)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        shown = result.timeline()
    assert "UPDATE notes SET name = 'new' WHERE name = 'hunter2'" in shown
    assert "SELECT n AS password FROM notes WHERE name = %s" in shown


def test_a_database_that_no_race_names(on_postgres: None) -> None:
    """Where a race says that it uses none, its racers may use none: their statements would be no steps."""
    with pytest.raises(RaceError, match="may not use the database 'explored': the race explores no database"):
        Race(explore=True, databases=[]).call_concurrently(2, redeem)


def test_nothing_stays_open(on_postgres: None) -> None:
    """No session of racers or of the explorer's, and no thread."""
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    before = query(sessions)[0][0], threading.active_count()
    explored(check=paid_once).call_concurrently(2, redeem)
    assert threading.active_count() == before[1]
    deadline = time.monotonic() + 30
    while query(sessions)[0][0] > before[0] and time.monotonic() < deadline:  # the server notices a little later
        time.sleep(0.01)
    assert query(sessions)[0][0] == before[0]


def test_a_terminal_shows_colours_and_is_not_wider_than_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The head, switches and errors stand out."""
    monkeypatch.setenv("COLUMNS", "80")

    def fail() -> None:
        step("a name that is much too long to be shown on so narrow a terminal")
        raise ValueError("no")

    order = Race(explore=True, databases=[]).call_concurrently(2, fail)
    assert max(map(len, order.timeline().splitlines()[:6])) <= 80
    assert "\033[" not in order.timeline()
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    shown = order.timeline().splitlines()
    assert shown[0].startswith("\033[1m")
    assert any(line.startswith("\033[31m") and "ValueError: no" in line for line in shown)
