"""The end of a call: its outcome is added, once, and those who observe are told."""

from __future__ import annotations

from typing import Any

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.outcome import Outcome
from sideeffects._core.runtime.observing import notify, swallowed
from sideeffects._core.state.state import state
from sideeffects._core.values import clock, copying

__tracebackhide__ = True


def finish(call: Call, outcome: Outcome) -> None:
    """Add the outcome, and tell those who observe. What is done is done: nothing here raises, but a fault sweep."""
    call.finish(outcome)
    journal = state.children.reports
    if journal is not None and state.test_run.is_on():
        with swallowed("could not write the outcome of %s", call):  # the effect has run, and its result must arrive
            journal.write_outcome(call)
    shared = state.shared
    if shared is not None:
        with swallowed("could not write the outcome of %s", call):
            shared.write_outcome(call)
    if state.observers:
        notify(call, [observing.finished for observing in state.observers])
    faults = state.faults
    if faults is not None:
        faults.finished(call)


def starting(call: Call | None) -> float:
    """Tell those who watch executions that this one starts. Returns when, for the duration of its outcome."""
    if state.observers and call is not None:
        notify(call, [observing.started for observing in state.observers if observing.started is not None])
    return clock.monotonic()


def returned(result: Any, started: float) -> Outcome:
    duration = clock.monotonic() - started
    return Outcome(copying.snapshot(result, "", {}, []), None, duration)
