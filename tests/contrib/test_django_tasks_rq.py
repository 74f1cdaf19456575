"""Django tasks on RQ's backend, whose jobs are named by the task and call its function by themselves."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.projects import Project
from tests.support.redis_server import redis_server
from tests.support.tasks_on_queues import IN_A_TEST_RUN, IN_PRODUCTION, TASKS

pytest.importorskip("django_tasks_rq")

PROGRAM = """
    import os, sys
    from django.conf import settings

    ledger = {"BACKEND": "file", "PATH": os.path.abspath("ledger.jsonl")}
    settings.configure(
        USE_TZ=True,
        INSTALLED_APPS=["django_rq"],
        RQ_QUEUES={"default": {"URL": os.environ["REDIS_URL"]}},
        TASKS={"default": {"BACKEND": "django_tasks_rq.RQBackend"}},
        SIDE_EFFECTS={"LEDGER": ledger} if "ledger" in sys.argv else {},
    )
    import django
    django.setup()
    import django_rq
    from django_tasks import task
    from django_tasks_rq import Job
    from rq import SimpleWorker


    queue = django_rq.get_queue("default", job_class=Job)
    queue.empty()


    def came_of(task, to):
        result = task.enqueue(to)
        SimpleWorker([queue], connection=queue.connection, job_class=Job).work(burst=True)
        result.refresh()
        assert result.status == "SUCCESSFUL", result.errors[0].traceback
        return result.return_value
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A Redis of these tests' own."""
    with redis_server() as url:
        yield url


@pytest.mark.parametrize("argument", ["ledger", "none"])
def test_a_task_runs_in_production_with_and_without_a_ledger(tmp_path: Path, url: str, argument: str) -> None:
    """The decision is made once, though two adapters see the call; the ledger has one call with its outcome."""
    project = Project(tmp_path)
    project.write("program.py", PROGRAM + TASKS + IN_PRODUCTION)
    project.run("program.py", argument, environment={"REDIS_URL": url})


@pytest.mark.parametrize("argument", ["ledger", "none"])
def test_a_task_is_decided_in_a_test_run(tmp_path: Path, url: str, argument: str) -> None:
    """Recorded ones never reach the queue; what was forced runs, with the test run's other effects recorded."""
    project = Project(tmp_path)
    project.write("program.py", PROGRAM + TASKS + IN_A_TEST_RUN)
    project.run("program.py", argument, environment={"REDIS_URL": url, "SIDE_EFFECTS_TEST_RUN": "1"})
