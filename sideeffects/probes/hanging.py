"""Threads that hang since their probes were past their timeout: these probes are not started again meanwhile."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Final

from sideeffects.probes.queue import Unit
from sideeffects.probes.results import ProbeOutcome, ProbeResult

#: By the id of their probe.
_threads: Final[dict[str, threading.Thread]] = {}


def note(unit: Unit, thread: threading.Thread) -> None:
    """Remember the thread that hangs at this."""
    _threads[unit.known.id] = thread


def is_any_hanging() -> bool:
    """Whether the thread of a probe past its timeout is still there."""
    return any(thread.is_alive() for thread in _threads.values())


def hangs_still(unit: Unit) -> bool:
    """Whether a thread hangs at this since an earlier run."""
    thread = _threads.get(unit.known.id)
    if thread is None:
        return False
    if not thread.is_alive():
        del _threads[unit.known.id]
        return False
    return True


def still_hanging(unit: Unit) -> ProbeResult:
    """What is reported of a probe that is not started again."""
    message = "it has been hanging since an earlier run, and was not started again"
    return replace(unit.known, outcome=ProbeOutcome.ERRORED, message=message)
