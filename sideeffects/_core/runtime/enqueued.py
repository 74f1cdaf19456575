"""Running, in a test, the background calls that it has recorded: `Calls.run_enqueued`.

Where such a call is recorded, the way its worker would run it is kept here. Each run is a call of its own.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeAlias

from sideeffects._core.calls import registry
from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.incoming import Arrival, arriving
from sideeffects._core.calls.origins import originating
from sideeffects._core.calls.parcel import Parcel
from sideeffects._core.policy.override_entry import OverrideEntry, OverrideRule
from sideeffects._core.records.reading import Calls, Source
from sideeffects._core.state.extension_points import deferral, engine
from sideeffects._core.state.open_transactions import PENDING, ROLLED_BACK
from sideeffects._core.state.state import state
from sideeffects.errors import SideEffectError

__tracebackhide__ = True

#: Inside the block that it gives, the next call of the effect executes, and is that of the task.
Forced: TypeAlias = Callable[[], AbstractContextManager[None]]
#: Runs one recorded call as its worker would, retries included.
Rerun: TypeAlias = Callable[[Forced], object]

#: So often a task may ask to be run again, whatever it says itself.
MOST_RETRIES: Final = 100
#: So many calls `until_empty` runs: a task that enqueues itself would have no end.
_MOST_RUNS: Final = 1_000


class _Kept:
    """How a recorded call is run, and which recorded call it follows, with that one's recorded answer."""

    __slots__ = ("after", "is_done", "rerun")

    def __init__(self, rerun: Rerun, after: Call | None) -> None:
        self.rerun = rerun
        self.after = None if after is None else weakref.ref(after)
        self.is_done = False


_kept: Final[weakref.WeakKeyDictionary[Call, _Kept]] = weakref.WeakKeyDictionary()
_following: Final[ContextVar[Call | None]] = ContextVar("sideeffects_following", default=None)


def keep(call: Call | None, rerun: Rerun) -> None:
    """Keep how a recorded background call is run; in a test run alone, and as long as somebody has the call."""
    if call is not None and call.mode is Mode.RECORD and state.test_run.is_on():
        _kept[call] = _Kept(rerun, _following.get())


@contextmanager
def following(call: Call | None) -> Generator[None]:
    """What is enqueued inside follows a recorded call: once that is run, what really follows takes its place."""
    token = _following.set(call)
    try:
        yield
    finally:
        _following.reset(token)


def is_retried(retries: int, name: str) -> bool:
    """Whether a task that asks for it is run again.

    Raises:
        SideEffectError: it has asked too often.
    """
    if retries > MOST_RETRIES:
        raise SideEffectError(
            f"side effect {name!r} has asked for {MOST_RETRIES} retries, and run_enqueued() stops here: give the task "
            f"a limit of its own (max_retries), or let it succeed"
        )
    return True


def rerun_parcel(parcel: Parcel, execute: Callable[[tuple[Any, ...], dict[str, Any]], object]) -> Rerun:
    """How a call that was enqueued by `.enqueue` is run: its arguments travel as those of its engine do."""

    def rerun(forced: Forced) -> object:
        there = parcel
        chosen = engine.last()
        chosen.check(parcel)
        if not getattr(chosen, "is_here", False):
            there = Parcel.from_data(json.loads(json.dumps(parcel.to_data())))
        with forced():
            return execute(there.args, there.kwargs)

    return rerun


# -- running


class _Claiming(Arrival):
    """The task's own call, as it begins: it is written down like any other."""

    def claim(self, name: str, is_async: bool, run_id: str | None) -> tuple[Arrival | None, bool, str | None]:
        if self.is_taken or self.name != name:
            return None, is_async, run_id
        self.is_taken = True
        return None, False, self.run_id


class _Forcing(OverrideEntry):
    """Executes the task's own call, and none of those that it makes in turn."""

    __slots__ = ("_claiming",)

    def __init__(self, claiming: _Claiming, decision: Decision) -> None:
        rule = OverrideRule(claiming.name, decision)
        super().__init__((rule,), decision.origin, context_only=True)
        self._claiming = claiming

    def find(self, name: str) -> OverrideRule | None:
        return None if self._claiming.is_taken or name != self._claiming.name else self.rules[0]


