"""A fault sweep beside the bare runs of its scenario.

`run.py` starts this in a process of its own; it prints JSON. The scenario works for a few milliseconds, as a test with
a database does, and goes on after each failure, so that all of its runs are as long.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import time

from sideeffects import side_effect
from sideeffects.testing import fault_sweep

CALLS = 10
ROUNDS = 9
MILLISECONDS = 5


@side_effect(name="bench.send", raises=(OSError, ValueError))
def send(to: str) -> None:
    raise AssertionError("it ran")


runs: list[None] = []


def work() -> None:
    """The same work each time, whatever the clock says: what is measured is what comes on top."""
    total = 0
    for number in range(STEPS):
        total += number
    with contextlib.suppress(OSError, ValueError):
        send("ann")


def scenario() -> None:
    runs.append(None)
    for _ in range(CALLS):
        work()


def steps() -> int:
    """How many additions take half a millisecond here."""
    started = time.process_time()
    for number in range(1_000_000):
        _ = number + number
    return int(1_000_000 * MILLISECONDS / CALLS / 1000 / (time.process_time() - started))


STEPS = steps()


def main() -> None:
    taken = []
    cells = 4 * CALLS
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(cells + 1):
            scenario()
        bare = time.process_time() - started
        runs.clear()
        started = time.process_time()
        report = fault_sweep(scenario)
        swept = time.process_time() - started
        assert len(report.passed) == cells
        taken.append(swept / bare)
    print(json.dumps({"cells": cells, "runs": len(runs), "ratio": statistics.median(taken)}))


if __name__ == "__main__":
    main()
