"""What the shared ledgers have in common: calls as lines of JSON, written one by one or in batches, and read back."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, Protocol

from sideeffects._core.calls import process
from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Mode
from sideeffects._core.calls.outcome import Outcome, outcome_to_record
from sideeffects._core.records.lines import Turns
from sideeffects._core.records.pairing import Pairing, in_order
from sideeffects._core.state.state import state
from sideeffects._core.values import clock
from sideeffects.errors import LedgerError

logger: Final = logging.getLogger("sideeffects")

#: Recorded calls of a run list that are written by one step, at most, and the seconds for which one may wait.
BATCH: Final = 100
BATCH_SECONDS: Final = 0.05


class Loss(NamedTuple):
    """What is known to be missing of a ledger.

    Attributes:
        records: how many records.
        reason: what became of them, and what to do about it; empty when nothing is missing.
    """

    records: int = 0
    reason: str = ""


class Forbidden(LedgerError):
    """The ledger is in a database, which the running test may not use."""


class Log(Protocol):
    """Lines that several processes append to and read. What is older than the timeout is gone."""

    def append(self, lines: list[str]) -> None:
        """Write lines, all or none.

        Raises:
            LedgerError: they could not be written.
        """

    def read(self, cursor: dict[str, Any]) -> tuple[list[str], Loss]:
        """The lines written since `cursor`, which is moved on; an empty one stands for the beginning.

        Raises:
            LedgerError: they could not be read.
        """
        ...

    def clear(self) -> None:
        """Remove all lines, and nothing else."""

    def trouble(self) -> str:
        """Why this cannot be a shared ledger, empty when it can."""
        ...

    def caution(self) -> str:
        """What its user ought to know, empty when there is nothing."""
        ...

    @property
    def where(self) -> str:
        """Which one it is, for messages."""
        ...

    @property
    def timeout(self) -> float:
        """Seconds for which lines are kept."""
        ...

    @property
    def may_be_late(self) -> bool:
        """Whether a line that comes from inside a write may wait for its end: no effect can be what writes this."""
        ...


class Reader:
    """What a test run has read of a shared ledger so far."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.cursor: dict[str, Any] = {}
        self.pairing = Pairing()
        self.lost = 0
        self._lock = threading.Lock()
        self._owner = process.current  # a child of a fork has another one

    @property
    def lock(self) -> threading.Lock:
        """One reads at a time."""
        if self._owner is not process.current:  # a thread of the parent may have held it
            self._lock, self._owner = threading.Lock(), process.current
        return self._lock

    def taken(self, record: Mapping[str, Any], since: float, journal: str) -> Call | None:
        """The call that a record brings to this test run, if it does.

        Its own calls it has in memory; of these it wants the outcomes that others write.
        """
        told = record.get("call", record)
        if told["at"] < since or (journal and record.get("journal") == journal):
            return None
        if _is_own(told) and ("call" in record or not self.pairing.is_expected(told)):
            return None
        return self.pairing.take(record)


