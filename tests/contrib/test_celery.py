"""Effects that are Celery tasks, with real worker processes and a real Redis as broker and result backend."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import celery
import pytest

from sideeffects import SideEffectError, capture, force_run, side_effect
from sideeffects.project import checks
from sideeffects.testing import isolated_registry
from tests.support.celery_project import CeleryProject
from tests.support.redis_server import redis_server

pytestmark = pytest.mark.processes

FLAVOURS = "above below shared_above shared_below bound_above bound_below annotated based by_class".split()
TIMES = {"chain": 2, "group": 2, "generated group": 2, "chord": 3, "nested": 3, "chunks": 2, "link": 2}
WAYS = [
    *("call", "run", "apply", "signature apply", "signature call", "delay", "keyword", "apply_async", "s", "si"),
    *("signature", "chain", "group", "generated group", "chord", "nested", "map", "starmap", "chunks", "link"),
    *("tasks", "send_task", "send_task with options"),
]
EACH = Counter({f"{flavour} {way}": TIMES.get(way, 1) for flavour in FLAVOURS for way in WAYS})


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture
def project(tmp_path: Path, redis_url: str) -> CeleryProject:
    return CeleryProject(tmp_path, redis_url)


# -- every way into a task


GO_ALL_WAYS = """
    import collections, json, sys
    import shop_tasks
    from sideeffects import capture
    from ways import WAYS

    def finish(came):
        if hasattr(came, "get"):
            came.get(timeout=60)

    with capture() as calls:
        for task in shop_tasks.ALL.values():
            for way in WAYS.values():
                finish(way(task))
    print(json.dumps([[call.name, call.arguments["way"], call.mode.name] for call in calls]))
"""


def test_no_way_into_a_task_publishes_or_executes_in_a_test_run(project: CeleryProject) -> None:
    """Each call is written down once, its result is there at once, the queue stays empty and nothing runs."""
    calls = json.loads(project.in_test_run(GO_ALL_WAYS))
    assert project.published() == 0
    assert not project.executed
    assert {mode for _, _, mode in calls} == {"RECORD"}
    assert Counter(f"{name.replace('.', '_')} {way}" for name, way, _ in calls) == EACH


def test_no_way_publishes_or_executes_in_eager_mode_either(project: CeleryProject) -> None:
    """Eager tasks are decided where they run, which is here."""
    eager = "    import shop_tasks\n    shop_tasks.app.conf.task_always_eager = True\n"
    calls = json.loads(project.in_test_run(eager + GO_ALL_WAYS))
    assert project.published() == 0
    assert not project.executed
    # What is sent by its name alone is not run eagerly by Celery, but it is decided all the same.
    assert Counter(f"{name.replace('.', '_')} {way}" for name, way, _ in calls) == EACH


@pytest.mark.parametrize("pool", ["solo", "prefork"])
def test_every_way_executes_in_production(project: CeleryProject, pool: str) -> None:
    """The ways are real ones: outside a test run each of them reaches the function, as often as it is called."""
    with project.worker(pool=pool):
        project.in_production(GO_ALL_WAYS)
        project.wait_for(sum(EACH.values()))  # the program has not waited for callbacks
    assert project.executed == EACH


# -- what travels with a message


def test_a_forced_task_runs_in_a_worker_that_is_in_no_test_run(project: CeleryProject) -> None:
    """The worker executes what the test had named, and records what that calls, and what follows it."""
    with project.worker() as log:
        project.in_test_run("""
            from celery import chain, group
            from shop_tasks import above, below, outer, plain
            from sideeffects import force_run

            with force_run("outer"):
                assert outer.delay("forced").get(timeout=60) == "forced"
                # The worker goes on with the chain and the callback, by itself.
                chain(outer.si("first"), below.si("chained"))()
                outer.apply_async(("second",), link=below.si("linked"))
                group(outer.si("grouped"), below.si("grouped"))()
            with force_run("outer", "inner"):
                assert outer.delay("both").get(timeout=60) == "both"
            assert plain.delay("plain").get(timeout=60) == "plain"
            """)
        project.wait_for(7)
        assert project.published() == 0
    expected = [
        "outer forced",
        "outer first",
        "outer second",
        "outer grouped",
        "outer both",
        "inner both",
        "plain plain",
    ]
    assert project.executed == Counter(expected), log.read_text()


def test_a_task_published_by_name_alone_is_obeyed_by_the_worker(project: CeleryProject) -> None:
    """A process that does not know the tasks says that it is in a test run, and the worker records their effects."""
    publisher = """
        import os
        from celery import Celery
        import sideeffects

        client = Celery("client", broker=os.environ["BROKER"], backend=os.environ["BACKEND"])
        client.conf.task_default_queue = os.environ["QUEUE"]
        assert client.send_task("shop.above", ("by name",)).get(timeout=60) == {result!r}
        assert client.signature("shop.plain", ("by name",)).delay().get(timeout=60) == "by name"
        """
    with project.worker():
        project.in_test_run(publisher.format(result=None))
        assert project.executed == Counter(["plain by name"])
        # What the worker did for the test run does not last.
        project.in_production(publisher.format(result="above by name"))
        assert project.executed == Counter(["above by name", "plain by name", "inner by name"])


def test_a_worker_started_from_a_test_run_is_in_one(project: CeleryProject) -> None:
    """What production publishes is recorded by it as well."""
    with project.worker(SIDE_EFFECTS_TEST_RUN="1"):
        project.in_production("""
            from shop_tasks import above, plain

            assert above.delay("recorded").get(timeout=60) is None
            assert plain.delay("plain").get(timeout=60) == "plain"
            """)
    assert project.executed == Counter(["plain plain"])


WITH_A_WORKER = """
    import os, subprocess, sys, time
    from contextlib import contextmanager

    @contextmanager
    def worker():
        command = f"-m celery -A shop_tasks worker -P solo -c 1 -l INFO -Q {os.environ['QUEUE']}"
        with open("worker.log", "w") as log:
            process = subprocess.Popen([sys.executable, *command.split()], stdout=log, stderr=log)
        try:
            while " ready." not in open("worker.log").read():
                assert process.poll() is None
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
            process.wait(30)
