"""Transactions in a dry run: for the block they are what they ever are, and all of them are rolled back."""

import contextlib
import sqlite3
import unittest
from typing import Any, ClassVar

import pytest
from django.db import DatabaseError, IntegrityError, close_old_connections, connections, transaction
from django.test import TestCase

from sideeffects import dry_run
from sideeffects.dryrun import DryRunRefused, Writes
from tests.support.database import Database


def test_callbacks_run_where_the_block_would_have_committed(database: Database, send: Any) -> None:
    """Where the outermost transaction ends, and not when it rolls back; robust ones too."""
    seen: list[str] = []

    def fail() -> None:
        raise RuntimeError

    with dry_run() as plan:
        with database.atomic():
            with database.atomic():
                transaction.on_commit(lambda: (seen.append("in"), send("+1")), using="dry")  # type: ignore[func-returns-value]
                transaction.on_commit(fail, using="dry", robust=True)
            seen.append("still inside")
        seen.append("after")
        with pytest.raises(ZeroDivisionError), database.atomic():
            transaction.on_commit(lambda: seen.append("never"), using="dry")
            raise ZeroDivisionError
        transaction.on_commit(lambda: seen.append("at once"), using="dry")
    assert seen == ["still inside", "in", "after", "at once"]
    assert len(plan) == 1


def test_durable_transactions_are_durable_for_the_block(database: Database) -> None:
    """They may be outermost, and nowhere else: as without the dry run."""
    with dry_run():
        with database.atomic(durable=True):
            database.insert("one")
        with pytest.raises(RuntimeError, match="durable"), database.atomic(), database.atomic(durable=True):
            pass
        assert database.names() == ["kept", "one"]


def test_transactions_of_the_block_roll_back_as_ever(database: Database) -> None:
    """Inner ones, outer ones, and those that are marked for it."""
    with dry_run():
        with database.atomic():
            database.insert("one")
            with pytest.raises(ZeroDivisionError), database.atomic():
                database.insert("two")
                raise ZeroDivisionError
            database.insert("three")
        with database.atomic():
            database.insert("four")
            transaction.set_rollback(True, using="dry")
        with pytest.raises(IntegrityError), database.atomic():
            database.insert("five")
            database.insert("one")
        assert database.names() == ["kept", "one", "three"]


def test_a_failed_statement_undoes_itself_alone(database: Database) -> None:
    """Outside a transaction each statement is one."""
    with dry_run():
        database.insert("one")
        with pytest.raises(IntegrityError):
            database.insert("one")
        database.insert("two")
        with database.atomic():
            database.insert("three")
        with pytest.raises(DatabaseError):
            database.execute("SELECT * FROM nowhere")
        with pytest.raises(IntegrityError):
            database.insert("three")
        assert database.names() == ["kept", "one", "two", "three"]


def test_what_a_failed_statement_leaves_alone(database: Database) -> None:
    """All that went well before it: rows, several at once, and what a function wrote."""
    if database.is_postgres:
        body = "INSERT INTO rows (name) VALUES (name) RETURNING id"
        database.execute(f"CREATE OR REPLACE FUNCTION add(name text) RETURNS int LANGUAGE sql AS '{body}'")
    with dry_run():
        for statement in ("SELEC 1", "UPDATE rows SET nonsense", "INSERT INTO rows VALUES (1, 'y')"):
            database.execute("INSERT INTO rows (name) VALUES (%s) -- and nothing more", [statement])
            with pytest.raises(DatabaseError):
                database.execute(statement)
        written = ["kept", "SELEC 1", "UPDATE rows SET nonsense", "INSERT INTO rows VALUES (1, 'y')"]
        if database.is_postgres:
            database.execute("SELECT add('by a function')")
            with pytest.raises(DatabaseError):
                database.execute("SELECT 1 / 0")
            written.append("by a function")
        assert database.names() == written


def test_transactions_by_hand(database: Database) -> None:
    """`set_autocommit(False)`, `commit` and `rollback`."""
    with dry_run():
        transaction.set_autocommit(False, using="dry")
        database.insert("one")
        transaction.commit(using="dry")
        database.insert("two")
        transaction.rollback(using="dry")
        database.insert("three")
        transaction.commit(using="dry")
        transaction.set_autocommit(True, using="dry")
        assert database.names() == ["kept", "one", "three"]
    assert transaction.get_autocommit(using="dry")


