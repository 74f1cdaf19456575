"""`with dry_run()`: on a real SQLite and a real PostgreSQL, everything runs, and nothing is kept or executed."""

import _thread
import asyncio
import contextlib
import contextvars
import json
import multiprocessing
import os
import queue
import socket
import sqlite3
import subprocess
import threading
import unittest
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.core.management.color import no_style
from django.db import DatabaseError, IntegrityError, close_old_connections, connections, models, transaction
from django.test import TestCase, override_settings
from django.test.utils import CaptureQueriesContext

from sideeffects import capture, dry_run, explain, force_run, side_effect
from sideeffects.dryrun import DryRunRefused, Writes
from sideeffects.dryrun.formats import as_json, as_markdown
from sideeffects.errors import UndeclaredSideEffect
from sideeffects.testing import isolated_registry
from tests.database import Database

executed: list[str] = []


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    executed.clear()
    with isolated_registry():
        yield


@pytest.fixture(params=["sqlite", "postgresql"])
def database(
    request: pytest.FixtureRequest, tmp_path: Path, production: None, django_db_blocker: Any
) -> Iterator[Database]:
    if request.param == "postgresql":
        given = request.getfixturevalue("postgres")
    else:
        given = {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(tmp_path / "dry.sqlite3"),
            "OPTIONS": {"timeout": 1},
        }
    with django_db_blocker.unblock():
        made = Database(given)
        made.insert("kept")
        try:
            yield made
            with made.atomic():
                made.insert("after")
            assert made.committed()[-1] == "after", "the connection no longer commits"
        finally:
            made.forget()


@pytest.fixture
def send() -> Any:
    @side_effect(name="sms.send", async_ok=True, sensitive=["token"])
    def send(to: str, token: str = "") -> str:
        """Send."""
        executed.append(to)
        return "sent"

    return send


def test_a_block_sees_what_it_writes_and_leaves_nothing(database: Database, send: Any) -> None:
    """Outside a transaction, inside one, and by the effects that it calls."""
    with dry_run() as plan:
        database.insert("one")
        send("+1")
        with database.atomic():
            database.insert("two")
            send("+2", token="hunter2")
        assert database.names() == ["kept", "one", "two"]
    assert database.committed() == database.names() == ["kept"]
    assert [call.arguments["to"] for call in plan] == ["+1", "+2"]
    assert plan.counts == {"sms.send": 2}
    assert executed == []
    assert "hunter2" not in str(plan)
    assert "sms.send(to='+1'" in str(plan)
    send("+3")
    assert executed == ["+3"]


def test_rows_are_counted_by_table(database: Database) -> None:
    """Each kind, also what is rolled back inside."""
    with dry_run() as plan:
        with connections["dry"].cursor() as cursor:
            cursor.executemany("INSERT INTO rows (name) VALUES (%s)", [(f"n{n}",) for n in range(5)])
        database.execute("UPDATE rows SET name = name || '!'")
        database.execute("DELETE FROM rows WHERE name = %s", ["n0!"])
        with pytest.raises(ZeroDivisionError), database.atomic():
            database.insert("undone")
            raise ZeroDivisionError
        database.execute("INSERT INTO parts (row_id) SELECT id FROM rows")
    assert plan.writes == (
        Writes("dry", "parts", inserted=5),
        Writes("dry", "rows", inserted=6, updated=6, deleted=1),
    )
    assert "6 inserted, 6 updated, 1 deleted" in str(plan)


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


def test_the_plan_says_what_a_rollback_prevents(database: Database, send: Any) -> None:
    """Effects that wait for a commit which never comes do not count; others happen although it rolls back."""

    @side_effect(name="mail.confirm", on_commit="dry")
    def confirm() -> None:
        """Confirm."""

    with dry_run() as plan:
        with database.atomic():
            confirm()
        with pytest.raises(ZeroDivisionError), database.atomic():
            confirm()
            send("+1")
            raise ZeroDivisionError
    assert plan.counts == {"mail.confirm": 1, "sms.send": 1}
    lines = str(plan).splitlines()
    assert lines[0] == "2 effects would have happened, in this order:"
    assert not lines[1].endswith("]")
    assert lines[2].endswith("[never, its transaction rolled back]")
    assert lines[3].endswith("[although its transaction rolled back]")


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


