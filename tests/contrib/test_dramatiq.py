"""Effects that are Dramatiq actors, with a `StubBroker` in this process, real worker processes and a real Redis."""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from sideeffects import Mode, SideEffectBlocked, capture, forbid, force_run, redirect, registry, side_effect, stub
from sideeffects.testing import isolated_registry
from tests.support.queue_project import QueueProject
from tests.support.redis_server import redis_server

dramatiq = pytest.importorskip("dramatiq")

TASKS = """
    import os

    import dramatiq
    from dramatiq import GenericActor, group, pipeline
    from dramatiq.brokers.redis import RedisBroker
    from dramatiq.middleware import AsyncIO
    from dramatiq.results import Results
    from dramatiq.results.backends import RedisBackend
    from sideeffects import side_effect
    from trace import note

    broker = RedisBroker(url=os.environ["REDIS_URL"], namespace=os.environ["QUEUE"])
    broker.add_middleware(AsyncIO())
    results = RedisBackend(url=os.environ["REDIS_URL"], namespace=f"results-{os.environ['QUEUE']}")
    broker.add_middleware(Results(backend=results, store_results=True))
    dramatiq.set_broker(broker)


    @side_effect(name="above")
    @dramatiq.actor(max_retries=0)
    def above(way):
        return note(f"above {way}")


    @dramatiq.actor(max_retries=0)
    @side_effect(name="below")
    def below(way):
        return note(f"below {way}")


    @side_effect(name="later.above")
    @dramatiq.actor(max_retries=0)
    async def later_above(way):
        return note(f"later.above {way}")


    @dramatiq.actor(max_retries=0)
    @side_effect(name="later.below")
    async def later_below(way):
        return note(f"later.below {way}")


    class Made(GenericActor):
        class Meta:
            actor_name = "made"
            max_retries = 0

        @side_effect(name="made")
        def perform(self, way):
            return note(f"made {way}")


    made = Made.__actor__
    ALL = [above, below, later_above, later_below, made]


    @side_effect(name="inner")
    def inner(way):
        return note(f"inner {way}")


    @dramatiq.actor(max_retries=0)
    def plain(way):
        note(f"plain {way}")
        inner(way)
        return way


    @side_effect(name="outer")
    @dramatiq.actor(max_retries=0)
    def outer(way):
        note(f"outer {way}")
        inner(way)
        return way


    @side_effect(name="flaky")
    @dramatiq.actor(max_retries=2, min_backoff=10, max_backoff=20)
    def flaky(way):
        note(f"flaky {way}")
        raise ConnectionError("no network")


    @side_effect(name="after")
    @dramatiq.actor(max_retries=0)
    def after(message, result):
        note(f"after {result}")


    WAYS = {
        "send": lambda actor: actor.send("send"),
        "keyword": lambda actor: actor.send(way="keyword"),
        "with options": lambda actor: actor.send_with_options(args=("with options",)),
        "delayed": lambda actor: actor.send_with_options(args=("delayed",), delay=20),
        "message": lambda actor: broker.enqueue(actor.message("message")),
        "own message": lambda actor: broker.enqueue(
            dramatiq.Message(
                queue_name="default", actor_name=actor.actor_name, args=["own message"], kwargs={}, options={}
            )
        ),
        "by name": lambda actor: broker.get_actor(actor.actor_name).send("by name"),
        "pipeline": lambda actor: pipeline(
            [actor.message("pipeline"), actor.message_with_options(args=("pipeline",), pipe_ignore=True)]
        ).run(),
        "group": lambda actor: group([actor.message("group"), actor.message("group")]).run(),
    }
    TIMES = {"pipeline": 2, "group": 2}
"""
WORKER = "-m dramatiq shop_tasks --processes 1 --threads 2".split()

