"""A folder with Celery tasks that are effects, declared in every order, and real workers for them."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from tests.support.projects import Project, clean_environment
from tests.support.redis_server import for_celery

TASKS = '''
    import os
    from pathlib import Path

    from celery import Celery, Task, shared_task
    from sideeffects import side_effect

    app = Celery("shop", broker=os.environ["BROKER"], backend=os.environ.get("BACKEND") or None)
    app.conf.task_default_queue = os.environ["QUEUE"]
    app.conf.broker_connection_retry_on_startup = True
    app.conf.result_expires = 600
    app.conf.task_annotations = {"shop.annotated": {"@run": lambda run: lambda way: run(way)}}


    def note(text):
        with open(Path(__file__).parent / "executed", "a") as file:
            file.write(f"{text}\\n")
        return text


    @side_effect(name="above", async_ok=True)
    @app.task(name="shop.above")
    def above(way):
        """Below the effect: a promise, until the app is ready."""
        return note(f"above {way}")


    @app.task(name="shop.below")
    @side_effect(name="below")
    def below(way):
        return note(f"below {way}")


    @side_effect(name="shared.above")
    @shared_task(name="shop.shared.above")
    def shared_above(way):
        return note(f"shared_above {way}")


    @shared_task(name="shop.shared.below")
    @side_effect(name="shared.below")
    def shared_below(way):
        return note(f"shared_below {way}")


    @side_effect(name="bound.above")
    @app.task(name="shop.bound.above", bind=True)
    def bound_above(self, way):
        assert self.name == "shop.bound.above"
        return note(f"bound_above {way}")


    @app.task(name="shop.bound.below", bind=True, autoretry_for=(ZeroDivisionError,))
    @side_effect(name="bound.below")
    def bound_below(self, way):
        assert self.name == "shop.bound.below"
        return note(f"bound_below {way}")


    @app.task(name="shop.annotated")
    @side_effect(name="annotated")
    def annotated(way):
        return note(f"annotated {way}")


    class Logged(Task):
        """A base with an `apply_async` of its own."""

        def apply_async(self, args=None, kwargs=None, **options):
            return super().apply_async(args, kwargs, **options)


    @side_effect(name="based")
    @app.task(name="shop.based", base=Logged)
    def based(way):
        return note(f"based {way}")


    class ByClass(Task):
        name = "shop.by_class"

        @side_effect(name="by_class")
        def run(self, way):
            return note(f"by_class {way}")


    by_class = app.register_task(ByClass())

    ALL = {
        "above": above, "below": below, "shared_above": shared_above, "shared_below": shared_below,
        "bound_above": bound_above, "bound_below": bound_below, "annotated": annotated, "based": based,
        "by_class": by_class,
    }


    @side_effect(name="inner", async_ok=True)
    def inner(way):
        return note(f"inner {way}")


    @app.task(name="shop.plain")
    def plain(way):
        """No effect by itself, but it calls one."""
        note(f"plain {way}")
        inner(way)
        return way


    @side_effect(name="outer")
    @app.task(name="shop.outer")
    def outer(way):
        note(f"outer {way}")
        inner(way)
        return way


    @side_effect(name="flaky")
    @app.task(name="shop.flaky", bind=True, max_retries=5)
    def flaky(self, way):
        note(f"flaky {way} {self.request.retries} {(self.request.headers or {}).get('trace')}")
        if self.request.retries < 2:
            raise self.retry(countdown=0)
        return "done"


    @side_effect(name="failing", async_ok=True)
    def failing():
        raise ConnectionError("no network")


    @side_effect(name="odd", async_ok=True)
    def odd():
        note("odd")
        return object()
'''

WAYS = """
    from celery import chain, chord, group

    #: Every way into a task that is given with what it is to be called with: each gives what came of it.
    WAYS = {
        "call": lambda task: task("call"),
        "run": lambda task: task.run("run"),
        "apply": lambda task: task.apply(("apply",)).get(),
        "signature apply": lambda task: task.s("signature apply").apply().get(),
        "signature call": lambda task: task.s("signature call")(),
        "delay": lambda task: task.delay("delay"),
        "keyword": lambda task: task.delay(way="keyword"),
        "apply_async": lambda task: task.apply_async(("apply_async",), countdown=0),
        "s": lambda task: task.s("s").delay(),
        "si": lambda task: task.si("si").apply_async(),
        "signature": lambda task: task.app.signature(task.name, ("signature",)).apply_async(),
        "chain": lambda task: chain(task.si("chain"), task.si("chain"))(),
        "group": lambda task: group(task.si("group"), task.si("group"))(),
        "generated group": lambda task: group(task.si("generated group") for _ in range(2)).apply_async(),
        "chord": lambda task: chord([task.si("chord"), task.si("chord")], task.si("chord"))(),
        "nested": lambda task: chain(task.si("nested"), group(task.si("nested"), task.si("nested")))(),
        "map": lambda task: task.map(["map"]).delay(),
        "starmap": lambda task: task.starmap([("starmap",)]).apply_async(),
        "chunks": lambda task: task.chunks([("chunks",), ("chunks",)], 1)(),
        "link": lambda task: task.apply_async(("link",), link=task.si("link")),
        "tasks": lambda task: task.app.tasks[task.name].delay("tasks"),
        "send_task": lambda task: task.app.send_task(task.name, ("send_task",)),
        "send_task with options": lambda task: task.app.send_task(task.name, kwargs={"way": "send_task with options"}),
    }
    #: How often a way calls the task, if not once.
    TIMES = {"chain": 2, "group": 2, "generated group": 2, "chord": 3, "nested": 3, "chunks": 2, "link": 2}
