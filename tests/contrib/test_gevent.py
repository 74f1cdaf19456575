"""Overrides, captures, dry runs and lifetimes under gevent, in processes of their own with a real hub."""

from pathlib import Path

import pytest

from tests.support.projects import Project

pytest.importorskip("gevent", reason="gevent is native, and not to be had for every Python")
pytestmark = pytest.mark.processes

WAYS = {
    "spawn": "gevent.spawn(fate, found).join()",
    "spawn_later": "gevent.spawn_later(0, fate, found).join()",
    "Greenlet": "greenlet = gevent.Greenlet(fate, found); greenlet.start(); greenlet.join()",
    "a subclass": "greenlet = Own(); greenlet.start(); greenlet.join()",
    "spawn_raw": "gevent.spawn_raw(fate, found); gevent.sleep(0)",
    "spawn_raw of the hub": "gevent.hub.spawn_raw(fate, found); gevent.sleep(0)",
    "a pool": "pool.Pool(2).spawn(fate, found).join()",
    "map of a pool": "pool.Pool(2).map(fate, [found])",
    "imap of a group": "list(pool.Group().imap_unordered(fate, [found]))",
    "apply_async": "pool.Pool(2).apply_async(fate, (found,)).join()",
    "a greenlet of a greenlet": "gevent.spawn(lambda: gevent.spawn(fate, found).join()).join()",
    "the hub's threads": "gevent.get_hub().threadpool.spawn(fate, found).get()",
    "threads of one's own": "threadpool.ThreadPool(1).apply(fate, (found,))",
    "an executor": "threadpool.ThreadPoolExecutor(1).submit(fate, found).result()",
    "a thread": "thread = threading.Thread(target=fate, args=(found,)); thread.start(); thread.join()",
    "an executor of Python's": "futures.ThreadPoolExecutor(1).submit(fate, found).result()",
}

SOURCE = """
{patch}
import threading
from concurrent import futures
{imports}
from sideeffects import capture, dry_run, force_run, record, side_effect, stub
{late}
from django.conf import settings
settings.configure(DATABASES={{}})


@side_effect(name="gevent.send", returns="recorded")
def send():
    return "executed"


def fate(found):
    found.append(send())


class Own(gevent.Greenlet):
    def _run(self):
        fate(found)


def go():
    global found
    found = []
    {way}
    return found[0]


assert go() == "executed"
with record("gevent.send"):
    assert go() == "recorded"
with stub("gevent.send", returns="stubbed"), capture() as calls:
    assert go() == "stubbed"
assert len(calls) == 1
with dry_run() as plan:
    assert go() == "recorded"
assert len(plan) == 1
assert go() == "executed"
"""
IMPORTS = "import gevent\nimport gevent.hub\nfrom gevent import pool, threadpool"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("is_patched", [True, False], ids=["patched", "by hand"])
def test_what_is_in_force_goes_along(tmp_path: Path, way: str, is_patched: bool) -> None:
    """However a greenlet or a thread of gevent's comes about; what is spawned after a block is free of it."""
    Project(tmp_path).program(
        SOURCE.format(
            patch="from gevent import monkey; monkey.patch_all()" if is_patched else "",
            imports=IMPORTS if is_patched else "",
            late="" if is_patched else IMPORTS,
            way=WAYS[way],
        )
    )


def test_what_outlives_its_block_keeps_what_is_strict(tmp_path: Path) -> None:
    """As threads do: RECORD stays, EXECUTE is gone."""
    Project(tmp_path).program(
        """
        from gevent import monkey; monkey.patch_all()
        import gevent, gevent.event
        from sideeffects import force_run, record, side_effect


        @side_effect(name="gevent.send", returns="recorded")
        def send():
            return "executed"


        go = gevent.event.Event()


        def wait():
            go.wait()
            return send()


        with record("gevent.send"):
            inner = gevent.spawn(wait)
            with force_run("gevent.send"):
                both = gevent.spawn(wait)
        go.set()
        assert inner.get() == both.get() == "recorded"
        assert gevent.spawn(send).get() == "executed"
        """
    )


def test_a_greenlet_that_outlives_its_test_lets_nothing_execute(tmp_path: Path) -> None:
    """Its block ends with the test that spawned it, which fails."""
    project = Project(tmp_path)
    project.write(
        "test_left.py",
        """
        from gevent import monkey; monkey.patch_all()
        import gevent
        import effects
        from sideeffects import force_run


        def stay():
            with force_run("shop.send"):
                gevent.sleep(60)


        def test_a_leaves():
            gevent.spawn(stay)
            gevent.sleep(0)


        def test_b_names_nothing():
            effects.attempt("the next test")
        """,
    )
    finished = project.pytest("test_left.py", code=1)
    assert project.attempted == {"the next test": 1}
    assert not project.executed
    assert "2 passed" in finished.stdout, finished.stdout
    assert "ERROR at teardown of test_a_leaves" in finished.stdout
