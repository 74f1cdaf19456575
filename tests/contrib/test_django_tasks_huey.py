"""Django tasks on Huey's backend, whose worker calls a task's function by itself."""

import importlib.util
from pathlib import Path

import pytest

from tests.support.projects import Project

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
    from sideeffects import capture, force_run, side_effect

    executed = []


    @task
    @side_effect(name="sms.below")
    def below(to):
        executed.append(to)
        return "sent"


    @side_effect(name="sms.above")
    @task(takes_context=True)
    def above(context, to):
        executed.append(to)
        assert context.task_result.kwargs == {{}}
        return "sent"


    @task
    def plain(to):
        below.call(to)
        return "plain"


    def came_of(task, to):
        result = task.enqueue(to)
        while HUEY.storage.queue_size():
            HUEY.execute(HUEY.dequeue())
        result.refresh()
        assert result.status == "SUCCESSFUL", result.errors[0].traceback
        return result.return_value
"""

IN_PRODUCTION = """
    assert [came_of(below, "a"), came_of(above, "b"), came_of(plain, "c")] == ["sent", "sent", "plain"]
    assert executed == ["a", "b", "c"], executed
    if "ledger" in sys.argv:
        from sideeffects.ledgers import shared_calls
        told = [(call.name, call.outcome.result) for call in shared_calls()]
        assert told == [("sms.below", "sent"), ("sms.above", "sent"), ("sms.below", "sent")], told
"""

IN_A_TEST_RUN = """
    # The worker is another process, by what it knows: nothing but what came with the task.
    with force_run("sms.above"), capture() as calls:
        assert (came_of(below, "a"), came_of(above, "b"), came_of(plain, "c")) == (None, "sent", "plain")
    assert executed == ["b"], executed
    assert [call.name for call in calls] == ["sms.below", "sms.above", "sms.below"]
    assert calls.one("sms.above").outcome.result == "sent"
"""


@pytest.mark.parametrize("argument", ["ledger", "none"])
def test_a_task_runs_in_production_with_and_without_a_ledger(tmp_path: Path, argument: str) -> None:
    """Nobody hands the function an argument that it does not know; the ledger has one call with its outcome."""
    project = Project(tmp_path)
    project.write("program.py", PROGRAM + IN_PRODUCTION)
    project.run("program.py", argument)


@pytest.mark.parametrize("argument", ["ledger", "none"])
def test_a_task_is_decided_in_a_test_run(tmp_path: Path, argument: str) -> None:
    """Recorded ones never reach the queue; what was forced runs, with the test run's other effects recorded."""
    project = Project(tmp_path)
    project.write("program.py", PROGRAM + IN_A_TEST_RUN)
    project.run("program.py", argument, environment={"SIDE_EFFECTS_TEST_RUN": "1"})
