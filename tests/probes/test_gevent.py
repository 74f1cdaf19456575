"""Probes in a process of gevent's, where threads are greenlets: as in `gunicorn --worker-class gevent`."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.probe_project import ProbeProject

pytest.importorskip("gevent", reason="gevent has no wheel for this Python")
pytestmark = pytest.mark.processes

PROBES = """
    import asyncio
    import time

    import effects
    from shop.models import Row
    from sideeffects.probes import SmokeTest


    class Asynchronous(SmokeTest):
        async def test_rows(self):
            await Row.objects.acreate(name="x")
            await asyncio.sleep(0.5)
            self.assertEqual(await Row.objects.acount(), 1)
            await effects.ring("async")

        async def test_thread(self):
            await asyncio.to_thread(effects.attempt, "a thread")

        async def test_fails(self):
            self.fail("as it should")


    class Waiting(SmokeTest):
        def test_a(self):
            time.sleep(0.2)
            effects.attempt("waiting")

        def test_b(self):
            time.sleep(0.2)


    class Hanging(SmokeTest):
        timeout = 0.5

        async def test_async(self):
            await asyncio.sleep(20)

        def test_plain(self):
            time.sleep(20)
"""
PROGRAM = """
    from gevent import monkey

    monkey.patch_all()

    import io
    import json
    import os

    import django
    import gevent

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config")
    django.setup()

    from django.core.management import call_command
    from shop.models import Row

    live = []


    def ask():
        while not running.ready():
            try:
                live.append(Row.objects.count())
            except Exception as error:
                live.append(repr(error))
            gevent.sleep(0.05)


    def run():
        written = io.StringIO()
        try:
            call_command("probe", format="json", stdout=written)
        except SystemExit:
            pass
        return json.loads(written.getvalue())


    running = gevent.spawn(run)
    requests = gevent.spawn(ask)
    probes = running.get()["probes"]
    requests.join()
    print(json.dumps({"probes": probes, "live": live}))
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All of these, run once beside live requests."""
    folder: Path = tmp_path_factory.mktemp("project")
    project = ProbeProject(folder)
    project.write("shop/probes.py", PROBES)
    project.manage("migrate", "--verbosity=0")
    ran: dict[str, Any] = json.loads(project.program(PROGRAM).splitlines()[-1])
    ran["project"] = project
    ran["by_name"] = {probe["id"].rpartition("probes.")[2]: probe for probe in ran["probes"]}
    return ran


def test_probes_run_and_end(ran: dict[str, Any]) -> None:
    """Asynchronous ones use the databases, and those that hang are given up; nobody asks for a greenlet's processor."""
    assert {name: probe["outcome"] for name, probe in ran["by_name"].items()} == {
        "Asynchronous.test_fails": "failed",
        "Asynchronous.test_rows": "passed",
        "Asynchronous.test_thread": "passed",
        "Hanging.test_async": "errored",
        "Hanging.test_plain": "errored",
        "Waiting.test_a": "passed",
        "Waiting.test_b": "passed",
    }
    for name in ("Hanging.test_async", "Hanging.test_plain"):
        assert ran["by_name"][name]["message"] == "it took longer than its timeout of 0.5 s"


def test_live_requests_are_not_disturbed(ran: dict[str, Any]) -> None:
    """Neither does Django take them for asynchronous code, nor do they see a row of a probe."""
    assert len(ran["live"]) > 5
    assert set(ran["live"]) == {0}


def test_effects_are_held_back(ran: dict[str, Any]) -> None:
    """Also in the threads that run the loops of asynchronous probes."""
    project: ProbeProject = ran["project"]
    assert (project.attempted["a thread"], project.attempted["waiting"]) == (1, 1)
    assert not project.executed
    for name, effect in (("test_rows", "shop.ring"), ("test_thread", "shop.send")):
        assert [held["name"] for held in ran["by_name"][f"Asynchronous.{name}"]["held_back"]] == [effect]