class _Batch:
    """Recorded calls of a run list that are still to be written, with their outcomes if these are known."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.waiting: dict[int, tuple[Call, Outcome | None]] = {}
        self.since = 0.0


class _Mine(threading.local):
    """What belongs to a thread: its batch, and the call that it has last written with its outcome."""

    batch: _Batch | None = None
    settled: Call | None = None


class Shared:
    """A ledger that several processes write and read.

    Args:
        log: where the lines are.
        reader: what this process's test run has read of it.
    """

    def __init__(self, log: Log, reader: Reader) -> None:
        self.log = log
        self._reader = reader
        self._mine = _Mine()
        self._turns = Turns(log.append)

    # -- writing

    def write_call(self, call: Call, outcome: Outcome | None) -> None:
        """Write a call down, with its outcome where that is known already."""
        mine = self._mine
        mine.settled = None if outcome is None else call
        batch = mine.batch
        if batch is None or self._turns.is_taken:
            self._append([_line_of_call(call, outcome)])
            return
        # What executes is written before it does, and what has been decided before it goes first.
        may_wait = call.mode is Mode.RECORD and call.run_id == batch.run_id
        now = clock.monotonic()
        if not batch.waiting:
            batch.since = now
        batch.waiting[id(call)] = call, outcome
        if not may_wait or len(batch.waiting) >= BATCH or now - batch.since > BATCH_SECONDS:
            self._flush(batch)

    def _flush(self, batch: _Batch) -> None:
        waiting, batch.waiting = batch.waiting, {}
        if waiting:
            self._append([_line_of_call(call, outcome) for call, outcome in waiting.values()])

    def _append(self, lines: list[str]) -> None:
        if not self.log.may_be_late:
            self._check_turn()
        try:
            self._turns.append(lines)
        except Forbidden as error:
            if not state.test_run.is_on():
                raise
            if not _is_remarked:
                _is_remarked.append(True)
                logger.warning(
                    "%s. Calls of a test that may not use the ledger's database are not written to the ledger", error
                )

    def _check_turn(self) -> None:
        if self._turns.is_taken:
            raise LedgerError(
                "a shared ledger",
                "this call came while the same thread was writing or reading the ledger: a signal handler or a "
                "finaliser made it, or what writes the ledger is itself declared as a side effect, which cannot work",
            )

    @contextmanager
    def batch(self, run_id: str) -> Generator[None]:
        """Inside, the recorded calls of a run list may be written several at a time."""
        mine = self._mine
        outer = mine.batch
        if outer is not None:
            self._flush(outer)
        batch = mine.batch = _Batch(run_id)
        try:
            yield
        except BaseException:
            try:
                self._flush(batch)
            except Exception:
                logger.exception("could not write recorded calls of run list %r", run_id)
            raise
        else:
            self._flush(batch)
        finally:
            mine.batch = outer

    def write_outcome(self, call: Call) -> None:
        """Add the outcome of a call that was written before, perhaps by another process."""
        mine = self._mine
        if mine.settled is call:
            mine.settled = None
        elif mine.batch is None or id(call) not in mine.batch.waiting:  # where it waits, its outcome goes with it
            self._append([_line(call.outcome_record() | {"at": clock.now()})])

    # -- reading

    def expect(self, call: Call) -> None:
        """Look for the outcome of a call that this process has handed to another."""
        self._reader.pairing.expect(call)

    def new_calls(self, journal: str) -> tuple[list[Call], int]:
        """What other processes have written since the last time, and how many records were lost."""
        reader = self._reader
        if self._turns.is_taken:  # they will be read when this thread is done
            return [], 0
        with self._turns.taken(), reader.lock:
            try:
                lines, loss = self.log.read(reader.cursor)
            except Forbidden:  # they will be read when a test may
                return [], 0
            since = max(reader.since, clock.now() - self.log.timeout)
            calls: list[Call] = []
            lost = max(0, loss.records - reader.lost)
            reader.lost = loss.records
            for record in _decoded(lines):
                call = None
                try:
                    if record is None:
                        lost += 1
                    else:
                        call = reader.taken(record, since, journal)
                except _SHAPES as error:
                    lost += 1
                    logger.error("%s", LedgerError(self.log.where, _strange(error)))  # noqa: TRY400 - it says it all
                if call is not None:
                    calls.append(call)
            return calls, lost

    def all_calls(self, run_id: str | None = None) -> tuple[list[Call], Loss]:
        """All calls, or those of one run list, in the order of their times; and what is missing of the ledger."""
        self._check_turn()
        with self._turns.taken():
            lines, loss = self.log.read({})
        oldest = clock.now() - self.log.timeout
        pairing = Pairing()
        calls: list[Call] = []
        count = loss.records
        for record in _decoded(lines):
            if record is None:
                count += 1
                continue
            try:
                told = record.get("call")
                is_wanted = told is None or (told["at"] >= oldest and run_id in (None, told["run_id"]))
                call = pairing.take(record) if is_wanted else None
            except _SHAPES as error:
                raise LedgerError(self.log.where, _strange(error)) from error
            if call is not None:
                calls.append(call)
        torn = "a process was killed while it wrote" if count > loss.records else ""
        reason = "; ".join(filter(None, (loss.reason, torn)))
        return in_order(calls), Loss(count, reason)

    def follow(self) -> Callable[[], list[Call]]:
        """What gives the calls that have come since it was called the last time, first all that there are.

        A call that has no outcome yet gets it when that has been read, too.
        """
        pairing = Pairing()
        cursor: dict[str, Any] = {}

        def news() -> list[Call]:
            self._check_turn()
            with self._turns.taken():
                lines, _ = self.log.read(cursor)
            try:
                found = [pairing.take(record) for record in _decoded(lines) if record is not None]
            except _SHAPES as error:
                raise LedgerError(self.log.where, _strange(error)) from error
            return in_order([call for call in found if call is not None])

        return news

    def of_run(self, run_id: str) -> tuple[list[Call], str]:
        """The calls of one run list, and in words what is missing of the ledger, if anything."""
        calls, loss = self.all_calls(run_id)
        return calls, f"{loss.records} records are missing from it: {loss.reason}" if loss.records else ""

    def clear(self) -> None:
        """Remove all calls, those of other processes too."""
        batch = self._mine.batch
        if batch is not None:
            batch.waiting.clear()
        self._check_turn()
        with self._turns.taken():
            self.log.clear()


_is_remarked: Final[list[bool]] = []


def _line_of_call(call: Call, outcome: Outcome | None) -> str:
    record = call.to_record()
    if outcome is not None:
        record["outcome"] = outcome_to_record(outcome, call.scrubbed)
    return _line({"call": record})


def _line(line: dict[str, Any]) -> str:
    journal = state.children.reports
    if journal is not None and state.test_run.is_on():
        line["journal"] = journal.path  # whatever reads the journal can skip this line
    return json.dumps(line)


def _decoded(lines: Iterable[str]) -> Generator[Mapping[str, Any] | None]:
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        yield record if isinstance(record, dict) else None


#: What making a call of a record raises that is none of ours.
_SHAPES: Final = (AttributeError, IndexError, KeyError, TypeError, ValueError)


def _strange(error: Exception) -> str:
    return (
        f"a record cannot be understood ({type(error).__name__}: {error}): it was written by another version of "
        f"sideeffects, or by something else. Give each version its own ledger, or empty this one: clear_run_cache()"
    )


def _is_own(told: Mapping[str, Any]) -> bool:
    pid, token = told["process"]
    return bool(pid == process.current.pid and token == process.current.token)
