"""Tasks of every adapted queue say what set the calls going that are made in them; enqueued effects keep their own."""

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from django.test import override_settings

from sideeffects import capture, force_run, side_effect
from sideeffects._core.calls.origins import originating
from sideeffects.testing import isolated_registry

WHERE = "GET /orders/ (shop.views.orders)"


@pytest.fixture(autouse=True)
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module `shop.tasks` with an effect and a function that calls it."""
    with isolated_registry():
        module: Any = ModuleType("shop.tasks")

        @side_effect(name="mail.send")
        def send() -> None:
            raise AssertionError("a test run executes nothing")

        def remind() -> None:
            send()

        @side_effect(name="sms.remind")
        def sms() -> None:
            send()

        for function in (remind, sms):
            function.__module__ = "shop.tasks"
            function.__qualname__ = function.__name__
        module.remind, module.sms = remind, sms
        monkeypatch.setitem(sys.modules, "shop", ModuleType("shop"))
        monkeypatch.setitem(sys.modules, "shop.tasks", module)
        yield module


def origins_of(run: Any) -> list[tuple[str, str]]:
    with force_run("sms.remind"), capture() as calls, originating(WHERE):
        run()
    return [(call.name, call.origin) for call in calls]


def test_celery(shop: Any) -> None:
    """A task is the origin of what it calls; a task that is an effect was called by the request."""
    from celery import Celery

    app = Celery("origins", broker="memory://", set_as_current=False)
    app.conf.task_always_eager = True
    remind = app.task(name="shop.tasks.remind", shared=False)(shop.remind)
    sms = app.task(name="shop.tasks.sms", shared=False)(shop.sms)
    assert origins_of(remind.delay) == [("mail.send", "task shop.tasks.remind")]
    assert origins_of(sms.delay)[0] == ("sms.remind", WHERE)


@pytest.mark.parametrize("package", ["django_tasks", "django.tasks"])
def test_django_tasks(shop: Any, package: str) -> None:
    """The same for both packages."""
    tasks = pytest.importorskip(package)
    backend = {"default": {"BACKEND": f"{package}.backends.immediate.ImmediateBackend"}}
    with override_settings(TASKS=backend, INSTALLED_APPS=[]):
        remind, sms = tasks.task(shop.remind), tasks.task(shop.sms)
        assert origins_of(remind.enqueue) == [("mail.send", "task shop.tasks.remind")]
        assert origins_of(sms.enqueue) == [("sms.remind", WHERE), ("mail.send", "task shop.tasks.sms")]


def test_dramatiq(shop: Any) -> None:
    """The same in a worker beside a `StubBroker`."""
    dramatiq = pytest.importorskip("dramatiq")
    stub_broker = importlib.import_module("dramatiq.brokers.stub").StubBroker()
    remind = dramatiq.actor(broker=stub_broker)(shop.remind)
    sms = dramatiq.actor(broker=stub_broker)(shop.sms)
    worker = dramatiq.Worker(stub_broker, worker_timeout=10, worker_threads=1)
    worker.start()

    def run(actor: Any) -> None:
        actor.send()
        stub_broker.join("default", timeout=20_000)
        worker.join()

    try:
        assert origins_of(lambda: run(remind)) == [("mail.send", "task shop.tasks.remind")]
        assert origins_of(lambda: run(sms)) == [("sms.remind", WHERE), ("mail.send", "task shop.tasks.sms")]
    finally:
        worker.stop()


def test_huey(shop: Any) -> None:
    """The same for tasks that are taken from a queue in memory."""
    huey = pytest.importorskip("huey")
    queue = huey.MemoryHuey("origins")
    remind, sms = queue.task()(shop.remind), queue.task()(shop.sms)

    def run(task: Any) -> None:
        task()
        queue.execute(queue.dequeue())

    assert origins_of(lambda: run(remind)) == [("mail.send", "task shop.tasks.remind")]
    assert origins_of(lambda: run(sms)) == [("sms.remind", WHERE), ("mail.send", "task shop.tasks.sms")]


def test_rq(shop: Any) -> None:
    """The same for jobs, which a queue that is not asynchronous runs on the spot."""
    rq = pytest.importorskip("rq")
    fake = pytest.importorskip("redis")
    from tests.support.redis_server import redis_server

    with redis_server() as url, fake.Redis.from_url(url) as connection:
        queue = rq.Queue("origins", connection=connection, is_async=False)
        assert origins_of(lambda: queue.enqueue(shop.remind)) == [("mail.send", "task shop.tasks.remind")]
        assert origins_of(lambda: queue.enqueue(shop.sms)) == [
            ("sms.remind", WHERE),
            ("mail.send", "task shop.tasks.sms"),
        ]
