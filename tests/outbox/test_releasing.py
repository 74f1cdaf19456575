"""A released call is executed once, by one worker, as it was held; or it is kept, and says why."""

import threading
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, transaction
from django.test import override_settings

from sideeffects import current_call, force_run, hold, observe, record, side_effect

ALL = pytest.mark.parametrize("outbox", ["sqlite", "postgres", "mariadb"], indirect=True)


class Sms:
    """An effect that notes what it sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str | None]] = []
        self.ids: list[str] = []

        @side_effect(name="sms.send", sensitive=["pin"])
        def send(to: str, body: str = "x", *, pin: str | None = None) -> None:
            self.ids.append(current_call().id)
            if to == "bad":
                raise ValueError(f"no {pin}")
            self.sent.append((to, body, pin))

        self.send = send


@pytest.fixture
def sms(outbox: Any) -> Sms:
    return Sms()


def ids(outbox: Any) -> list[int]:
    return list(outbox.order_by("pk").values_list("pk", flat=True))


@ALL
def test_released_calls_are_executed_once_and_in_order(outbox: Any, sms: Sms) -> None:
    """With their true arguments; what failed is run again by `retry` alone, under the same id."""
    from sideeffects.outbox import actions

    with hold():
        sms.send("ann", pin="secret-pin")
        sms.send("bad", pin="secret-pin")
        sms.send("ben", body="y")
    calls = []
    forget = observe(calls.append)
    statements: list[str] = []

    def note(execute: Any, sql: str, *rest: Any) -> Any:
        statements.append(sql)
        return execute(sql, *rest)

    with hold(), connections["outbox"].execute_wrapper(note):  # still held: releasing lifts it
        result = actions.release(ids(outbox), by="eve")
        again = actions.release(ids(outbox), by="eve")
    forget()
    assert (result.changed, result.done, result.failed, result.missed) == (3, 2, 1, [])
    assert (again.changed, again.done, again.missed) == (0, 0, ids(outbox))
    assert sms.sent == [("ann", "x", "secret-pin"), ("ben", "y", None)]
    locking = [sql for sql in statements if "SKIP LOCKED" in sql]
    assert len(locking) == (0 if connections["outbox"].vendor == "sqlite" else 3)
    failed = outbox.get(state="failed")
    assert failed.error == "ValueError: no [redacted]"
    assert (failed.by, failed.attempts, failed.duration >= 0) == ("eve", 1, True)
    assert [call.id for call in calls] == [row.call_id for row in outbox.order_by("pk")]
    assert actions.retry(ids(outbox), by="eve").failed == 1
    failed.refresh_from_db()
    assert sms.ids == [*(row.call_id for row in outbox.order_by("pk")), failed.call_id]
    assert (failed.attempts, failed.state) == (2, "failed")


@ALL
def test_two_people_release_the_same_calls(outbox: Any, sms: Sms) -> None:
    """Each is executed once, by one of them."""
    from sideeffects.outbox import actions

    if connections["outbox"].vendor == "sqlite":
        pytest.skip("SQLite lets one process write at a time, and tells the other so")
    with hold(), transaction.atomic("outbox"):
        for number in range(40):
            sms.send(str(number))
    together, done = threading.Barrier(2), []

    def release() -> None:
        together.wait()
        done.append(actions.release(ids(outbox), by="eve").done)
        connections["outbox"].close()

    threads = [threading.Thread(target=release) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(done) == 40
    assert sorted(sms.sent) == sorted((str(number), "x", None) for number in range(40))


def test_inside_a_transaction_they_are_executed_after_it(outbox: Any, sms: Sms) -> None:
    """What is to be executed has been committed as released: not before, and not when it rolls back."""
    from sideeffects.outbox import actions

    with hold():
        sms.send("ann")
    with pytest.raises(ZeroDivisionError), transaction.atomic("outbox"):
        actions.release(ids(outbox), by=str(actions.release(ids(outbox), by="eve").changed // 0))
    assert (sms.sent, outbox.get().state) == ([], "held")
    with transaction.atomic("outbox"):
        actions.release(ids(outbox), by="eve")
        assert sms.sent == []
    assert (sms.sent, outbox.get().state) == ([("ann", "x", None)], "done")


@ALL
def test_where_nothing_is_committed_nothing_is_executed(outbox: Any, sms: Sms) -> None:
    """With autocommit off, or in a transaction around a worker, a call that runs would be taken again after a crash."""
    from sideeffects.errors import SideEffectError
    from sideeffects.outbox import actions

    with hold():
        sms.send("ann")
    transaction.set_autocommit(False, "outbox")
    outbox.update(state="released")
    for do in (lambda: actions.release(ids(outbox), by="eve"), lambda: actions.execute_kept(str(outbox.get().pk))):
        with pytest.raises(SideEffectError, match="autocommit is off on the database 'outbox': nothing can be"):
            do()
    transaction.rollback("outbox")
    transaction.set_autocommit(True, "outbox")
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic("outbox"):
        outbox.update(state="released")
        actions.execute_kept(str(outbox.get().pk))
    assert (sms.sent, outbox.get().state) == ([], "held")


def test_what_is_stricter_by_now_keeps_the_call(outbox: Any, sms: Sms) -> None:
    """Releasing lifts a HOLD; a RECORD is not lifted, and nothing is lost."""
    from sideeffects.outbox import actions

    with hold():
        sms.send("ann")
    with record():
        assert actions.release(ids(outbox), by="eve").kept == 1
    row = outbox.get()
    assert (sms.sent, row.state) == ([], "held")
    assert row.error.startswith("it was released, and not executed: RECORD: recorded by record()")
    with force_run("sms.*"):
        assert actions.release(ids(outbox), by="eve").done == 1
    assert outbox.get().error == ""


def test_a_ledger_that_cannot_be_written_keeps_the_calls(outbox: Any, sms: Sms, tmp_path: Path) -> None:
    """Nothing was executed, so they are held as before, and not 'perhaps done'; the others have their turn."""
    from sideeffects.outbox import actions

    with hold():
        sms.send("ann")
        sms.send("ben")
    ledger = {"BACKEND": "file", "PATH": str(tmp_path / "nowhere" / "ledger")}
    with override_settings(SIDE_EFFECTS={"OUTBOX": {"DATABASE": "outbox"}, "LEDGER": ledger}):
        assert actions.release(ids(outbox), by="eve").kept == 2
    assert [row.state for row in outbox.all()] == ["held", "held"]
    assert outbox.first().error.startswith("it was released, and not executed: LedgerError: ")
    assert actions.release(ids(outbox), by="eve").done == 2
    assert [to for to, *_ in sms.sent] == ["ann", "ben"]


def test_what_code_cannot_make_any_more_is_kept(outbox: Any, sms: Sms) -> None:
    """An effect that is gone, or takes other parameters: the row says so, and is released by code that has it."""
    from sideeffects.outbox import actions
    from sideeffects.testing import isolated_registry

    with hold():
        sms.send("ann", "y")

    def released(function: Any = None) -> str:
        with isolated_registry():
            if function is not None:
                side_effect(name="sms.send")(function)
            assert actions.release(ids(outbox), by="eve").kept == 1
        row = outbox.get()
        assert row.state == "held"
        return str(row.error)

    def lines(to: str, body: str) -> Any:
        yield to

    gone = "there is no side effect 'sms.send' in this code"
    changed = "the parameters of side effect 'sms.send' have changed since the call was held: it "
    assert released().startswith(gone)
    assert released(lambda to: None).startswith(f"{changed}does not take 'body' any more")
    assert released(lambda to, body, sender: None).startswith(f"{changed}needs 'sender', which the call does not have")
    assert released(lambda a=0, to="", body="", /: None).startswith(
        f"{changed}takes 'to' only by position, and the call has no value"
    )
    assert released(lines).startswith("side effect 'sms.send' has become a generator")
    with isolated_registry():
        side_effect(name="sms.send")(lambda body, *, sender="us", to: sms.sent.append((to, body, sender)))
        assert actions.release(ids(outbox), by="eve").done == 1
    assert sms.sent == [("ann", "y", "us")]


def test_a_key_that_was_rotated_away_loses_nothing(outbox: Any, sms: Sms) -> None:
    """Fallbacks are honoured; without one the row says what to do, and waits."""
    from sideeffects.outbox import actions

    with hold():
        sms.send("ann", pin="secret-pin")
    with override_settings(SECRET_KEY="new"):
        assert actions.release(ids(outbox), by="eve").kept == 1
        assert "Add that key to SECRET_KEY_FALLBACKS" in outbox.get().error
        with override_settings(SECRET_KEY_FALLBACKS=["older", "tests"]):
            assert actions.release(ids(outbox), by="eve").done == 1
    assert sms.sent == [("ann", "x", "secret-pin")]


def test_rejected_calls_are_never_executed(outbox: Any, sms: Sms) -> None:
    """And what is done cannot be rejected."""
    from sideeffects.outbox import actions

    with hold():
        sms.send("ann")
        sms.send("ben")
    first, second = ids(outbox)
    assert actions.reject([first], by="eve").changed == 1
    assert actions.release([first, second], by="eve").missed == [first]
    assert actions.reject([second], by="eve").missed == [second]
    assert sms.sent == [("ben", "x", None)]
    assert actions.prune([first, second]).changed == 2


def test_ctrl_c_leaves_a_call_that_is_perhaps_done(outbox: Any) -> None:
    """The others wait as before, and none is run again by itself."""
    from sideeffects.outbox import actions

    ran = []

    @side_effect(name="report.send")
    def send(number: int) -> None:
        ran.append(number)
        if len(ran) == 1:
            raise KeyboardInterrupt

    with hold():
        send(1)
        send(2)
    with pytest.raises(KeyboardInterrupt):
        actions.release(ids(outbox), by="eve")
    assert [row.state for row in outbox.order_by("pk")] == ["unknown", "released"]
    assert actions.release(ids(outbox), by="eve").done == 1
    assert ran == [1, 2]
    assert actions.retry(ids(outbox), by="eve").done == 1
    assert ran == [1, 2, 1]


def test_in_a_test_run_nothing_that_is_released_executes(outbox: Any, sms: Sms) -> None:
    """The row is kept."""
    from sideeffects.outbox import actions

    with hold():
        sms.send("ann")
    with override_settings(SIDE_EFFECTS={"OUTBOX": {"DATABASE": "outbox"}, "MODE": "RECORD"}):
        assert actions.release(ids(outbox), by="eve").kept == 1
    assert sms.sent == []
