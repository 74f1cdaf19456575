"""Effects that are RQ jobs, with real worker processes and a real Redis."""

import contextlib
import json
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.test import override_settings

from sideeffects import SideEffectBlocked, capture, forbid, force_run, redirect, side_effect, stub
from sideeffects.testing import isolated_registry
from tests.support.queue_project import QueueProject
from tests.support.redis_server import redis_server

rq = pytest.importorskip("rq")

TASKS = """
    import datetime
    import os

    import redis
    from rq import Queue, Retry
    from rq.decorators import job
    from sideeffects import side_effect
    from trace import note

    connection = redis.Redis.from_url(os.environ["REDIS_URL"])
    queue = Queue(os.environ["QUEUE"], connection=connection)


    @side_effect(name="above")
    @job(queue, connection=connection)
    def above(way):
        return note(f"above {way}")


    @job(queue, connection=connection)
    @side_effect(name="below")
    def below(way):
        return note(f"below {way}")


    @side_effect(name="bare")
    def bare(way):
        return note(f"bare {way}")


    class Gateway:
        @side_effect(name="method")
        def send(self, way):
            return note(f"method {way}")


    method = Gateway().send
    ALL = [above, below, bare, method]


    @side_effect(name="inner")
    def inner(way):
        return note(f"inner {way}")


    def plain(way):
        note(f"plain {way}")
        inner(way)
        return way


    @side_effect(name="outer")
    def outer(way):
        note(f"outer {way}")
        inner(way)
        return way


    @side_effect(name="flaky")
    def flaky(way):
        note(f"flaky {way}")
        raise ConnectionError("no network")


    @side_effect(name="callback")
    def callback(job, connection, result):
        note(f"callback {result}")


    @side_effect(name="stopped")
    def stopped_callback(job, connection):
        note("stopped")


    def many(function):
        datas = [Queue.prepare_data(function, args=("many",)) for _ in range(2)]
        return queue.enqueue_many(datas)


    WAYS = {
        "delay": lambda function: (getattr(function, "delay", None) or (lambda w: queue.enqueue(function, w)))("delay"),
        "enqueue": lambda function: queue.enqueue(function, "enqueue"),
        "keyword": lambda function: queue.enqueue(function, way="keyword"),
        "enqueue_call": lambda function: queue.enqueue_call(function, args=("enqueue_call",)),
        "enqueue_at": lambda function: queue.enqueue_at(
            datetime.datetime.now(datetime.timezone.utc), function, "enqueue_at"
        ),
        "enqueue_in": lambda function: queue.enqueue_in(datetime.timedelta(seconds=1), function, "enqueue_in"),
        "enqueue_job": lambda function: queue.enqueue_job(queue.create_job(function, args=("enqueue_job",))),
        "depends_on": lambda function: queue.enqueue(
            function, "depends_on", depends_on=queue.enqueue(function, "depends_on")
        ),
        "many": many,
    }
"""
WORKER = "-m rq.cli worker QUEUE --with-scheduler".split()

GO_ALL_WAYS = """
    import json
    import shop_tasks
    from sideeffects import capture

    with capture() as calls:
        for task in shop_tasks.ALL:
            for way in shop_tasks.WAYS.values():
                way(task)
    print(json.dumps([[call.name, call.arguments["way"], call.mode.name, call.is_async] for call in calls]))
"""
NAMES = "above below bare method".split()
WAYS = {"delay": 1, "enqueue": 1, "keyword": 1, "enqueue_call": 1, "enqueue_at": 1, "enqueue_in": 1, "enqueue_job": 1}
WAYS |= {"depends_on": 2, "many": 2}
EACH = Counter({f"{name} {way}": times for name in NAMES for way, times in WAYS.items()})


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture
def project(tmp_path: Path, redis_url: str) -> QueueProject:
    url = redis_url
    worker = [*WORKER, "--url", url, "--path", str(tmp_path)]
    return QueueProject(tmp_path, redis_url, TASKS, worker, "Listening on")