GO_ALL_WAYS = """
    import json
    import shop_tasks
    from sideeffects import capture

    with capture() as calls:
        for actor in shop_tasks.ALL:
            for way in shop_tasks.WAYS.values():
                way(actor)
    print(json.dumps([[call.name, call.arguments["way"], call.mode.name, call.is_async] for call in calls]))
"""
NAMES = "above below later.above later.below made".split()
WAYS = {"send": 1, "keyword": 1, "with options": 1, "delayed": 1, "message": 1, "own message": 1, "by name": 1}
WAYS |= {"pipeline": 2, "group": 2}
EACH = Counter({f"{name} {way}": times for name in NAMES for way, times in WAYS.items()})


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture
def project(tmp_path: Path, redis_url: str) -> QueueProject:
    return QueueProject(tmp_path, redis_url, TASKS, WORKER, "ready for action")


@pytest.mark.processes
def test_no_way_into_an_actor_publishes_in_a_test_run(project: QueueProject) -> None:
    """Each call is written down once, and the broker sees nothing."""
    calls = json.loads(project.in_test_run(GO_ALL_WAYS))
    assert Counter(f"{name} {way}" for name, way, _, _ in calls) == EACH
    assert {(mode, is_async) for _, _, mode, is_async in calls} == {("RECORD", True)}
    assert not project.executed
    assert not [key for key in project.kept() if "default" in key]


@pytest.mark.processes
def test_every_way_executes_in_production(project: QueueProject) -> None:
    """The ways are real ones: outside a test run each of them reaches the function, as often as it is called."""
    with project.worker() as log:
        project.in_production(GO_ALL_WAYS)
        project.wait_for(EACH.total())
    assert project.executed == EACH, log.read_text()


@pytest.mark.processes
def test_what_a_test_named_travels_with_the_message(project: QueueProject) -> None:
    """A worker in no test run executes what was named, and records what that calls and what follows it."""
    with project.worker() as log:
        project.in_test_run("""
            from dramatiq import pipeline
            from shop_tasks import above, after, below, flaky, outer, plain
            from sideeffects import capture, force_run

            with capture() as calls:
                with force_run("outer"):
                    assert outer.send("first").get_result(block=True) == "first"
                    outer.send_with_options(args=("second",), on_success=after)
                    third = pipeline([outer.message("third"), below.message()]).run()
                    assert third.get_result(block=True) is None
                with force_run("outer", "inner"):
                    assert outer.send("both").get_result(block=True) == "both"
                assert plain.send("plain").get_result(block=True) == "plain"
                assert below.send("recorded").get_result() is None
                with force_run("flaky"):
                    flaky.send("again")
            assert [call.name for call in calls] == ["outer"] * 4 + ["below", "flaky"], calls
            """)
        project.wait_for(9)
    expected = ["outer first", "outer second", "outer third", "outer both", "inner both", "plain plain"]
    assert project.executed == Counter(expected + ["flaky again"] * 3), log.read_text()


@pytest.mark.processes
def test_a_worker_from_a_test_run_is_in_a_test_run(project: QueueProject) -> None:
    """It records what a process outside of it has published."""
    with project.worker(SIDE_EFFECTS_TEST_RUN="1") as log:
        project.in_production("""
            from shop_tasks import above, plain
            above.send("ann")
            assert plain.send("plain").get_result(block=True) == "plain"
            """)
    assert project.executed == Counter(["plain plain"]), log.read_text()


@pytest.mark.processes
@pytest.mark.parametrize("ledger", [True, False])
def test_in_production_one_call_is_one_call(project: QueueProject, ledger: bool) -> None:
    """Retries are no new calls, and the worker adds the outcome to the call in the ledger."""
    settings = {"LEDGER": {"BACKEND": "file", "PATH": str(project.root / "ledger.jsonl")}} if ledger else {}
    project.write("settings.py", f"SIDE_EFFECTS = {settings!r}")
    with project.worker(DJANGO_SETTINGS_MODULE="settings") as log:
        project.in_production(
            """
            from shop_tasks import below, flaky

            flaky.send("again")
            assert below.send("ann").get_result(block=True) == "below ann"
            """,
            DJANGO_SETTINGS_MODULE="settings",
        )
        project.wait_for(4)
    assert project.executed == Counter(["below ann"] + ["flaky again"] * 3), log.read_text()
    if ledger:
        told = project.in_production(
            """
            from django.conf import settings
            from sideeffects.ledgers import shared_calls
            assert settings.SIDE_EFFECTS
            for call in shared_calls():
                print(call.name, call.outcome.result, call.outcome.error is not None)
            """,
            DJANGO_SETTINGS_MODULE="settings",
        )
        assert sorted(told.split("\n")) == ["", "below below ann False", "flaky None True"]


