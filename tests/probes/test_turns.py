"""Probes that run together on a file of SQLite, which has one writer at a time."""

import json
from typing import Any

import pytest

from tests.support.probe_project import ProbeProject

pytestmark = pytest.mark.processes

PROBES = """
    import threading
    import time

    from shop.models import Row
    from sideeffects.probes import SmokeTest

    first_writes, second_comes, reader_is_done, hanging_writes = (threading.Event() for _ in range(4))


    class First(SmokeTest):
        def test_writes(self):
            Row.objects.create(name="first")
            first_writes.set()
            for event in (second_comes, reader_is_done):
                self.assertTrue(event.wait(20))
            time.sleep(1.5)


    class Second(SmokeTest):
        timeout = 1

        def test_reads_and_writes(self):
            first_writes.wait(20)
            self.assertEqual(Row.objects.count(), 0)
            second_comes.set()
            Row.objects.create(name="second")
            self.assertEqual([row.name for row in Row.objects.all()], ["second"])

        async def test_asynchronous(self):
            await Row.objects.acreate(name="third")


    class Reader(SmokeTest):
        def test_reads(self):
            first_writes.wait(20)
            self.assertEqual(Row.objects.count(), 0)
            reader_is_done.set()


    class Hanging(SmokeTest):
        timeout = 0.5

        def test_hangs(self):
            Row.objects.create(name="hanging")
            hanging_writes.set()
            time.sleep(60)


    class Last(SmokeTest):
        def test_last(self):
            hanging_writes.wait(20)
            Row.objects.create(name="last")
"""


@pytest.mark.parametrize("options", [{}, {"transaction_mode": "IMMEDIATE"}], ids=["deferred", "immediate"])
def test_writers_wait_for_each_other(tmp_path_factory: pytest.TempPathFactory, options: dict[str, Any]) -> None:
    """Not for SQLite, whose patience is short here; time does not run meanwhile, and who hangs gives way.

    Who only reads waits for nobody, unless the settings have each transaction begin as a writing one.
    """
    project = ProbeProject(tmp_path_factory.mktemp("project"))
    project.write("shop/probes.py", PROBES.replace("(second_comes, reader_is_done)", "()") if options else PROBES)
    project.manage("migrate", "--verbosity=0")
    name = str(project.root / "db.sqlite3")
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": name, "OPTIONS": {"timeout": 0.01, **options}}
    report = project.probe(code=1, MORE_SETTINGS=json.dumps({"DATABASES": {"default": database}}))
    outcomes = {name: (probe["outcome"], probe["message"]) for name, probe in report["by_name"].items()}
    assert outcomes.pop("Hanging.test_hangs") == ("errored", "it took longer than its timeout of 0.5 s")
    assert set(outcomes.values()) == {("passed", "")}, outcomes
    assert len(outcomes) == 5
