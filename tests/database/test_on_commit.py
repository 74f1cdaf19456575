"""`on_commit`: an executing call waits for the outermost transaction, on a real SQLite and a real PostgreSQL."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connections, transaction
from django.db.transaction import TransactionManagementError
from django.db.utils import ConnectionDoesNotExist
from django.test import TestCase

from sideeffects import SideEffectBlocked, SideEffectError, capture, forbid, force_run, record, side_effect, stub
from sideeffects.database.on_commit import pending
from sideeffects.testing import isolated_registry


class Database:
    """A database with one table, `events`, known to Django as `shop`."""

    alias = "shop"

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        defaults = dict(connections["default"].settings_dict)
        connections.settings[self.alias] = {**defaults, **given}
        self.execute("DROP TABLE IF EXISTS events")
        self.execute("CREATE TABLE events (name varchar(10))")

    def execute(self, statement: str) -> None:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(statement)

    def insert(self, name: str) -> None:
        self.execute(f"INSERT INTO events VALUES ('{name}')")

    def committed(self) -> list[str]:
        """The rows that somebody else sees: by a connection of its own, past Django."""
        if "HOST" in self.given:
            import psycopg

            names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
            with psycopg.connect(**{key: self.given[name] for key, name in names.items()}) as connection:
                rows = connection.execute("SELECT name FROM events").fetchall()
        else:
            connection = sqlite3.connect(self.given["NAME"])
            rows = connection.execute("SELECT name FROM events").fetchall()
            connection.close()
        return [row[0] for row in rows]

    def atomic(self) -> Any:
        return transaction.atomic(using=self.alias)

    def close(self) -> None:
        connections[self.alias].close()
        del connections[self.alias]
        del connections.settings[self.alias]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path, django_db_blocker: Any) -> Iterator[Database]:
    """The database `shop`, on SQLite and on PostgreSQL."""
    with django_db_blocker.unblock():
        if request.param == "sqlite":
            given = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "shop.sqlite3")}
        else:
            given = request.getfixturevalue("postgres")
        held = Database(given)
        yield held
        held.close()


@pytest.fixture
def shop(database: Database) -> Iterator[SimpleNamespace]:
    """Effects that wait for the commit in `shop`; `seen` has the rows that were committed when they ran."""
    seen: list[list[str]] = []
    with isolated_registry():

        @side_effect(name="mail.confirm", on_commit="shop", returns="recorded")
        def confirm(to: str = "") -> str:
            seen.append(database.committed())
            return "executed"

        @side_effect(name="mail.later", on_commit="shop", async_ok=True)
        def later(to: str = "") -> str:
            seen.append(database.committed())
            return "executed"

        @side_effect(name="hook.post", on_commit="shop")
        async def post() -> str:
            await asyncio.sleep(0)
            seen.append(database.committed())
            return "executed"

        @side_effect(name="mail.fail", on_commit="shop")
        def fail() -> None:
            raise OSError("down")

        yield SimpleNamespace(confirm=confirm, later=later, post=post, fail=fail, seen=seen)


# -- waiting


def test_it_runs_when_the_transaction_has_committed(production: None, database: Database, shop: Any) -> None:
    """Not before the commit, and then with the rows there for everybody; the call itself gives nothing back."""
    with database.atomic():
        database.insert("Ada")
        assert shop.confirm() is None
        assert shop.seen == []
    assert shop.seen == [["Ada"]]


def test_without_a_transaction_it_runs_at_once(production: None, database: Database, shop: Any) -> None:
    """With nothing to wait for it runs at the call, and gives nothing back either."""
    database.insert("Ada")
    assert shop.confirm() is None
    assert shop.seen == [["Ada"]]


def test_unconnected_it_runs_at_once_and_connects_nothing(production: None, database: Database, shop: Any) -> None:
    """Without a connection there is no transaction, and none is opened to find that out."""
    connections["shop"].close()
    shop.confirm()
    assert len(shop.seen) == 1
    assert connections["shop"].connection is None


def test_after_a_rollback_it_never_runs(production: None, database: Database, shop: Any) -> None:
    """Not at the rollback, nor with the next commit."""
    with pytest.raises(KeyError), database.atomic():
        database.insert("Ada")
        shop.confirm()
        raise KeyError
    with database.atomic():
        database.insert("Bob")
    assert shop.seen == []
    assert database.committed() == ["Bob"]


def test_it_waits_for_the_outermost_transaction(production: None, database: Database, shop: Any) -> None:
    """Leaving an inner block is no commit; what an inner block rolls back takes its calls with it."""
    with database.atomic():
        with database.atomic():
            shop.confirm("kept")
        with pytest.raises(KeyError), database.atomic():
            shop.confirm("lost")
            raise KeyError
        assert shop.seen == []
        database.insert("Ada")
    assert shop.seen == [["Ada"]]


def test_calls_run_in_the_order_in_which_they_were_made(production: None, database: Database, shop: Any) -> None:
    """Several calls, and what the project itself hands to `transaction.on_commit`, keep their order."""
    order: list[str] = []
    effect = side_effect(name="mail.order", on_commit="shop")(order.append)
    with database.atomic():
        effect("first")
        transaction.on_commit(lambda: order.append("second"), using="shop")
        effect("third")
    assert order == ["first", "second", "third"]


def test_the_transaction_of_another_thread_is_not_waited_for(production: None, database: Database, shop: Any) -> None:
    """Connections belong to threads: a thread without a transaction runs at once."""

    def work() -> None:
        shop.confirm()
        connections["shop"].close()

    with database.atomic():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(30)
        assert shop.seen == [[]]


def test_what_it_raises_after_the_commit_is_raised_there(production: None, database: Database, shop: Any) -> None:
    """The rows are committed by then; the error comes out of the block and is the call's outcome."""
    with capture() as calls:
        with pytest.raises(OSError, match="down"), database.atomic():
            database.insert("Ada")
            shop.fail()
        assert database.committed() == ["Ada"]
    assert isinstance(calls.one("mail.fail").outcome.error, OSError)


