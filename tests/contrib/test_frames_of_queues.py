"""What tracebacks show of calls that could not be handed to a queue: no argument in a frame of this package."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

import sideeffects
from sideeffects import force_run, side_effect
from sideeffects.dryrun import escapes
from sideeffects.testing import isolated_registry

CARD = ["4111-2222-3333-4444"]
PACKAGE = str(Path(sideeffects.__file__).parent)
#: Nobody listens there.
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def own_registry() -> Iterator[None]:
    """Effects of one test are unknown to the next. The hooks of dry runs stand in the way of each call."""
    escapes.install()
    with isolated_registry():
        yield


def pay(number: str, more: object = None) -> None:
    """Never runs."""


def celery() -> Callable[..., Any]:
    app = pytest.importorskip("celery").Celery("frames", broker=NOWHERE, set_as_current=False)
    app.conf.update(task_publish_retry=False, broker_connection_retry=False)
    app.conf.broker_transport_options = {"max_retries": 0, "socket_connect_timeout": 1}
    task: Callable[..., Any] = app.task(name="frames.pay", shared=False)(declared("celery")).delay
    return task


def dramatiq() -> Callable[..., Any]:
    queue = pytest.importorskip("dramatiq")
    redis = pytest.importorskip("dramatiq.brokers.redis")
    broker = redis.RedisBroker(url=NOWHERE)
    send: Callable[..., Any] = queue.actor(broker=broker, actor_name="pay")(declared("dramatiq")).send
    return send


def huey() -> Callable[..., Any]:
    queue = pytest.importorskip("huey").RedisHuey("frames", url=NOWHERE)
    task: Callable[..., Any] = queue.task()(declared("huey"))
    return task


def django() -> Callable[..., Any]:
    tasks = pytest.importorskip("django_tasks")
    enqueue: Callable[..., Any] = tasks.task(declared("django")).enqueue
    return enqueue


def django_later() -> Callable[..., Any]:
    tasks = pytest.importorskip("django_tasks")
    task = tasks.task(declared("django_later"))
    return lambda *args: asyncio.run(task.aenqueue(*args))


def declared(name: str) -> Callable[..., Any]:
    return side_effect(name=f"pay.{name}", sensitive=["number"])(pay)


def check(publish: Callable[..., Any], more: object) -> None:
    """Publish, which fails, and look at the frames."""
    with force_run("*"), pytest.raises(Exception) as raised:  # noqa: PT011 - of many kinds
        publish(CARD[0], more)
    frames = traceback.TracebackException.from_exception(raised.value, capture_locals=True).stack
    ours = [frame for frame in frames if frame.filename.startswith(PACKAGE)]
    assert ours
    assert [frame for frame in ours if CARD[0] in repr(frame.locals)] == []


@pytest.mark.parametrize("queue", [celery, dramatiq, huey], ids=lambda queue: str(queue.__name__))
def test_frames_of_publishing_hold_no_argument_where_there_is_no_server(queue: Callable[[], Any]) -> None:
    """The queue's own frames may; ours do not."""
    check(queue(), "more")


@pytest.mark.parametrize("queue", [celery, dramatiq, huey, django, django_later], ids=lambda queue: str(queue.__name__))
def test_frames_of_publishing_hold_no_argument_where_another_cannot_travel(queue: Callable[[], Any]) -> None:
    """Neither JSON nor pickle takes a local function."""
    with override_settings(TASKS={"default": {"BACKEND": "django_tasks.backends.dummy.DummyBackend"}}):
        check(queue(), lambda: None)