def test_a_cursor_shows_what_was_executed_and_no_more(database: Database) -> None:
    """What the dry run sends along is nobody else's: not the last query, no further result, no place in an error."""
    wrong = "INSERT INTO rows (name) VALUES (nothing)"
    with dry_run(), CaptureQueriesContext(connections["dry"]) as queries, connections["dry"].cursor() as cursor:
        cursor.execute("INSERT INTO rows (name) VALUES (%s), ('b;') RETURNING id", ["a;"])
        assert len(cursor.fetchall()) == 2
        assert not database.is_postgres or cursor.nextset() is None
        with pytest.raises(DatabaseError) as caught:
            cursor.execute(wrong)
    assert [query["sql"] for query in queries][1:] == [wrong]
    assert queries[0]["sql"].endswith("('b;') RETURNING id")
    assert not database.is_postgres or f"LINE 1: {wrong}\n" in str(caught.value)


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


def test_postgresql_itself_refuses_the_commit(database: Database) -> None:
    """Where nothing of ours sees the statement, and what the driver begins next is read-only."""
    if not database.is_postgres:
        pytest.skip("about PostgreSQL")
    import psycopg

    with pytest.raises(DryRunRefused, match="ended past Django"), dry_run():
        database.insert("one")
        raw = connections["dry"].connection
        with pytest.raises(psycopg.errors.FeatureNotSupported):
            psycopg.Cursor(raw).execute("COMMIT")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            psycopg.Cursor(raw).execute("INSERT INTO rows (name) VALUES ('two')")
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


def test_rows_that_are_returned_are_counted(database: Database) -> None:
    """As Django inserts them, one by one and many at once; what triggers add is not of the table."""
    if not database.is_postgres:
        database.execute("CREATE TRIGGER t AFTER INSERT ON rows BEGIN INSERT INTO parts (row_id) VALUES (new.id); END")
    with dry_run() as plan:
        database.execute("INSERT INTO rows (name) VALUES ('one') RETURNING id")
        with database.atomic():
            database.execute("INSERT INTO rows (name) VALUES ('two'), ('three') RETURNING id")
        database.execute("UPDATE rows SET name = name || '!' RETURNING id")
    counted = {row.table: row for row in plan.writes}
    assert counted["rows"] == Writes("dry", "rows", inserted=3, updated=4)
    assert database.is_postgres or counted[""] == Writes("dry", "", unattributed=3)


def test_threads_are_part_of_it(database: Database, send: Any) -> None:
    """Their effects are recorded, those of pools and of tasks too; what they write to databases is refused."""
    refused: list[BaseException] = []

    def work(number: str) -> None:
        send(number)
        try:
            database.insert(number)
        except DryRunRefused as error:
            refused.append(error)
        finally:
            connections["dry"].close()

    async def task() -> None:
        await asyncio.gather(asyncio.to_thread(send, "+3"))

    with pytest.raises(DryRunRefused, match="writes, in another thread"), dry_run() as plan:
        thread = threading.Thread(target=work, args=["+1"])
        thread.start()
        thread.join()
        with ThreadPoolExecutor() as pool:
            pool.submit(work, "+2").result()
        asyncio.run(task())
    assert [call.arguments["to"] for call in plan] == ["+1", "+2", "+3"]
    assert len(refused) == 2
    assert executed == []
    assert database.committed() == ["kept"]


def test_threads_without_an_object_are_part_of_it(database: Database, send: Any) -> None:
    """They execute nothing and write nothing."""
    done: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def work() -> None:
        send("+1")
        try:
            database.insert("raw")
        except DryRunRefused as error:
            done.put(error)
        else:
            done.put(None)
        finally:
            connections["dry"].close()

    with pytest.raises(DryRunRefused, match="writes, in another thread"), dry_run() as plan:
        _thread.start_new_thread(work, ())
        assert done.get(timeout=30) is not None
    assert len(plan) == 1
    assert executed == []
    assert database.committed() == ["kept"]


