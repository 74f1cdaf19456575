"""What a race gives: a list of results, and what else is known of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sideeffects._core.calls.call import Call
from sideeffects._core.records.pairing import in_order
from sideeffects._core.records.reading import Calls, Source
from sideeffects._core.values.describe import text_of
from sideeffects.testing.races.errors import WrappedError


class Told(NamedTuple):
    """What is known of one racer when the race is over.

    Attributes:
        result: what it returned, or a `WrappedError`.
        started: when, by `_core.values.clock`; `None` when it never did.
        duration: how long it took, in seconds.
        stdout: what it printed.
        stderr: what it printed there.
    """

    result: Any
    started: float | None
    duration: float
    stdout: str = ""
    stderr: str = ""


@dataclass(slots=True)
class Explored:
    """What an explored race has shown.

    Attributes:
        schedule: whose step each was in the order that the results are of.
        timeline: makes the table of that order.
        level: the isolation level that was asked for.
        failed: whether that order failed.
        schedules: how many orders were run.
        complete: whether these are all.
        notes: what else there is to say.
    """

    schedule: str
    timeline: Callable[[], str]
    level: str | None
    failed: bool = False
    schedules: int = 1
    complete: bool = False
    notes: list[str] = field(default_factory=list)


class RaceResult(list[Any]):
    """The results in the order in which the calls were given; a `WrappedError` stands for a racer that has none.

    Attributes:
        durations: seconds from each racer's start to its end, in the order of the calls; for a racer that was killed,
            until then; 0.0 for one that never started.
        start_skew: seconds between the first and the last start; 0.0 when fewer than two started.
        outputs: what each racer printed to stdout and stderr; empty for threads, whose output is the test's.
        met: the racers that were held together at `meet_at`.
        seed: what made the racers' small delays before their calls; `None` when there were none. `Race(seed=...)`
            repeats them.
        runs: how often the race was run.
        failures: how often it failed: 0 or 1, because a race ends with its first failure. Of an explored race, how many
            orders failed.
        failure: what the check raised, or the first error; `None` when the last run did not fail.

    The results, calls and failure of an explored race are those of the failing order with the fewest switches; when
    none failed, of the last one.

    Example:
        >>> result = Race(using="threads").call_concurrently(2, send_sms, to="+44", body="Hello")
        >>> result.calls.count("sms.send"), result.failures
        (2, 0)
    """

    def __init__(self, told: Sequence[Told], met: Sequence[int], seed: int | None, source: Source) -> None:
        super().__init__(one.result for one in told)
        self.durations = [one.duration for one in told]
        started = [one.started for one in told if one.started is not None]
        self.start_skew = max(started) - min(started) if started else 0.0
        self.outputs = [(one.stdout, one.stderr) for one in told]
        self.met = list(met)
        self.seed = seed
        self.runs = 1
        self.failures = 0
        self.failure: BaseException | None = None
        self.explored: Explored | None = None
        self._source = source

    @property
    def successes(self) -> list[Any]:
        """The results of the racers that returned, in the order of the calls."""
        return [result for result in self if not isinstance(result, WrappedError)]

    @property
    def errors(self) -> list[WrappedError]:
        """The `WrappedError` of each racer that raised or was ended, in the order of the calls."""
        return [result for result in self if isinstance(result, WrappedError)]

    @property
    def schedules(self) -> int:
        """How many orders were run; 0 for a race that was not explored."""
        return 0 if self.explored is None else self.explored.schedules

    @property
    def complete(self) -> bool:
        """Whether these were all orders that there are, within the limits."""
        return self.explored is not None and self.explored.complete

    @property
    def schedule(self) -> str | None:
        """Which racer made each step of the failing order, such as `"112212"`; `None` when none failed."""
        return self.explored.schedule if self.explored is not None and self.explored.failed else None

    def timeline(self) -> str:
        """The order that gave these results, as a table with a column for each racer; empty if nothing was explored."""
        return "" if self.explored is None else self.explored.timeline()

    @property
    def calls(self) -> Calls:
        """The effects that the racers have called, in the order of time; each call's `racer` is its racer's index."""
        return Calls(self._ordered)

    def _ordered(self) -> tuple[list[Call], int]:
        calls, dropped = self._source()
        return in_order([call for call in calls if call.racer is not None]), dropped

    def summary(self) -> str:
        """What came of it, in words; of an explored race that failed, with the timeline first."""
        if self.explored is not None:
            return self._summary_of_orders(self.explored)
        errors = self.errors
        lines = [
            f"{len(self)} racers, {len(errors)} errors, {self.start_skew * 1000:.2f} ms between first and last start"
        ]
        if self.runs > 1 or self.failures:
            seed = "" if self.seed is None else f" (seed {self.seed})"
            lines.append(
                f"it failed in run {self.runs}{seed}" if self.failures else f"it did not fail in {self.runs} runs"
            )
        if self.failure is not None:
            lines.append(f"{type(self.failure).__name__}: {text_of(self.failure)}")
        return "\n".join(lines)

    def _summary_of_orders(self, explored: Explored) -> str:
        orders = f"{explored.schedules} order{'s' if explored.schedules != 1 else ''}"
        level = f" under {explored.level}" if explored.level else ""
        lines = []
        if explored.failed:
            lines += [explored.timeline(), ""]
        if self.failure is not None:
            lines.append(f"{type(self.failure).__name__}: {text_of(self.failure)}")
        if explored.failed:
            lines.append(f"{self.failures} of {orders} fail{'s' if self.failures == 1 else ''}{level}")
            isolation = f", isolation={explored.level!r}" if explored.level else ""
            lines.append(f'rerun: Race(schedule="{explored.schedule}"{isolation}, ...)')
        else:
            lines.append(f"{len(self)} racers, {orders}{level}, and none fails")
        if not explored.complete and explored.schedules > 1:
            lines.append("these are not all orders that there are")
        return "\n".join([*lines, *explored.notes])
