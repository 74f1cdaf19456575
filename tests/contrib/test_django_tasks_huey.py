"""Django tasks on Huey's backend, whose worker calls a task's function by itself."""

import importlib.util
from pathlib import Path

import pytest

from tests.support.projects import Project
from tests.support.tasks_on_queues import IN_A_TEST_RUN, IN_PRODUCTION, TASKS

pytest.importorskip("huey")

PACKAGE = "django.tasks" if importlib.util.find_spec("django.tasks") else "django_tasks"

PROGRAM = f"""
    import os, sys
    from django.conf import settings

    ledger = {{"BACKEND": "file", "PATH": os.path.abspath("ledger.jsonl")}}
    settings.configure(
        USE_TZ=True,
        INSTALLED_APPS=["huey.contrib.djhuey"],
        HUEY={{"name": "shop", "huey_class": "huey.MemoryHuey", "immediate": False}},
        TASKS={{"default": {{"BACKEND": "huey.contrib.djhuey.tasks_backend.HueyBackend"}}}},
        SIDE_EFFECTS={{"LEDGER": ledger}} if "ledger" in sys.argv else {{}},
    )
    import django
    django.setup()
    from {PACKAGE} import task
    from huey.contrib.djhuey import HUEY


    def came_of(task, to):
        result = task.enqueue(to)
        while HUEY.storage.queue_size():
            HUEY.execute(HUEY.dequeue())
        result.refresh()
        assert result.status == "SUCCESSFUL", result.errors[0].traceback
        return result.return_value
"""


@pytest.mark.parametrize("argument", ["ledger", "none"])
def test_a_task_runs_in_production_with_and_without_a_ledger(tmp_path: Path, argument: str) -> None:
    """Nobody hands the function an argument that it does not know; the ledger has one call with its outcome."""
    project = Project(tmp_path)
    project.write("program.py", PROGRAM + TASKS + IN_PRODUCTION)
    project.run("program.py", argument)


@pytest.mark.parametrize("argument", ["ledger", "none"])
def test_a_task_is_decided_in_a_test_run(tmp_path: Path, argument: str) -> None:
    """Recorded ones never reach the queue; what was forced runs, with the test run's other effects recorded."""
    project = Project(tmp_path)
    project.write("program.py", PROGRAM + TASKS + IN_A_TEST_RUN)
    project.run("program.py", argument, environment={"SIDE_EFFECTS_TEST_RUN": "1"})