def test_threads_may_read(database: Database) -> None:
    """By their own connections, which see what is committed, and are as before afterwards."""

    def chunks() -> list[Any]:
        with database.atomic(), database.atomic(), connections["dry"].chunked_cursor() as cursor:
            cursor.execute("SELECT name FROM rows")
            return list(cursor.fetchmany(5))

    with ThreadPoolExecutor(1) as pool:
        pool.submit(database.insert, "before").result()
        with dry_run() as plan:
            database.insert("one")
            assert pool.submit(database.names).result() == ["kept", "before"]
            assert pool.submit(chunks).result() == [("kept",), ("before",)]
            asyncio.run(_in_a_thread(database.names))
        assert len(plan.remarks) == 2  # one for each place
        assert "what the dry run itself had written is not seen there" in str(plan)
        pool.submit(database.insert, "later").result()
        pool.submit(connections.close_all).result()
    assert not plan.refusals
    assert database.committed() == ["kept", "before", "later"]


async def _in_a_thread(function: Any) -> None:
    def work() -> None:
        function()
        connections.close_all()

    await asyncio.to_thread(work)


READS_THAT_WRITE = {
    "sqlite": (
        "WITH a AS (SELECT 1) INSERT INTO rows (name) VALUES ('x')",
        "PRAGMA user_version = 3",
        "CREATE TABLE more (id int)",
        "COMMIT",
    ),
    "postgresql": (
        "SELECT add('x')",
        "SELECT * FROM rows FOR UPDATE",
        "WITH a AS (INSERT INTO rows (name) VALUES ('x') RETURNING id) SELECT * FROM a",
        "SELECT nextval('rows_id_seq')",
        "COMMIT",
        "CALL put()",
        "SELECT 1; COMMIT; INSERT INTO rows (name) VALUES ('x')",
    ),
}


@pytest.mark.parametrize("is_atomic", [False, True])
def test_what_threads_read_writes_nothing(database: Database, is_atomic: bool) -> None:
    """Whatever it looks like, and past Django, on connections that were there before as well."""
    if database.is_postgres:
        body = "INSERT INTO rows (name) VALUES (name) RETURNING id"
        database.execute(f"CREATE OR REPLACE FUNCTION add(name text) RETURNS int LANGUAGE sql AS '{body}'")
        body = "BEGIN INSERT INTO rows (name) VALUES ('x'); COMMIT; END"
        database.execute(f"CREATE OR REPLACE PROCEDURE put() LANGUAGE plpgsql AS $$ {body} $$")
    statements = READS_THAT_WRITE["postgresql" if database.is_postgres else "sqlite"]

    def work(statement: str) -> None:
        with database.atomic() if is_atomic else contextlib.nullcontext():
            database.execute(statement)

    def past_django() -> None:
        database.names()
        connections["dry"].connection.execute("INSERT INTO rows (name) VALUES ('x')")

    with ThreadPoolExecutor(1) as pool:
        for statement in statements:
            with pytest.raises(DryRunRefused), dry_run(), contextlib.suppress(DryRunRefused):
                pool.submit(work, statement).result()
            pool.submit(database.names).result()
        if database.is_postgres:
            with pytest.raises(DryRunRefused, match="past Django"), dry_run(), contextlib.suppress(DryRunRefused):
                pool.submit(past_django).result()
        pool.submit(connections.close_all).result()
    assert database.committed() == ["kept"]


