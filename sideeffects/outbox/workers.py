"""The processes that execute released calls: who they are, that they are at work, and which of them have died."""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import logging
import os
import socket
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Final

from django.db import connections
from django.db.models.functions import Now
from django.utils import timezone

from sideeffects._core.calls import process
from sideeffects.outbox.models import HeldCall
from sideeffects.outbox.states import State

logger: Final = logging.getLogger("sideeffects")

#: Seconds after which a worker that has not been heard of counts as dead, and how often those that live are heard of.
LEASE: Final = 60.0
BEAT: Final = 10.0

# -- who


def this_worker() -> str:
    """This process, as no other is called: its machine, its id and when it started."""
    return _named(process.current)


@functools.lru_cache(maxsize=1)
def _named(identity: process.Identity) -> str:
    return f"{_machine()}:{identity.pid}:{_started(identity.pid) or ''}"


@functools.cache
def _machine() -> str:
    """The host, and which of its process tables: containers may share a name, and pids mean nothing elsewhere."""
    table = ""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        table = hashlib.sha256(f"{boot}{os.readlink('/proc/self/ns/pid')}".encode()).hexdigest()[:8]
    return f"{socket.gethostname()[:_LONGEST_HOST].replace(':', '-')}:{table}"


_LONGEST_HOST: Final = 200


def _started(pid: int) -> str | None:
    """When a process started, in the kernel's own count; `None` if it is gone, or only waits to be collected."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else fields[_START]


#: The place of the starting time behind the name, whose parentheses may hold anything.
_START: Final = 19


def shown(worker: str) -> str:
    """A worker as people read it."""
    host, _, pid, _ = worker.split(":")
    return f"{host}, process {pid}"


def _is_gone(worker: str) -> bool:
    """Whether this machine had the process, and has it no longer. Of others it is not known."""
    host, table, pid, started = worker.split(":")
    if not table or f"{host}:{table}" != _machine():
        return False
    now = _started(int(pid))
    return now != started and not (now is None and _is_hidden(int(pid)))


def _is_hidden(pid: int) -> bool:
    """Whether there is a process that is another user's: some machines show users none but their own."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        pass
    return False


# -- at work


class _Pulse:
    """Says every few seconds that the calls that this process executes are at work: those that take that long."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._running: dict[int, str] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def of(self, row: HeldCall, using: str) -> Generator[None]:
        with self._changed:
            self._running[row.pk] = using
            if self._thread is None:
                self._thread = threading.Thread(target=self._beat, name="sideeffects-outbox", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._changed:
                del self._running[row.pk]

    def _beat(self) -> None:
        while True:
            with self._changed:
                self._changed.wait(BEAT)
                running = dict(self._running)
                if not running:
                    self._thread = None
                    return
            for using in set(running.values()):
                try:
                    mine = [pk for pk, alias in running.items() if alias == using]
                    rows = HeldCall.objects.using(using).filter(pk__in=mine, state=State.RUNNING)
                    rows.update(alive_at=Now())
                except Exception as error:  # noqa: BLE001 - the next one may come through
                    logger.warning("could not note that held calls are at work: %s", error)
                finally:
                    connections[using].close()


_pulses: Final[list[_Pulse]] = []
_lock: Final = threading.Lock()


def at_work(row: HeldCall, using: str) -> contextlib.AbstractContextManager[None]:
    """Inside, this process executes the call of a row, and is not taken for dead."""
    with _lock:
        if not _pulses or _pulses[0].pid != os.getpid():
            _pulses[:] = [_Pulse()]
        return _pulses[0].of(row, using)


# -- dead


def note_dead(using: str) -> int:
    """Note of calls whose worker has died that they are perhaps done.

    Returns:
        how many these were.
    """
    running = HeldCall.objects.using(using).filter(state=State.RUNNING)
    silent = set(running.filter(alive_at__lt=Now() - datetime.timedelta(seconds=LEASE)).values_list("pk", flat=True))
    count = 0
    for pk, worker, attempts in running.values_list("pk", "worker", "attempts"):
        if pk in silent or _is_gone(worker):
            error = (
                f"the worker ({shown(worker)}) died while it executed the call, or gives no sign of life: "
                f"perhaps it was done. It runs again only by `retry`"
            )
            same = running.filter(pk=pk, worker=worker, attempts=attempts)
            count += same.update(state=State.UNKNOWN, error=error, changed_at=timezone.now())
    return count