# -- in this process


@pytest.fixture
def shop() -> Iterator[Any]:
    """A broker in memory, with a worker beside it, and actors that tell whether they executed."""
    from dramatiq.brokers.stub import StubBroker

    broker = StubBroker()
    broker.emit_after("process_boot")
    executed: list[str] = []
    with isolated_registry():

        @side_effect(name="d.above", returns="recorded")
        @dramatiq.actor(broker=broker, actor_name="above", max_retries=0)
        def above(to: str) -> str:
            executed.append(to)
            return "executed"

        @dramatiq.actor(broker=broker, actor_name="plain", max_retries=0)
        def plain(to: str) -> None:
            above(to)

        worker = dramatiq.Worker(broker, worker_timeout=20)
        worker.start()

        def finish() -> None:
            broker.join("default")
            worker.join()

        yield type("Shop", (), {"above": above, "plain": plain, "executed": executed, "finish": staticmethod(finish)})
        worker.stop()


def test_overrides_reach_the_worker_of_a_stub_broker(shop: Any) -> None:
    """As they reach any thread of this process; what is recorded is in no queue."""
    with capture() as calls:
        shop.above.send("recorded")
        with stub("d.above", returns="stubbed"):
            assert shop.above.send("stubbed").get_result() == "stubbed"
            shop.plain.send("in the worker")
            shop.finish()
        with force_run(shop.above):
            shop.above.send("forced")
            shop.plain.send("forced in the worker")
            shop.finish()
        with forbid("d.above"), pytest.raises(SideEffectBlocked):
            shop.above.send("refused")
    assert sorted(shop.executed) == ["forced", "forced in the worker"]
    assert [call.arguments["to"] for call in calls.named("d.above")][:3] == ["recorded", "stubbed", "in the worker"]
    assert {call.mode for call in calls} == {Mode.RECORD, Mode.EXECUTE, Mode.RAISE}
    assert calls.named("d.above")[3].outcome is not None


def test_a_refusal_in_the_worker_fails_the_message(shop: Any) -> None:
    """`broker.join` raises it, as it raises other errors of actors."""
    with forbid("d.above"):
        shop.plain.send("ann")
        with pytest.raises(SideEffectBlocked):
            shop.finish()
    assert shop.executed == []


def test_a_recorded_message_gives_what_its_stub_says_and_what_follows_follows(shop: Any) -> None:
    """With its result, or its exception."""
    from dramatiq import pipeline

    with capture() as calls:
        assert shop.above.send("ann").get_result() == "recorded"
        pipeline([shop.above.message("ben"), shop.above.message()], broker=shop.above.broker).run()
        with stub("d.above", raises=ConnectionError("no network")), pytest.raises(ConnectionError):
            shop.above.send("kim").get_result()
    assert [call.arguments["to"] for call in calls] == ["ann", "ben", "recorded", "kim"]


def test_what_follows_a_group_or_a_failure_is_decided(shop: Any) -> None:
    """By the worker that enqueues it; and a call without a queue is decided like any other."""
    from dramatiq.middleware import GroupCallbacks
    from dramatiq.rate_limits.backends import StubBackend

    broker = shop.above.broker
    broker.add_middleware(GroupCallbacks(StubBackend()))
    other = dramatiq.actor(lambda: None, broker=broker, actor_name="other")
    failing = dramatiq.actor(lambda: 1 / 0, broker=broker, actor_name="failing", max_retries=0)

    @side_effect(name="d.after")
    @dramatiq.actor(broker=broker, actor_name="after")
    def after(*came_of: Any) -> None:
        shop.executed.append("after")

    for forced in (False, True):
        with capture() as calls, force_run("d.after") if forced else contextlib.nullcontext():
            done = dramatiq.group([other.message(), other.message()], broker=broker)
            done.add_completion_callback(after.message())
            done.run()
            broker.join("default", fail_fast=False)
            failing.send_with_options(on_failure=after)
            broker.join("default", fail_fast=False)
            after()
        assert calls.count("d.after") == 3
    assert shop.executed == ["after"] * 3


