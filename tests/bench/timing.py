"""Timing calls side by side.

The cases of one comparison take turns, a few hundred calls each, many times over. What disturbs the machine then
disturbs all of them, and ratios are taken turn by turn before their median is.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

BARE = "a bare call"


class Case(NamedTuple):
    """One expression to time."""

    expression: str
    names: dict[str, Any]
    after: Callable[[], object] | None = None  # forgets what a turn has recorded, outside the time taken
    number: int = 200


def measure(cases: Mapping[str, Case], turns: int = 150) -> dict[str, list[float]]:
    """Nanoseconds per call, turn by turn, for each case."""
    loops = {name: _loop(case) for name, case in cases.items()}
    times: dict[str, list[float]] = {name: [] for name in cases}
    for turn in range(turns + 2):
        for name, case in cases.items():
            started = time.perf_counter_ns()
            loops[name](case.number)
            taken = time.perf_counter_ns() - started
            if turn >= 2:  # the first ones warm up
                times[name].append(taken / case.number)
            if case.after is not None:
                case.after()
    return times


def _loop(case: Case) -> Callable[[int], None]:
    source = f"def loop(number):\n    for _ in range(number):\n        {case.expression}\n"
    namespace = dict(case.names)
    exec(source, namespace)
    loop: Callable[[int], None] = namespace["loop"]
    return loop


def above(times: Mapping[str, list[float]], case: str, bare: str = BARE) -> float:
    """The median of what a case costs above a bare call, in nanoseconds."""
    return statistics.median(one - other for one, other in zip(times[case], times[bare], strict=True))


def ratio(times: Mapping[str, list[float]], case: str, peer: str, bare: str = BARE) -> float:
    """The median of what a case costs, as a part of what a peer costs, both above a bare call."""
    return statistics.median(
        (one - base) / max(other - base, 1.0)
        for one, other, base in zip(times[case], times[peer], times[bare], strict=True)
    )
