"""Races on a real MariaDB, by PyMySQL or, where that is installed, by mysqlclient."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from sideeffects.testing import Race
from tests.support import race_project
from tests.support.mariadb_server import mariadb_server
from tests.support.race_project import ALIAS, Account

pytestmark = pytest.mark.processes


@pytest.fixture
def account(django_db_blocker: Any) -> Iterator[Account]:
    with mariadb_server() as given, django_db_blocker.unblock():
        held = Account({**given, "ENGINE": "tests.support.pymysql_backend"})
        held.reset()
        yield held
        held.close()


def test_racers_race_on_it_and_a_killed_one_leaves_no_lock(account: Account) -> None:
    """Who checks and then acts pays twice, who asks the database once; the session of one that was killed is ended."""
    race = Race(databases=[ALIAS])
    careless = race.call_concurrently(2, race_project.pay_carelessly, seconds=0.5)
    assert list(careless) == [True, True]
    assert careless.calls.count("racing.charge") == 2
    account.reset()
    assert sorted(race.call_concurrently(4, race_project.pay_once)) == [False, False, False, True]
    result = Race(timeout=1.0, databases=[ALIAS]).call_concurrently(2, race_project.hold_the_row, seconds=60)
    assert len(result.errors) == 2
    account.execute("SET innodb_lock_wait_timeout = 5")
    started = time.monotonic()
    account.execute("UPDATE account SET balance = 5 WHERE id = 1")
    assert time.monotonic() - started < 5
    assert account.value("balance") == 5