"""


def test_one_call_is_one_call_and_the_worker_adds_its_outcome(project: CeleryProject) -> None:
    """In a test, with a worker that the test has started."""
    project.write("with_a_worker.py", WITH_A_WORKER)
    project.in_test_run("""
        import shop_tasks
        from sideeffects import Mode, capture, force_run
        from with_a_worker import worker

        with capture() as calls, worker(), force_run("above", "outer", "flaky"):
            result = shop_tasks.above.delay("once")
            assert result.get(timeout=60) == "above once"
            assert shop_tasks.outer.delay("outer").get(timeout=60) == "outer"
            assert shop_tasks.flaky.delay("flaky").get(timeout=60) == "done"

        call = calls.one("above")
        assert call.outcome.result == "above once", call
        assert (call.mode, call.is_async, call.caller) == (Mode.EXECUTE, True, f"{__file__}:6"), call
        assert sorted(call.name for call in calls) == ["above", "flaky", "inner", "outer"], calls
        assert calls.one("inner").mode is Mode.RECORD
        """)


def test_retries_are_no_new_calls(project: CeleryProject) -> None:
    """They are sent again with the same headers, also when a rollback follows, and run until they succeed."""
    source = """
        from shop_tasks import flaky
        from sideeffects import force_run

        with force_run("flaky"):
            result = flaky.apply_async(("again",), headers={"trace": "t1"})
        assert result.get(timeout=60) == "done"
        """
    for run in (project.in_test_run, project.in_production):
        with project.worker():
            run(source)
        assert project.executed == Counter(f"flaky again {number} t1" for number in range(3))


def test_a_worker_obeys_its_own_stricter_settings(project: CeleryProject) -> None:
    """What production published is not executed where the worker's settings refuse it."""
    project.write(
        "strict.py",
        """
        from django.conf import settings

        settings.configure(SIDE_EFFECTS={"POLICY": {"above": "raise", "below": "record"}})
        from shop_tasks import app
        """,
    )
    with project.worker("strict"):
        project.in_production("""
            from shop_tasks import above, below
            from sideeffects import SideEffectBlocked

            assert below.delay("recorded").get(timeout=60) is None
            try:
                above.delay("refused").get(timeout=60)
            except Exception as error:
                assert type(error).__name__ == "SideEffectBlocked", error
            else:
                raise AssertionError
            """)
    assert not project.executed


