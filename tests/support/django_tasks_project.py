"""A Django project with tasks that are effects, queued in a database, and real workers for them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.projects import Project, clean_environment

SETTINGS = """
    import importlib.util
    import json
    import os

    SECRET_KEY = "no secret"
    USE_TZ = True
    INSTALLED_APPS = ["django_tasks_db"]
    DATABASES = {"default": json.loads(os.environ["DATABASE"])}
    TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
    SIDE_EFFECTS = json.loads(os.environ.get("RULES", "{}"))
"""

TASKS = '''
    import importlib.util
    import os
    import signal

    if importlib.util.find_spec("django.tasks"):
        from django.tasks import task
    else:
        from django_tasks import task
    from effects import note
    from sideeffects import side_effect


    @side_effect(name="above", returns="stub")
    @task
    def above(way):
        note("executed", f"above {way}")
        return f"above {way}"


    @task(takes_context=True)
    @side_effect(name="below", returns="stub")
    def below(context, way):
        assert list(context.task_result.kwargs) in ([], ["way"])
        note("executed", f"below {way}")
        return f"below {way}"


    @side_effect(name="later", returns="stub")
    @task
    async def later(way):
        note("executed", f"later {way}")
        return f"later {way}"


    @side_effect(name="inner", async_ok=True)
    def inner(way):
        note("executed", f"inner {way}")
        return way


    @task
    def plain(way):
        """No effect by itself, but it calls one."""
        note("executed", f"plain {way}")
        inner(way)
        return way


    @side_effect(name="failing", async_ok=True)
    def failing():
        note("executed", "failing")
        raise ConnectionError("no network")


    @side_effect(name="odd", async_ok=True)
    def odd():
        note("executed", "odd")
        return object()


    @side_effect(name="crashing", async_ok=True)
    def crashing():
        note("executed", "crashing")
        os.kill(os.getpid(), signal.SIGKILL)


    ALL = [above, below, later]
'''

WAYS = """
    from asgiref.sync import async_to_sync
    from sideeffects import run_side_effects

    #: Every way to enqueue a task that is given.
    WAYS = {
        "enqueue": lambda task: task.enqueue("enqueue"),
        "keyword": lambda task: task.enqueue(way="keyword"),
        "aenqueue": lambda task: async_to_sync(task.aenqueue)("aenqueue"),
        "using": lambda task: task.using(priority=5).enqueue("using"),
        "backend": lambda task: task.get_backend().enqueue(task, ["backend"], {}),
        "list": lambda task: run_side_effects("r", [(task, {"way": "list"})]),
    }
"""

#: The first lines of each program.
START = """
import django; django.setup()
import shop_tasks
from django_tasks_db.models import DBTaskResult
"""


class DjangoTasksProject(Project):
    """The folder, and a queue in a database.

    Args:
        root: an empty folder.
        database: the database, as an entry of Django's `DATABASES`.
    """

    def __init__(self, root: Path, database: dict[str, Any]) -> None:
        super().__init__(root)
        self.write("config.py", SETTINGS)
        self.write("shop_tasks.py", TASKS)
        self.write("ways.py", WAYS)
        self.environment = {"DATABASE": json.dumps(database), "DJANGO_SETTINGS_MODULE": "config"}

    def in_production(self, source: str, **environment: str) -> str:
        """Run a program outside any test run; returns what it printed."""
        return self.program(START + source, environment={**self.environment, **environment})

    def in_test_run(self, source: str, **environment: str) -> str:
        """Run a program in a test run; returns what it printed."""
        return self.in_production(source, SIDE_EFFECTS_TEST_RUN="1", **environment)

    def work(self, *, code: int = 0, **environment: str) -> str:
        """Let a worker process run all that is queued; returns its log.

        Raises:
            AssertionError: it did not exit with `code`.
        """
        finished = subprocess.run(
            [sys.executable, *WORKER],
            cwd=self.root,
            env=clean_environment() | self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert finished.returncode == code, finished.stdout + finished.stderr
        return finished.stdout + finished.stderr


WORKER = ("-m", "django", "db_worker", "--batch", "--no-startup-delay", "--queue-name", "*")
