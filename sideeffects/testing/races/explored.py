"""A race that is explored: its calls are run in every order of their steps, and each order is looked at."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sideeffects._core.records.ledger import Ledger
from sideeffects._core.state import threads
from sideeffects._core.state.state import state
from sideeffects._core.values import clock
from sideeffects._core.values.describe import describe, text_of
from sideeffects._core.verbs.capture import Window
from sideeffects.errors import RaceError
from sideeffects.testing.exploring.exploration import Exploration
from sideeffects.testing.exploring.footprints import matters
from sideeffects.testing.exploring.orders import Order
from sideeffects.testing.exploring.search import Search
from sideeffects.testing.exploring.timeline import timeline
from sideeffects.testing.exploring.traces import Beginning, Matters
from sideeffects.testing.races import databases, settings
from sideeffects.testing.races.calling import called, resolved
from sideeffects.testing.races.errors import TerminatedProcessError, WrappedError
from sideeffects.testing.races.options import RaceOptions, RacerCall
from sideeffects.testing.races.result import Explored, RaceResult, Told

#: Gives the calls of a run, after `setup`; and what was wrong with its result.
Prepare = Callable[[], Sequence[RacerCall]]
Judge = Callable[[RaceResult], BaseException | None]


@dataclass(slots=True)
class _Found:
    """What the orders under one isolation level have shown."""

    schedules: int = 0
    failures: int = 0
    errors: int = 0
    worst: RaceResult | None = None
    last: RaceResult | None = None
    switches: int = 0
    complete: bool = True
    notes: list[str] = field(default_factory=list)


def explore(prepare: Prepare, judge: Judge, count: int, options: RaceOptions, matters: Matters = matters) -> RaceResult:
    """Run the calls in every order, under each isolation level that was asked for.

    Args:
        prepare: called before each order: it gives the calls.
        judge: says why an order failed, or `None`.
        count: how many calls there are.
        options: of the race.
        matters: whether the order of two steps can matter.

    Raises:
        RaceError: it cannot be explored.
    """
    if count > _MOST:
        raise RaceError(
            f"{count} racers have more orders than can be run: explore {_MOST} at most, two or three are best"
        )
    aliases: list[str] | None = None
    if settings.django_settings() is not None:
        aliases = databases.explored(options.databases)
    threads.install()
    found = _Found()
    for level in options.isolation or (None,):
        _under(level, aliases, prepare, judge, count, options, matters, found)
        if found.worst is not None:
            break
    if options.check is None and options.schedule is None and found.complete and not found.errors:
        raise RaceError(
            f"nothing was checked: the race has no check, and no racer raises in any of the {found.schedules} orders. "
            f"Race(check=...) says what must hold. To check only that no racer fails: "
            f"check=lambda result: not result.errors"
        )
    result = found.worst if found.worst is not None else found.last
    assert result is not None  # noqa: S101 - at least one order has run
    assert result.explored is not None  # noqa: S101 - as above
    result.runs = result.explored.schedules = found.schedules
    result.explored.complete = found.complete
    result.explored.notes = found.notes
    result.failures = found.failures
    return result


#: The digits of a schedule.
_MOST = 9


def _under(
    level: str | None,
    aliases: Sequence[str] | None,
    prepare: Prepare,
    judge: Judge,
    count: int,
    options: RaceOptions,
    matters: Matters,
    found: _Found,
) -> None:
    search = Search(count, max(1, options.max_schedules - found.schedules), options.preemptions, matters)
    with Exploration(count, aliases, level, options.timeout, databases.close_all) as exploration:

        def run(beginning: Beginning) -> Order:
            calls = prepare()
            exploration.refuse_open_transactions()
            result, order = _run(exploration, calls, beginning.racers, options.timeout, level)
            _note(found, result, order, judge(result))
            if order.stuck is not None:
                databases.end_sessions(exploration.sessions_of(order.stuck[0]))
            elif options.schedule is None:
                exploration.take_back()
            return order

        if options.schedule is not None:
            plan = tuple(int(digit) - 1 for digit in options.schedule)
            run(Beginning(plan, (), ()))
            found.schedules += 1
            found.complete = False
            return
        try:
            search.through(run)
        finally:
            found.schedules += search.run
    found.complete = found.complete and search.is_complete
    if search.not_repeatable is not None:
        said = (
            f"not repeatable: racer {search.not_repeatable.racer + 1} took "
            f"{search.not_repeatable.found or 'no step'}. In an earlier order, which looked the same to it so far, it "
            f"took {search.not_repeatable.expected}. Something other than the racers decides what it does: the clock, "
            f"chance, or what an earlier order left in memory. Let setup put that back, or stub it"
        )
        if found.worst is None:
            raise RaceError(said)
        found.notes.append(said)
    elif not search.is_complete and search.run >= search._limit:  # noqa: SLF001
        found.notes.append(
            f"max_schedules={options.max_schedules} orders were run, and there are more. With fewer rows, fewer "
            f"racers or Race(preemptions=2) there are fewer; Race(max_schedules=...) allows more to run"
        )


def _run(
    exploration: Exploration, calls: Sequence[RacerCall], plan: Sequence[int], timeout: float, level: str | None
) -> tuple[RaceResult, Order]:
    ledgers = [Ledger() for _ in calls]
    times: list[list[float]] = [[] for _ in calls]
    window = Window()
    try:
        order = exploration.run(
            [_call(call, ledger, at) for call, ledger, at in zip(calls, ledgers, times, strict=True)], plan
        )
    finally:
        window.close()
    for index, ledger in enumerate(ledgers):
        for call in ledger.read(0)[0]:
            call.mark_racer(index)
    told = [
        _told(racer.index, racer.result, racer.error, order, times[racer.index], timeout)
        for racer in exploration.racers
    ]
    result = RaceResult(told, [], None, window.read)
    outcomes = [_outcome(one.result) for one in told]
    result.explored = Explored(order.schedule, lambda: timeline(order, outcomes), level)
    return result, order


def _call(call: RacerCall, ledger: Ledger, times: list[float]) -> Callable[[], Any]:
    function, kwargs = call

    def act() -> Any:
        unwatch = state.watch(ledger)
        times.append(clock.monotonic())
        try:
            return _called(resolved(function), dict(kwargs))
        finally:
            times.append(clock.monotonic())
            unwatch()

    return act


def _called(function: Callable[..., Any], kwargs: dict[str, Any]) -> Any:
    """What the function returns. Of a coroutine, what is synchronous runs in the racer's own thread."""
    import inspect

    if inspect.iscoroutinefunction(function) and "asgiref.sync" in sys.modules:
        return sys.modules["asgiref.sync"].async_to_sync(function)(**kwargs)
    return called(function, kwargs)