# -- what is published, and when


DATABASES = """
    from django.conf import settings

    settings.configure(DATABASES={
        name: {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{name}.db"} for name in ("default", "other")
    })
    import django

    django.setup()
    from django.db import transaction
"""


def test_work_is_handed_over_when_the_transaction_commits(project: CeleryProject) -> None:
    """Not before, and not at all when it rolls back; each on its own database."""
    project.write("databases.py", DATABASES)
    project.write(
        "other_tasks.py",
        """
        from shop_tasks import app, note
        from sideeffects import side_effect


        @side_effect(name="other", on_commit="other")
        @app.task(name="shop.other")
        def other(way):
            note(f"other {way}")
        """,
    )
    project.in_production("""
        import redis, os
        from databases import transaction
        from celery import group
        from other_tasks import other
        from shop_tasks import above, app

        client = app.connection_for_write().default_channel.client
        count = lambda: client.llen(os.environ["QUEUE"])
        with transaction.atomic():
            result = above.delay("committed")
            group(above.si("grouped"), above.si("grouped"))()
            other.delay("at once")
            assert result.id
            assert count() == 1, count()
        assert count() == 4, count()
        try:
            with transaction.atomic():
                above.delay("rolled back")
                raise LookupError
        except LookupError:
            pass
        with transaction.atomic(using="other"):
            other.delay("later")
            above.delay("other database")
            assert count() == 5
        assert count() == 6
        """)


def test_arguments_that_cannot_travel_are_named(project: CeleryProject) -> None:
    """Before the call is decided: nothing is published, and nothing is written down."""
    project.in_test_run("""
        from shop_tasks import above, bound_below
        from sideeffects import capture

        with capture() as calls:
            for publish, said in (
                (lambda: above.delay(object()), "'above' cannot be enqueued: argument 1 (object)"),
                (lambda: bound_below.delay(way=object()), "'bound.below' cannot be enqueued: way (object)"),
            ):
                try:
                    publish()
                except TypeError as error:
                    assert said in str(error), error
                else:
                    raise AssertionError
        assert len(calls) == 0
        """)
    assert project.published() == 0


def test_refusals_stubs_and_policies_hold_where_a_task_is_published(project: CeleryProject) -> None:
    """A refusal is raised at once; a stub's result and exception arrive where those of the task would."""
    project.in_test_run("""
        from celery import chain
        from shop_tasks import above, below, plain
        from sideeffects import SideEffectBlocked, capture, forbid, stub

        with forbid("above"):
            for publish in (above.s(1).delay, lambda: above.delay(1), lambda: chain(above.si(1), below.si(2))()):
                try:
                    publish()
                except SideEffectBlocked:
                    pass
                else:
                    raise AssertionError
        with stub("above", returns=lambda way: way * 2):
            assert above.delay("ab").get() == "abab"
            with capture() as calls:
                assert chain(above.s("ab"), below.s())().get() is None
                assert calls.one("below").arguments["way"] == "abab"
        with stub("above", raises=ConnectionError("stubbed")):
            result = above.delay("ab")
            assert result.state == "FAILURE"
            try:
                result.get()
            except ConnectionError:
                pass
            else:
                raise AssertionError
        # A chain in which something is no effect goes on with what a recorded task returns.
        chain(above.si("first"), plain.si("second"))()
        """)
    assert project.published() == 1


def test_outside_a_test_run_overrides_hold_for_what_is_published_under_them(project: CeleryProject) -> None:
    """What is recorded by a block is never seen by a worker."""
    project.in_production("""
        from shop_tasks import above
        from sideeffects import capture, record

        with record("above"), capture() as calls:
            assert above.delay("held").get() is None
        calls.assert_called("above", way="held", times=1)
        above.delay("sent")
        """)
    assert project.published() == 1


# -- declaring