@pytest.mark.processes
def test_no_way_into_a_queue_publishes_in_a_test_run(project: QueueProject) -> None:
    """Each call is written down once, and Redis sees nothing."""
    calls = json.loads(project.in_test_run(GO_ALL_WAYS))
    assert Counter(f"{name} {way}" for name, way, _, _ in calls) == EACH
    assert {(mode, is_async) for _, _, mode, is_async in calls} == {("RECORD", True)}
    assert not project.executed
    assert project.kept() == []


@pytest.mark.processes
def test_every_way_executes_in_production(project: QueueProject) -> None:
    """The ways are real ones: outside a test run each of them reaches the function, as often as it is called."""
    with project.worker() as log:
        project.in_production(GO_ALL_WAYS)
        project.wait_for(EACH.total())
    assert project.executed == EACH, log.read_text()


@pytest.mark.processes
def test_what_a_test_named_travels_with_the_job(project: QueueProject) -> None:
    """A worker in no test run executes what was named, and records what that calls and what follows it."""
    with project.worker() as log:
        project.in_test_run("""
            import time
            from rq import Retry
            from shop_tasks import below, callback, flaky, inner, outer, plain, queue
            from sideeffects import capture, force_run

            def came_of(job):
                for _ in range(1200):
                    if job.get_status() in ("finished", "failed"):
                        return job.return_value()
                    time.sleep(0.05)

            with capture() as calls:
                with force_run("outer"):
                    assert came_of(queue.enqueue(outer, "first", on_success=callback)) == "first"
                    recorded = queue.enqueue(below, "recorded")
                    assert came_of(queue.enqueue(outer, "second", depends_on=recorded)) == "second"
                with force_run("outer", "inner"):
                    assert came_of(queue.enqueue(outer, "both")) == "both"
                assert came_of(queue.enqueue(plain, "plain")) == "plain"
                assert came_of(queue.enqueue("shop_tasks.below", "by name")) is None
                with force_run("flaky"):
                    assert came_of(queue.enqueue(flaky, "again", retry=Retry(max=2))) is None
            names = ["outer", "below", "outer", "outer", "below", "flaky"]
            assert [call.name for call in calls] == names, calls
            """)
        project.wait_for(8)
    expected = ["outer first", "outer second", "outer both", "inner both", "plain plain"]
    assert project.executed == Counter(expected + ["flaky again"] * 3), log.read_text()


@pytest.mark.processes
def test_a_worker_from_a_test_run_is_in_a_test_run(project: QueueProject) -> None:
    """It records what a process outside of it has published."""
    with project.worker(SIDE_EFFECTS_TEST_RUN="1") as log:
        project.in_production("""
            from shop_tasks import above, plain, queue
            above.delay("ann")
            queue.enqueue(plain, "plain")
            """)
        project.wait_for(1)
    assert project.executed == Counter(["plain plain"]), log.read_text()


@pytest.mark.processes
def test_a_process_that_imports_us_for_a_callback_obeys_the_job(project: QueueProject) -> None:
    """RQ's workers import a job's module in the processes that they start, and call `on_stopped` themselves."""
    stopped = """
        import os
        import redis
        import rq
        from rq.callbacks import execute_stopped_callback

        connection = redis.Redis.from_url(os.environ["REDIS_URL"])
        for job in rq.Queue(os.environ["QUEUE"], connection=connection).jobs:
            execute_stopped_callback(job, rq.timeouts.UnixSignalDeathPenalty)
        """
    publish = "from shop_tasks import plain, queue; queue.enqueue(plain, 1, on_stopped='shop_tasks.stopped_callback')"
    project.in_test_run(publish)
    project.in_production(stopped)
    assert not project.executed
    project.in_production(publish)
    project.in_production(stopped)
    assert project.executed == Counter(["stopped"])


# -- in this process


executed: list[str] = []


def send(to: str) -> str:
    executed.append(to)
    return "executed"


def plain(to: str) -> Any:
    return sys.modules[__name__].send(to)  # type: ignore[attr-defined]