def test_threads_do_not_write_past_django(database: Database, tmp_path: Path) -> None:
    """On SQLite's own connection, also what they have sent before; whoever has the thread after the block may."""
    if database.is_postgres:
        pytest.skip("psycopg's own cursors are refused")
    insert = "INSERT INTO rows (name) VALUES ('past')"

    def send(statement: str) -> None:
        connections["dry"].connection.execute(statement)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(database.execute, "DELETE FROM rows").result()
        pool.submit(send, insert).result()
        pool.submit(database.execute, "UPDATE rows SET name = 'kept'").result()
        for statement in (
            insert,
            "CREATE TABLE past (id int)",
            "DROP TABLE rows",
            "ALTER TABLE rows RENAME TO past",
            "PRAGMA User_Version = 7",
            "VACUUM",
            f"ATTACH '{tmp_path}/past' AS past",
        ):
            with pytest.raises(DryRunRefused, match=r"past Django.* in another thread"), dry_run():
                assert pool.submit(database.names).result() == ["kept"]
                with pytest.raises(sqlite3.DatabaseError):
                    pool.submit(send, statement).result()
                pool.submit(send, "SELECT name FROM rows").result()
        assert database.execute("PRAGMA user_version") == [(0,)]
        assert database.committed() == ["kept"]
        pool.submit(send, insert).result()
        pool.submit(connections.close_all).result()
    assert database.committed() == ["kept", "past"]


def test_threads_do_not_wait_for_the_dry_run_for_ever(database: Database) -> None:
    """What it has locked they cannot read, and it may be waiting for them."""
    if not database.is_postgres:
        pytest.skip("about PostgreSQL")

    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(DryRunRefused, match="waits for a lock"), dry_run():
            database.execute("TRUNCATE rows CASCADE")
            with pytest.raises(DryRunRefused):
                pool.submit(database.names).result(20)
        pool.submit(connections.close_all).result()


def test_what_is_in_memory_is_read_in_its_own_thread(database: Database) -> None:
    """Another connection to it is another database, or waits for the dry run."""

    def read() -> None:
        with pytest.raises(DryRunRefused):
            connections["default"].cursor()

    with pytest.raises(DryRunRefused, match="another thread"), dry_run(), ThreadPoolExecutor(1) as pool:
        pool.submit(read).result()


def test_copies_of_the_context_that_outlive_the_block_write_nothing(database: Database) -> None:
    """Nobody would roll it back."""
    with dry_run():
        copied = contextvars.copy_context()
    with pytest.raises(DryRunRefused, match="writes"):
        copied.run(database.insert, "late")
    assert copied.run(database.names) == ["kept"]
    assert database.committed() == ["kept"]


def test_other_threads_are_not_touched(database: Database, send: Any) -> None:
    """What was started outside executes and commits, while the block runs."""
    entered, done = threading.Event(), threading.Event()

    def work() -> None:
        entered.wait(10)
        send("+1")
        if database.is_postgres:  # the block has SQLite's only lock
            database.insert("other")
        connections["dry"].close()
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    with dry_run() as plan:
        database.insert("one")
        entered.set()
        assert done.wait(10)
        send("+2")
    thread.join()
    assert executed == ["+1"]
    assert [call.arguments["to"] for call in plan] == ["+2"]
    assert database.committed() == (["kept", "other"] if database.is_postgres else ["kept"])


def test_work_that_outlives_the_block_stays_harmless(database: Database, send: Any) -> None:
    """A thread that goes on executes nothing, and cannot write."""
    left, refused = threading.Event(), []

    def work() -> None:
        left.wait(10)
        send("+1")
        try:
            database.insert("late")
        except DryRunRefused as error:
            refused.append(error)
        finally:
            connections["dry"].close()

    with dry_run():
        thread = threading.Thread(target=work)
        thread.start()
    left.set()
    thread.join()
    assert executed == []
    assert refused
    assert database.committed() == ["kept"]


def test_nothing_that_the_block_says_lets_an_effect_out(database: Database, send: Any) -> None:
    """`force_run` inside a dry run forces nothing, and a capture inside sees what the plan sees."""
    with dry_run() as plan, force_run("sms.send"), capture() as calls:
        send("+1")
        send.enqueue("+2").result(timeout=10)
        assert "dry run" in explain("sms.send").reason
    assert executed == []
    assert len(plan) == len(calls) == 2


