"""Publishing in a dry run: Celery and kombu are held and in the plan, what goes to Redis' queues is refused."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import kombu
import pytest
import redis
import redis.asyncio
from celery import Celery, chain, group
from django.core.cache import caches

from sideeffects import dry_run
from sideeffects.dryrun import DryRunRefused, redis_commands
from sideeffects.dryrun.formats import as_markdown
from sideeffects.dryrun.plan_data import as_data
from sideeffects.dryrun.publishing import Message
from tests.support.redis_server import for_celery, redis_server


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Of a real Redis."""
    with redis_server() as given:
        yield given


@pytest.fixture
def client(url: str, production: None) -> Iterator[Any]:
    """A client of it, with nothing in it."""
    made = redis.Redis.from_url(url)
    made.flushall()
    yield made
    made.close()


@pytest.fixture(scope="module")
def task(url: str) -> Any:
    """A task that is no effect, of an app that publishes to it, and keeps results there."""
    app = Celery("shop", broker=for_celery(url), backend=for_celery(url), set_as_current=False)

    @app.task(name="shop.remind", shared=False)
    def remind(pk: int) -> None: ...

    return remind


PUBLISHING: dict[str, Callable[[Any], object]] = {
    "delay": lambda task: task.delay(1),
    "apply_async": lambda task: task.apply_async((1,), countdown=10),
    "send_task": lambda task: task.app.send_task(task.name, (1,)),
    "a signature": lambda task: task.si(1).delay(),
    "a chain": lambda task: chain(task.si(1), task.si(2)).apply_async(),
    "a group": lambda task: group(task.si(1)).apply_async(),
}


@pytest.mark.parametrize("way", PUBLISHING)
def test_a_task_of_celery_is_held(task: Any, client: Any, way: str) -> None:
    """It stands in the plan, in all formats, and the queue stays empty."""
    with dry_run() as plan:
        PUBLISHING[way](task)
    assert client.keys() == []
    assert plan.messages == (Message("shop.remind", "celery", 1),)
    assert "  shop.remind  celery  1" in str(plan).splitlines()
    assert as_data(plan)["messages"] == [{"name": "shop.remind", "to": "celery", "times": 1}]
    assert "| shop.remind | celery | 1 |" in as_markdown(as_data(plan))
    task.delay(1)
    assert client.llen("celery") == 1, "after the block it is published"


def test_the_answer_of_a_held_task_is_refused(task: Any, client: Any) -> None:
    """Waiting for it would never end."""
    for ask in (
        lambda result: result.get(),
        lambda result: result.ready(),
        lambda result: group(task.si(1), task.si(1)).apply_async().get(),
    ):
        with pytest.raises(DryRunRefused, match="asked for the result of a task"), dry_run():
            ask(task.delay(1))


def test_messages_of_kombu_are_held(client: Any, url: str) -> None:
    """By producers and simple queues, with no task's name."""
    with kombu.Connection(for_celery(url)) as connection:
        with dry_run() as plan:
            connection.Producer().publish({"pk": 1}, routing_key="mails")
            connection.Producer().publish({"pk": 1}, exchange=kombu.Exchange("news"))
        assert plan.messages == (Message("", "mails", 1), Message("", "news", 1))
        assert client.keys() == []


def _piped(client: Any) -> None:
    with client.pipeline() as pipeline:
        pipeline.set("job", 1)
        pipeline.rpush("jobs", 1)
        pipeline.execute()


REDIS: dict[str, Callable[[Any], object]] = {
    "lists": lambda client: client.lpush("jobs", 1),
    "streams": lambda client: client.xadd("jobs", {"pk": 1}),
    "channels": lambda client: client.publish("jobs", 1),
    "what is due later": lambda client: client.zadd("jobs", {"1": 1}),
    "a pipeline": _piped,
    "a command": lambda client: client.execute_command("rpush", "jobs", 1),
    "a script": lambda client: client.eval("return redis.call('rpush', KEYS[1], 1)", 1, "jobs"),
    "a script that hides": lambda client: client.eval("return redis.call(ARGV[1], KEYS[1], 1)", 1, "jobs", "rpush"),
    "a registered script": lambda client: client.register_script("redis.call('rpush', KEYS[1], 1)")(["jobs"]),
    "taking out": lambda client: client.lpop("jobs"),
}


@pytest.mark.parametrize("way", REDIS)
def test_queues_in_redis_are_refused(client: Any, way: str) -> None:
    """By whatever way; of a pipeline nothing is sent."""
    with pytest.raises(DryRunRefused, match="of Redis is refused"), dry_run():
        REDIS[way](client)
    assert client.keys() == []


def _piped_removal(client: Any) -> None:
    with client.pipeline() as pipeline:
        pipeline.delete("cached")
        pipeline.delete("jobs")
        pipeline.execute()