@pytest.fixture
def queue(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A queue that runs its jobs at once, in this process, and an effect that tells whether it executed."""
    executed.clear()
    with isolated_registry(), redis.Redis.from_url(redis_url) as connection:
        monkeypatch.setattr(sys.modules[__name__], "send", side_effect(name="rq.send", returns="recorded")(send))
        yield rq.Queue("in-process", is_async=False, connection=connection)
        connection.flushdb()


def test_overrides_reach_a_queue_that_runs_its_jobs_at_once(queue: Any) -> None:
    """The test's stubs, refusals and forced effects."""
    with capture() as calls:
        assert queue.enqueue(send, "recorded").result == "recorded"
        with stub("rq.send", returns="stubbed"):
            job = queue.enqueue(send, "stubbed")
            assert (job.return_value(), job.result, job.is_finished) == ("stubbed", "stubbed", True)
            assert queue.enqueue(plain, "stubbed below").return_value() == "stubbed"
        with stub("rq.send", raises=ConnectionError("no network")):
            failed = queue.enqueue(send, "failing")
            assert failed.is_failed
            assert "no network" in failed.exc_info
        with force_run("rq.send"):
            assert queue.enqueue(send, "forced").return_value() == "executed"
            assert queue.enqueue(plain, "forced below").return_value() == "executed"
        with forbid("rq.send"):
            with pytest.raises(SideEffectBlocked):
                queue.enqueue(send, "refused")
            assert queue.enqueue(plain, "refused below").is_failed
    assert executed == ["forced", "forced below"]
    assert calls.count("rq.send") == 8
    assert calls.named("rq.send")[4].outcome is not None


def test_what_rq_gives_to_a_function_stays(queue: Any) -> None:
    """`delay` and `enqueue` are RQ's own, above and below its decorator; and a function is one effect."""
    from rq.decorators import job

    def work(to: str) -> None:
        executed.append(to)

    above = side_effect(name="rq.above", async_ok=True)(job(queue, connection=queue.connection)(work))

    @job(queue, connection=queue.connection)
    @side_effect(name="rq.below", async_ok=True)
    def below(to: str) -> None:
        executed.append(to)

    with capture() as calls:
        for task in (above, below):
            for way in (task.delay, task.enqueue):
                assert way("ann").is_finished
    assert [call.name for call in calls] == ["rq.above"] * 2 + ["rq.below"] * 2
    assert executed == []
    for task in (work, below):
        with pytest.raises(TypeError, match="is a side effect already"):
            side_effect(name="rq.again")(task)


def passing_on(names: list[str]) -> None:
    """A job that hands others to a queue with workers."""
    connection = rq.get_current_job().connection
    for number, name in enumerate(names):
        rq.Queue("passed-on", connection=connection).enqueue(getattr(sys.modules[__name__], name), f"one-{number}")
    datas = [rq.Queue.prepare_data(getattr(sys.modules[__name__], name), args=("many",)) for name in names]
    rq.Queue("passed-on", connection=connection).enqueue_many(datas)


@pytest.mark.parametrize("many", [False, True])
def test_what_a_job_enqueues_where_it_is_run_at_once_is_decided(queue: Any, many: bool) -> None:
    """It is no part of the job's own publishing: no effect reaches the other queue, and what does says its test run."""
    given = (["send", "plain"],)
    with capture() as calls:
        if many:
            queue.enqueue_many([queue.prepare_data(passing_on, args=given)])
        else:
            queue.enqueue(passing_on, *given)
    assert [call.arguments["to"] for call in calls] == ["one-0", "many"]
    passed_on = rq.Queue("passed-on", connection=queue.connection).jobs
    assert [job.args[0] for job in passed_on] == ["one-1", "many"]
    assert all(job.meta["side_effects"]["test_run"] for job in passed_on)


class Caller:
    def __call__(self, to: str) -> None:
        executed.append(to)


def test_an_object_that_is_a_job_is_the_effect_that_it_runs(waiting: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """RQ calls it: no queue gets it unless the test names it."""
    monkeypatch.setattr(Caller, "__call__", side_effect(name="rq.called")(Caller.__call__))
    with capture() as calls:
        waiting.enqueue(Caller(), "recorded")
        waiting.enqueue_many([waiting.prepare_data(Caller(), args=("recorded",))])
        assert waiting.job_ids == []
        with force_run("rq.called"):
            waiting.enqueue(Caller(), "forced")
            waiting.work()
    assert executed == ["forced"]
    assert calls.count("rq.called") == 3


def note(job: Any, connection: Any, *came_of: Any) -> None:
    executed.append("noted")


def fail(to: str) -> None:
    raise ConnectionError(to)


@pytest.fixture
def waiting(queue: Any) -> Iterator[Any]:
    """A queue whose jobs wait for a worker, with one that runs in this process."""
    waiting = rq.Queue("waiting", connection=queue.connection)
    waiting.work = lambda: rq.SimpleWorker([waiting], connection=waiting.connection).work(burst=True)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield waiting
    for number, handler in handlers.items():  # the worker has put its own in their place
        signal.signal(number, handler)


def test_cron_groups_and_repeats_are_decided(waiting: Any) -> None:
    """What is recorded reaches no queue; what was forced runs as often as it is asked for."""
    from rq.cron import CronJob
    from rq.group import Group

    nightly = CronJob(waiting.name, func=send, args=("cron",), interval=60, name="nightly")
    many = [waiting.prepare_data(function, args=("group",)) for function in (send, plain)]
    with capture() as calls:
        nightly.enqueue(waiting.connection)
        Group.create(waiting.connection).enqueue_many(waiting, many)
        waiting.enqueue(send, "repeat", repeat=rq.Repeat(times=2, interval=0))
        waiting.work()
        assert (executed, waiting.job_ids) == ([], [])
        with force_run("rq.send"):
            nightly.enqueue(waiting.connection)
            waiting.enqueue(send, "repeat", repeat=rq.Repeat(times=2, interval=0))
            waiting.work()
    assert executed == ["cron", "repeat", "repeat", "repeat"]
    given = [call.arguments["to"] for call in calls]
    assert given == ["cron", "group", "repeat", "group", "cron", "repeat"]


def test_callbacks_and_jobs_that_are_queued_again_are_decided(waiting: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a worker in the process of the test, which obeys it."""
    noted = side_effect(name="rq.note")(note)
    failing = side_effect(name="rq.fail")(fail)
    for function in (noted, failing):
        monkeypatch.setattr(sys.modules[__name__], function.__name__, function)
    callback = rq.Callback(noted)
    failed = []
    with capture() as calls:
        for forced in ("rq.fail", "rq.*"):
            with force_run(forced):
                waiting.enqueue(plain, "fine", on_success=callback)
                failed.append(waiting.enqueue(failing, "bad", on_failure=callback, retry=rq.Retry(max=1)))
                waiting.work()
        assert executed == ["fine", "noted", "noted", "noted"]
        with forbid("rq.send"):
            refused = waiting.enqueue(plain, "refused")
            waiting.work()
        assert refused.get_status(refresh=True) == "failed"
        failed[0].requeue()
        waiting.work()
    assert (calls.count("rq.fail"), calls.count("rq.note")) == (2, 8)
    assert len(executed) == len(["fine", "noted", "noted", "noted"])


def test_callbacks_for_which_no_job_runs_obey_the_test_of_the_job(
    waiting: Any, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker calls that for a stopped job itself, and for a job whose process has died when it cleans up."""
    from rq.registry import StartedJobRegistry

    noted = side_effect(name="rq.note")(note)
    monkeypatch.setattr(sys.modules[__name__], "note", noted)
    jobs = [waiting.enqueue(plain, "never runs", on_stopped=rq.Callback(note), on_failure=rq.Callback(note))]
    with force_run("rq.note"):
        jobs.append(waiting.enqueue(plain, "forced", on_stopped=rq.Callback(note), on_failure=rq.Callback(note)))
    request.getfixturevalue("production")  # from here on we are a worker outside of the test run
    registry = StartedJobRegistry(queue=waiting)
    for number, job in enumerate(jobs):
        fetched = rq.job.Job.fetch(job.id, connection=waiting.connection)
        fetched.stopped_callback(fetched, fetched.connection)
        assert len(executed) == number
        fetched.set_status("started")
        waiting.connection.zadd(registry.key, {f"{job.id}:execution": 1})
        registry.cleanup()
        assert fetched.get_status() == "failed"
    assert executed == ["noted"] * 2


def test_what_goes_past_the_queue_has_its_mark_and_who_hands_it_on_obeys(
    waiting: Any, request: pytest.FixtureRequest
) -> None:
    """As rq-scheduler does: it saves a job by itself, and a process outside of the test run enqueues it later."""
    ids = []
    for forced in (False, True):
        with force_run("rq.send") if forced else contextlib.nullcontext():
            job = rq.job.Job.create(send, args=(f"forced: {forced}",), connection=waiting.connection)
            job.save()
            ids.append(job.id)
    request.getfixturevalue("production")  # from here on we are that process
    own = rq.job.Job.create(plain, connection=waiting.connection)
    held = own.meta
    own.save()
    assert own.meta is held
    assert held == {}
    for name in ids:
        waiting.enqueue_job(rq.job.Job.fetch(name, connection=waiting.connection))
    assert waiting.job_ids == ids[1:]
    waiting.work()
    assert executed == ["forced: True"]


def test_in_a_transaction_a_job_waits_for_the_commit(queue: Any, production: None, django_db_blocker: Any) -> None:
    """One by one and together; and nothing is published when it rolls back."""
    from django.db import connection, transaction

    with django_db_blocker.unblock():
        with transaction.atomic():
            queue.enqueue(send, "committed")
            queue.enqueue_many([queue.prepare_data(send, args=("many",)), queue.prepare_data(send, args=("many",))])
            assert executed == []
        assert executed == ["committed", "many", "many"]
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            queue.enqueue(send, "rolled back")
            raise ZeroDivisionError
        connection.close()
    assert executed == ["committed", "many", "many"]


def again(to: str) -> Any:
    executed.append(to)
    if to.startswith("failing"):
        raise ConnectionError(to)
    return rq.Retry(max=1, interval=60) if to.startswith("asking") else to


def test_a_job_that_is_put_back_for_later_is_no_new_call(
    waiting: Any, production: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retry or a repetition after a while is redirected once, like one that comes at once."""
    effect = side_effect(name="rq.again")(again)
    monkeypatch.setattr(sys.modules[__name__], "again", effect)
    shifted = redirect(to=lambda arguments: arguments["to"] + "+")
    with override_settings(SIDE_EFFECTS={"POLICY": {effect.effect.name: shifted}}), capture() as calls:
        waiting.enqueue(again, "failing", retry=rq.Retry(max=1, interval=60))
        waiting.enqueue(again, "asking")
        waiting.enqueue(again, "repeated", repeat=rq.Repeat(times=1, interval=60))
        waiting.work()
        assert len(waiting.scheduled_job_registry) == 3
        for job in waiting.scheduled_job_registry.get_job_ids():
            waiting.scheduled_job_registry.remove(job)
            waiting.push_job_id(job)  # its time has come
        waiting.work()
    assert Counter(executed) == {"failing+": 2, "asking+": 2, "repeated+": 2}
    assert calls.count("rq.again") == 3


def test_a_redirect_changes_what_the_queue_gets(queue: Any, production: None) -> None:
    """Once: what arrives has been redirected where it was published."""
    shifted = redirect(to=lambda arguments: arguments["to"] + "+")
    with override_settings(SIDE_EFFECTS={"POLICY": {send.effect.name: shifted}}), capture() as calls:
        queue.enqueue(send, "one")
        queue.enqueue(send, to="two")
        queue.enqueue_many([queue.prepare_data(send, args=("many",))])
    assert executed == ["one+", "two+", "many+"]
    assert [call.asked for call in calls] == [{"to": "one"}, {"to": "two"}, {"to": "many"}]