def test_the_plan_says_what_the_settings_would_decide(database: Database, send: Any) -> None:
    """Of each call, with its true arguments, whatever holds while it is planned."""

    @side_effect(name="mail.send")
    def mail() -> None:
        """Mail."""

    @side_effect(name="card.charge")
    def charge() -> None:
        """Charge."""

    def allow(effect: Any, arguments: Any) -> str:
        if arguments["token"] == "hunter2":
            raise ValueError(arguments["token"])
        return "execute" if arguments["to"] == "+1" else "record"

    rules = {"POLICY": {"sms.*": allow, "card.*": "raise"}}
    with override_settings(SIDE_EFFECTS=rules), dry_run() as plan, force_run("card.charge"):
        for call in (lambda: send("+1"), lambda: send("+2"), lambda: send("+1", token="hunter2"), mail, charge):
            call()
    assert [plan.for_real(call).mode.value for call in plan] == ["execute", "record", "raise", "execute", "raise"]
    lines = [line.partition("  [")[2].rstrip("]") for line in str(plan).splitlines()[1:6]]
    assert [line.split(":")[0] for line in lines] == [
        "",
        "only recorded for real too",
        *["refused for real too", ""] * 2,
    ][:5]
    assert "hunter2" not in str(plan) + as_json(plan) + as_markdown(plan)
    assert json.loads(as_json(plan))["effects"][4]["for_real"] == {
        "mode": "raise",
        "reason": "POLICY['card.*'] is RAISE",
    }
    assert "refused for real too" in as_markdown(plan)


def test_stubs_answer(database: Database, send: Any) -> None:
    """Values by name, and exceptions."""
    with dry_run(stub={"sms.send": "stubbed"}) as plan:
        assert send("+1") == "stubbed"
    with dry_run(stub={send: OSError("no gateway")}), pytest.raises(OSError, match="no gateway"):
        send("+1")
    assert len(plan) == 1
    assert executed == []


def test_dry_runs_nest(database: Database, send: Any) -> None:
    """The inner one takes back its own, and its effects are in both plans."""
    with dry_run() as outer:
        database.insert("one")
        with dry_run() as inner:
            database.insert("two")
            send("+1")
            assert database.names() == ["kept", "one", "two"]
        assert database.names() == ["kept", "one"]
        send("+2")
        with database.atomic(), dry_run():
            database.insert("three")
        assert database.names() == ["kept", "one"]
    assert len(inner) == 1
    assert len(outer) == 2
    assert inner.writes == (Writes("dry", "rows", inserted=1),)


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


def test_what_no_rollback_takes_back_is_refused(database: Database) -> None:
    """Statements that act outside the transaction."""
    if not database.is_postgres:
        pytest.skip("about PostgreSQL")
    for statement, reason in (
        ("SELECT setval('rows_id_seq', 99)", "sets a sequence"),
        ("""SELECT "setval"('rows_id_seq', 99)""", "sets a sequence"),
        ("DO $$ BEGIN PERFORM setval('rows_id_seq', 99); END $$", "sets a sequence"),
        ("COPY rows TO PROGRAM 'cat'", "runs a program"),
        ("SELECT pg_reload_conf()", "acts outside"),
        ("VACUUM rows", "cannot run inside a transaction"),
        ("CREATE INDEX CONCURRENTLY i ON rows (name)", "cannot run inside a transaction"),
    ):
        with pytest.raises(DryRunRefused, match=reason), dry_run(), contextlib.suppress(DatabaseError):
            database.execute(statement)
    assert database.execute("SELECT nextval('rows_id_seq')") == [(2,)]


class Row(models.Model):
    """The table `rows`."""

    name = models.CharField(max_length=40)

    class Meta:
        app_label, db_table, managed = "dry_runs", "rows", False

    def __str__(self) -> str:
        return self.name


