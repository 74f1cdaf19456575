"""What the engine `"celery"` guarantees, with real worker processes and a real Redis."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.celery_project import CeleryProject
from tests.support.redis_server import redis_server

pytestmark = pytest.mark.processes

#: The project of the workers: the tests differ in the options of the Celery app alone.
CONFIGURED = """
    import os, signal
    from pathlib import Path

    import django
    from celery import Celery
    from django.conf import settings

    settings.configure(
        SIDE_EFFECTS={"ENGINE": "celery"},
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    )
    django.setup()
    from sideeffects import side_effect

    app = Celery("shop", broker=os.environ["BROKER"], backend=os.environ["BACKEND"])
    app.conf.task_default_queue = os.environ["QUEUE"]
    app.conf.broker_connection_retry_on_startup = True
    app.conf.result_expires = 600
    app.conf.broker_transport_options = {"visibility_timeout": int(os.environ.get("VISIBILITY", "3600"))}
    app.conf.task_acks_late = app.conf.task_reject_on_worker_lost = bool(os.environ.get("LATE"))


    def note(text):
        with open(Path(__file__).parent / "executed", "a") as file:
            file.write(f"{text}\\n")
        return text


    @side_effect(name="inner", async_ok=True)
    def inner(way):
        return note(f"inner {way}")


    @side_effect(name="refusing", async_ok=True)
    def refusing():
        note("refusing")
        raise ConnectionError


    @side_effect(name="crashing", async_ok=True)
    def crashing():
        # Kills its process the first time, which the pool `solo` has in common with the worker.
        note("crashing")
        if not Path("killed").exists():
            Path("killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return "again"
    """


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture
def project(tmp_path: Path, redis_url: str) -> CeleryProject:
    project = CeleryProject(tmp_path, redis_url)
    project.write("configured.py", CONFIGURED)
    return project


def test_one_worker_keeps_the_order_and_an_error_is_not_tried_again(project: CeleryProject) -> None:
    """A worker that runs one task at a time runs calls in the order in which they were handed over, each once."""
    project.in_production("""
        from configured import inner, refusing

        for n in range(10):
            inner.enqueue(f"{n:02}")
        refusing.enqueue()
        inner.enqueue("last")
        """)
    with project.worker("configured"):
        project.wait_for(12)
    executed = (project.root / "executed").read_text(encoding="utf-8").splitlines()
    assert executed == [*(f"inner {n:02}" for n in range(10)), "refusing", "inner last"]
    assert project.published() == 0


@pytest.mark.parametrize("late", ["", "1"], ids=["by default", "acknowledged late"])
def test_a_call_whose_process_is_killed_is_not_run_again_unless_celery_is_told_to(
    project: CeleryProject, late: str
) -> None:
    """At most once by default; acknowledged late and rejected with its process at least once. The rest is run."""
    with project.worker("configured", pool="prefork", LATE=late):
        project.in_production(
            """
            import os
            from configured import crashing, inner

            handle = crashing.enqueue()
            assert inner.enqueue("waiting").result(60) == "inner waiting"
            try:
                assert handle.result(60) == "again"
            except Exception as error:
                assert type(error).__name__ == "WorkerLostError" and not os.environ["LATE"], error
            """,
            LATE=late,
        )
    assert project.executed == Counter({"crashing": 2 if late else 1, "inner waiting": 1})


def test_what_a_killed_worker_had_not_acknowledged_is_run_by_the_next_one(project: CeleryProject) -> None:
    """All of what was waiting, and with `task_acks_late` the call that was running; the broker gives it out again."""
    project.in_production("from configured import *\ncrashing.enqueue(); inner.enqueue('waiting')")
    with project.worker("configured", LATE="1", VISIBILITY="1"):
        project.wait_for(1)
    assert project.executed == Counter(["crashing"])

    time.sleep(1.1)  # the broker's `visibility_timeout`
    with project.worker("configured", LATE="1", VISIBILITY="1"):
        project.wait_for(3)
    assert project.executed == Counter({"crashing": 2, "inner waiting": 1})


def test_work_is_handed_over_when_the_transaction_commits(project: CeleryProject) -> None:
    """Not before, and not at all when it rolls back."""
    project.in_production("""
        import os
        from configured import app, inner
        from django.db import transaction

        client = app.connection_for_write().default_channel.client
        waiting = lambda: client.llen(os.environ["QUEUE"])
        with transaction.atomic():
            handle = inner.enqueue("committed")
            assert waiting() == 0 and not handle.done()
        assert waiting() == 1
        try:
            with transaction.atomic():
                inner.enqueue("rolled back")
                raise LookupError
        except LookupError:
            pass
        assert waiting() == 1
        """)
