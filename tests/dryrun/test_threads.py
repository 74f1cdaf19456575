"""Threads of a dry run: they execute nothing and write nothing, and others are not touched."""

import _thread
import asyncio
import contextlib
import contextvars
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections

from sideeffects import dry_run
from sideeffects.database.own_reads import is_own
from sideeffects.dryrun import DryRunRefused
from tests.dryrun.effects import executed
from tests.support.database import Database


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


def test_the_plan_does_not_tell_what_the_package_reads_for_itself(database: Database) -> None:
    """As the outbox does, which follows the pauses in a thread of its own."""

    def follow() -> list[str]:
        is_own.set(True)
        try:
            return database.names()
        finally:
            connections.close_all()

    with dry_run() as plan, ThreadPoolExecutor(1) as pool:
        assert pool.submit(follow).result() == ["kept"]
    assert not plan.remarks


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
            with pytest.raises(DryRunRefused, match="without Django"), dry_run(), contextlib.suppress(DryRunRefused):
                pool.submit(past_django).result()
        pool.submit(connections.close_all).result()
    assert database.committed() == ["kept"]


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