def test_sequences_that_django_sets_are_left_alone(database: Database) -> None:
    """As `loaddata` does at its end: the answer is the same, the plan says it, and nobody's sequence is touched."""
    if not database.is_postgres:
        pytest.skip("about PostgreSQL")
    (reset,) = database.connection.ops.sequence_reset_sql(no_style(), [Row])
    state = "SELECT last_value, is_called FROM rows_id_seq"
    before = database.execute(state)
    with dry_run() as plan:
        database.execute("INSERT INTO rows (id, name) VALUES (7, 'seven')")
        assert database.execute(reset) == [(7,)]
        with database.atomic():
            database.execute("DELETE FROM rows")
            assert database.execute(reset) == [(1,)]
        assert database.execute(state) == before
    assert database.execute(state) == before == [(1, True)]
    (remark,) = {remark.partition(" (")[0] for remark in plan.remarks}
    assert remark == (
        "the sequence of rows.id was not set, since no rollback would take that back: rows that are added after it in "
        "this run may meet keys that are taken"
    )
    for other in (
        reset + reset,
        reset.replace("1)", "nextval('rows_id_seq'))", 1),
        reset.replace('FROM "rows"', 'FROM "parts"'),
        reset.replace("'id'", "'i''d'"),
        reset.removesuffix(";") + " WHERE setval('rows_id_seq', 9) > 0;",
    ):
        with pytest.raises(DryRunRefused, match="sets a sequence"), dry_run():
            database.execute(other)
    with pytest.raises(DryRunRefused, match="sets a sequence"), dry_run(), database.connection.cursor() as cursor:
        cursor.executemany(reset, [()])
    assert database.execute(state) == before


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
    assert Writes("dry", "more", inserted=1) in plan.writes


def test_a_block_that_fails_leaves_nothing(database: Database) -> None:
    """Its own exception arrives, also out of a transaction, and by `sys.exit`."""
    for error in (ZeroDivisionError, SystemExit, KeyboardInterrupt):
        with pytest.raises(error), dry_run(), database.atomic():
            database.insert("one")
            raise error
    assert database.committed() == ["kept"]


def test_a_database_that_no_dry_run_knows_is_refused(database: Database, send: Any) -> None:
    """When it is used, and not before."""
    connections.settings["strange"] = {**connections["default"].settings_dict, "ENGINE": "django.db.backends.dummy"}
    try:
        with dry_run():
            send("+1")
        with pytest.raises(DryRunRefused, match="dry runs know PostgreSQL and SQLite"), dry_run():
            connections["strange"].cursor()
    finally:
        del connections["strange"], connections.settings["strange"]


def test_child_processes_are_refused(database: Database) -> None:
    """Those of multiprocessing, of pools, forks and programs: nothing would be held back in them."""
    for start in (
        lambda: multiprocessing.get_context("spawn").Process(target=print).start(),
        lambda: ProcessPoolExecutor(1).submit(print),
        lambda: os.fork() and None,
        lambda: subprocess.run(["/bin/true"], check=True),
        lambda: os.system("true"),
    ):
        refused = pytest.raises(DryRunRefused, match=r"child process|undeclared call to the outside")
        with refused, dry_run(), contextlib.suppress(Exception):
            start()


def test_undeclared_calls_are_refused(database: Database) -> None:
    """The guard raises, and what the block swallows shows at its end."""
    with pytest.raises(DryRunRefused, match=r"nowhere\.invalid"), dry_run() as plan, contextlib.suppress(Exception):
        socket.getaddrinfo("nowhere.invalid", 80)
    assert len(plan.refusals) == 1
    with pytest.raises(UndeclaredSideEffect), dry_run():
        socket.getaddrinfo("nowhere.invalid", 80)


def test_connections_past_django_are_refused(database: Database) -> None:
    """Nothing would roll them back."""
    if not database.is_postgres:
        pytest.skip("about psycopg")
    with pytest.raises(DryRunRefused, match="past Django"), dry_run():
        database.connect()
    database.connect().close()