def test_declaring_a_task_leaves_its_app_as_it_is(project: CeleryProject) -> None:
    """No app is made ready by it; names, options and the task itself stay; a second name is refused."""
    project.write(
        "lazy_tasks.py",
        """
        from celery import Celery, shared_task
        from sideeffects import side_effect

        app = Celery("lazy", broker="memory://")


        @side_effect(name="above")
        @app.task(name="lazy.above")
        def above(way):
            raise AssertionError


        @app.task(name="lazy.below")
        @side_effect(name="below")
        def below(way):
            raise AssertionError


        @side_effect(name="shared")
        @shared_task
        def shared(way):
            raise AssertionError


        @app.task(name="lazy.plain")
        def plain(way):
            raise AssertionError
        """,
    )
    project.in_test_run("""
        from lazy_tasks import above, app, below, plain, shared
        from sideeffects import declare, explain, registry, side_effect

        assert registry["above"].dotted_path == "lazy_tasks:above"
        declare("lazy_tasks:plain", name="plain")
        assert not app.finalized
        assert not app._tasks
        assert plain.delay("declared").get() is None
        for task in (above, below, shared, plain):
            assert registry[task.effect.name] is task.effect
        assert above.name == "lazy.above"
        assert not hasattr(app.tasks["celery.map"], "effect")
        assert explain(above).mode.name == "RECORD"
        for again in (above, below, shared, plain):
            try:
                side_effect(name="twice")(again)
            except TypeError as error:
                assert "is a side effect already" in str(error), error
            else:
                raise AssertionError
        """)


def test_a_task_that_apps_have_made_already_is_declared_in_all_of_them(project: CeleryProject) -> None:
    """Each app has a copy of a shared task; apps that come later get the effect as well."""
    project.in_test_run("""
        from celery import Celery, shared_task

        apps = [Celery(f"app{n}", broker="memory://", backend="cache+memory://") for n in range(2)]

        @shared_task(name="late")
        def late(way):
            raise AssertionError

        @shared_task(name="again", autoretry_for=(ValueError,))
        def again(way):
            raise AssertionError

        for app in apps:
            app.finalize()
        from sideeffects import capture, side_effect

        side_effect(name="late")(late)
        side_effect(name="again")(apps[0].tasks["again"])
        apps.append(Celery("app2", broker="memory://", backend="cache+memory://"))
        with capture() as calls:
            for app in apps:
                for name in ("late", "again"):
                    app.tasks[name].delay("delay")
                    app.tasks[name]("call")
                    app.tasks[name].apply(("apply",)).get()
        assert calls.count("late") == calls.count("again") == 9, calls
        """)


# -- the engine


def settings_for(engine: str) -> str:
    return f"""
        from django.conf import settings

        settings.configure(SIDE_EFFECTS={{"ENGINE": {engine!r}}})
        from shop_tasks import app
        """


def test_the_engine_runs_enqueued_calls_in_a_worker(project: CeleryProject) -> None:
    """By name and arguments; results and errors come back; what JSON cannot carry does not."""
    project.write("configured.py", settings_for("celery"))
    with project.worker("configured"):
        project.in_production("""
            import configured
            from shop_tasks import failing, inner, note, odd
            from sideeffects import side_effect

            handle = inner.enqueue("enqueued")
            assert handle.result(60) == "inner enqueued"
            assert handle.done() and handle.name == "inner" and handle.id
            assert inner.enqueue(way="named").result(timeout=60) == "inner named"
            assert odd.enqueue().result(60) is None
            try:
                failing.enqueue().result(60)
            except ConnectionError as error:
                assert "no network" in str(error)
            else:
                raise AssertionError
            try:
                inner.enqueue(object())
            except TypeError as error:
                assert "argument 1 (object)" in str(error), error
            else:
                raise AssertionError

            @side_effect(name="nowhere", async_ok=True)
            def nowhere(): ...

            try:
                nowhere.enqueue().result(60)
            except Exception as error:
                assert type(error).__name__ == "UnknownSideEffect" and "nowhere" in str(error), error
            else:
                raise AssertionError
            """)
    assert project.executed == Counter(["inner enqueued", "inner named", "odd"])


def test_the_engine_publishes_nothing_that_is_recorded(project: CeleryProject) -> None:
    """In a test run a call that no test names is answered; one that is named runs in the worker, as one call."""
    project.write("configured.py", settings_for("celery"))
    project.write("with_a_worker.py", WITH_A_WORKER)
    project.in_test_run("""
        import configured, os
        from shop_tasks import app, inner
        from sideeffects import capture, force_run
        from with_a_worker import worker

        assert inner.enqueue("recorded").result() is None
        assert app.connection_for_write().default_channel.client.llen(os.environ["QUEUE"]) == 0
        with worker(), force_run("inner"), capture() as calls:
            assert inner.enqueue("forced").result(60) == "inner forced"
        assert calls.one("inner").outcome.result == "inner forced", calls
        """)
    assert project.executed == Counter(["inner forced"])


