"""What cannot be explored is refused, with the fix; and what an exploration cannot promise, it says."""

import itertools
import time
from typing import Any

import pytest
from django.db import connections, transaction

from sideeffects.testing import Race, RaceError, step
from tests.support.explored_database import ALIAS, atomic, count, query, redeem

pytest_plugins = ["pytester"]


def fine(_: Any) -> bool:
    return True


def explored(**options: Any) -> Race:
    return Race(explore=True, **{"databases": [ALIAS], "check": fine, **options})


def steps(number: int) -> None:
    for name in range(number):
        step(str(name))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"explore": True, "using": "processes"}, "processes cannot be explored"),
        ({"explore": True, "repeat": 3}, "leaves nothing to luck: repeat"),
        ({"explore": True, "meet_at": "explored.charge"}, "leaves nothing to luck: meet_at"),
        ({"preemptions": 2}, r"preemptions is for Race\(explore=True\)"),
        ({"isolation": "serializable"}, r"isolation is for Race\(explore=True\)"),
        ({"explore": True, "max_schedules": 0}, "max_schedules is a number of orders, 1 or more, not 0"),
        ({"explore": True, "preemptions": -1}, "preemptions is a number of switches, 0 or more, not -1"),
        ({"explore": True, "isolation": "chaos"}, "isolation is one of read uncommitted, .* not 'chaos'"),
        ({"schedule": "1021"}, "schedule is a string of racers, .* not '1021'"),
    ],
)
def test_impossible_options(options: dict[str, Any], said: str) -> None:
    """When the race is made, before anything runs."""
    with pytest.raises(ValueError, match=said):
        Race(**options)


def test_a_schedule_is_a_string() -> None:
    """A number is none."""
    with pytest.raises(TypeError, match="schedule is a string of racers"):
        Race(schedule=1122)  # type: ignore[arg-type]


def test_a_schedule_for_other_racers() -> None:
    """It names a racer that is not there."""
    with pytest.raises(ValueError, match="schedule='1132' has a racer 3, and the race has 2"):
        Race(schedule="1132").call_concurrently(2, steps, number=2)


def test_a_schedule_that_cannot_be_followed() -> None:
    """It is followed as far as it goes, and shown as it went."""
    found = Race(schedule="222211", check=lambda _: False, databases=[]).call_concurrently(2, steps, number=2)
    assert found.schedule == "2211"


def test_nothing_is_being_looked_for() -> None:
    """Without a check, and with racers that never raise."""
    with pytest.raises(RaceError, match="nothing was checked: the race has no check, and no racer raises"):
        Race(explore=True, databases=[]).call_concurrently(2, steps, number=1)


def test_too_many_racers() -> None:
    """Their orders could not be written down, let alone run."""
    with pytest.raises(RaceError, match="10 racers have more orders than can be run"):
        explored(databases=[]).call_concurrently(10, steps, number=1)


def test_more_orders_than_allowed() -> None:
    """It says how many were run, that these are not all, and how to bound them."""
    found = explored(databases=[], max_schedules=3).call_concurrently(2, steps, number=3)
    assert (found.schedules, found.complete, found.failures) == (3, False, 0)
    assert "these are not all orders that there are" in found.summary()
    assert "max_schedules=3 orders were run, and there are more" in found.summary()
    assert "preemptions=2" in found.summary()


def test_setup_leaves_a_transaction_open(on_postgres: None) -> None:
    """Racers would not see its rows."""
    block = atomic()
    with pytest.raises(RaceError, match="setup has left a transaction open on the database 'explored'"):
        explored(setup=block.__enter__).call_concurrently(2, redeem)
    block.__exit__(None, None, None)


def test_a_transaction_of_the_test(on_postgres: None) -> None:
    """As for other races: they could not see its rows."""
    with atomic(), pytest.raises(RaceError, match="transaction=True"):
        explored().call_concurrently(2, redeem)


def test_sqlite_in_memory(django_db_blocker: Any) -> None:
    """Racers could not make each other wait on it."""
    with (
        django_db_blocker.unblock(),
        pytest.raises(RaceError, match=r'Give the tests a file: DATABASES\[.default.\]\["TEST"\]'),
    ):
        explored(databases=None).call_concurrently(2, steps, number=1)