REMOVING: dict[str, Callable[[Any], object]] = {
    "DEL": lambda client: client.delete("cached", "jobs"),
    "DEL of a stream": lambda client: client.delete("events"),
    "DEL in a pipeline": _piped_removal,
    "UNLINK": lambda client: client.unlink("jobs"),
    "FLUSHDB": lambda client: client.flushdb(),
    "FLUSHALL": lambda client: client.flushall(),
    "SWAPDB": lambda client: client.swapdb(0, 1),
    "RENAME": lambda client: client.rename("jobs", "gone"),
    "MOVE": lambda client: client.move("jobs", 3),
    "SORT": lambda client: client.sort("jobs", store="sorted"),
}


@pytest.mark.parametrize("way", REMOVING)
def test_removing_queues_in_redis_is_refused(client: Any, way: str) -> None:
    """Also by commands that remove keys of all kinds, of which caches have their use."""
    client.rpush("jobs", 1)
    client.xadd("events", {"pk": 1})
    client.set("cached", 1)
    with pytest.raises(DryRunRefused, match=f"{way.partition(' ')[0]} of Redis is refused"), dry_run():
        REMOVING[way](client)
    assert sorted(client.keys()) == [b"cached", b"events", b"jobs"]


def test_a_queue_of_celery_is_not_purged(task: Any, client: Any) -> None:
    """Neither in Redis nor in a transport of kombu's own."""
    task.delay(1)
    in_memory = Celery("memory", broker="memory://", set_as_current=False)
    for app in (task.app, in_memory):
        with pytest.raises(DryRunRefused, match="a queue was emptied by"), dry_run():
            app.control.purge()
    assert client.llen("celery") == 1


def test_queues_in_redis_are_refused_to_asynchronous_code(client: Any, url: str) -> None:
    """Pipelines too."""

    async def push() -> None:
        async with redis.asyncio.Redis.from_url(url) as mine:
            for work in (lambda: mine.lpush("jobs", 1), lambda: mine.pipeline().lpush("jobs", 1).execute()):
                with pytest.raises(DryRunRefused, match="LPUSH"):
                    await work()

    with pytest.raises(DryRunRefused, match="LPUSH"), dry_run():
        asyncio.run(push())
    assert client.keys() == []


def test_caches_and_locks_in_redis_work(client: Any, url: str, settings: Any) -> None:
    """They are no messages."""
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "one": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": f"{url}?db=1"},
        "two": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": [f"{url}?db=2"]},
    }
    with dry_run():
        client.set("cached", 1)
        with client.lock("lock"), client.pipeline() as pipeline:
            pipeline.get("cached")
            assert pipeline.execute() == [b"1"]
        assert client.delete("cached", "nothing") == 1
        for name in ("one", "two"):
            cache = caches[name]
            cache.set_many({"a": 1, "b": 2})
            cache.delete_many(["a"])
            assert cache.get_many(["a", "b"]) == {"b": 2}
            cache.clear()
            assert cache.get("b") is None


@pytest.mark.parametrize(
    ("url", "leads_to"),
    [
        ("redis://localhost", (6379, 0)),
        ("redis://:secret@cache:6380/3", (6380, 3)),
        ("rediss://cache/1?db=2", (6379, 2)),
        ("unix:///run/redis.sock?db=4", ("/run/redis.sock", 4)),
        ("unix:///run/redis.sock", ("/run/redis.sock", 0)),
        ("127.0.0.1:11211", (6379, 0)),
    ],
)
def test_where_a_cache_is(url: str, leads_to: tuple[int | str, int]) -> None:
    """As redis-py reads the addresses that settings give to caches."""
    assert redis_commands.database_of(url) == leads_to


def outside(to: str) -> None:
    raise AssertionError("it is not run")


def test_tasks_of_the_queues_that_are_adapted_are_held(client: Any) -> None:
    """Dramatiq, Huey and RQ: they stand in the plan, and neither Redis nor a queue in memory has them."""
    dramatiq, huey, rq = (pytest.importorskip(name) for name in ("dramatiq", "huey", "rq"))
    from dramatiq.brokers.stub import StubBroker

    broker = StubBroker()
    actor = dramatiq.actor(outside, broker=broker, actor_name="shop.actor")
    queue = huey.RedisHuey("shop", connection_pool=client.connection_pool)
    memory = huey.MemoryHuey("memory")
    jobs = rq.Queue("jobs", connection=client)
    with dry_run() as plan:
        actor.send("ann")
        (actor.message("ben") | actor.message("kim")).run()
        for instance in (queue, memory):
            task = instance.task(name=f"{instance.name}_task")(outside)
            task("ann").get()
            task.schedule(("ann",), delay=60)
        jobs.enqueue(outside, "ann")
        jobs.enqueue_many([jobs.prepare_data(outside, args=("ann",))])
    module = outside.__module__
    assert set(plan.messages) == {
        Message(f"{module}.memory_task", "memory", 2),
        Message(f"{module}.outside", "jobs", 2),
        Message(f"{module}.shop_task", "shop", 2),
        Message("shop.actor", "default", 2),
    }
    assert broker.queues["default"].qsize() == 0
    assert memory.pending() == memory.scheduled() == []
    assert client.keys("*") == []
