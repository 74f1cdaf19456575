"""Effects that are Huey tasks, in memory, in immediate mode, with real consumers and a real Redis."""

import contextlib
import datetime
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from sideeffects import SideEffectBlocked, capture, forbid, force_run, record, redirect, registry, side_effect, stub
from sideeffects.testing import isolated_registry
from tests.support.queue_project import QueueProject
from tests.support.redis_server import redis_server

huey = pytest.importorskip("huey")

TASKS = """
    import os

    from huey import RedisHuey
    from huey.api import chord, group
    from sideeffects import side_effect
    from trace import note

    huey = RedisHuey(os.environ["QUEUE"], url=os.environ["REDIS_URL"], store_none=True)


    @side_effect(name="above")
    @huey.task()
    def above(way):
        return note(f"above {way}")


    @huey.task()
    @side_effect(name="below")
    def below(way):
        return note(f"below {way}")


    @side_effect(name="context.above")
    @huey.task(context=True)
    def context_above(way, task=None):
        assert task.id
        return note(f"context.above {way}")


    @huey.task(context=True)
    @side_effect(name="context.below")
    def context_below(way, task):
        return note(f"context.below {way}")


    ALL = [above, below, context_above, context_below]


    @side_effect(name="inner")
    def inner(way):
        return note(f"inner {way}")


    @huey.task()
    def plain(way):
        note(f"plain {way}")
        inner(way)
        return way


    @side_effect(name="outer")
    @huey.task()
    def outer(way):
        note(f"outer {way}")
        inner(way)
        return way


    @side_effect(name="flaky")
    @huey.task(retries=2)
    def flaky(way):
        note(f"flaky {way}")
        raise ConnectionError("no network")


    WAYS = {
        "call": lambda task: task("call"),
        "keyword": lambda task: task(way="keyword"),
        "schedule": lambda task: task.schedule(("schedule",), delay=0),
        "later": lambda task: task.schedule(("later",), delay=1),
        "s": lambda task: huey.enqueue(task.s("s")),
        "map": lambda task: task.map([("map",), ("map",)]),
        "pipeline": lambda task: huey.enqueue(task.s("pipeline").then(plain)),
        "group": lambda task: huey.enqueue(group([task.s("group"), task.s("group")])),
        "chord": lambda task: huey.enqueue(chord([task.s("chord"), task.s("chord")], note_all.s())),
        "add_schedule": lambda task: huey.add_schedule(task.s("add_schedule", delay=1)),
    }


    @side_effect(name="all", returns="noted")
    @huey.task()
    def note_all(results):
        return note(f"all {len(results)}")
"""
WORKER = "-m huey.bin.huey_consumer shop_tasks.huey -w 2 -k thread -s 1".split()

GO_ALL_WAYS = """
    import json
    import shop_tasks
    from sideeffects import capture

    with capture() as calls:
        for task in shop_tasks.ALL:
            for way in shop_tasks.WAYS.values():
                way(task)
    print(json.dumps([
        [call.name, call.arguments.get("way", "results"), call.mode.name, call.is_async]
        for call in calls if call.name not in ("plain", "inner")
    ]))
"""
NAMES = "above below context.above context.below".split()
WAYS = {"call": 1, "keyword": 1, "schedule": 1, "later": 1, "s": 1, "map": 2, "pipeline": 1, "group": 2, "chord": 2}
WAYS |= {"add_schedule": 1}
EACH = Counter({f"{name} {way}": times for name in NAMES for way, times in WAYS.items()})


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture
def project(tmp_path: Path, redis_url: str) -> QueueProject:
    return QueueProject(tmp_path, redis_url, TASKS, WORKER, "The following commands are available")


@pytest.mark.processes
def test_no_way_into_a_task_publishes_in_a_test_run(project: QueueProject) -> None:
    """Each call is written down once; what is no effect alone is in the queue."""
    calls = json.loads(project.in_test_run(GO_ALL_WAYS))
    expected = EACH + Counter({"all results": len(NAMES)})
    assert Counter(f"{name} {way}" for name, way, _, _ in calls) == expected
    assert {(mode, is_async) for _, _, mode, is_async in calls} == {("RECORD", True)}
    assert not project.executed
    told = project.in_test_run("import shop_tasks; print([task.name for task in shop_tasks.huey.pending()])")
    assert told == f"{['plain'] * len(NAMES)}\n"
    assert not [key for key in project.kept() if "schedule" in key or "result" in key]


@pytest.mark.processes
def test_every_way_executes_in_production(project: QueueProject) -> None:
    """The ways are real ones: outside a test run each of them reaches the function, as often as it is called."""
    follows = {f"{task} {name} pipeline": 1 for name in NAMES for task in ("plain", "inner")} | {"all 2": len(NAMES)}
    expected = EACH + Counter(follows)
    with project.worker() as log:
        project.in_production(GO_ALL_WAYS)
        project.wait_for(expected.total())
    assert project.executed == expected, log.read_text()


