"""`with dry_run()`: on a real SQLite and a real PostgreSQL, everything runs, and nothing is kept or executed."""

import contextlib
import json
import multiprocessing
import os
import socket
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
from django.db import DatabaseError, connections
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from sideeffects import capture, dry_run, explain, force_run, side_effect
from sideeffects.dryrun import DryRunRefused, Writes
from sideeffects.dryrun.formats import as_markdown
from sideeffects.dryrun.plan_data import as_data, as_json
from sideeffects.errors import UndeclaredSideEffect
from tests.dryrun.effects import executed
from tests.support.database import Database


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
    assert "hunter2" not in str(plan) + as_json(plan) + as_markdown(as_data(plan))
    assert json.loads(as_json(plan))["effects"][4]["for_real"] == {
        "mode": "raise",
        "reason": "POLICY['card.*'] is RAISE",
    }
    assert "refused for real too" in as_markdown(as_data(plan))


def test_stubs_answer(database: Database, send: Any) -> None:
    """Values by name, and exceptions."""
    with dry_run(stub={"sms.send": "stubbed"}) as plan:
        assert send("+1") == "stubbed"
    with dry_run(stub={send: OSError("no gateway")}), pytest.raises(OSError, match="no gateway"):
        send("+1")
    assert len(plan) == 1
    assert executed == []


def test_dry_runs_nest_before_the_database_is_opened(database: Database) -> None:
    """The inner one opens it, and the outer one has it from then on."""
    database.connection.close()
    with dry_run():
        with dry_run() as inner:
            database.insert("inner")
        assert inner.writes == (Writes("dry", "rows", inserted=1),)
        database.insert("outer")
        with dry_run():
            assert database.names() == ["kept", "outer"]
    assert database.committed() == ["kept"]


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
        with pytest.raises(DryRunRefused, match="dry runs know SQLite, PostgreSQL"), dry_run():
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


@pytest.mark.skipif(sys.version_info < (3, 14), reason="interpreters of one process came with Python 3.14")
def test_other_interpreters_are_refused(database: Database) -> None:
    """Those that are there already, and pools of them: nothing would be held back in them."""
    from concurrent import futures, interpreters  # type: ignore[attr-defined] # from 3.14 on

    other = interpreters.create()
    pool = futures.InterpreterPoolExecutor(1)  # type: ignore[attr-defined] # as above
    pool.submit(len, "there").result(60)
    for hand_over in (
        lambda: other.exec("pass"),
        lambda: other.call(len, "abc"),
        lambda: other.call_in_thread(len, "abc"),
        lambda: pool.submit(len, "abc"),
        lambda: list(pool.map(len, ["abc"])),
    ):
        with pytest.raises(DryRunRefused, match="another interpreter"), dry_run(), contextlib.suppress(Exception):
            hand_over()
    assert pool.submit(len, "after it").result(60) == len("after it")
    pool.shutdown()
    other.close()


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
    with pytest.raises(DryRunRefused, match="without Django"), dry_run():
        database.connect()
    database.connect().close()
