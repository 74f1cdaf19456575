"""Tasks of Dramatiq, Huey and RQ that are effects, in a probe on the live system: nothing reaches their queues."""

import json
from pathlib import Path

import pytest

from tests.support.probe_project import ProbeProject
from tests.support.redis_server import redis_server

pytestmark = pytest.mark.processes

TASKS = """
    import os

    import dramatiq
    import huey
    import redis
    import rq
    from dramatiq.brokers.stub import StubBroker

    import effects
    from sideeffects import side_effect

    broker = StubBroker()
    memory = huey.MemoryHuey("shop")
    immediate = huey.MemoryHuey("immediate", immediate=True)
    waiting = rq.Queue("waiting", connection=redis.Redis.from_url(os.environ["REDIS_URL"]))
    at_once = rq.Queue("at once", connection=waiting.connection, is_async=False)


    def send(to):
        effects.note("executed", to)


    def declared(name, function=send):
        return side_effect(name=name)(function)


    actor = declared("an.actor", dramatiq.actor(lambda to: send(to), broker=broker, actor_name="actor"))
    task = declared("a.task", memory.task(name="task")(lambda to: send(to)))
    now = immediate.task(name="now")(declared("a.task.at_once", lambda to: send(to)))


    @side_effect(name="a.job")
    def job(to):
        send(to)


    def hand_over():
        actor.send("an actor")
        actor("an actor without a queue")
        dramatiq.group([actor.message("a group")], broker=broker).run()
        task("a task")
        task.schedule(("a task for later",), delay=1)
        task.call_local("a task without a queue")
        now("an immediate task")
        for queue in (waiting, at_once):
            queue.enqueue(job, "a job")
            queue.enqueue_many([queue.prepare_data(job, args=("one of many",))])


    def published():
        return [broker.queues["default"].qsize(), len(memory.pending()), len(memory.scheduled()), waiting.count]
"""
PROBES = """
    from sideeffects.probes import SmokeTest

    from shop import tasks


    class Queues(SmokeTest):
        def test_hands_over(self):
            tasks.hand_over()
            self.assertEqual(tasks.published(), [0, 0, 0, 0])
"""
PROGRAM = """
    import json
    import os

    os.environ["DJANGO_SETTINGS_MODULE"] = "config"
    import django

    django.setup()
    from django.core.management import call_command

    from shop import tasks

    call_command("probe")
    print(json.dumps(tasks.published()))
    tasks.hand_over()
    print(json.dumps(tasks.published()))
"""


def test_nothing_is_published_in_a_probe(tmp_path: Path) -> None:
    """The ways are real ones: outside a probe, the same process publishes and executes them all."""
    for queue in ("dramatiq", "huey", "rq"):
        pytest.importorskip(queue)
    project = ProbeProject(tmp_path)
    project.write("shop/tasks.py", TASKS)
    project.write("shop/probes.py", PROBES)
    with redis_server() as url:
        inside, outside = project.program(PROGRAM, environment={"REDIS_URL": url}).splitlines()[-2:]
    assert json.loads(inside) == [0, 0, 0, 0]
    assert json.loads(outside) == [2, 2, 0, 2]  # Huey holds a task for later in its queue, until a consumer sees it
    here = ["an actor without a queue", "a task without a queue", "an immediate task", "a job", "one of many"]
    assert sorted(project.executed.elements()) == sorted(here)