def test_sqlite_files_of_django_are_not_opened_past_it(database: Database, tmp_path: Path) -> None:
    """By their names or as URIs; other files are nobody's business, and neither is what happens outside."""
    if database.is_postgres:
        pytest.skip("about SQLite")
    name = database.given["NAME"]
    with dry_run():
        sqlite3.connect(tmp_path / "other.sqlite3").close()
        sqlite3.connect(":memory:").close()
    for given in (name, f"file:{name}?mode=rwc"):
        with pytest.raises(DryRunRefused, match="past Django"), dry_run():
            sqlite3.connect(given, uri=True)
    assert database.committed() == ["kept"]


def test_what_sqlite_cannot_take_back_is_refused(database: Database, tmp_path: Path) -> None:
    """Also where the block swallows SQLite's own error, and after a conflict that has ended the transaction."""
    if database.is_postgres:
        pytest.skip("about SQLite")
    other = tmp_path / "other.sqlite3"
    for statement, reason in ((f"ATTACH '{other}' AS o", "no rollback takes the file back"), ("VACUUM", "inside a tr")):
        with pytest.raises(DryRunRefused, match=reason), dry_run(), contextlib.suppress(DatabaseError):
            database.execute(statement)
    assert not other.exists()
    with pytest.raises(DryRunRefused, match="ended past Django"), dry_run():
        raw = connections["dry"].connection
        with pytest.raises(sqlite3.IntegrityError):
            raw.execute("INSERT OR ROLLBACK INTO rows (name) VALUES ('kept')")
        with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
            raw.execute("INSERT INTO rows (name) VALUES ('two')")
    assert database.committed() == ["kept"]


@pytest.mark.parametrize("journal", ["wal", "delete", "memory"])
@pytest.mark.parametrize("is_atomic", [False, True])
def test_sqlite_takes_no_backup_from_elsewhere(
    production: None, tmp_path: Path, django_db_blocker: Any, journal: str, is_atomic: bool
) -> None:
    """Which would replace the file at once; also as the first that happens, and in a transaction of somebody else's."""
    name = ":memory:" if journal == "memory" else str(tmp_path / "dry.sqlite3")
    source = sqlite3.connect(":memory:")
    source.executescript("CREATE TABLE rows (id int, name text); INSERT INTO rows VALUES (1, 'from elsewhere')")
    with django_db_blocker.unblock():
        database = Database({"ENGINE": "django.db.backends.sqlite3", "NAME": name})
        try:
            database.execute(f"PRAGMA journal_mode = {journal}")
            database.insert("kept")
            with database.atomic() if is_atomic else contextlib.nullcontext():
                with dry_run():
                    with pytest.raises(sqlite3.OperationalError, match="in use"):
                        source.backup(database.connection.connection)
                    with dry_run(), pytest.raises(sqlite3.OperationalError, match="in use"):
                        source.backup(database.connection.connection)
                assert database.names() == ["kept"]
            database.connection.close()
            with dry_run():
                database.connection.ensure_connection()
                with pytest.raises(sqlite3.OperationalError, match="in use"):
                    source.backup(database.connection.connection)
            assert journal == "memory" or database.committed() == ["kept"]
        finally:
            raw = database.connection.connection
            database.forget()
            if raw is not None:  # Django leaves open what is in memory
                raw.close()
            source.close()


def test_advisory_locks_are_given_back(database: Database) -> None:
    """They are no part of the transaction; those that were there before stay, and their loss is told."""
    if not database.is_postgres:
        pytest.skip("about PostgreSQL")
    held = "SELECT COALESCE(SUM(objid::int), 0) FROM pg_locks WHERE locktype = 'advisory'"
    database.execute("SELECT pg_advisory_lock(1)")
    with dry_run():
        for lock in ("pg_advisory_lock(2)", "pg_advisory_lock(2)", "pg_advisory_lock_shared(-4, 8)"):
            database.execute(f"SELECT {lock}")
        database.execute("SELECT pg_advisory_lock(-16)")
    assert database.execute(held) == [(1,)]
    with pytest.raises(DryRunRefused, match="advisory lock"), dry_run():
        database.execute("SELECT pg_advisory_unlock_all()")
    with database.atomic():
        with dry_run():
            database.execute("SELECT pg_advisory_lock(2)")
        assert database.execute(held) == [(0,)]


