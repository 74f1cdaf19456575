"""`Calls.run_enqueued` with `.enqueue`, run lists and transactions, and `Calls.wait_for`."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import transaction
from django.test import override_settings

from sideeffects import (
    SideEffectError,
    UnknownSideEffect,
    capture,
    force_run,
    record,
    run_side_effects,
    side_effect,
    stub,
)
from sideeffects._core.calls.origins import originating
from sideeffects.testing import isolated_registry

executed: list[Any] = []


@pytest.fixture
def shop() -> Iterator[SimpleNamespace]:
    """Some effects that may run in the background."""
    executed.clear()
    with isolated_registry():

        @side_effect(name="sms.send", async_ok=True)
        def send(to: Any, *, body: str = "") -> str:
            executed.append((to, body))
            return "sent"

        @side_effect(name="mail.confirm", async_ok=True, on_commit=True)
        def confirm(to: str) -> None:
            executed.append(to)

        @side_effect(name="mail.later", async_ok=True)
        async def later(to: str) -> str:
            executed.append(to)
            return "later"

        @side_effect(name="count.down", async_ok=True)
        def count_down(number: int) -> None:
            executed.append(number)
            if number:
                count_down.enqueue(number - 1)

        yield SimpleNamespace(send=send, confirm=confirm, later=later, count_down=count_down)


def test_what_was_enqueued_runs_once(shop: Any) -> None:
    """As it would in a thread: arguments as they are; the run is a call of its own, with the same origin."""
    with capture() as calls:
        with originating("GET /orders/"):
            handle = shop.send.enqueue(["ann"], body="hello")
            shop.later.enqueue("ben")
        assert handle.result() is None
        ran = calls.run_enqueued(shop.send, "mail.later")
        with pytest.raises(AssertionError, match=r"sms.send to run: 1 run already, 1 executed"):
            calls.run_enqueued("sms.send")
    assert executed == [(["ann"], "hello"), "ben"]
    assert [(c.mode.value, c.is_async, c.origin, c.outcome.result) for c in ran] == [
        ("execute", False, "GET /orders/", "sent"),
        ("execute", False, "GET /orders/", "later"),
    ]
    assert [call.caller.startswith(__file__) for call in ran] == [True, True]
    assert [call.mode.value for call in calls] == ["record", "record", "execute", "execute"]


def test_arguments_travel_where_the_engine_lets_them_travel(shop: Any) -> None:
    """With an engine whose workers are other processes a tuple comes back as a list, and a set cannot go."""
    with override_settings(SIDE_EFFECTS={"ENGINE": "django_tasks"}), capture() as calls:
        shop.send.enqueue(("ann",))
        calls.run_enqueued("sms.send")
        assert executed == [(["ann"], "")]
        shop.send.enqueue({"ann"})
        with pytest.raises(TypeError, match=r"argument 1 \(set\) cannot be serialised as JSON"):
            calls.run_enqueued("sms.send")


def test_names_are_needed_known_and_meant(shop: Any) -> None:
    """None, a misspelt one, and one that nothing enqueued: nothing runs."""
    with capture() as calls:
        shop.send.enqueue("ann")
        with pytest.raises(TypeError, match=r"to run all, say run_enqueued\(\"__all__\"\)"):
            calls.run_enqueued()
        with pytest.raises(UnknownSideEffect, match=r"Did you mean 'sms.send'"):
            calls.run_enqueued("sms.sned")
        with pytest.raises(AssertionError, match=r"background call of mail.* to run\nall calls"):
            calls.run_enqueued("sms.send", "mail.*")
        assert executed == []
        calls.run_enqueued("__all__")
    assert executed == [("ann", "")]


def test_until_nothing_is_left(shop: Any) -> None:
    """What is enqueued in turn waits to be named again, unless it is asked for."""
    with capture() as calls:
        shop.count_down.enqueue(3)
        assert [call.arguments["number"] for call in calls.run_enqueued("count.down")] == [3]
        assert [call.arguments["number"] for call in calls.run_enqueued("count.down", until_empty=True)] == [2, 1, 0]
        shop.count_down.enqueue(0)
        with pytest.raises(AssertionError, match=r"sms.send to run"):
            calls.run_enqueued("count.down", "sms.send", until_empty=True)
        with pytest.raises(AssertionError, match=r"count.down to run: 5 run already, 5 executed"):
            calls.run_enqueued("count.down", until_empty=True)
    assert executed == [3, 2, 1, 0, 0]


def test_overrides_do_not_hold_it_back_and_others_hold(shop: Any) -> None:
    """It is as if forced by name, inside whatever stands around; what was forced has run, and what is refused too."""
    with capture() as calls:
        with force_run("sms.send"):
            shop.send.enqueue("ann").result(30)
        with stub("sms.send", returns="stubbed"):
            assert shop.send.enqueue("ben").result() == "stubbed"
        with record():
            assert len(calls.run_enqueued("sms.send")) == 1
    assert [to for to, _ in executed] == ["ann", "ben"]


def test_what_a_task_raises_is_raised_and_the_rest_stays(shop: Any) -> None:
    """As from the function itself; the others can still be run."""

    @side_effect(name="fails", async_ok=True)
    def fails(number: int) -> None:
        executed.append(number)
        if number == 1:
            raise LookupError("lost")

    with capture() as calls:
        fails.enqueue(1)
        fails.enqueue(2)
        with pytest.raises(LookupError, match="lost"):
            calls.run_enqueued("fails")
        assert type(calls[-1].outcome.error) is LookupError
        calls.run_enqueued("fails")
    assert executed == [1, 2]


def test_tasks_of_a_run_list_run(shop: Any) -> None:
    """Those that it hands to the background."""
    with capture() as calls:
        run_side_effects("orders", [(shop.send, {"to": "ann"}, True), (shop.send, {"to": "ben"}, False)])
        [ran] = calls.run_enqueued("sms.send")
    assert executed == [("ann", "")]
    assert ran.run_id == "orders"


def test_only_in_a_test_run(shop: Any, production: None) -> None:
    """On a live system the background runs what there is to run."""
    with record(), capture() as calls:
        shop.send.enqueue("ann")
        with pytest.raises(SideEffectError, match="in no test run"):
            calls.run_enqueued("sms.send")


def test_calls_that_wait_for_a_commit_are_not_run(shop: Any, db: None) -> None:
    """Those of a transaction that has committed are, in a rolled-back test too; `on_commit` waits for nothing there."""
    with capture() as calls:
        with transaction.atomic():
            shop.send.enqueue("waiting")
            with pytest.raises(AssertionError, match="to run: 1 waiting for a commit"):
                calls.run_enqueued("sms.send")
        with pytest.raises(LookupError), transaction.atomic():
            shop.send.enqueue("rolled back")
            raise LookupError
        assert [call.arguments["to"] for call in calls.run_enqueued("sms.send")] == ["waiting"]
        with pytest.raises(AssertionError, match="1 rolled back with its transaction"):
            calls.run_enqueued("sms.send")
        shop.confirm.enqueue("on commit")
        calls.run_enqueued("mail.confirm")
    assert executed == [("waiting", ""), "on commit"]


# -- waiting


def in_a_thread(work: Callable[[], object], delay: float = 0.05) -> threading.Timer:
    timer = threading.Timer(delay, work)
    timer.start()
    return timer


def test_a_call_of_a_thread_is_waited_for(shop: Any) -> None:
    """Once, or as often as is said; arguments and conditions as in `assert_called`."""
    with capture() as calls:
        timer = in_a_thread(lambda: [shop.send(to) for to in ("ann", "ben")])
        calls.wait_for("sms.send", to="ann", timeout=30)
        calls.wait_for(shop.send, times=2, timeout=30)
        calls.wait_for("sms.send", times=None, arguments={"to": "ben"}, where=lambda call: not call.is_async)
        timer.join()


def test_what_does_not_come_fails_with_the_time(shop: Any) -> None:
    """The message is that of `assert_called`; wrong arguments and names fail at once."""
    with capture() as calls:
        shop.send("ann")
        with pytest.raises(AssertionError, match=r"expected 2 calls, got 1: sms.send") as caught:
            calls.wait_for("sms.send", times=2, timeout=0.05)
        assert caught.value.__notes__ == ["waited for 0.05 s"]
        with pytest.raises(TypeError, match="has no parameter 'too'"):
            calls.wait_for("sms.send", too="ann")
        with pytest.raises(UnknownSideEffect):
            calls.wait_for("sms.sned")


@pytest.mark.processes
def test_a_call_of_a_worker_process_is_waited_for(shop: Any) -> None:
    """It is seen as soon as the child has written it, while the child goes on."""
    program = (
        "from sideeffects import side_effect\n"
        "@side_effect(name='sms.send')\n"
        "def send(to): ...\n"
        "send('from the child')\n"
        "input()"
    )
    with capture() as calls:
        child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, env=dict(os.environ))
        try:
            calls.wait_for("sms.send", to="from the child", timeout=60)
            assert child.poll() is None
        finally:
            child.communicate(b"\n", timeout=60)
