"""One race, in a process of its own: forks the racers, opens the gate, keeps the time, and tells the test of it all."""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import resource
import selectors
import signal
import socket
import sys
import tempfile
import time
from typing import Any, Final

from sideeffects._core.state.state import state
from sideeffects._core.values import clock
from sideeffects.guard import children as guard
from sideeffects.testing.races import databases, in_force, racer as _racer, settings
from sideeffects.testing.races.exceptions import to_data
from sideeffects.testing.races.gate import Gate, Memory
from sideeffects.testing.races.meeting import Attendance
from sideeffects.testing.races.messages import send

#: How often to look for racers that ended while a child of theirs keeps their pipe open, in seconds.
_TICK: Final = 0.05
#: How long a racer may take to write down where it stands before it is killed, in seconds.
_LAST_WORDS: Final = 0.5
#: The most of a racer's output that is handed on, in bytes.
_MOST_OUTPUT: Final = 64 * 1024


class Racer:
    """One racer, as seen from here."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.outputs: list[Any] = [tempfile.TemporaryFile(buffering=0) for _ in range(3)]  # noqa: SIM115
        self.reading, self.writing = os.pipe()
        self.pid = 0
        self.buffer = bytearray()
        self.deadline = 0.0
        self.is_ready = False
        self.is_silent = False
        self.is_over = False
        self.status: int | None = None
        self.timed_out = False
        self.outcome: bytes | None = None
        self.mails: list[bytes] = []
        self.sessions: set[tuple[str, int]] = set()

    def output(self, which: int) -> str:
        """What it wrote to stdout (0), to stderr (1), or as its stack (2)."""
        file = self.outputs[which]
        size = os.fstat(file.fileno()).st_size
        start = max(0, size - _MOST_OUTPUT)
        text = os.pread(file.fileno(), _MOST_OUTPUT, start).decode("utf-8", "replace")
        return f"[... {start} bytes before this]\n{text}" if start else text

    def report(self, memory: Memory) -> dict[str, Any]:
        """All that is known of it, as plain data."""
        return {
            "pid": self.pid,
            "outcome": self.outcome,
            "mails": self.mails,
            "status": self.status,
            "timed_out": self.timed_out,
            "is_ready": self.is_ready,
            "started": memory.stamped(self.index, 0),
            "ended": memory.stamped(self.index, 1),
            "stdout": self.output(0),
            "stderr": self.output(1),
            "stack": self.output(2),
        }


def lead(stream: socket.socket, memory: Memory, race: dict[str, Any]) -> None:
    """Hold a race and tell the test how it went.

    Args:
        stream: to the test; when it ends, so does the race.
        memory: shared with the fork server, which ends the racers if this process is killed.
        race: what the test has sent (see `_client.py`).
    """
    try:
        _take_over(race)
        answer = LedRace(stream, memory, race).hold()
    except BaseException as error:  # noqa: BLE001 - whatever it is, the test gets to see it
        answer = {"error": to_data(error)}
    with contextlib.suppress(OSError):  # the test has gone
        send(stream, pickle.dumps(answer))


def _take_over(race: dict[str, Any]) -> None:
    """Put everything into force that is in force in the test."""
    os.chdir(race["folder"])
    environment = race["environment"]
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    for name, value in environment.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    if hasattr(time, "tzset"):
        time.tzset()
    guard.join()
    state.test_run.latch("a race runs")
    sys.argv[:] = race["arguments"]
    if race["settings"] is not None:
        settings.apply(*race["settings"])
    if race["databases"] is not None:
        databases.apply(race["databases"])
    in_force.enter(race["overrides"], race["option"])
    gc.collect(0)
    gc.freeze()
    gc.disable()


class LedRace:
    """A race in progress."""

    def __init__(self, stream: socket.socket, memory: Memory, race: dict[str, Any]) -> None:
        self._stream = stream
        self._memory = memory
        self._race = race
        self._timeout: float = race["timeout"]
        count = len(race["order"])
        _allow_descriptors(count * 6 + 64)
        self._gate = Gate(memory, 0)
        self._meeting = Gate(memory, 1) if race["meet_at"] else None
        self._attendance = Attendance(count, race["patience"])
        self._racers = [Racer(index) for index in range(count)]
        self._next_look = 0.0

    def hold(self) -> dict[str, Any]:
        """Start the racers, see them through, and clean up after them. Returns what the test gets to know."""
        try:
            for racer in self._racers:
                self._fork(racer)
            with selectors.DefaultSelector() as selector:
                selector.register(self._stream, selectors.EVENT_READ)
                for racer in self._racers:
                    os.set_blocking(racer.reading, False)
                    selector.register(racer.reading, selectors.EVENT_READ, racer)
                while not all(racer.is_over for racer in self._racers):
                    self._step(selector)
        finally:
            for racer in self._racers:
                _kill(racer)
            databases.end_sessions({one for racer in self._racers if racer.outcome is None for one in racer.sessions})
        reports = [racer.report(self._memory) for racer in self._racers]
        return {"racers": reports, "met": sorted(self._attendance.met)}

    def _fork(self, racer: Racer) -> None:
        racer.deadline = clock.monotonic() + self._timeout
        pid = os.fork()
        if not pid:
            try:
                stdout, stderr, stack = (file.fileno() for file in racer.outputs)
                self._stream.close()
                _racer.run(
                    racer.index,
                    racer.writing,
                    (stdout, stderr, stack),
                    self._memory,
                    self._gate,
                    self._meeting,
                    self._race,
                )
            finally:
                os._exit(1)  # whatever happens, a racer never gets to be a second leader
        racer.pid = pid
        self._memory.set_pid(racer.index, pid)
        with contextlib.suppress(OSError):  # it has done so itself, and perhaps is gone already
            os.setpgid(pid, pid)
        os.close(racer.writing)

    def _step(self, selector: selectors.BaseSelector) -> None:
        for key, _ in selector.select(self._seconds()):
            if key.data is None:
                # Nothing but its end comes this way.
                raise InterruptedError("the test has ended, or was interrupted")
            if not self._read(key.data):
                key.data.is_silent = True
                selector.unregister(key.data.reading)
        is_due = clock.monotonic() >= self._next_look
        for racer in self._racers:
            if not racer.is_over and (racer.is_silent or is_due):
                self._look_after(racer)
        if is_due:
            self._end_the_late(selector)
            self._next_look = clock.monotonic() + _TICK
        if not self._gate.is_open and all(racer.is_ready or racer.is_over for racer in self._racers):
            for racer in self._racers:
                racer.deadline = clock.monotonic() + self._timeout
            self._gate.open()
        if self._meeting is not None and self._attendance.seconds_left() == 0.0:
            self._attendance.is_over = True
            self._meeting.open()

    def _seconds(self) -> float:
        """How long nothing needs to be done."""
        if any(racer.is_silent and not racer.is_over for racer in self._racers):
            return 0.001  # it is about to be gone
        patience = self._attendance.seconds_left()
        return max(0.0, min(self._next_look - clock.monotonic(), _TICK if patience is None else patience))

    def _read(self, racer: Racer) -> bool:
        """Hear what a racer says. Returns whether it may say more."""
        try:
            data = os.read(racer.reading, 1 << 20)
        except BlockingIOError:
            return True
        racer.buffer += data
        size = _racer.HEAD.size
        while len(racer.buffer) >= size:
            letter, length = _racer.HEAD.unpack_from(racer.buffer)
            if len(racer.buffer) < size + length:
                break
            self._hear(racer, letter, bytes(racer.buffer[size : size + length]))
            del racer.buffer[: size + length]
        return bool(data)

    def _hear(self, racer: Racer, letter: bytes, data: bytes) -> None:
        if letter == _racer.READY:
            racer.is_ready = True
        elif letter == _racer.SESSION:
            racer.sessions.add(pickle.loads(data))  # noqa: S301 - from our own racer
        elif letter == _racer.REACHED:
            self._attendance.has_come(racer.index)
        elif letter == _racer.MAIL:
            racer.mails.append(data)
        elif letter == _racer.DONE:
            racer.outcome = data

    def _look_after(self, racer: Racer) -> None:
        pid, status = os.waitpid(racer.pid, os.WNOHANG)
        if pid:
            while self._read(racer) and racer.outcome is None and _has_more(racer.reading):
                pass
            self._is_gone(racer, status)

    def _is_gone(self, racer: Racer, status: int) -> None:
        racer.status = os.waitstatus_to_exitcode(status)
        racer.is_over = True
        self._memory.set_pid(racer.index, 0)
        self._attendance.has_finished(racer.index)
        _end_group(racer.pid)  # what it has started ends with it

    def _end_the_late(self, selector: selectors.BaseSelector) -> None:
        """Kill racers that are past their time, once they have written down where they stand."""
        now = clock.monotonic()
        # Who stands at the gate is not late: it waits for those who are.
        started = self._gate.is_open
        late = [
            racer
            for racer in self._racers
            if not racer.is_over and racer.deadline <= now and (started or not racer.is_ready)
        ]
        if not late:
            return
        for racer in late:
            racer.timed_out = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(racer.pid, _racer.SHOW_STACK)
        sizes: list[int] = []
        until = now + _LAST_WORDS
        while clock.monotonic() < until:
            before, sizes = sizes, [os.fstat(racer.outputs[2].fileno()).st_size for racer in late]
            if sizes == before and all(sizes):
                break
            time.sleep(0.01)
        for racer in late:
            _end_group(racer.pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(racer.pid, signal.SIGKILL)
            _, status = os.waitpid(racer.pid, 0)
            self._read(racer)
            self._is_gone(racer, status)
            if not racer.is_silent:
                racer.is_silent = True
                selector.unregister(racer.reading)


def _has_more(descriptor: int) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        return bool(selector.select(0))


def _end_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _kill(racer: Racer) -> None:
    """End a racer that is still there, and what it has started."""
    if racer.pid and not racer.is_over:
        _end_group(racer.pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(racer.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(racer.pid, 0)
        _end_group(racer.pid)


def _allow_descriptors(needed: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
