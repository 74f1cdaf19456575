"""Celery workers in the process of the tests, as `celery.contrib.testing` starts them."""

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, signals
from celery.contrib.testing.worker import start_worker
from django.test import override_settings

from sideeffects import Calls, SideEffectBlocked, capture, forbid, force_run, redirect, side_effect, stub
from sideeffects._core.calls.origins import originating

app = Celery("in_process", broker="memory://", backend="cache+memory://")
app.conf.broker_connection_retry_on_startup = True
executed: list[str] = []


@side_effect(name="in_process.send", returns="recorded")
def send(to: str) -> str:
    executed.append(to)
    return "executed"


@app.task(name="in_process.plain")
def plain(to: str) -> str:
    return send(to)


@app.task(name="in_process.declared")
@side_effect(name="in_process.declared", returns="recorded")
def declared(to: str) -> str:
    return send(to)


reached, go_on = threading.Event(), threading.Event()


@app.task(name="in_process.slow")
def slow() -> str:
    reached.set()
    assert go_on.wait(30)
    return send("late")


@pytest.fixture(scope="module")
def worker() -> Iterator[Any]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    try:
        with start_worker(app, pool="solo", perform_ping_check=False, loglevel="CRITICAL") as started:
            yield started
    finally:  # Celery sets the whole process's logging up
        root.setLevel(level)
        root.handlers[:] = handlers


@pytest.fixture(autouse=True)
def _nothing_executed() -> None:
    executed.clear()


def came_of(task: Any) -> Any:
    return task.delay("ann").get(timeout=30)


def test_overrides_of_the_test_reach_what_the_worker_calls(worker: Any) -> None:
    """As they reach any thread of its process: stubs, refusals and forced effects, in a plain task and in an effect."""
    assert came_of(plain) == "recorded"
    with stub("in_process.send", returns="stubbed"):
        assert came_of(plain) == "stubbed"
        with force_run("in_process.declared"):
            assert came_of(declared) == "stubbed"
    with forbid("in_process.send"), pytest.raises(SideEffectBlocked):
        came_of(plain)
    assert executed == []
    with force_run("in_process.send"):
        assert came_of(plain) == "executed"
    assert executed == ["ann"]


def test_the_worker_adds_the_outcome_to_the_call(worker: Any, side_effects: Calls) -> None:
    """One call is one `Call`, whoever runs it."""
    with force_run("in_process.declared"):
        assert came_of(declared) == "recorded"
    call = side_effects.one("in_process.declared")
    assert call.is_async
    assert call.outcome is not None
    assert call.outcome.result == "recorded"


def test_a_block_that_has_ended_decides_nothing_any_more(worker: Any) -> None:
    """What the task calls after the end of the block is decided then, by whatever is open."""
    reached.clear()
    go_on.clear()
    with stub("in_process.send", returns="stubbed"):
        result = slow.delay()
        assert reached.wait(30)
    go_on.set()
    assert result.get(timeout=30) == "recorded"
    assert executed == []


def test_a_task_is_the_origin_of_what_it_calls_and_has_its_publishers(side_effects: Calls, worker: Any) -> None:
    """The effect that is the task was called by the request, in the worker too; what it calls, by the task."""
    with force_run("in_process.declared"), originating("GET /orders/ (shop.views.orders)"):
        declared.delay("ann").get(timeout=20)
    assert [(call.name, call.origin) for call in side_effects] == [
        ("in_process.declared", "GET /orders/ (shop.views.orders)"),
        ("in_process.send", "task in_process.declared"),
    ]


def test_handlers_of_a_workers_signals_obey_the_test_of_the_task(
    request: pytest.FixtureRequest, own_registry: None
) -> None:
    """Before it runs, after it, and when it is only received; connected before us or after us."""
    own = Celery("own", broker="memory://", backend="cache+memory://", set_as_current=False)
    own.conf.task_default_queue = "own"
    listened = [signals.task_prerun, signals.task_postrun, signals.task_received]

    @side_effect(name="in_process.told")
    def told(name: str) -> None:
        executed.append(name)

    def handle(signal: Any, **_: Any) -> None:
        told(signal.name)

    @own.task(name="own.work")
    def work() -> str:
        return "done"

    for signal in listened:
        signal.connect(handle)
    signals.task_prerun.receivers.insert(0, signals.task_prerun.receivers.pop())
    try:
        results = [work.delay()]
        with force_run("in_process.told"):
            results.append(work.delay())
        request.getfixturevalue("production")  # from here on we are a worker outside of the test run
        with start_worker(own, pool="solo", perform_ping_check=False, loglevel="CRITICAL", queues=["own"]):
            assert [result.get(timeout=30) for result in results] == ["done", "done"]
    finally:
        for signal in listened:
            signal.disconnect(handle)
    assert sorted(executed) == ["task_postrun", "task_prerun", "task_received"]


def test_a_redirect_changes_what_the_queue_gets(production: None, own_registry: None) -> None:
    """And the message says so, for the worker not to redirect it again."""
    app = Celery("redirected", broker="memory://")

    @side_effect(name="mail.welcome")
    @app.task(name="welcome", shared=False)
    def welcome(to: str) -> None:
        raise AssertionError("executed")

    with override_settings(SIDE_EFFECTS={"POLICY": {"mail.*": redirect(to="QA")}}), capture() as calls:
        welcome.delay("Ada")
    with app.connection_for_read() as connection, connection.SimpleQueue("celery") as queue:
        message = queue.get(timeout=10)
        message.ack()
    assert message.payload[:2] == [["QA"], {}]
    assert message.headers["side_effects"]["call"]["is_redirected"]
    assert calls.one("mail.welcome").asked == {"to": "Ada"}
