"""The fork server: a process that has loaded Django once, and forks a leader (see `leader.py`) for each race.

It is started anew, so it has none of the test's threads, mocks and connections. It opens no connection to a database,
has one thread, and ends when the test process does: the socket between them then ends, however that process dies.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import pickle
import signal
import socket
import sys
from typing import Any

from sideeffects import declare
from sideeffects.engines import embedded
from sideeffects.testing.races import databases, leader, settings as _settings
from sideeffects.testing.races.exceptions import to_data
from sideeffects.testing.races.gate import Memory
from sideeffects.testing.races.messages import receive, send


def main(descriptor: int) -> None:
    """Serve races until the test process is gone.

    Args:
        descriptor: of the socket to it.
    """
    stream = socket.socket(fileno=descriptor)
    os.set_inheritable(descriptor, False)
    first = _heard(stream)
    if first is None:
        return
    try:
        _load(pickle.loads(first))  # noqa: S301 - from our own test process
    except BaseException as error:  # noqa: BLE001 - whatever it is, the test gets to see it
        send(stream, pickle.dumps({"error": to_data(error)}))
        return
    send(stream, pickle.dumps({"error": None}))
    gc.collect()
    gc.freeze()
    while (data := _heard(stream)) is not None:
        if not _serve(stream, pickle.loads(data)):  # noqa: S301 - from our own test process
            return


def _heard(stream: socket.socket) -> bytes | None:
    """The next message, once the test knows that it has come; `None` when the test is gone."""
    data = receive(stream)
    if data is not None:
        try:
            send(stream, b"")
        except OSError:
            return None
    return data


def _load(start: dict[str, Any]) -> None:
    sys.argv[:] = start["arguments"]
    for target, name, options in pickle.loads(start["declarations"]):  # noqa: S301 - from our own test process
        declare(target, name=name, **options)
    embedded()
    if not start["has_django"]:
        return
    import django
    from django.conf import settings

    if start["configured"] is not None and not settings.configured:
        settings.configure(**pickle.loads(start["configured"]))  # noqa: S301 - from our own test process
    if start["read"]:
        _settings.read_alike(settings, start["read"])
    django.setup()
    from django.db import connections
    from django.test.utils import setup_test_environment

    setup_test_environment()
    if start["urls"]:
        with contextlib.suppress(Exception):  # a racer that needs it will see what is wrong with it
            importlib.import_module(start["urls"])
    for alias in list(connections):
        with contextlib.suppress(Exception):  # as above
            del connections[connections[alias].alias]  # its backend is imported now


def _serve(stream: socket.socket, race: dict[str, Any]) -> bool:
    """Fork a leader for a race, and wait for it. Returns whether the test is still there."""
    sys.path[:] = race["path"]
    for module in race["modules"]:
        if module not in sys.modules:
            with contextlib.suppress(BaseException):  # the racer that needs it will see what is wrong with it
                importlib.import_module(module)
    if race["databases"] is not None:
        databases.warm_up(race["databases"])
    memory = Memory(len(race["order"]))
    pid = os.fork()
    if not pid:
        try:
            leader.lead(stream, memory, race)
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    for racer in memory.pids():  # nobody is left who would end them
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(racer, signal.SIGKILL)
    memory.close()
    code = os.waitstatus_to_exitcode(status)
    if code:
        try:
            send(stream, pickle.dumps({"crashed": code}))
        except OSError:
            return False
    return True
