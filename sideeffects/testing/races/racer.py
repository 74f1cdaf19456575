"""What a racer does: a process, forked for one call, that connects, waits at the gate, calls, tells, and ends."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import os
import pickle
import random
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final, NoReturn

from sideeffects._core.calls import process
from sideeffects._core.values import clock
from sideeffects.engines import embedded
from sideeffects.testing.races import databases, meeting as _meeting
from sideeffects.testing.races.calling import called, jitter, resolved
from sideeffects.testing.races.exceptions import in_words, to_data
from sideeffects.testing.races.gate import Gate, Memory
from sideeffects.testing.races.messages import packed

#: What a racer tells: a letter, the length, and the rest.
HEAD: Final = struct.Struct("!cQ")
READY, SESSION, REACHED, MAIL, DONE = b"r", b"s", b"m", b"o", b"d"

#: Makes a racer write down where it stands. Few programs use it, and a racer is killed right after it.
SHOW_STACK: Final = signal.SIGUSR2


class Teller:
    """A racer's way of telling: what threads say does not mix, and what children of the racer say is not heard."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def tell(self, letter: bytes, data: bytes = b"") -> None:
        """Say something."""
        if os.getpid() != self._pid:
            return
        whole = HEAD.pack(letter, len(data)) + data
        with self._lock:
            while whole:
                whole = whole[os.write(self._descriptor, whole) :]


class Outbox(list[Any]):
    """`mail.outbox` of a racer: what is sent is told at once, so that it is not lost with the racer."""

    def __init__(self, teller: Teller) -> None:
        super().__init__()
        self._teller = teller

    def append(self, message: Any) -> None:
        """Take a message, as Django's backend for tests hands it over."""
        super().append(message)
        self._teller.tell(MAIL, pickle.dumps((clock.now(), packed(message, "a mail"))))


def run(
    index: int,
    descriptor: int,
    outputs: tuple[int, int, int],
    memory: Memory,
    gate: Gate,
    meeting: Gate | None,
    race: dict[str, Any],
) -> NoReturn:
    """Race, in a process that has just been forked for it, and end.

    Args:
        index: the racer's.
        descriptor: where it tells.
        outputs: where its stdout and stderr, and its stack when it is killed, are written.
        memory: shared with the process that opens the gate.
        gate: the start.
        meeting: opens when those who are held at an effect may go on.
        race: what the test has sent (see `_client.py`).
    """
    os.setpgid(0, 0)
    gate.leave_it_to_others()
    if meeting is not None:
        meeting.leave_it_to_others()
    _take_outputs(outputs)
    teller = Teller(descriptor)
    process.set_racer(index)
    outcome: dict[str, Any] = {"error": None, "result": None}
    try:
        function, kwargs = _prepared(index, teller, meeting, race)
        teller.tell(READY)
        gate.wait()
        seed = race["seed"]
        if seed is not None:
            random.seed(f"{seed}:{index}")
            time.sleep(jitter(seed, index))
        memory.stamp(index, 0, clock.monotonic())
        try:
            result = called(function, kwargs)
        finally:
            memory.stamp(index, 1, clock.monotonic())
        outcome["result"] = packed(result, f"the result of racer {index}")
    except BaseException as error:  # noqa: BLE001 - whatever it is, the test gets to see it
        outcome["error"] = _told(error)
    _end(teller, outcome)


def _take_outputs(outputs: tuple[int, int, int]) -> None:
    stdout, stderr, stack = outputs
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    sys.stdout = open(1, "w", encoding="utf-8", errors="replace", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="replace", buffering=1, closefd=False)  # noqa: SIM115
    signal.signal(signal.SIGINT, signal.default_int_handler)
    faulthandler.enable(stack, all_threads=True)
    faulthandler.register(SHOW_STACK, stack, all_threads=True, chain=False)


def _prepared(
    index: int, teller: Teller, meeting: Gate | None, race: dict[str, Any]
) -> tuple[Callable[..., Any], dict[str, Any]]:
    """All that takes time, before the gate."""
    if "django.core.mail" in sys.modules:
        from django.core import mail

        setattr(mail, "outbox", Outbox(teller))  # noqa: B010 - Django's stubs do not know it
    if race["databases"] is not None:
        databases.report_sessions(lambda session: teller.tell(SESSION, pickle.dumps(session)))
        databases.open_all(race["databases"].opened)
    function, kwargs = pickle.loads(race["calls"][race["order"][index]])  # noqa: S301 - from our own test process
    function = resolved(function)
    if meeting is not None:

        def reach() -> None:
            if not meeting.is_open:
                teller.tell(REACHED)
                meeting.wait()

        _meeting.enter(race["meet_at"], reach)
    gc.enable()
    return function, kwargs


def _told(error: BaseException) -> dict[str, Any]:
    try:
        return to_data(_without_our_frames(error))
    except Exception as problem:  # noqa: BLE001 - looking at it runs any code of the exception's
        return in_words(error, problem)


def _without_our_frames(error: BaseException) -> BaseException:
    """A traceback begins where the racer's own code does."""
    here = os.path.dirname(__file__)
    trace = error.__traceback__
    while trace is not None and os.path.dirname(trace.tb_frame.f_code.co_filename) == here:
        trace = trace.tb_next
    return error if trace is None else error.with_traceback(trace)


def _end(teller: Teller, outcome: dict[str, Any]) -> NoReturn:
    """Let threads and what was enqueued come to their end, close, tell, and be gone: no exit handler is a racer's."""
    with contextlib.suppress(BaseException):
        embedded().drain()
        vars(threading)["_shutdown"]()  # waits for threads, as the end of a program does
    with contextlib.suppress(BaseException):
        databases.close_all()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):
            stream.flush()
    with contextlib.suppress(OSError):  # nobody listens any more: the test was interrupted
        teller.tell(DONE, pickle.dumps(outcome))
    os._exit(0)