@pytest.mark.processes
def test_what_a_test_named_travels_with_the_task(project: QueueProject) -> None:
    """A consumer in no test run executes what was named, and records what that calls and what follows it."""
    with project.worker() as log:
        project.in_test_run("""
            from shop_tasks import below, flaky, huey, outer, plain
            from sideeffects import capture, force_run

            with capture() as calls:
                with force_run("outer"):
                    assert outer("first").get(blocking=True, timeout=60) == "first"
                    outer.schedule(("later",), delay=1)
                    first, second = huey.enqueue(outer.s("second").then(below))
                    assert first.get(blocking=True, timeout=60) == "second"
                    assert second.get(blocking=True, timeout=60) is None
                with force_run("outer", "inner"):
                    assert outer("both").get(blocking=True, timeout=60) == "both"
                assert plain("plain").get(blocking=True, timeout=60) == "plain"
                assert below("recorded").get(blocking=True) is None
                with force_run("flaky"):
                    flaky("again")
            assert [call.name for call in calls] == ["outer"] * 4 + ["below", "flaky"], calls
            """)
        project.wait_for(9)
    expected = ["outer first", "outer second", "outer later", "outer both", "inner both", "plain plain"]
    assert project.executed == Counter(expected + ["flaky again"] * 3), log.read_text()


@pytest.mark.processes
def test_a_consumer_from_a_test_run_is_in_a_test_run(project: QueueProject) -> None:
    """It records what a process outside of it has published."""
    with project.worker(SIDE_EFFECTS_TEST_RUN="1") as log:
        project.in_production("""
            from shop_tasks import above, plain
            above("ann")
            assert plain("plain").get(blocking=True, timeout=60) == "plain"
            """)
    assert project.executed == Counter(["plain plain"]), log.read_text()


# -- in this process


@pytest.fixture
def shop() -> Iterator[Any]:
    """A queue in memory, and tasks that tell whether they executed."""
    queue = huey.MemoryHuey("shop", store_none=True)
    executed: list[str] = []
    with isolated_registry():

        @side_effect(name="h.above", returns="recorded")
        @queue.task()
        def above(to: str) -> str:
            executed.append(to)
            return "executed"

        @queue.task(name="plain")
        def plain(to: str) -> str:
            return str(above.call_local(to))

        @side_effect(name="h.nightly")
        @queue.periodic_task(lambda _: True)
        def nightly() -> None:
            executed.append("nightly")

        def work() -> None:
            while queue.storage.queue_size():
                queue.execute(queue.dequeue())

        shop = {"queue": queue, "above": above, "plain": plain, "nightly": nightly, "executed": executed}
        yield type("Shop", (), {**shop, "work": staticmethod(work)})


@pytest.mark.parametrize("immediate", [True, False])
def test_overrides_reach_whatever_runs_in_this_process(shop: Any, immediate: bool) -> None:
    """The test's stubs, refusals and forced effects hold in immediate mode, and in a consumer beside the test."""
    shop.queue.immediate = immediate

    def came_of(task: Any, to: str) -> Any:
        result = task(to)
        shop.work()
        return result.get(blocking=True, timeout=30)

    with capture() as calls:
        assert came_of(shop.above, "recorded") == "recorded"
        with stub("h.above", returns="stubbed"):
            assert came_of(shop.above, "stubbed") == "stubbed"
            assert came_of(shop.plain, "stubbed below") == "stubbed"
        with force_run(shop.above):
            assert came_of(shop.above, "forced") == "executed"
            assert came_of(shop.plain, "forced below") == "executed"
        with forbid("h.above"):
            with pytest.raises(SideEffectBlocked):
                shop.above("refused")
            with pytest.raises(Exception, match="SideEffectBlocked"):
                came_of(shop.plain, "refused below")
        nightly = shop.nightly.task_class()
        shop.queue.enqueue(nightly)
        shop.work()
    assert shop.executed == ["forced", "forced below"]
    assert calls.named("h.above")[3].outcome is not None
    assert calls.count("h.above") == 7
    assert calls.count("h.nightly") == 1


def test_call_local_is_decided(shop: Any) -> None:
    """It is how tasks are called without a queue."""
    with capture() as calls:
        assert shop.above.call_local("ann") == "recorded"
    assert not calls.one("h.above").is_async
    with force_run("h.above"):
        assert shop.above.call_local("ann") == "executed"


