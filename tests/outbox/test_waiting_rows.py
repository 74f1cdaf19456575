"""Rows that share INSERTs are there whenever anybody could tell, whatever a transaction does."""

from typing import Any

import pytest
from django.db import DatabaseError, connections, transaction
from django.db.utils import ConnectionDoesNotExist
from django.test import override_settings
from hypothesis import HealthCheck, example, given, settings, strategies

from sideeffects import dry_run, hold, side_effect

STEPS = strategies.lists(
    strategies.sampled_from(["call", "call", "call", "read", "begin", "keep", "undo", "raw"]), max_size=25
)


class Undone(Exception):
    pass


@pytest.fixture
def send(outbox: Any) -> Any:
    @side_effect(name="sms.send")
    def send(number: int) -> None:
        raise AssertionError

    return send


def numbers(outbox: Any) -> list[int]:
    return sorted(row.arguments["number"] for row in outbox.all())


@example(steps=["call", "begin", "undo"], commits=True, batch=100)
@example(steps=["begin", "call", "keep", "call", "begin", "call", "undo"], commits=True, batch=100)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, commits=strategies.booleans(), batch=strategies.sampled_from([1, 2, 3, 100]))
def test_what_a_transaction_keeps_is_there_and_nothing_else(
    outbox: Any, send: Any, monkeypatch: pytest.MonkeyPatch, steps: list[str], commits: bool, batch: int
) -> None:
    """Nested blocks that are kept or undone, reads by Django and past it, in any order."""
    from sideeffects.database import waiting_rows

    monkeypatch.setattr(waiting_rows, "BATCH", batch)
    outbox.all().delete()
    connection = connections["outbox"]
    blocks: list[tuple[Any, list[int]]] = []  # with what was there when each began
    there: list[int] = []

    def enter() -> None:
        blocks.append((transaction.atomic("outbox"), list(there)))
        blocks[-1][0].__enter__()

    def leave(*, keep: bool) -> None:
        block, before = blocks.pop()
        if keep:
            block.__exit__(None, None, None)
        else:
            block.__exit__(Undone, Undone(), None)
            there[:] = before

    with hold():
        enter()
        for number, step in enumerate(steps):
            if step == "call":
                send(number)
                there.append(number)
            elif step == "read":
                assert numbers(outbox) == there
            elif step == "raw":
                with connection.cursor() as cursor:
                    cursor.execute('SELECT count(*) FROM "sideeffects_outbox_heldcall"')
                    assert cursor.fetchone() == (len(there),)
            elif step == "begin":
                enter()
            elif len(blocks) > 1:
                leave(keep=step == "keep")
        while len(blocks) > 1:
            leave(keep=True)
        leave(keep=commits)
    assert numbers(outbox) == there
    assert not connection.execute_wrappers
    assert not {"_commit", "_rollback", "_close", "_side_effects_waiting"} & set(vars(connection))


def test_a_connection_that_is_lost_takes_its_rows_along(outbox: Any, send: Any) -> None:
    """Those of a transaction that never committed are not written by the next one."""
    with hold():
        with transaction.atomic("outbox"):
            send(1)
            connections["outbox"].close()
        with transaction.atomic("outbox"):
            send(2)
    assert numbers(outbox) == [2]


def test_wrappers_of_others_are_left_alone(outbox: Any, send: Any) -> None:
    """Django takes off the last one that was put on, whoever did it."""
    seen: list[str] = []

    def note(execute: Any, sql: str, *rest: Any) -> Any:
        seen.append(sql)
        return execute(sql, *rest)

    with hold(), transaction.atomic("outbox"):
        with connections["outbox"].execute_wrapper(note):
            send(1)
        before = len(seen)
        outbox.count()
        assert len(seen) == before
    assert numbers(outbox) == [1]


def test_a_dry_run_inside_the_transaction_does_not_take_them_back(outbox: Any, send: Any) -> None:
    """They were made before it began."""
    with hold(), transaction.atomic("outbox"):
        send(1)
        with dry_run():
            assert numbers(outbox) == [1]
            send(2)
    assert numbers(outbox) == [1]


def test_a_row_that_cannot_be_written_undoes_the_transaction(outbox: Any, send: Any) -> None:
    """At the commit, where Django rolls back: what the rows belong to is not kept without them."""
    with connections["outbox"].cursor() as cursor:
        cursor.execute("CREATE TABLE orders (id integer)")
        cursor.execute(
            "CREATE TRIGGER no BEFORE INSERT ON sideeffects_outbox_heldcall BEGIN SELECT RAISE(FAIL, 'no'); END"
        )
    with hold(), pytest.raises(DatabaseError, match="no"), transaction.atomic("outbox"):
        with connections["outbox"].cursor() as cursor:
            cursor.execute("INSERT INTO orders VALUES (1)")
        send(1)
    with connections["outbox"].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM orders")
        assert cursor.fetchone() == (0,)


@pytest.mark.parametrize("outbox", ["sqlite", "postgres", "mariadb"], indirect=True)
def test_ctrl_c_while_they_are_written_undoes_the_transaction(outbox: Any, send: Any) -> None:
    """At the commit, where Django would turn autocommit on; and at a savepoint, if somebody goes on all the same."""
    connection = connections["outbox"]

    def interrupt(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith("INSERT") and "heldcall" in sql:
            raise KeyboardInterrupt
        return execute(sql, *rest)

    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE orders (id integer)")
    with hold(), connection.execute_wrapper(interrupt):
        with pytest.raises(KeyboardInterrupt), transaction.atomic("outbox"):
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO orders VALUES (1)")
            send(1)
        with transaction.atomic("outbox"):
            with connections["outbox"].cursor() as cursor:
                cursor.execute("INSERT INTO orders VALUES (2)")
            send(2)
            with pytest.raises(KeyboardInterrupt), transaction.atomic("outbox"):
                pass
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM orders")
        assert cursor.fetchone() == (0,)
        cursor.execute("DROP TABLE orders")
    assert numbers(outbox) == []


@pytest.mark.parametrize("outbox", ["postgres", "mariadb"], indirect=True)
def test_without_autocommit_the_transaction_stays_the_callers(outbox: Any, send: Any) -> None:
    """A block inside it commits nothing, with held calls as without."""
    transaction.set_autocommit(False, "outbox")
    with hold():
        with transaction.atomic("outbox"):
            send(1)
        transaction.rollback("outbox")
        with transaction.atomic("outbox"):
            send(2)
        send(3)
        transaction.commit("outbox")
    assert not transaction.get_autocommit("outbox")
    transaction.rollback("outbox")
    transaction.set_autocommit(True, "outbox")
    assert numbers(outbox) == [2, 3]


def test_other_databases_are_not_waited_on(outbox: Any, send: Any, django_db_blocker: Any) -> None:
    """A transaction on another alias keeps nothing and undoes nothing: the row is written at once."""
    with hold(), pytest.raises(Undone), transaction.atomic("default"):
        send(1)
        raise Undone
    assert numbers(outbox) == [1]
    elsewhere = override_settings(SIDE_EFFECTS={"OUTBOX": {"DATABASE": "gone"}})
    with elsewhere, hold(), pytest.raises(ConnectionDoesNotExist, match="gone"):
        send(2)
