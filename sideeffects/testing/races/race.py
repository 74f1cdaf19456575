"""`Race`: calling code concurrently, from a test, and reading back what came of it."""

from __future__ import annotations

import contextlib
import importlib
import random
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, Literal

from sideeffects._core.state.state import state
from sideeffects._core.verbs.capture import Window
from sideeffects.testing.races import options as _options
from sideeffects.testing.races.options import RaceOptions, RacerCall
from sideeffects.testing.races.result import RaceResult

#: A process that reports its calls, such as a racer, collects those of one race at a time, and hands them on.
_collecting: Final = threading.RLock()


class Race:
    """How to race. Call it as often as you need: each call runs one race, or `repeat` of them.

    Args:
        timeout: seconds after which a racer is killed; 30, or what the environment variable
            `DJANGO_CONCURRENT_TESTS_TIMEOUT` says.
        using: by default `"processes"`, each with its own connections, memory and interpreter lock; or `"threads"` of
            the test process, for code that must share mocks or memory with the test.
        databases: the aliases that racers use; processes are refused any others. Racers connect to them before the
            start. By default, those that the test may use; racers then connect before the start only to those that the
            test has connected to.
        repeat: how often the race is run at most; it ends with the first failure.
        seed: draws how long each racer waits before its call, up to 4 ms. By default racers wait from the second of
            `repeat` runs on, and each run has its own seed; `RaceResult.seed` has the one that failed.
        setup: called before each run; a mapping that it returns is added to the arguments of every call.
        check: called with the `RaceResult` of each run. The run failed when it raises or returns `False`. Without it,
            a run failed when a racer did.
        meet_at: an effect, its name or a glob: each racer waits when it first reaches it, until all have reached it
            or have finished.
        patience: seconds for which racers go on waiting there when no other racer comes or finishes. In correct
            code the others may never come, because the first one keeps them out.
        switch_interval: seconds between switches of threads (`sys.setswitchinterval`), for `"threads"`: small ones make
            races likelier.
        explore: the calls are run in every order of their steps, in threads. A step is a statement that Django sends, a
            COMMIT or ROLLBACK, a call of an effect, an operation on a Django cache, or `step("name")`. Between two
            orders, what was written is taken back, and `setup` runs again.
        max_schedules: how many orders are run at most.
        preemptions: how often an order may switch away from a racer that could go on; `None` for any number.
        schedule: explores this order alone: whose step comes first, second and so on, such as `"112212"`.
        isolation: the isolation level to explore under, such as `"serializable"`, or a list of levels.

    Raises:
        TypeError: an option is of the wrong kind.
        ValueError: an option has an impossible value.

    Example:
        >>> race = Race(using="threads", repeat=3)
        >>> race.call_concurrently(2, send_sms, to="+44", body="Hello")
        ['sms-1', 'sms-1']
    """

    def __init__(
        self,
        *,
        timeout: float | None = None,
        using: Literal["processes", "threads"] | None = None,
        databases: Collection[str] | None = None,
        repeat: int = 1,
        seed: int | None = None,
        setup: Callable[[], Mapping[str, Any] | None] | None = None,
        check: Callable[[RaceResult], object] | None = None,
        meet_at: object = None,
        patience: float = 1.0,
        switch_interval: float | None = None,
        explore: bool = False,
        max_schedules: int = 5000,
        preemptions: int | None = None,
        schedule: str | None = None,
        isolation: str | Collection[str] | None = None,
    ) -> None:
        self._given: dict[str, Any] = {
            "timeout": timeout,
            "using": using,
            "databases": databases,
            "repeat": repeat,
            "seed": seed,
            "setup": setup,
            "check": check,
            "meet_at": meet_at,
            "patience": patience,
            "switch_interval": switch_interval,
            "explore": explore,
            "max_schedules": max_schedules,
            "preemptions": preemptions,
            "schedule": schedule,
            "isolation": isolation,
        }
        self._options: RaceOptions = _options.checked(**self._given)

    def __repr__(self) -> str:
        defaults = {"repeat": 1, "patience": 1.0, "explore": False, "max_schedules": 5000}
        shown = (f"{name}={value!r}" for name, value in self._given.items() if value != defaults.get(name))
        return f"Race({', '.join(shown)})"

    def configured(self, /, **options: Any) -> Race:
        """The same race with some options changed; for the fixture `race`.

        Args:
            **options: as for `Race`.
        """
        return Race(**{**self._given, **options})

    def __call__(self, /, concurrency: int, function: Callable[..., Any] | str, **kwargs: Any) -> RaceResult:
        """As `call_concurrently`."""
        return self.call_concurrently(concurrency, function, **kwargs)

    def call_concurrently(self, /, concurrency: int, function: Callable[..., Any] | str, **kwargs: Any) -> RaceResult:
        """Make `concurrency` calls of one function at once.

        Args:
            concurrency: how many.
            function: the function, or where it is: `package.module:name`.
            **kwargs: its arguments.

        Returns:
            the results.

        Raises:
            RaceError: the race cannot run; nothing was called. The message names the fix.
        """
        if type(concurrency) is not int or concurrency < 1:
            raise ValueError(f"concurrency is a number of calls, 1 or more, not {concurrency!r}")
        return self.make_concurrent_calls(*[(function, kwargs)] * concurrency)

    def make_concurrent_calls(self, *calls: RacerCall) -> RaceResult:
        """Make these calls at once.

        Args:
            *calls: pairs of a function, given as for `call_concurrently`, and a mapping of its arguments.

        Returns:
            the results, in the order of the calls.

        Raises:
            RaceError: the race cannot run; nothing was called. The message names the fix.
        """
        checked = _options.checked_calls(calls)
        _options.check_meeting(self._options)
        state.test_run.latch("a race is called")
        with _collecting if state.children.reports is not None else contextlib.nullcontext():
            restore = state.children.collect_for_now()
            try:
                return self._explored(checked) if self._options.explore else self._until_it_fails(checked)
            finally:
                restore()

    def _explored(self, calls: Sequence[RacerCall]) -> RaceResult:
        schedule = self._options.schedule or ""
        if schedule and int(max(schedule)) > len(calls):
            raise ValueError(f"schedule={schedule!r} has a racer {max(schedule)}, and the race has {len(calls)}")
        # What is not explored needs nothing of this.
        module: Any = importlib.import_module("sideeffects.testing.races.explored")
        found: RaceResult = (
            module.explore(lambda: self._set_up(calls), self._failure, len(calls), self._options)
            if calls
            else RaceResult([], [], None, lambda: ([], 0))
        )
        return found

    def _until_it_fails(self, calls: Sequence[RacerCall]) -> RaceResult:
        run = 0
        while True:
            run += 1
            result = self._run(calls, self._seed(run))
            result.runs = run
            failure = self._failure(result)
            if failure is not None:
                result.failures, result.failure = 1, failure
            if failure is not None or run == self._options.repeat:
                return result

    def _seed(self, run: int) -> int | None:
        """The first run of several starts all at the very same time, the others with small delays."""
        seed = self._options.seed
        if seed is not None:
            return seed + run - 1
        return None if run == 1 else random.SystemRandom().getrandbits(32)

    def _set_up(self, calls: Sequence[RacerCall]) -> Sequence[RacerCall]:
        """The calls, with the arguments that `setup` returns."""
        setup = self._options.setup
        more = setup() if setup is not None else None
        if more is None:
            return calls
        if not isinstance(more, Mapping):
            raise TypeError(f"setup returns a mapping of arguments, or None, not {more!r}")
        changed = {id(call): (call[0], {**call[1], **more}) for call in calls}
        return [changed[id(call)] for call in calls]

    def _run(self, calls: Sequence[RacerCall], seed: int | None) -> RaceResult:
        calls = self._set_up(calls)
        if not calls:
            return RaceResult([], [], seed, lambda: ([], 0))
        name = f"sideeffects.testing.races.{self._options.using}"
        how: Any = importlib.import_module(name)  # a race in threads needs nothing of what processes do
        window = Window()
        try:
            told, met = how.hold(calls, self._options, seed)
        finally:
            window.close()
        return RaceResult(told, met, seed, window.read)

    def _failure(self, result: RaceResult) -> BaseException | None:
        check = self._options.check
        if check is None:
            return result.errors[0] if result.errors else None
        try:
            answer = check(result)
        except Exception as error:  # noqa: BLE001 - whatever says that it failed
            return error
        return AssertionError("the check returned False") if answer is False else None


