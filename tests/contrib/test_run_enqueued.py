"""`Calls.run_enqueued` with the tasks of each queue: no broker, the queue's own serializer, retries counted."""

import datetime
import importlib
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, chain, group
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from sideeffects import Calls, SideEffectError, capture, side_effect
from sideeffects.testing import isolated_registry

pytestmark = pytest.mark.usefixtures("own_registry")

executed: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_executed() -> None:
    executed.clear()


def reasons(calls: Calls) -> list[tuple[str, str]]:
    return [(call.name, call.mode.value) for call in calls]


# -- Celery


@pytest.fixture
def celery() -> Iterator[Celery]:
    """An app whose broker nobody could reach."""
    app = Celery("enqueued", broker="redis://127.0.0.1:1/0", set_as_current=False)
    app.conf.task_publish_retry = False
    yield app
    app.close()


def test_a_celery_task_runs_with_what_its_serializer_makes_of_its_arguments(celery: Celery) -> None:
    """A tuple arrives as a list; `bind=True` gives it the request of this run; the recorded call stays as it was."""

    @celery.task(bind=True, shared=False)
    @side_effect(name="report.send")
    def send(self: Any, rows: Any, *, at: Any = None) -> str:
        executed.append((rows, type(at), self.request.id, self.request.retries))
        return "sent"

    with capture() as calls:
        result = send.delay((1, 2), at=datetime.date(2026, 1, 1))
        with pytest.raises(TypeError, match="needs at least one effect"):
            calls.run_enqueued()
        ran = calls.run_enqueued("report.*")
    assert executed == [([1, 2], datetime.date if executed[0][1] is datetime.date else str, result.id, 0)]
    assert reasons(ran) == [("report.send", "execute")]
    assert (ran[0].outcome.result, ran[0].reason) == ("sent", "run by run_enqueued()")
    assert (calls[0].mode.value, calls[0].outcome.result) == ("record", None)
    with pytest.raises(AssertionError, match=r"of report.send .*: 1 run already, 1 executed"):
        calls.run_enqueued("report.send")


def test_retries_of_a_celery_task_are_run_and_counted(celery: Celery) -> None:
    """`self.retry` with other arguments, `autoretry_for`, the task's own limit, and ours where it has none."""

    @celery.task(bind=True, max_retries=5, shared=False)
    @side_effect(name="charge")
    def charge(self: Any, cents: int) -> str:
        executed.append((cents, self.request.retries))
        if cents > 1:
            raise self.retry(args=(cents - 1,), countdown=3600)
        return "paid"

    @celery.task(autoretry_for=(OSError,), max_retries=2, shared=False)
    @side_effect(name="flaky")
    def flaky() -> None:
        raise OSError("down")

    @celery.task(bind=True, max_retries=None, shared=False)
    @side_effect(name="forever")
    def forever(self: Any) -> None:
        raise self.retry()

    with capture() as calls:
        charge.delay(3)
        flaky.delay()
        forever.delay()
        assert len(calls.run_enqueued(charge)) == 3
        with pytest.raises(OSError, match="down"):
            calls.run_enqueued("flaky")
        with pytest.raises(SideEffectError, match="forever' has asked for 100 retries"):
            calls.run_enqueued("forever")
    assert executed == [(3, 0), (2, 1), (1, 2)]
    assert calls.named("flaky").count("flaky") == 1 + 3


def test_the_next_link_of_a_celery_chain_is_enqueued_and_then_run(celery: Celery) -> None:
    """With the real result, instead of what was recorded with the stub's; links and other tasks as well."""

    @celery.task(shared=False)
    @side_effect(name="double", returns=7)
    def double(number: int) -> int:
        executed.append(number)
        return 2 * number

    @celery.task(shared=False)
    @side_effect(name="note")
    def note(number: int) -> None:
        executed.append(f"note {number}")

    with capture() as calls:
        result = chain(double.s(1), double.s(), note.s()).delay()
        assert (result.parent.get(), result.get()) == (7, None)
        assert [call.arguments["number"] for call in calls] == [1, 7, 7]
        first = calls.run_enqueued("double")
        assert reasons(first) == [("double", "execute")]
        assert executed == [1]
        ran = calls.run_enqueued("double", "note", until_empty=True)
        assert reasons(ran) == [("double", "execute"), ("note", "execute")]
        assert executed == [1, 2, "note 4"]
        double.apply_async((5,), link=note.s())
        calls.run_enqueued("*", until_empty=True)
    assert executed[3:] == [5, "note 10"]


def test_celery_groups_are_gone_through_and_said_to_be(celery: Celery) -> None:
    """What nobody enqueued cannot be run: the message says so."""

    @celery.task(shared=False)
    @side_effect(name="double")
    def grouped(number: int) -> int:
        return 2 * number

    with capture() as calls:
        group(grouped.s(1), grouped.s(2)).delay()
        with pytest.raises(AssertionError, match="2 called, not enqueued"):
            calls.run_enqueued("double")


def test_what_a_task_calls_is_decided_as_ever(celery: Celery) -> None:
    """Only the task itself executes: its own name called again inside is recorded, and so is another effect."""

    @side_effect(name="sms.send")
    def sms(to: str) -> None:
        executed.append(to)

    @celery.task(bind=True, shared=False)
    @side_effect(name="task")
    def task(self: Any, depth: int) -> None:
        executed.append(depth)
        sms("ann")
        task.run(depth + 1)
        task.delay(depth + 10)

    with capture() as calls:
        task.delay(0)
        ran = calls.run_enqueued("task")
        assert (executed, len(ran)) == ([0], 1)
        assert [(call.name, call.mode.value, call.is_async) for call in calls[2:]] == [
            ("sms.send", "record", False),
            ("task", "record", False),
            ("task", "record", True),
        ]
        with pytest.raises(SideEffectError, match="has run 1000 calls, and there are more"):
            calls.run_enqueued("task", until_empty=True)