def test_rows_that_are_copied(database: Database) -> None:
    """Psycopg's own ways of writing and reading go through the same gate."""
    if not database.is_postgres:
        pytest.skip("about psycopg")
    import psycopg

    with dry_run() as plan, connections["dry"].cursor() as cursor:
        with cursor.copy("COPY rows (name) FROM STDIN") as copy:
            copy.write_row(["copied"])
        with pytest.raises(psycopg.errors.UniqueViolation), cursor.copy("COPY rows (name) FROM STDIN") as copy:
            copy.write_row(["copied"])
        assert [name for (name,) in cursor.stream("SELECT name FROM rows ORDER BY id")] == ["kept", "copied"]
        with pytest.raises(IntegrityError):
            cursor.executemany("INSERT INTO rows (name) VALUES (%s)", [("new",), ("copied",)])
        database.insert("after all")
        assert database.names() == ["kept", "copied", "after all"]
    assert plan.writes[0].table == "rows"
    program = "COPY rows TO PROGRAM 'cat'"
    refused = pytest.raises(DryRunRefused, match="runs a program")
    with refused, dry_run(), connections["dry"].cursor() as cursor, cursor.copy(program):
        pass


def test_a_role_that_may_not_write(database: Database) -> None:
    """Where the server lets it only read, there is nothing to refuse, and nothing is made in the database."""
    if not database.is_postgres:
        pytest.skip("about PostgreSQL")
    database.execute("SET default_transaction_read_only = on")
    with dry_run() as plan:
        assert database.names() == ["kept"]
        with pytest.raises(DatabaseError, match="read-only"):
            database.insert("one")
        assert database.names() == ["kept"]
    assert not plan.writes
    database.execute("SET default_transaction_read_only = off")


def test_a_role_without_temporary_tables_is_refused(database: Database) -> None:
    """The server could not be made to refuse a commit."""
    if not database.is_postgres:
        pytest.skip("about PostgreSQL")
    database.execute("DROP ROLE IF EXISTS modest")
    database.execute("CREATE ROLE modest")
    name = database.given["NAME"]
    database.execute(f'REVOKE TEMPORARY ON DATABASE "{name}" FROM PUBLIC')
    database.execute("SET ROLE modest")
    try:
        with pytest.raises(DryRunRefused, match="may make temporary tables"), dry_run():
            pytest.fail("it has begun")
    finally:
        database.execute("RESET ROLE")
        database.execute(f'GRANT TEMPORARY ON DATABASE "{name}" TO PUBLIC')
        database.execute("DROP ROLE modest")


def test_where_the_server_does_not_count_the_statements_do(database: Database) -> None:
    """With `track_counts` off, by table as far as statements tell."""
    if not database.is_postgres:
        pytest.skip("about PostgreSQL")
    database.execute("SET track_counts = off")
    with dry_run() as plan:
        database.insert("one")
        database.execute("UPDATE rows SET name = name || '!'")
    database.execute("RESET track_counts")
    assert plan.writes == (Writes("dry", "rows", inserted=1, updated=2),)


def test_what_triggers_write_on_sqlite_is_unattributed(database: Database) -> None:
    """It is counted by the driver, and no statement says where it went."""
    if database.is_postgres:
        pytest.skip("PostgreSQL counts by table")
    database.execute("CREATE TRIGGER t AFTER INSERT ON rows BEGIN INSERT INTO parts (row_id) VALUES (new.id); END")
    with dry_run() as plan:
        database.insert("one")
    assert plan.writes == (Writes("dry", "rows", inserted=1), Writes("dry", "", unattributed=1))
    assert "(table not known)  1 unattributed" in str(plan)