def test_closing_keeps_what_the_block_has_committed(database: Database) -> None:
    """`close`, `close_all` and `close_old_connections`, between statements and in a transaction by hand."""
    with dry_run():
        database.insert("one")
        connections["dry"].close()
        database.insert("two")
        connections.close_all()
        close_old_connections()
        transaction.set_autocommit(False, using="dry")
        database.insert("three")
        connections["dry"].close()
        assert database.names() == ["kept", "one", "two"]
    assert database.committed() == ["kept"]


def test_closing_inside_a_transaction_is_refused(database: Database) -> None:
    """It would take with it what the block believes to be committed."""
    with pytest.raises(DryRunRefused, match="closed inside an atomic block"), dry_run(), database.atomic():
        database.insert("one")
        connections["dry"].close()


def test_a_connection_that_is_opened_inside_is_held_too(database: Database) -> None:
    """From its first statement on, and Django connects anew afterwards."""
    connections["dry"].close()
    with dry_run() as plan:
        assert connections["dry"].connection is None
        database.insert("one")
    assert connections["dry"].connection is None
    assert database.committed() == ["kept"]
    assert plan.writes == (Writes("dry", "rows", inserted=1),)


@pytest.mark.parametrize("statement", ["COMMIT", "/* x */ commit ;", "SELECT 1; COMMIT", "ROLLBACK", "BEGIN", "END"])
def test_ending_the_transaction_by_sql_is_refused(database: Database, statement: str) -> None:
    """Before it is sent, also when the block swallows the error."""
    with pytest.raises(DryRunRefused, match=r"begins or ends a transaction.*database\.py:\d+"), dry_run():
        database.insert("one")
        with pytest.raises(DryRunRefused):
            database.execute(statement)
        assert database.names() == ["kept", "one"]
    assert database.committed() == ["kept"]


@pytest.mark.parametrize("way", ["statement", "method", "script", "rollback"])
def test_ending_the_transaction_past_django_is_refused(database: Database, way: str) -> None:
    """On the driver's connection, swallowed or not."""
    with pytest.raises(DryRunRefused) as caught, dry_run():
        database.insert("one")
        raw = connections["dry"].connection
        with contextlib.suppress(Exception):
            if way == "statement":
                raw.execute("COMMIT")
            elif way == "method":
                raw.commit()
            elif way == "rollback":
                raw.rollback()
                raw.execute("INSERT INTO rows (name) VALUES ('two')")
                raw.commit()
            elif database.is_postgres:
                with raw.cursor() as cursor:
                    cursor.execute("INSERT INTO rows (name) VALUES ('two'); COMMIT")
            else:
                raw.executescript("INSERT INTO rows (name) VALUES ('two');")
    assert "dry" in str(caught.value)
    assert database.committed() == ["kept"]


def test_after_a_lost_transaction_nothing_more_is_done(database: Database) -> None:
    """The block cannot go on without protection."""
    if not database.is_postgres:
        pytest.skip("SQLite refuses before anything is lost")
    import psycopg

    with pytest.raises(DryRunRefused), dry_run():
        raw = connections["dry"].connection
        psycopg.Cursor(raw).execute("ROLLBACK")
        with pytest.raises(DatabaseError):
            database.insert("two")
        with pytest.raises(DryRunRefused, match="can no longer be used"):
            database.insert("three")
    assert database.committed() == ["kept"]


def test_constraints_are_checked_where_the_block_commits(database: Database) -> None:
    """Those that wait for the commit: with each statement outside a transaction, at its end inside."""
    with dry_run() as plan:
        database.execute("INSERT INTO rows (id, name) VALUES (98, 'before')")
        for returning in ("", " RETURNING id"):
            with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
                database.execute(f"INSERT INTO parts (row_id) VALUES (99){returning}")
        assert database.execute("SELECT COUNT(*) FROM parts") == [(0,)]
        with database.atomic():
            database.execute("INSERT INTO parts (row_id) VALUES (99)")
            database.execute("INSERT INTO rows (id, name) VALUES (99, 'late')")
        with pytest.raises(IntegrityError), database.atomic():
            database.execute("INSERT INTO parts (row_id) VALUES (100)")
        with pytest.raises(IntegrityError):
            database.execute("DELETE FROM rows WHERE id = 99")
        with pytest.raises(IntegrityError), database.atomic():
            database.execute("CREATE TABLE more (id int, part_id int REFERENCES parts DEFERRABLE INITIALLY DEFERRED)")
            with database.atomic():
                database.execute("INSERT INTO more VALUES (1, 99)")
        with pytest.raises(ZeroDivisionError), database.atomic():
            database.execute("INSERT INTO parts (row_id) VALUES (100)")
            raise ZeroDivisionError
        with database.atomic():
            database.execute("INSERT INTO rows (name) VALUES ('last')")
        assert database.execute("SELECT row_id FROM parts") == [(99,)]
        assert set(database.names()) == {"kept", "before", "late", "last"}
    assert {row.table: row.deleted for row in plan.writes if row.table in ("rows", "parts")} == {"rows": 1, "parts": 0}
    assert database.committed() == ["kept"]


