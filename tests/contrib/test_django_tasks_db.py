"""Django tasks and their engine with `django-tasks-db`: real worker processes, and a real PostgreSQL as the queue."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.django_tasks_project import TASKS, WORKER, DjangoTasksProject
from tests.support.postgres_server import postgres_server

pytestmark = pytest.mark.processes

WAYS = ("enqueue", "keyword", "aenqueue", "using", "backend", "list")
EACH = Counter(f"{task} {way}" for task in ("above", "below", "later") for way in WAYS)
ENGINE = json.dumps({"ENGINE": "django_tasks"})


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A database with the tables of `django-tasks-db`."""
    with postgres_server() as database:
        project = DjangoTasksProject(tmp_path_factory.mktemp("migrate"), database)
        project.run("-m", "django", "migrate", "-v0", environment=project.environment)
        yield database


@pytest.fixture
def project(tmp_path: Path, migrated: dict[str, Any]) -> Iterator[DjangoTasksProject]:
    """A project with an empty queue."""
    import psycopg

    yield DjangoTasksProject(tmp_path, migrated)
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    with psycopg.connect(**{key: migrated[name] for key, name in names.items()}) as connection:
        connection.execute("DELETE FROM django_tasks_database_dbtaskresult")


GO_ALL_WAYS = """
from ways import WAYS
from sideeffects import capture

with capture() as calls:
    for task in shop_tasks.ALL:
        for way in WAYS.values():
            way(task)
print(len(calls), DBTaskResult.objects.count())
"""


# -- tasks that are effects


def test_no_way_into_a_task_reaches_the_queue_in_a_test_run(project: DjangoTasksProject) -> None:
    """Each call is written down once, and the worker has nothing to do."""
    assert project.in_test_run(GO_ALL_WAYS).split() == [str(EACH.total()), "0"]
    project.work()
    assert not project.executed


def test_every_way_executes_in_production_and_a_worker_of_a_test_run_records(project: DjangoTasksProject) -> None:
    """What production enqueued is not marked: who was started from a test run records it, others execute it."""
    project.in_production(GO_ALL_WAYS + "shop_tasks.plain.enqueue('unmarked')\n")
    project.work(SIDE_EFFECTS_TEST_RUN="1")
    assert project.executed == Counter(["plain unmarked"])
    project.in_production(GO_ALL_WAYS + "shop_tasks.plain.enqueue('unmarked')\n")
    project.work()
    assert project.executed == EACH + Counter(["plain unmarked", "inner unmarked"])


def test_a_worker_in_no_test_run_executes_only_what_the_test_had_named(project: DjangoTasksProject) -> None:
    """What travels tells it; the task sees its own arguments alone, and what the next item says is its own matter."""
    project.in_test_run("""
from sideeffects import force_run
shop_tasks.plain.enqueue("unnamed")
with force_run("below", "later"):
    assert shop_tasks.below.enqueue(way="named").kwargs == {"way": "named"}
    shop_tasks.later.enqueue("named")
    shop_tasks.above.enqueue("unnamed")
with force_run("inner"):
    shop_tasks.plain.enqueue("named")
""")
    queued = project.executed
    project.work()
    assert queued == Counter()
    assert project.executed == Counter(["plain unnamed", "below named", "later named", "plain named", "inner named"])


SIGNALS = """

    @side_effect(name="told")
    def told(**about):
        note("executed", "told")


    signals = importlib.import_module(f"{task.__module__.removesuffix('.base')}.signals")
    signals.task_started.connect(told, weak=False)
    signals.task_finished.connect(told, weak=False)
"""


def test_handlers_of_a_workers_signals_obey_the_test_of_the_task(project: DjangoTasksProject) -> None:
    """They are called before and after it runs, by a worker that is in no test run."""
    project.write("shop_tasks.py", TASKS + SIGNALS)
    project.in_test_run("""
from sideeffects import force_run
shop_tasks.plain.enqueue("unnamed")
with force_run("told"):
    shop_tasks.plain.enqueue("named")
""")
    project.work()
    assert project.executed == Counter(["plain unnamed", "plain named", "told", "told"])


def test_a_worker_obeys_its_own_stricter_settings(project: DjangoTasksProject) -> None:
    """What production enqueued is recorded or refused where the worker's settings say so."""
    project.in_production('for task in shop_tasks.ALL: task.enqueue("x")\nshop_tasks.inner.enqueue("x")', RULES=ENGINE)
    project.work(RULES=json.dumps({"POLICY": {"above": "record", "below": "raise", "inner": "raise"}}))
    assert project.executed == Counter(["later x"])
    project.in_production("""
rows = {row.task_path: row for row in DBTaskResult.objects.all()}
assert rows["shop_tasks.above"].return_value == "stub", rows
for path in ("shop_tasks.below", "sideeffects.engines.django_tasks.run_effect"):
    assert rows[path].exception_class_path == "sideeffects.errors.SideEffectBlocked", rows[path].traceback
""")