def test_where_django_cannot_tell_nothing_runs(production: None, database: Database, shop: Any) -> None:
    """With Django's autocommit off there is no end of a transaction to be told of: the call raises."""
    transaction.set_autocommit(False, using="shop")
    try:
        with pytest.raises(TransactionManagementError):
            shop.confirm()
    finally:
        transaction.rollback(using="shop")
        transaction.set_autocommit(True, using="shop")
    assert shop.seen == []


def test_an_unknown_database_raises(production: None, database: Database) -> None:
    """An alias that the project does not have is an error at the call."""
    ran: list[int] = []
    with isolated_registry():
        effect = side_effect(name="mail.typo", on_commit="shopp")(lambda: ran.append(1))
        with pytest.raises(ConnectionDoesNotExist, match="shopp"):
            effect()
    assert ran == []


def test_true_means_the_default_database(production: None, database: Database) -> None:
    """`on_commit=True` waits for `default`, and for no other."""
    ran: list[str] = []
    with isolated_registry():
        effect = side_effect(name="mail.default", on_commit=True)(ran.append)
        with database.atomic():
            effect("other database")
            assert ran == ["other database"]
        with transaction.atomic():
            effect("default")
            assert ran == ["other database"]
    connections["default"].close()
    assert ran == ["other database", "default"]


# -- deciding (law 4: at the call, and it travels)


def test_the_decision_is_taken_at_the_call(database: Database, shop: Any) -> None:
    """Forced at the call, it runs after the block has been left; recorded at the call, nothing makes it run."""
    with database.atomic():
        with force_run("mail.confirm"):
            shop.confirm("forced")
        shop.confirm("recorded")
        with forbid("mail.confirm"), pytest.raises(SideEffectBlocked):
            shop.confirm("refused")
        assert shop.seen == []
    assert len(shop.seen) == 1

    with force_run("mail.confirm"), database.atomic(), record("mail.confirm"):
        shop.confirm("recorded")
    assert len(shop.seen) == 1

    with forbid("mail.confirm"), database.atomic(), force_run("mail.confirm"):
        shop.confirm("forced")
    assert len(shop.seen) == 2