def test_foreign_keys_are_checked_while_rows_are_read(database: Database) -> None:
    """Also after tables have changed, and not for what pointed nowhere before."""
    if database.is_postgres:
        pytest.skip("about SQLite")
    with sqlite3.connect(database.given["NAME"]) as connection:
        connection.execute("INSERT INTO parts (row_id) VALUES (7)")
    connection.close()
    with dry_run(), connections["dry"].cursor() as cursor:
        database.execute("CREATE TABLE more (id int)")
        cursor.execute("SELECT name FROM rows UNION ALL SELECT 'another'")
        assert cursor.fetchone() == ("kept",)
        database.execute("INSERT INTO parts (row_id) SELECT id FROM rows")
        with pytest.raises(IntegrityError):
            database.execute("INSERT INTO parts (row_id) VALUES (99)")
        assert cursor.fetchone() == ("another",)
        database.insert("one")
        assert database.execute("SELECT COUNT(*) FROM parts") == [(2,)]


def test_inside_a_transaction_the_block_has_its_own(database: Database) -> None:
    """What was open before goes on afterwards, with its callbacks; the block's callbacks run inside."""
    seen: list[str] = []
    with database.atomic():
        database.insert("outer")
        transaction.on_commit(lambda: seen.append("outer"), using="dry")
        with dry_run(), database.atomic(durable=True):
            database.insert("inner")
            transaction.on_commit(lambda: seen.append("inner"), using="dry")
        assert seen == ["inner"]
        database.insert("more")
    assert seen == ["inner", "outer"]
    assert database.committed() == ["kept", "outer", "more"]


def test_in_a_test_case(database: Database) -> None:
    """The transactions that Django's tests open count as none, and stay usable."""

    class Tests(TestCase):
        databases: ClassVar[set[str]] = {"dry"}

        def test(self) -> None:
            database.insert("fixture")
            with dry_run() as plan, database.atomic(durable=True):
                database.insert("one")
            assert database.names() == ["kept", "fixture"]
            assert plan.writes == (Writes("dry", "rows", inserted=1),)

    result = unittest.TestResult()
    unittest.TestSuite([Tests("test")]).run(result)
    assert result.testsRun == 1
    assert not result.errors + result.failures
    assert database.committed() == ["kept"]


def test_server_side_cursors(database: Database) -> None:
    """A query that is read in parts goes on while others fail or commit."""
    with dry_run():
        with connections["dry"].cursor() as cursor:
            cursor.executemany("INSERT INTO rows (name) VALUES (%s)", [(f"n{n}",) for n in range(50)])
        with connections["dry"].chunked_cursor() as cursor:
            cursor.execute("SELECT name FROM rows ORDER BY id")
            assert cursor.fetchmany(2) == [("kept",), ("n0",)]
            with pytest.raises(IntegrityError):
                database.insert("n1")
            with database.atomic():
                database.insert("between")
            assert cursor.fetchone() == ("n1",)


def test_ddl_and_truncate_are_rolled_back(database: Database) -> None:
    """Where the database can."""
    with dry_run() as plan:
        database.execute("CREATE TABLE more (id int)")
        database.execute("INSERT INTO more VALUES (1)")
        database.execute("TRUNCATE rows CASCADE" if database.is_postgres else "DELETE FROM rows")
        assert database.names() == []
    with pytest.raises(DatabaseError):
        database.execute("SELECT * FROM more")
    assert database.committed() == ["kept"]
    assert any(row.truncated or row.deleted for row in plan.writes if row.table == "rows")
    assert Writes("dry", "more", inserted=1, change="created", rows=1) in plan.writes