def test_middleware_obeys_the_test_of_a_message_that_was_delayed(shop: Any, request: pytest.FixtureRequest) -> None:
    """A worker's own thread puts it back when its time has come, and acknowledges it, outside of the test run."""

    @side_effect(name="d.count")
    def count(queue: str) -> None:
        shop.executed.append(queue)

    class Counting(dramatiq.Middleware):
        def after_enqueue(self, broker: Any, message: Any, delay: int | None) -> None:
            count(message.queue_name)

        def before_ack(self, broker: Any, message: Any) -> None:
            count("acknowledged")

    shop.above.broker.add_middleware(Counting())
    with capture() as calls:
        shop.plain.send_with_options(args=("recorded",), delay=400)
        assert calls.count("d.count") == 1
        with force_run("d.count"):
            shop.plain.send_with_options(args=("forced",), delay=400)
    assert shop.executed[0] == "default.DQ"
    request.getfixturevalue("production")  # from here on the worker is one outside of the test run
    shop.finish()
    assert set(shop.executed) == {"default.DQ", "default", "acknowledged"}
    assert (shop.executed.count("default"), shop.executed.count("acknowledged")) == (1, 2)


def test_who_hands_on_a_message_of_a_test_run_obeys_it(shop: Any, request: pytest.FixtureRequest) -> None:
    """A process outside of it, such as one that takes failed messages up again."""
    with force_run("d.above"):
        forced = shop.above.send("forced")
        shop.finish()
    named_nothing = {**forced.options["side_effects"], "forced": []}
    recorded = shop.above.message("recorded").copy(options={"side_effects": named_nothing})
    request.getfixturevalue("production")  # from here on we are that process
    for message in (forced, recorded):
        shop.above.broker.enqueue(message)
    shop.finish()
    assert shop.executed == ["forced", "forced"]


def test_an_actor_is_one_effect(shop: Any) -> None:
    """It stays the actor that it is; declared again under another name, or made of a class, it is refused."""
    assert isinstance(shop.above, dramatiq.Actor)
    assert shop.above.effect is registry["d.above"]
    assert not hasattr(shop.plain, "effect")
    with pytest.raises(TypeError, match=r"is a side effect already, named 'd\.above'"):
        side_effect(name="d.other")(shop.above)
    with isolated_registry():
        assert side_effect(name="d.above")(shop.above) is shop.above
        assert "d.above" in registry

    class Made(dramatiq.GenericActor):
        class Meta:
            broker = shop.above.broker

        def perform(self) -> None: ...

    with pytest.raises(TypeError, match="right above its method `perform`"):
        side_effect(name="d.made")(Made)


def test_arguments_that_cannot_travel_are_named(shop: Any) -> None:
    """Before anything is decided."""
    with capture() as calls, pytest.raises(TypeError, match=r"'d.above' cannot be enqueued: argument 1 \(object\)"):
        shop.above.send(object())
    assert len(calls) == 0


def test_in_a_transaction_an_actor_waits_for_the_commit(shop: Any, production: None, django_db_blocker: Any) -> None:
    """And is never published when it rolls back."""
    from django.db import connection, transaction

    with django_db_blocker.unblock():
        with transaction.atomic():
            message = shop.above.send("committed")
            assert message.message_id
            shop.finish()
            assert shop.executed == []
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            shop.above.send("rolled back")
            raise ZeroDivisionError
        shop.finish()
        connection.close()
    assert shop.executed == ["committed"]


def test_a_redirect_changes_what_the_queue_gets(shop: Any, production: None) -> None:
    """Once: what arrives has been redirected where it was published."""
    shifted = redirect(to=lambda arguments: arguments["to"] + "+")
    with override_settings(SIDE_EFFECTS={"POLICY": {"*": shifted}}), capture() as calls:
        shop.above.send("one")
        shop.above.send(to="two")
        shop.finish()
    assert sorted(shop.executed) == ["one+", "two+"]
    assert [call.asked for call in calls] == [{"to": "one"}, {"to": "two"}]