def test_without_a_backend_or_an_app_the_engine_says_so(project: CeleryProject) -> None:
    """A result that nobody keeps, and a process without a Celery app, are errors that say what to do."""
    project.write("configured.py", settings_for("celery"))
    project.in_production(
        """
        import configured
        from shop_tasks import inner
        from sideeffects import SideEffectError

        handle = inner.enqueue("unknown")
        assert not handle.done()
        try:
            handle.result(1)
        except SideEffectError as error:
            assert "no result backend" in str(error)
        else:
            raise AssertionError
        """,
        BACKEND="",
    )
    assert project.published() == 1
    project.in_production("""
        from django.conf import settings

        settings.configure(SIDE_EFFECTS={"ENGINE": "celery"})
        from sideeffects import SideEffectError, side_effect

        @side_effect(name="send", async_ok=True)
        def send(): ...

        try:
            send.enqueue()
        except SideEffectError as error:
            assert "no Celery app with a broker" in str(error)
        else:
            raise AssertionError
        """)


class OwnEngine:
    """Runs what it is given at once."""

    def check(self, parcel: Any) -> None: ...

    def submit(self, parcel: Any, handle: Any, work: Callable[[], object]) -> None:
        handle.future.set_result((parcel.name, work()))


def test_an_engine_may_be_given_by_its_dotted_path(settings: Any) -> None:
    """It is made once; what is no engine, or is not there, is an error that names the setting."""
    with isolated_registry():

        @side_effect(name="send", async_ok=True)
        def send() -> str:
            return "sent"

        settings.SIDE_EFFECTS = {"ENGINE": f"{__name__}.OwnEngine"}
        with force_run("send"):
            assert send.enqueue().result() == ("send", "sent")
            for path, said in (
                ("os.getcwd", "is no engine"),
                ("os.path.nothing", "no engine at"),
                ("no.such", "no engine"),
            ):
                settings.SIDE_EFFECTS = {"ENGINE": path}
                with pytest.raises(SideEffectError, match=rf"SIDE_EFFECTS\['ENGINE'\].*{said}"):
                    send.enqueue()
                assert [error.id for error in checks.check_settings()] == ["sideeffects.E025"]


def test_an_arriving_call_is_not_written_down_again() -> None:
    """What a message says of the call holds for the first call of that effect, and for its own task only."""
    app = celery.Celery("arriving", broker="memory://", set_as_current=False)
    with isolated_registry():

        @app.task(name="arriving.send")
        @side_effect(name="send")
        def send(again: bool) -> str:
            return "sent" if not again else send.run(False)

        with force_run("send"), capture() as calls:
            send("call")
            about = {"id": calls[0].id, "name": "send", "task": "one", "run_id": None}
            for header, written in (
                ({"call": about}, 0),
                ({"call": {**about, "task": "another"}}, 1),
                ({"call": {**about, "name": "other"}}, 1),
            ):
                before = len(calls)
                assert send.apply((False,), task_id="one", headers={"side_effects": header}).get() == "sent"
                assert len(calls) == before + written
            before = len(calls)
            send.apply((True,), task_id="one", headers={"side_effects": {"call": about}})
            assert len(calls) == before + 1
        for unreadable in ("test", {"test_run": True, "forced": "send"}):
            with capture() as calls:
                assert send.apply((False,), headers={"side_effects": unreadable}).get() is None
            assert calls.one("send").reason.startswith("handed over in a test run")


def test_a_message_of_a_test_run_is_obeyed_in_production(production: None) -> None:
    """While its task runs, and no longer."""
    app = celery.Celery("obeying", broker="memory://", set_as_current=False)
    with isolated_registry():

        @app.task(name="obeying.send")
        @side_effect(name="send")
        def send() -> str:
            return "sent"

        header = {"test_run": True, "forced": ["other"]}
        assert send.apply(headers={"side_effects": header}).get() is None
        assert send.apply(headers={"side_effects": {**header, "forced": ["send"]}}).get() == "sent"
        assert send.apply().get() == "sent"