def test_one_call_is_one_call_and_the_worker_adds_its_outcome(project: DjangoTasksProject) -> None:
    """In a test, with a worker that the test has started: tasks of all kinds, and what they call."""
    project.in_test_run(
        f"""
import subprocess, sys
from sideeffects import Mode, capture, force_run

with capture() as calls:
    with force_run("above", "below", "later", "inner"):
        shop_tasks.above.enqueue("x")
        shop_tasks.below.enqueue(way="x")
        shop_tasks.later.enqueue("x")
        handle = shop_tasks.inner.enqueue("engine")
    shop_tasks.plain.enqueue("x")
    subprocess.run([sys.executable, *{WORKER!r}], check=True, capture_output=True)
    assert handle.result(10) == "engine"

told = sorted((call.name, call.mode.name, call.is_async, call.outcome and call.outcome.result) for call in calls)
assert told == [
    ("above", "EXECUTE", True, "above x"),
    ("below", "EXECUTE", True, "below x"),
    ("inner", "EXECUTE", True, "engine"),
    ("inner", "RECORD", False, None),
    ("later", "EXECUTE", True, "later x"),
], told
assert calls[0].caller.startswith(__file__)
""",
        RULES=ENGINE,
    )
    assert project.executed == Counter(["above x", "below x", "later x", "inner engine", "plain x"])


def test_a_task_in_a_transaction_is_queued_with_it(project: DjangoTasksProject) -> None:
    """Its row is in the same transaction, so it is there after the commit, and never after a rollback."""
    project.in_production("""
from django.db import transaction
try:
    with transaction.atomic():
        shop_tasks.above.enqueue("rolled back")
        raise LookupError
except LookupError:
    pass
with transaction.atomic():
    result = shop_tasks.above.enqueue("committed")
result.refresh()
""")
    project.work()
    assert project.executed == Counter(["above committed"])


# -- the engine


def test_the_engine_hands_over_when_the_transaction_commits(project: DjangoTasksProject) -> None:
    """Results, errors, what cannot travel, and what the worker does not know come back by the handle."""
    project.in_production(
        f"""
import subprocess, sys
from django.db import transaction
from sideeffects import SideEffectError, run_side_effects, side_effect

inner = shop_tasks.inner
with transaction.atomic():
    handle = inner.enqueue("committed")
    assert DBTaskResult.objects.count() == 0
assert DBTaskResult.objects.count() == 1
try:
    with transaction.atomic():
        inner.enqueue("rolled back")
        raise LookupError
except LookupError:
    pass
try:
    handle.result(0.05)
except TimeoutError as error:
    assert "'inner' has not finished in 0.05 s" in str(error), error
else:
    raise AssertionError
local = side_effect(name="unknown", async_ok=True)(lambda: None)
(listed,) = run_side_effects("r", [(inner, {{"way": "list"}})]).results
wrong = [shop_tasks.failing.enqueue(), local.enqueue()]
odd = shop_tasks.odd.enqueue()
assert not listed.done()
subprocess.run([sys.executable, *{WORKER!r}], check=True, capture_output=True)
assert (handle.result(10), listed.result(10), odd.result(10)) == ("committed", "list", None)
for handle, said in zip(wrong, ("builtins.ConnectionError", "sideeffects.errors.UnknownSideEffect")):
    try:
        handle.result(10)
    except SideEffectError as error:
        assert f"{{handle.name!r}} failed in the background with {{said}}:" in str(error), error
        assert "no network" in str(error) or "'unknown'" in str(error), error
    else:
        raise AssertionError
""",
        RULES=ENGINE,
    )
    assert project.executed == Counter(["inner committed", "inner list", "failing", "odd"])


def test_one_worker_keeps_the_order_and_an_error_is_not_tried_again(project: DjangoTasksProject) -> None:
    """Calls run in the order in which they were handed over; what failed has failed."""
    project.in_production(
        'for n in range(20): shop_tasks.inner.enqueue(f"{n:02}")\nshop_tasks.failing.enqueue()', RULES=ENGINE
    )
    project.work()
    project.work()
    executed = (project.root / "executed").read_text().splitlines()
    assert executed == [*(f"inner {n:02}" for n in range(20)), "failing"]


def test_what_a_killed_worker_was_running_is_not_run_again(project: DjangoTasksProject) -> None:
    """At most once: the call stays as running, for good. What waits in the queue is run by the next worker."""
    project.in_production(
        'shop_tasks.crashing.enqueue(); shop_tasks.inner.enqueue("waiting")',
        RULES=ENGINE,
    )
    project.work(code=-9)
    assert project.executed == Counter(["crashing"])
    project.work()
    assert project.executed == Counter(["crashing", "inner waiting"])
    told = project.in_production(
        'print(*DBTaskResult.objects.order_by("enqueued_at").values_list("status", flat=True))'
    )
    assert told.split() == ["RUNNING", "SUCCESSFUL"]


def test_in_a_shared_ledger_a_call_is_one_call(project: DjangoTasksProject) -> None:
    """In production too: it is written where it is enqueued, and the worker adds the outcome to it."""
    ledger = {"LEDGER": {"BACKEND": "file", "PATH": str(project.root / "ledger")}}
    project.in_production(
        'shop_tasks.above.enqueue("x"); shop_tasks.inner.enqueue("x")',
        RULES=json.dumps({**ledger, "ENGINE": "django_tasks"}),
    )
    project.work(RULES=json.dumps(ledger))
    told = project.in_production(
        """
import json
from sideeffects.ledgers import shared_calls
print(json.dumps([[call.name, call.outcome.result] for call in shared_calls()]))
""",
        RULES=json.dumps(ledger),
    )
    assert json.loads(told) == [["above", "above x"], ["inner", "x"]]