def test_it_gives_nothing_back_in_any_mode(database: Database, shop: Any) -> None:
    """Code must not come to rely on a stub's value that no executing call can give; the stub still raises."""
    assert shop.confirm() is None
    with stub("mail.confirm", returns="stubbed"):
        assert shop.confirm() is None
    with force_run("mail.confirm"):
        assert shop.confirm() is None
    with stub("mail.confirm", raises=KeyError), pytest.raises(KeyError):
        shop.confirm()


def test_the_outcome_comes_with_the_commit(database: Database, shop: Any) -> None:
    """The call is written down when it is decided, and has its outcome once it has run."""
    with capture() as calls, force_run("mail.confirm"):
        with database.atomic():
            shop.confirm("Ada")
            call = calls.one("mail.confirm")
            assert call.outcome is None
            assert list(pending()) == [call]
        assert call.outcome.result == "executed"
    assert list(pending()) == []


def test_what_is_only_recorded_is_not_pending(database: Database, shop: Any) -> None:
    """A recorded call waits for nothing, and neither do the project's own callbacks."""
    with database.atomic():
        shop.confirm()
        transaction.on_commit(lambda: None, using="shop")
        assert list(pending()) == []


def test_djangos_tests_can_run_what_is_pending(database: Database, shop: Any) -> None:
    """`captureOnCommitCallbacks(execute=True)` runs a forced call, inside a transaction that is never committed."""
    with pytest.raises(KeyError), database.atomic(), force_run("mail.confirm"):
        with TestCase.captureOnCommitCallbacks(using="shop", execute=True):
            shop.confirm()
            assert len(list(pending())) == 1
        assert len(shop.seen) == 1
        assert list(pending()) == []
        raise KeyError


# -- asynchronous code and the background


@pytest.mark.parametrize("is_committed", [True, False])
def test_a_coroutine_waits_too(production: None, database: Database, shop: Any, is_committed: bool) -> None:
    """Awaited from inside a transaction, it runs to its end when that commits, and never when it rolls back."""
    try:
        with database.atomic():
            database.insert("Ada")
            assert async_to_sync(shop.post)() is None
            assert shop.seen == []
            if not is_committed:
                raise KeyError
    except KeyError:
        pass
    assert shop.seen == ([["Ada"]] if is_committed else [])


async def test_a_coroutine_without_a_transaction_runs_at_once(production: None, database: Database, shop: Any) -> None:
    """From plain asynchronous code, in which there is no transaction, it has run when the `await` is over."""
    assert await shop.post() is None
    assert shop.seen == [[]]


@pytest.mark.parametrize("is_committed", [True, False])
def test_the_background_begins_with_the_commit(
    production: None, database: Database, shop: Any, is_committed: bool
) -> None:
    """An enqueued call is handed to the engine when the transaction commits, and never when it rolls back."""
    try:
        with database.atomic():
            database.insert("Ada")
            handle = shop.later.enqueue("Ada")
            with pytest.raises(SideEffectError, match="handed over when that commits"):
                handle.result(0.05)
            if not is_committed:
                raise KeyError
    except KeyError:
        assert not handle.done()
    else:
        handle.result(30)
    assert shop.seen == ([["Ada"]] if is_committed else [])


# -- without databases

PLAIN = """
import asyncio, sys
{setup}
from sideeffects import side_effect
ran = []
plain = side_effect(name="x.plain", on_commit=True)(lambda: ran.append("plain"))
@side_effect(name="x.later", on_commit=True)
async def later():
    ran.append("later")
plain()
asyncio.run(later())
print(ran, "django.db" in sys.modules)
"""


@pytest.mark.parametrize(
    ("setup", "imports_databases"),
    [
        ("", False),
        ("import django.conf", False),
        ("from django.conf import settings; settings.configure()", True),
        ("from django.conf import settings; settings.configure(DATABASES={})", True),
    ],
    ids=["no Django", "no settings", "no databases", "empty databases"],
)
def test_without_databases_it_runs_at_once(production: None, setup: str, imports_databases: bool) -> None:
    """Where there is no Django, or one without settings or databases, there is nothing to wait for."""
    run = subprocess.run([sys.executable, "-c", PLAIN.format(setup=setup)], capture_output=True, text=True, check=False)
    assert (run.stdout.strip(), run.returncode) == (f"['plain', 'later'] {imports_databases}", 0), run.stderr
