"""Which workers are alive: asked of the machine, or of the time that has passed."""

import os
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from sideeffects import hold, side_effect

ALL = pytest.mark.parametrize("outbox", ["sqlite", "postgres", "mariadb"], indirect=True)


@pytest.fixture
def row(outbox: Any) -> Any:
    """A call that runs."""

    @side_effect(name="sms.send")
    def send() -> None:
        raise AssertionError

    with hold():
        send()
    outbox.update(state="running", alive_at=Now(), attempts=1)
    return outbox


def state(outbox: Any) -> str:
    from sideeffects.outbox import workers

    workers.note_dead("outbox")
    return str(outbox.get().state)


def test_a_process_of_this_machine_is_looked_for(row: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is gone, or whose number another process has now, or that only waits to be collected."""
    from sideeffects.outbox import workers

    mine = workers.this_worker()
    row.update(worker=mine)
    assert state(row) == "running"
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    for gone in (f"{mine.rpartition(':')[0]}:1", f"{mine.rsplit(':', 2)[0]}:{child.pid}:7"):
        row.update(state="running", worker=gone)
        assert state(row) == "unknown"
    child.wait()

    def not_yours(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", not_yours)  # as where /proc shows users none but their own processes
    row.update(state="running", worker=f"{mine.rsplit(':', 2)[0]}:{child.pid}:7")
    assert state(row) == "running"
    row.update(state="running", worker="elsewhere:beef:1:1")
    assert state(row) == "running"


@ALL
def test_elsewhere_it_is_silence_that_tells(row: Any) -> None:
    """By the database's clock; what its worker notes later is the true end."""
    from sideeffects.outbox import workers

    row.update(worker="elsewhere:beef:12:1", alive_at=Now() - timedelta(seconds=workers.LEASE - 20))
    assert state(row) == "running"
    row.update(alive_at=Now() - timedelta(seconds=workers.LEASE + 20))
    assert state(row) == "unknown"
    assert row.get().error.startswith("the worker (elsewhere, process 12) died while it executed the call, or gives no")


def test_a_slow_call_is_heard_of_and_ends_as_it_did(outbox: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it runs its worker says so, and a call that was taken for dead is done after all."""
    import threading

    from sideeffects.outbox import actions, workers

    monkeypatch.setattr(workers, "BEAT", 0.02)
    beaten = threading.Event()

    @side_effect(name="sms.send")
    def send() -> None:
        before = outbox.get().alive_at
        for _ in range(500):
            if outbox.get().alive_at > before:
                beaten.set()
                break
            threading.Event().wait(0.02)
        outbox.update(state="unknown")

    with hold():
        send()
    assert actions.release([outbox.get().pk], by="eve").done == 1
    assert beaten.is_set()
    assert outbox.get().state == "done"


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_is_another_worker() -> None:
    """What it executes must not be taken for its parent's, which lives on when it dies."""
    from sideeffects.outbox import workers

    mine = workers.this_worker()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, workers.this_worker().encode())
        os._exit(0)
    os.waitpid(child, 0)
    told = os.read(read, 1000).decode()
    assert told.split(":")[2] == str(child) != mine.split(":")[2] == str(os.getpid())