def _told(
    index: int, result: Any, error: BaseException | None, order: Order, times: Sequence[float], timeout: float
) -> Told:
    started = times[0] if times else None
    duration = times[1] - times[0] if len(times) > 1 else 0.0
    if order.stuck is not None and order.ends[index] is None:
        stuck, stack = order.stuck
        if index != stuck:
            error = TerminatedProcessError(f"racer {index + 1} was called off, since racer {stuck + 1} reached no step")
        else:
            error = TerminatedProcessError(
                f"racer {index + 1} reached no further step within {timeout:g} s: Race(timeout=...) allows more. A "
                f"thread cannot be killed, so it goes on. Where it stands:",
                stack=stack,
            )
    if error is not None:
        return Told(WrappedError(error, error.__traceback__, racer=index), started, duration)
    return Told(result, started, duration)


def _outcome(result: Any) -> str:
    if isinstance(result, WrappedError):
        return f"{type(result.error).__name__}: {text_of(result.error)}".splitlines()[0]
    return f"returned {describe(result)}"


def _note(found: _Found, result: RaceResult, order: Order, failure: BaseException | None) -> None:
    found.last = result
    found.errors += bool(result.errors)
    if order.stuck is not None and failure is None:
        failure = result[order.stuck[0]].error
    if failure is None:
        return
    found.failures += 1
    result.failure = failure
    assert result.explored is not None  # noqa: S101 - as it was made
    result.explored.failed = True
    if found.worst is None or order.switches < found.switches:
        found.worst, found.switches = result, order.switches