def test_what_follows_a_recorded_task_follows_with_its_stub(shop: Any) -> None:
    """The rest of a pipeline with its result, and its error handler with its exception."""
    with capture() as calls:
        results = shop.queue.enqueue(shop.above.s("first").then(shop.above))
        assert results.get() == ["recorded", "recorded"]
        with stub("h.above", raises=ConnectionError("no network")):
            failed = shop.queue.enqueue(shop.above.s("second").error(shop.plain))
            with pytest.raises(Exception, match="no network"):
                failed.get()
    assert [call.arguments["to"] for call in calls] == ["first", "recorded", "second"]
    assert [task.name for task in shop.queue.pending()] == ["plain"]


def test_periodic_rescheduled_and_grouped_tasks_are_decided(shop: Any) -> None:
    """As their scheduler, and who changes his mind, hand them over; error handlers as well."""
    failing = shop.queue.task(name="failing")(lambda: 1 / 0)
    with capture() as calls:
        for forced in (False, True):
            with force_run("h.*") if forced else contextlib.nullcontext():
                for task in shop.queue.read_periodic(datetime.datetime.now()):  # noqa: DTZ005 - as its consumer does
                    shop.queue.enqueue(task)
                shop.above.schedule(("tomorrow",), delay=86_400).reschedule(delay=0)
                shop.queue.enqueue(huey.api.group([shop.above.s("group"), shop.above.s("group")]))
                shop.queue.enqueue(failing.s().error(shop.above))
                shop.work()
            assert (len(shop.queue.scheduled()), shop.queue.pending()) == (int(forced), [])
    assert shop.executed[:-1] == ["nightly", "tomorrow", "group", "group"]
    assert isinstance(shop.executed[-1], ZeroDivisionError)
    assert (calls.count("h.nightly"), calls.count("h.above")) == (2, 10)


def test_what_is_only_shown_by_a_queue_is_decided_when_it_is_enqueued(shop: Any, production: None) -> None:
    """The queue's own consumers put back what they have taken out; everybody else makes a new call."""
    shop.above.schedule(("later",), delay=3600)
    shop.work()
    shop.above("soon")
    with record("h.above"), capture() as calls:
        for task in (*shop.queue.scheduled(), *shop.queue.pending()):
            shop.queue.enqueue(task)
        taken = shop.queue.dequeue()
        shop.queue.enqueue(taken)
        shop.queue.enqueue(taken)
    assert [call.arguments["to"] for call in calls] == ["later", "soon", "soon"]
    assert (len(shop.queue.pending()), len(shop.queue.scheduled())) == (1, 1)
    shop.work()
    assert shop.executed == ["soon"]


def test_signals_of_a_scheduler_obey_the_test_of_the_task(shop: Any, request: pytest.FixtureRequest) -> None:
    """They are about a task that does not run there, in a consumer that is in no test run."""

    @shop.queue.signal("enqueued")
    @side_effect(name="h.signal")
    def note(signal: str, task: Any) -> None:
        shop.executed.append(task.args[0])

    with capture() as calls:
        shop.plain.schedule(("recorded",), delay=1)
        with force_run("h.signal"):
            shop.plain.schedule(("forced",), delay=1)
        shop.work()
    assert (shop.executed, calls.count("h.signal")) == (["forced"], 2)
    request.getfixturevalue("production")  # from here on we are that consumer
    for task in shop.queue.read_schedule(datetime.datetime.now() + datetime.timedelta(days=2)):  # noqa: DTZ005
        shop.queue.enqueue(task)
    assert shop.executed == ["forced", "forced"]


def test_who_hands_on_a_task_of_a_test_run_obeys_it(shop: Any, request: pytest.FixtureRequest) -> None:
    """A process outside of it, such as a command that runs scheduled tasks now."""
    shop.plain.schedule(("recorded",), delay=3600)
    with force_run("h.above"):
        shop.above.schedule(("forced",), delay=3600)
    shop.work()
    waiting = {task.name: task for task in shop.queue.scheduled()}
    header = {**waiting["above"]._side_effects_header, "forced": []}
    request.getfixturevalue("production")  # from here on we are that process
    shop.queue.enqueue(waiting["plain"])
    shop.queue.enqueue(waiting["above"])
    waiting["above"]._side_effects_header = header
    shop.queue.enqueue(waiting["above"])
    assert [task.name for task in shop.queue.pending()] == ["plain", "above"]
    assert all(task._side_effects_header["test_run"] for task in shop.queue.pending())


def test_a_task_is_one_effect(shop: Any) -> None:
    """It stays the task that it is; declared again under another name, it is refused."""
    from huey.api import TaskWrapper

    assert isinstance(shop.above, TaskWrapper)
    assert shop.above.effect is registry["h.above"]
    assert not hasattr(shop.plain, "effect")
    with pytest.raises(TypeError, match=r"is a side effect already, named 'h\.above'"):
        side_effect(name="h.other")(shop.above)
    with isolated_registry():
        assert side_effect(name="h.above")(shop.above) is shop.above
        assert "h.above" in registry


