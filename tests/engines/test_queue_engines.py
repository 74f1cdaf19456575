"""The engines `"dramatiq"`, `"huey"` and `"rq"`, with real worker processes and a real Redis."""

import importlib
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from sideeffects import SideEffectError
from sideeffects._core.calls.parcel import Parcel
from tests.support.queue_project import QueueProject
from tests.support.redis_server import redis_server

pytestmark = pytest.mark.processes

SETTINGS = """
    SIDE_EFFECTS = {{"ENGINE": {engine!r}, "LEDGER": {{"BACKEND": "file", "PATH": {ledger!r}}}}}
    DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}}
"""
EFFECTS = """
    import os
    from sideeffects import side_effect
    from trace import note
    {queue}


    @side_effect(name="inner", async_ok=True)
    def inner(way):
        return note(f"inner {{way}}")


    @side_effect(name="outer", async_ok=True)
    def outer(way):
        note(f"outer {{way}}")
        inner(way)
        return {{"came": way}}


    @side_effect(name="failing", async_ok=True)
    def failing():
        note("failing")
        raise ConnectionError("no network")


    @side_effect(name="odd", async_ok=True)
    def odd():
        note("odd")
        return open(os.devnull)
"""
QUEUES = {
    "dramatiq": """
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker
    from dramatiq.results import Results
    from dramatiq.results.backends import RedisBackend

    broker = RedisBroker(url=os.environ["REDIS_URL"], namespace=os.environ["QUEUE"])
    broker.add_middleware(Results(backend=RedisBackend(url=os.environ["REDIS_URL"])))
    dramatiq.set_broker(broker)
""",
    "huey": """
    from huey import RedisHuey
    from sideeffects.engines.huey import HueyEngine

    huey = RedisHuey(os.environ["QUEUE"], url=os.environ["REDIS_URL"])
    engine = HueyEngine(huey)
""",
    "rq": """
    import redis
    from rq import Queue
    from sideeffects.engines.rq import RQEngine

    engine = RQEngine(Queue(os.environ["QUEUE"], connection=redis.Redis.from_url(os.environ["REDIS_URL"])))
""",
}
WORKERS = {
    "dramatiq": ("-m dramatiq shop_tasks --processes 1 --threads 1".split(), "ready for action"),
    "huey": ("-m huey.bin.huey_consumer shop_tasks.huey -w 1".split(), "The following commands are available"),
    "rq": ("-m rq.cli worker QUEUE".split(), "Listening on"),
}
NAMES = {"dramatiq": "dramatiq", "huey": "shop_tasks.engine", "rq": "shop_tasks.engine"}


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture(params=list(QUEUES))
def project(request: pytest.FixtureRequest, tmp_path: Path, redis_url: str) -> QueueProject:
    pytest.importorskip(request.param)
    worker, ready = WORKERS[request.param]
    if request.param == "rq":
        worker = [*worker, "--url", redis_url, "--path", str(tmp_path)]
    project = QueueProject(tmp_path, redis_url, EFFECTS.format(queue=QUEUES[request.param]), worker, ready)
    project.write("settings.py", SETTINGS.format(engine=NAMES[request.param], ledger=str(tmp_path / "ledger")))
    project.environment["DJANGO_SETTINGS_MODULE"] = "settings"
    return project


def test_a_worker_runs_what_was_enqueued(project: QueueProject) -> None:
    """With results and errors at the handle, once, as one call in the ledger; a rollback takes it back."""
    with project.worker() as log:
        project.in_production("""
            import django
            django.setup()
            from django.db import transaction
            from shop_tasks import failing, inner, odd, outer
            from sideeffects import SideEffectError, record

            with transaction.atomic():
                handle = outer.enqueue("committed")
            try:
                with transaction.atomic():
                    outer.enqueue("rolled back")
                    raise ZeroDivisionError
            except ZeroDivisionError:
                pass
            assert handle.result(timeout=60) == {"came": "committed"}
            assert handle.done()
            try:
                failing.enqueue().result(timeout=60)
            except SideEffectError as error:
                assert "no network" in str(error), error
            else:
                raise AssertionError
            assert odd.enqueue().result(timeout=60) is None
            with record("outer"):
                assert outer.enqueue("recorded").result() is None
            try:
                outer.enqueue(object())
            except TypeError as error:
                assert "argument 1 (object)" in str(error), error
            else:
                raise AssertionError
            """)
        assert project.executed == Counter(["outer committed", "inner committed", "failing", "odd"]), log.read_text()
        told = project.in_production("""
            import django
            django.setup()
            from sideeffects.ledgers import shared_calls
            calls = [(call.name, call.is_async, call.outcome is not None) for call in shared_calls()]
            print(sorted(calls))
            """)
    assert told == f"{sorted([('failing', True, True), ('inner', False, True), ('odd', True, True), *OUTERS])}\n"


#: One committed, one recorded, one that could not travel, which is its outcome. One that was rolled back has none.
OUTERS = [("outer", True, True)] * 3 + [("outer", True, False)]


def test_the_process_that_enqueued_it_may_end(project: QueueProject) -> None:
    """The call is in the queue, and the next worker runs it."""
    project.in_production("import django; django.setup(); from shop_tasks import inner; inner.enqueue('ann')")
    assert not project.executed
    with project.worker() as log:
        project.wait_for(1)
    assert project.executed == Counter(["inner ann"]), log.read_text()


def test_what_a_test_named_is_executed_and_no_more(project: QueueProject) -> None:
    """By a worker that is in no test run."""
    with project.worker() as log:
        project.in_test_run("""
            import django
            django.setup()
            from shop_tasks import inner, outer
            from sideeffects import capture, force_run

            with capture() as calls:
                assert outer.enqueue("recorded").result() is None
                with force_run("outer"):
                    assert outer.enqueue("forced").result(timeout=60) == {"came": "forced"}
            decided = [(call.name, call.mode.name) for call in calls]
            assert decided == [("outer", "RECORD"), ("outer", "EXECUTE"), ("inner", "RECORD")], decided
            """)
    assert project.executed == Counter(["outer forced"]), log.read_text()


@pytest.mark.parametrize("name", list(QUEUES))
def test_without_a_queue_the_engine_says_what_to_do(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When something is enqueued."""
    pytest.importorskip(name)
    if name == "dramatiq":
        monkeypatch.setattr(importlib.import_module("dramatiq.broker"), "global_broker", None)
    monkeypatch.setitem(sys.modules, "huey.contrib.djhuey", None)
    engine = importlib.import_module(f"sideeffects.engines.{name}").engine()
    with pytest.raises(SideEffectError, match=rf"SIDE_EFFECTS\['ENGINE'\] is '{name}'"):
        engine.check(Parcel("1", "outer", (), {}))
