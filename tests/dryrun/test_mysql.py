"""Dry runs on a real MariaDB, by PyMySQL or, where that is installed, by mysqlclient."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connections, transaction

from sideeffects import dry_run
from sideeffects.dryrun import DryRunRefused, Writes
from tests.support.database import Database
from tests.support.mariadb_server import ENDING, IRREVOCABLE, mariadb_server


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, Any]]:
    with mariadb_server() as given:
        yield {**given, "ENGINE": "tests.support.pymysql_backend"}


@pytest.fixture
def database(server: dict[str, Any], production: None, django_db_blocker: Any) -> Iterator[Database]:
    with django_db_blocker.unblock():
        made = Database(server)
        made.insert("kept")
        try:
            yield made
            with made.atomic():
                made.insert("after")
            assert made.committed()[-1] == "after", "the connection no longer commits"
        finally:
            made.forget()


def test_everything_is_rolled_back(database: Database, send: Any) -> None:
    """Statements alone, transactions with savepoints, callbacks after the commit; rows are counted by table."""
    seen: list[str] = []
    with dry_run() as plan:
        database.insert("one")
        with database.atomic():
            with pytest.raises(ZeroDivisionError), database.atomic():
                database.insert("two")
                raise ZeroDivisionError
            transaction.on_commit(lambda: (seen.append("committed"), send("+1")), using="dry")  # type: ignore[func-returns-value]
            database.insert("three")
        assert seen == ["committed"]
        with pytest.raises(IntegrityError):
            database.insert("three")
        with database.atomic():
            database.insert("four")
            transaction.set_rollback(True, using="dry")
        connections["dry"].close()
        database.execute("UPDATE `rows` SET name = CONCAT(name, '!')")
        database.execute("INSERT IGNORE INTO `rows` (id, name) VALUES (1, 'there')")
        database.execute("DELETE FROM `rows` WHERE name = 'kept!'")
        assert database.names() == ["one!", "three!"]
    assert database.committed() == database.names() == ["kept"]
    assert plan.writes == (Writes("dry", "rows", inserted=4, updated=3, deleted=1),)
    assert len(plan) == 1


@pytest.mark.parametrize("is_open", [True, False])
def test_what_ends_a_transaction_is_refused(database: Database, is_open: bool) -> None:
    """In every spelling, out of procedures and variables too, and also where the block swallows the refusal."""
    database.execute("CREATE OR REPLACE PROCEDURE commits() COMMIT")
    database.execute("CREATE OR REPLACE TABLE shop_row (id int)")
    for statement in [*ENDING, *IRREVOCABLE]:
        if not is_open:
            connections["dry"].close()
        with pytest.raises(DryRunRefused, match=r"commits by itself|no rollback takes back"), dry_run():
            database.insert("one")
            for part in [statement] if "NOT ATOMIC" in statement else statement.split("; "):
                with contextlib.suppress(DryRunRefused, DatabaseError):
                    database.execute(part)
        assert database.committed() == ["kept"], statement


def test_the_server_itself_refuses_the_commit(database: Database) -> None:
    """Where nothing of ours sees the statement; and what the driver calls is refused."""
    with dry_run():
        database.insert("one")
        raw = connections["dry"].connection
        with pytest.raises(connections["dry"].Database.OperationalError, match=r"1399|ACTIVE"):
            type(raw).query(raw, "COMMIT")
    for name in ("commit", "rollback", "close"):
        with pytest.raises(DryRunRefused, match=rf"{name}\(\) of the driver"), dry_run():
            database.insert("one")
            getattr(connections["dry"].connection, name)()
    assert database.committed() == ["kept"]


def test_inside_somebody_s_transaction(database: Database) -> None:
    """There is no global one then: what was written before stays; commits are seen by their words, and by what goes."""
    database.execute("CREATE OR REPLACE PROCEDURE commits() COMMIT")
    with database.atomic():
        database.insert("before")
        with dry_run() as plan:
            with database.atomic(), dry_run():
                database.insert("inner")
            database.insert("one")
            database.execute("SET @x = 5")
        assert database.names() == ["kept", "before"]
        with pytest.raises(DryRunRefused, match="commits by itself"), dry_run():
            database.execute("COMMIT")
    assert database.committed() == ["kept", "before"]
    assert [remark.partition(" which no")[0] for remark in plan.remarks] == [
        "'SET @x = 5' may have changed the session,"
    ]
    assert plan.writes == (Writes("dry", "rows", inserted=1),)
    with pytest.raises(DryRunRefused, match="It may have been kept"), pytest.raises(DatabaseError), database.atomic():  # noqa: SIM117
        with dry_run():
            database.insert("one")
            database.execute("CALL commits()")
    database.execute("DELETE FROM `rows` WHERE name = 'one'")


def test_tables_without_transactions(database: Database) -> None:
    """They are refused where a statement names them, and told where a function wrote to one."""
    database.execute("CREATE OR REPLACE TABLE plain (id int) ENGINE=MyISAM")
    database.execute(
        "CREATE OR REPLACE FUNCTION writes() RETURNS int BEGIN INSERT INTO plain VALUES (1); RETURN 1; END"
    )
    with pytest.raises(DryRunRefused, match="knows no transactions"), dry_run():
        database.execute("INSERT INTO plain VALUES (7)")
    assert database.execute("SELECT * FROM plain") == ()
    with pytest.raises(DryRunRefused, match="stays written"), dry_run() as plan:
        database.execute("SELECT writes()")
    assert len(plan.refusals) == 1
    with dry_run():
        database.execute("CREATE TEMPORARY TABLE passing (id int)")
        database.execute("INSERT INTO passing VALUES (1)")


def test_the_session_ends_with_what_was_set_in_it(database: Database) -> None:
    """Settings, variables, locks by name and temporary tables are gone with it; else it goes on."""
    same = "SELECT CONNECTION_ID()"
    before = database.execute(same)
    with dry_run():
        database.insert("one")
    assert database.execute(same) == before
    with dry_run():
        for statement in ("SET time_zone = '+05:00'", "SET @x = 5", "SELECT GET_LOCK('job', 0)"):
            database.execute(statement)
    ((zone, x, is_free),) = database.execute("SELECT @@time_zone = '+05:00', @x, IS_FREE_LOCK('job')")
    assert (zone, x, is_free) == (0, None, 1)


def test_other_connections_are_refused(database: Database) -> None:
    """Django's of other threads, and the driver's own."""
    with pytest.raises(DryRunRefused, match="in another thread"), dry_run(), ThreadPoolExecutor(1) as pool:
        pool.submit(database.names).result()
    with pytest.raises(DryRunRefused, match="without Django"), dry_run():
        database.connect()


def test_a_deadlock_ends_the_run(database: Database) -> None:
    """The server has rolled back all of it then, and the run says so."""
    database.execute("INSERT INTO `rows` (id, name) VALUES (10, 'a'), (11, 'b')")
    other = database.connect()
    cursor = other.cursor()
    cursor.execute("START TRANSACTION")
    cursor.execute("UPDATE `rows` SET name = 'theirs' WHERE id = 11")
    cursor.execute("INSERT INTO parts (id) SELECT seq FROM seq_1_to_50")  # who has written less is undone
    with (
        pytest.raises(DryRunRefused, match="It was rolled back"),
        dry_run(),
        ThreadPoolExecutor(1) as pool,
        contextlib.suppress(DatabaseError),
    ):
        database.execute("UPDATE `rows` SET name = 'mine' WHERE id = 10")
        waiting = pool.submit(cursor.execute, "UPDATE `rows` SET name = 'theirs' WHERE id = 10")
        database.execute("UPDATE `rows` SET name = 'mine too' WHERE id = 11")
        waiting.result()
    other.rollback()
    other.close()
    assert database.committed() == ["kept", "a", "b"]
    database.execute("DELETE FROM `rows` WHERE id > 9")