def test_sqlite_has_one_level(on_sqlite: None) -> None:
    """Others are refused."""
    with pytest.raises(RaceError, match="has one isolation level, serializable, not repeatable read"):
        explored(isolation="repeatable read").call_concurrently(2, redeem)


@pytest.mark.parametrize("who", ["racer", "setup"])
def test_changed_tables(on_postgres: None, who: str) -> None:
    """They cannot be taken back."""

    def change() -> None:
        query("ALTER TABLE coupon ADD COLUMN more integer")

    race, function = (explored(), change) if who == "racer" else (explored(setup=change), redeem)
    with pytest.raises(RaceError, match="changes tables, which cannot be taken back between two orders: ALTER TABLE"):
        race.call_concurrently(2, function)


def test_a_trigger_of_sqlite(on_sqlite: None) -> None:
    """It would run again when rows are put back."""
    query("CREATE TRIGGER log AFTER INSERT ON payment BEGIN INSERT INTO notes (n) VALUES (1); END")
    with pytest.raises(RaceError, match="payment cannot be taken back: it has a trigger"):
        explored().call_concurrently(2, redeem)


def test_a_trigger_of_postgresql(on_postgres: None) -> None:
    """A superuser may switch it off: whatever it has written is taken back."""
    query(
        "CREATE FUNCTION log_it() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO notes (n) VALUES (9); RETURN NEW; END $$"
    )
    query("CREATE TRIGGER log_it AFTER INSERT ON payment FOR EACH ROW EXECUTE FUNCTION log_it()")
    try:
        seen = set()
        result = explored(check=lambda _: seen.add(count("notes"))).call_concurrently(2, redeem)
        assert result.complete
        assert seen == {2, 3}  # the row that was there, and one for each payment
        assert count("notes") == 1
    finally:
        query("DROP TRIGGER log_it ON payment")
        query("DROP FUNCTION log_it")


def test_another_database(on_postgres: None) -> None:
    """One that the race does not name is refused to racers."""

    def stray() -> None:
        connections["default"].ensure_connection()

    with pytest.raises(RaceError, match="may not use the database 'default': the race explores explored"):
        explored().call_concurrently(2, stray)


def test_not_repeatable() -> None:
    """Racers whose steps change from run to run, whatever the others do."""
    number = itertools.count()

    def moody() -> None:
        step(f"mood {next(number)}")
        step("done")

    with pytest.raises(RaceError, match=r"not repeatable: racer \d took .* it took step mood \d+\. Some"):
        explored(databases=[]).call_concurrently(2, moody)


def test_what_memory_keeps_is_filled_first() -> None:
    """A cache that code has of its own is filled by the first order: the search begins anew, and goes on."""
    kept: list[str] = []

    def act() -> None:
        if not kept:
            step("ask once")
            kept.append("known")
        step("use it")

    found = explored(databases=[]).call_concurrently(2, act)
    assert found.complete
    assert not found.failures


def test_the_suite_chooses_how_much(pytester: pytest.Pytester) -> None:
    """`--side-effects-explore`: all orders, those with two switches, those with none."""
    pytester.makepyfile(
        """
        from sideeffects.testing import Race, step

        def walk():
            for name in "abcd":
                step(name)

        def test_it():
            result = Race(explore=True, databases=[], check=lambda result: True).call_concurrently(2, walk)
            print("orders:", result.schedules, result.complete)
        """
    )
    for options, said in (
        ([], "orders: 70 True"),
        (["--side-effects-explore=quick"], "orders: 26 True"),
        (["--side-effects-explore=off"], "orders: 2 True"),
    ):
        result = pytester.runpytest_inprocess("-s", "-p", "no:django", "-p", "no:asyncio", *options)
        result.assert_outcomes(passed=1)
        result.stdout.fnmatch_lines([f"*{said}*"])


def test_a_database_that_is_slow_to_answer(on_postgres: None) -> None:
    """A long statement is no wait for a lock."""
    started = time.monotonic()
    found = explored().call_concurrently(2, lambda: query("SELECT pg_sleep(0.05)"))
    assert found.schedules == 1
    assert "waits" not in found.timeline()
    assert time.monotonic() - started < 60
    assert not transaction.get_connection(ALIAS).in_atomic_block