def test_tasks_of_django_are_decided_by_both_ways_in(tmp_path: Path) -> None:
    """`db_task` holds the function twice; `on_commit_task` gives a function back, and is declared below."""
    QueueProject(tmp_path, "", "", [], "").program(
        """
        from django.conf import settings
        settings.configure(
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
            INSTALLED_APPS=["huey.contrib.djhuey"],
            HUEY={"name": "shop", "huey_class": "huey.MemoryHuey", "immediate": True},
        )
        import django
        django.setup()
        from huey.contrib.djhuey import db_task, on_commit_task
        from sideeffects import capture, force_run, side_effect

        executed = []


        @side_effect(name="h.db")
        @db_task()
        def above(to):
            executed.append(to)


        @on_commit_task()
        @side_effect(name="h.commit")
        def below(to):
            executed.append(to)


        with capture() as calls:
            above("call"), above.call_local("local"), below("commit"), below.call_local("local")
        assert [call.name for call in calls] == ["h.db", "h.db", "h.commit", "h.commit"], calls
        assert executed == []
        with force_run("h.db", "h.commit"):
            above("call"), above.call_local("local"), below("commit")
        assert executed == ["call", "local", "commit"], executed
        try:
            side_effect(name="h.above")(on_commit_task(name="other")(print))
        except TypeError as error:
            assert "below that decorator" in str(error)
        else:
            raise AssertionError
        """,
        environment={"SIDE_EFFECTS_TEST_RUN": "1"},
    )


def test_what_was_taken_from_huey_before_us_is_decided_or_refused(tmp_path: Path) -> None:
    """`djhuey.enqueue` is a bound method, and an app that comes before ours has imported it."""
    QueueProject(tmp_path, "", "", [], "").program(
        """
        from django.conf import settings
        settings.configure(
            INSTALLED_APPS=["huey.contrib.djhuey", "sideeffects"],
            HUEY={"name": "shop", "huey_class": "huey.MemoryHuey", "immediate": False},
        )
        from huey.contrib import djhuey
        from huey.contrib.djhuey import HUEY, enqueue, task

        hidden = [HUEY.enqueue]
        import django
        django.setup()
        from sideeffects import capture, side_effect
        from sideeffects.errors import SideEffectError


        @side_effect(name="h.page")
        @task()
        def page(to): ...


        @task()
        def plain(to): ...


        with capture() as calls:
            djhuey.enqueue(page.s("ann"))
            enqueue(page.s("ben"))
            enqueue(plain.s("plain"))
            hidden[0](plain.s("hidden"))
            try:
                hidden[0](page.s("kim"))
            except SideEffectError as error:
                assert "import sideeffects first" in str(error)
            else:
                raise AssertionError
        assert [call.arguments["to"] for call in calls] == ["ann", "ben"], calls
        waiting = HUEY.pending()
        assert [task.args for task in waiting] == [("plain",), ("hidden",)], waiting
        assert all(task._side_effects_header["test_run"] for task in waiting)
        """,
        environment={"SIDE_EFFECTS_TEST_RUN": "1"},
    )


def test_a_class_of_ones_own_that_is_made_later_is_decided(shop: Any) -> None:
    """Where it hands over by itself, too."""

    class Own(huey.MemoryHuey):
        def enqueue(self, task: Any) -> Any:
            self.storage.enqueue(self.serialize_task(task))
            return huey.api.Result(self, task)

    queue = Own("own")

    @side_effect(name="h.own", returns="recorded")
    @queue.task()
    def own(to: str) -> None:
        shop.executed.append(to)

    with capture() as calls:
        assert own("ann").get() == "recorded"
        assert queue.pending() == []
        with force_run("h.own"):
            own("ben")
        queue.execute(queue.dequeue())
    assert shop.executed == ["ben"]
    assert calls.count("h.own") == 2


def test_in_a_transaction_a_task_waits_for_the_commit(shop: Any, production: None, django_db_blocker: Any) -> None:
    """And is never published when it rolls back."""
    from django.db import connection, transaction

    with django_db_blocker.unblock():
        with transaction.atomic():
            result = shop.above("committed")
            assert shop.queue.pending() == []
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            shop.above("rolled back")
            raise ZeroDivisionError
        connection.close()
    shop.work()
    assert shop.executed == ["committed"]
    assert result.get() == "executed"


def test_a_redirect_changes_what_the_queue_gets(shop: Any, production: None) -> None:
    """Once: what arrives has been redirected where it was published. The task that takes itself keeps that."""
    shifted = redirect(to=lambda arguments: arguments["to"] + "+")
    with override_settings(SIDE_EFFECTS={"POLICY": {"*": shifted}}), capture() as calls:
        shop.above("one")
        shop.above(to="two")
        shop.work()
    assert shop.executed == ["one+", "two+"]
    assert [call.asked["to"] for call in calls if call.asked is not None] == ["one", "two"]