# -- Django tasks


@pytest.mark.parametrize("package", ["django_tasks", "django.tasks"])
def test_a_django_task_runs(package: str) -> None:
    """Its arguments as JSON; a task that takes the context gets one; an asynchronous task is run to its end."""
    try:
        tasks = importlib.import_module(package)
    except (ImportError, ImproperlyConfigured):
        pytest.skip(f"{package} is not there")
    with (
        override_settings(TASKS={"default": {"BACKEND": f"{package}.backends.dummy.DummyBackend"}}),
        capture() as calls,
    ):
        # Where the functions are found by their names.
        module = globals()

        @side_effect(name="plain")
        def plain(rows: Any) -> None:
            executed.append(rows)

        @side_effect(name="context")
        def context(context: Any, way: str) -> None:
            executed.append((way, context.task_result.kwargs))

        @side_effect(name="later")
        async def later() -> None:
            executed.append("later")

        for function in (plain, context, later):
            function.__wrapped__.__qualname__ = function.__wrapped__.__name__
            module[function.__wrapped__.__name__] = function
        try:
            tasks.task(plain).enqueue([1, {"a": 2}])
            tasks.task(takes_context=True)(context).enqueue(way="x")
            tasks.task(later).enqueue()
            assert len(calls.run_enqueued("plain", "context", "later")) == 3
        finally:
            for name in ("plain", "context", "later"):
                module.pop(name)
    assert executed == [[1, {"a": 2}], ("x", {"way": "x"}), "later"]


# -- Dramatiq, Huey, RQ


def test_a_dramatiq_actor_runs() -> None:
    """By its encoder, with what it asks for by `Retry` at once, and with what follows it in a pipeline."""
    dramatiq = pytest.importorskip("dramatiq")
    stub_broker = importlib.import_module("dramatiq.brokers.stub")
    broker = stub_broker.StubBroker()
    left = [2]

    @dramatiq.actor(broker=broker, max_retries=3)
    @side_effect(name="double", returns=7)
    def double(number: Any) -> Any:
        executed.append(number)
        if left[0]:
            left[0] -= 1
            raise dramatiq.errors.Retry("not yet")
        return [2 * number[0]]

    with capture() as calls:
        dramatiq.pipeline([double.message((1,)), double.message()], broker=broker).run()
        assert len(calls.run_enqueued("double")) == 3
        assert calls.run_enqueued("double")[0].arguments["number"] == [2]
        left[0] = 9
        double.send((5,))
        with pytest.raises(dramatiq.errors.Retry):
            calls.run_enqueued("double")
    assert executed == [[1], [1], [1], [2], [5], [5], [5], [5]]
    broker.close()


def test_a_huey_task_runs() -> None:
    """By its serializer, again as often as it has retries, and with what follows it."""
    huey = pytest.importorskip("huey")
    queue = huey.MemoryHuey("enqueued")
    fails = [1]

    @queue.task(retries=1)
    @side_effect(name="double", returns=7)
    def double(number: int) -> int:
        executed.append(number)
        if fails[0]:
            fails[0] -= 1
            raise OSError("down")
        return 2 * number

    with capture() as calls:
        queue.enqueue(double.s(1).then(double))
        assert len(calls.run_enqueued("double")) == 2
        assert calls.run_enqueued("double")[0].arguments["number"] == 2
        fails[0] = 2
        double(9)
        with pytest.raises(OSError, match="down"):
            calls.run_enqueued("double")
    assert executed == [1, 1, 2, 9, 9]
    assert queue.pending_count() == 0


def test_an_rq_job_runs() -> None:
    """By its queue's serializer, again as often as it has retries or asks for one. Nothing asks the Redis."""
    rq = pytest.importorskip("rq")
    redis = importlib.import_module("redis")
    queue = rq.Queue("enqueued", connection=redis.Redis(port=1))
    fails = [1]

    def send(to: str) -> Any:
        executed.append(to)
        if fails[0]:
            fails[0] -= 1
            raise OSError("down")
        return rq.Retry(max=2) if len(executed) < 3 else "sent"

    send.__qualname__ = "rq_send"  # jobs are found by their names
    globals()["rq_send"] = declared = side_effect(name="send")(send)
    with capture() as calls:
        queue.enqueue(declared, "ann", retry=rq.Retry(max=1))
        assert len(calls.run_enqueued("send")) == 3
        fails[0] = 2
        queue.enqueue(declared, "ben")
        with pytest.raises(OSError, match="down"):
            calls.run_enqueued("send")
    assert executed == ["ann", "ann", "ann", "ben"]


def test_names_that_nothing_enqueued_are_said() -> None:
    """Before anything runs, with what there is of them."""
    with isolated_registry():

        @side_effect(name="sms.send", async_ok=True)
        def send() -> None:
            executed.append("sent")

        @side_effect(name="sms.other", async_ok=True)
        def other() -> None: ...

        with capture() as calls:
            send.enqueue()
            other()
            with pytest.raises(AssertionError, match=r"sms.other to run: 1 called, not enqueued"):
                calls.run_enqueued("sms.send", "sms.other")
    assert executed == []
