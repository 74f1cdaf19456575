"""Overrides, captures and dry runs under eventlet, in a process of its own with a real hub."""

import importlib.util
from pathlib import Path

import pytest

from tests.support.projects import Project

if importlib.util.find_spec("eventlet") is None:
    pytest.skip("eventlet is not to be had for every Python", allow_module_level=True)
pytestmark = pytest.mark.processes

SOURCE = """
import warnings
warnings.simplefilter("ignore")  # eventlet warns of itself
{before}
import eventlet
from eventlet import greenpool, greenthread, tpool
eventlet.monkey_patch()
import threading
from concurrent import futures
{after}
from sideeffects import capture, dry_run, record, side_effect, stub
from django.conf import settings
settings.configure(DATABASES={{}})


@side_effect(name="eventlet.send", returns="recorded")
def send():
    return "executed"


def thread():
    found = []
    one = threading.Thread(target=lambda: found.append(send()))
    one.start()
    one.join()
    return found[0]


def event(spawn):
    came = eventlet.event.Event()
    spawn(lambda: came.send(send()))
    return came.wait()


WAYS = {{
    "spawn": lambda: eventlet.spawn(send).wait(),
    "of the module": lambda: greenthread.spawn(send).wait(),
    "spawn_n": lambda: event(eventlet.spawn_n),
    "spawn_after": lambda: eventlet.spawn_after(0, send).wait(),
    "spawn_after_local": lambda: greenthread.spawn_after_local(0, send).wait(),
    "a pool": lambda: greenpool.GreenPool(2).spawn(send).wait(),
    "spawn_n of a pool": lambda: event(greenpool.GreenPool(2).spawn_n),
    "map of a pool": lambda: next(greenpool.GreenPool(2).imap(lambda _: send(), [1])),
    "one in another": lambda: eventlet.spawn(lambda: eventlet.spawn(send).wait()).wait(),
    "real threads": lambda: tpool.execute(send),
    "a thread": thread,
    "an executor": lambda: futures.ThreadPoolExecutor(1).submit(send).result(),
}}
for name, way in WAYS.items():
    assert way() == "executed", name
    with record("eventlet.send"):
        assert way() == "recorded", name
    with stub("eventlet.send", returns="stubbed"), capture() as calls:
        assert way() == "stubbed", name
    assert len(calls) == 1, name
    with dry_run() as plan:
        assert way() == "recorded", name
    assert [call.name for call in plan] == ["eventlet.send"], name
    assert way() == "executed", name
print("done")
"""


@pytest.mark.parametrize("order", ["before", "after"])
def test_what_is_in_force_goes_along_into_green_threads(order: str, tmp_path: Path) -> None:
    """However one comes about; what is spawned after a block is free of it."""
    places = {"before": "", "after": "", order: "import sideeffects"}
    assert Project(tmp_path).program(SOURCE.format(**places)) == "done\n"