"""


class CeleryProject(Project):
    """The folder, with a queue of its own on a real Redis."""

    def __init__(self, root: Path, redis_url: str) -> None:
        super().__init__(root)
        self.write("shop_tasks.py", TASKS)
        self.write("ways.py", WAYS)
        self.queue = f"sideeffects-{uuid.uuid4().hex}"
        self.redis_url = redis_url
        url = for_celery(redis_url)
        self.environment = {"BROKER": url, "BACKEND": url, "QUEUE": self.queue}

    def published(self) -> int:
        """How many messages wait at the broker."""
        with redis.Redis.from_url(self.redis_url) as client:
            return int(client.llen(self.queue))  # type: ignore[arg-type]

    def in_production(self, source: str, **environment: str) -> str:
        """Run a program outside any test run; returns what it printed."""
        return self.program(source, environment={**self.environment, **environment})

    def in_test_run(self, source: str, **environment: str) -> str:
        """Run a program in a test run; returns what it printed."""
        return self.in_production(source, SIDE_EFFECTS_TEST_RUN="1", **environment)

    def wait_for(self, lines: int) -> None:
        """Wait until the tasks have left so many traces, for a minute at most."""
        for _ in range(1200):
            if self.executed.total() >= lines:
                return
            time.sleep(0.05)

    @contextmanager
    def worker(self, module: str = "shop_tasks", pool: str = "solo", **environment: str) -> Iterator[Path]:
        """A worker process, ready. It ends with the block, with all of its children.

        Yields:
            its log.
        """
        log = self.root / f"worker-{uuid.uuid4().hex}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [
                    sys.executable,
                    *f"-m celery -A {module} worker -P {pool} -c 1 -l INFO -Q {self.queue}".split(),
                    *QUIET,
                ],
                cwd=self.root,
                env=clean_environment() | self.environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            for _ in range(1200):
                if " ready." in log.read_text(encoding="utf-8"):
                    break
                assert process.poll() is None, log.read_text(encoding="utf-8")
                time.sleep(0.05)
            else:
                raise AssertionError(log.read_text(encoding="utf-8"))
            yield log
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(30)


QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")