def call_concurrently(concurrency: int, function: Callable[..., Any] | str, **kwargs: Any) -> RaceResult:
    """Make `concurrency` calls of one function at once, each in a process of its own.

    Args:
        concurrency: how many.
        function: the function, or where it is: `package.module:name`.
        **kwargs: its arguments.

    Returns:
        the results, in the order in which the calls were made; a `WrappedError` stands for a call that raised.

    Raises:
        RaceError: the race cannot run; nothing was called. The message names the fix.

    Example:
        >>> def test_an_order_is_paid_once():
        ...     assert sorted(call_concurrently(2, pay, number=1)) == [200, 409]
    """
    return Race().call_concurrently(concurrency, function, **kwargs)


def make_concurrent_calls(*calls: RacerCall) -> RaceResult:
    """Make different calls at once, each in a process of its own.

    Args:
        *calls: pairs of a function, given as for `call_concurrently`, and a mapping of its arguments.

    Returns:
        the results, in the order of the calls; a `WrappedError` stands for a call that raised.

    Raises:
        RaceError: the race cannot run; nothing was called. The message names the fix.

    Example:
        >>> def test_an_order_is_paid_or_cancelled():
        ...     result = make_concurrent_calls((pay, {"number": 1}), (cancel, {"number": 1}))
        ...     assert sorted(result) == [200, 409]
    """
    return Race().make_concurrent_calls(*calls)