def run(source: Source, patterns: Sequence[str], until_empty: bool, origin: str) -> Source:
    """Run what the patterns mean of the recorded background calls of `source`; see `Calls.run_enqueued`.

    Returns:
        what reads the calls that it has made.
    """
    if not state.test_run.is_on():
        raise SideEffectError("run_enqueued() is for tests: this process is in no test run")
    decision = Decision(Mode.EXECUTE, "run by run_enqueued()", origin)
    start = state.ledger.end
    unmet = set(patterns)
    batch = _waiting(source, patterns)
    if not until_empty or not batch:
        _check_all_mean_something(source, [one for one in patterns if not any(_means(one, call) for call in batch)])
    runs = 0
    while batch:
        for call in batch:
            if _kept[call].is_done:  # what it followed has been run meanwhile
                continue
            runs += 1
            if runs > _MOST_RUNS:
                raise SideEffectError(f"run_enqueued(until_empty=True) has run {_MOST_RUNS} calls, and there are more")
            unmet -= {one for one in unmet if _means(one, call)}
            _run(call, decision)
        batch = _waiting(source, patterns) if until_empty else []
    _check_all_mean_something(source, sorted(unmet))
    stop = state.ledger.end

    def ran() -> tuple[Sequence[Call], int]:
        calls, dropped = state.ledger.read(start, stop)
        own = decision.reason, decision.origin
        return [call for call in calls if (call.decision.reason, call.decision.origin) == own], dropped

    return ran


def _run(call: Call, decision: Decision) -> None:
    """Run one call. What followed its recorded answer is not run any more: what follows now takes its place."""
    kept = _kept[call]
    kept.is_done = True
    _supersede(call)

    @contextmanager
    def forced() -> Generator[None]:
        claiming = _Claiming(call.name, call.id, call.run_id)
        leave = state.overrides.enter(_Forcing(claiming, decision))
        token = arriving.set(claiming)
        try:
            yield
        finally:
            arriving.reset(token)
            leave()

    with originating(call.origin), deferral.last.as_worker():
        kept.rerun(forced)


def _supersede(call: Call) -> None:
    for other, kept in list(_kept.items()):
        if kept.after is not None and kept.after() is call and not kept.is_done:
            kept.is_done = True
            _supersede(other)


def _waiting(source: Source, patterns: Sequence[str]) -> list[Call]:
    return [call for call in source()[0] if any(_means(one, call) for one in patterns) and not _why_not(call)]


def _means(pattern: str, call: Call) -> bool:
    return registry.matches(pattern, call.name)


def _why_not(call: Call) -> str:
    """Why a call is not run, in words; empty where it is."""
    kept = _kept.get(call)
    if call.mode is not Mode.RECORD:
        return "executed where it was called" if call.mode is Mode.EXECUTE else "refused"
    if kept is None:
        if call.is_foreign:
            return "recorded in another process"
        return "enqueued in a way that cannot be run here" if call.is_async else "called, not enqueued"
    if kept.is_done:
        return "run already"
    return {PENDING: "waiting for a commit", ROLLED_BACK: "rolled back with its transaction"}.get(
        call.transaction or "", ""
    )


def _check_all_mean_something(source: Source, patterns: Sequence[str]) -> None:
    """Refuse names that mean no call that can be run.

    Raises:
        AssertionError: with what there is of them, and why it is not run.
    """
    if not patterns:
        return
    calls = source()[0]
    lines = []
    for pattern in patterns:
        found = [_why_not(call) for call in calls if _means(pattern, call)]
        why = ", ".join(f"{found.count(reason)} {reason}" for reason in dict.fromkeys(filter(None, found)))
        lines.append(f"there is no recorded background call of {pattern} to run{f': {why}' if why else ''}")
    if any("called, not enqueued" in line for line in lines):
        lines.append("(Celery with task_always_eager, and backends that run on the spot, enqueue nothing.)")
    Calls(source).fail(*lines)
