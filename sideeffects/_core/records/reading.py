"""`Calls`: reading back what was called, and assertions whose failures explain themselves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Never, overload

from sideeffects._core.calls import registry
from sideeffects._core.calls.call import Call
from sideeffects._core.calls.known import check_known, pattern_of
from sideeffects._core.records.comparing import agrees
from sideeffects._core.records.messages import line_of, lines_of_nearest, shown_expectation
from sideeffects._core.records.runner import runner
from sideeffects._core.values import clock
from sideeffects._core.values.callers import caller, line_of as line_in
from sideeffects._core.values.frames import forgetting

__tracebackhide__ = True
#: unittest leaves the frames of such modules out of its tracebacks.
__unittest = True

#: What mocks call their assertions, and what to use here.
_OF_MOCKS: Final = {
    "assert_called_once": "assert_called(effect, times=1)",
    "assert_called_with": "assert_called(effect, name=...)",
    "assert_called_once_with": "assert_called(effect, times=1, name=...)",
    "assert_any_call": "assert_called(effect, name=...)",
    "assert_has_calls": "assert_order(first, second)",
    "call_count": "count(effect)",
    "call_args": "one(effect).arguments",
    "called": "count(effect)",
}

Source = Callable[[], tuple[Sequence[Call], int]]

#: Seconds between two looks at what is waited for: they double, from the first to the last.
_FIRST_LOOK: Final = 0.005
_LAST_LOOK: Final = 0.1

#: How many calls a failing assertion lists.
_SHOWN: Final = 50


class Calls(Sequence[Call]):  # noqa: PLW1641 - it is live, so it has no hash
    """A live sequence of calls, in the order in which they were decided.

    Example:
        >>> with capture() as calls:
        ...     _ = send_sms("+44 20 7946 0000", body="Hello")
        >>> calls.assert_called("sms.send", to="+44 20 7946 0000", times=1)
        >>> calls.assert_not_called("card.*")
        >>> len(calls)
        1
    """

    def __init__(self, source: Source) -> None:
        self._source = source

    # -- a sequence

    @overload
    def __getitem__(self, index: int) -> Call: ...
    @overload
    def __getitem__(self, index: slice) -> list[Call]: ...
    def __getitem__(self, index: int | slice) -> Call | list[Call]:
        if isinstance(index, slice):
            return _read(self._calls()[index])
        return _read([self._calls()[index]])[0]

    def __iter__(self) -> Iterator[Call]:
        return iter(_read(self._calls()))

    def __len__(self) -> int:
        return len(self._calls())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (Calls, list, tuple)):
            return list(self) == list(other)
        return NotImplemented

    def __repr__(self) -> str:
        calls = self._calls()
        return f"<Calls: {', '.join(map(repr, calls))}>" if calls else "<Calls: none>"

    @property
    def dropped(self) -> int:
        """How many calls of this view the bounded ledger no longer holds."""
        return self._source()[1]

    # -- reading

    def named(self, effect: object) -> Calls:
        """The calls of one effect, or of all that a glob means; live as well."""
        pattern = self._known(effect)

        def source() -> tuple[Sequence[Call], int]:
            calls, dropped = self._source()
            return [call for call in calls if registry.matches(pattern, call.name)], dropped

        return Calls(source)

    def count(self, effect: object) -> int:
        """How many calls of that effect there are.

        Raises:
            UnknownSideEffect: no declared effect has that name.
            AssertionError: calls were dropped, so the number is not known.
        """
        self._complete()
        return len(_read(self._matching(effect)))

    def one(self, effect: object) -> Call:
        """The only call of that effect.

        Raises:
            AssertionError: there is none, or more than one.
        """
        self._complete()
        calls = _read(self._matching(effect))
        if len(calls) != 1:
            self.fail(f"expected one call of {pattern_of(effect)}, got {len(calls)}")
        return calls[0]

    def as_data(self) -> list[dict[str, Any]]:
        """All calls as JSON-safe data, redacted, without what changes from run to run; for snapshot tests."""
        return [call.as_data() for call in self]

    # -- asserting

    def __getattr__(self, name: str) -> Never:
        instead = _OF_MOCKS.get(name)
        hint = f": use {instead}" if instead else ""
        raise AttributeError(f"calls have no {name!r}{hint}", name=name, obj=self)

    @forgetting
    def assert_called(
        self,
        effect: object,
        /,
        *positional: Never,
        times: int | None = None,
        where: Callable[[Call], object] | None = None,
        arguments: Mapping[str, Any] | None = None,
        **more_arguments: Any,
    ) -> None:
        """Assert that the effect was called with these arguments; those not given are not compared.

        Args:
            effect: the effect, its name or a glob.
            times: how often exactly; at least once when left out.
            where: a condition on the call.
            arguments: expected arguments by parameter name (for names that this method uses itself).
            **more_arguments: expected arguments by parameter name.

        Raises:
            AssertionError: it was not; the message shows the nearest call and all calls.
            TypeError: the effect has no such parameter, or it is given in both ways.
            UnknownSideEffect: no declared effect has that name.
        """
        if positional:
            self._refuse_positional(effect, positional)
        if times is not None and (isinstance(times, bool) or not isinstance(times, int)):
            raise TypeError(f"times is a number of calls, not {times!r}")
        expected = self._expected(effect, arguments, more_arguments)
        self._complete()
        named = self._matching(effect)
        found = [call for call in named if agrees(call, expected, where)]
        _read(found)
        if (len(found) >= 1) if times is None else (len(found) == times):
            return
        wanted = shown_expectation(pattern_of(effect), expected, where, named)
        if times is None:
            lines = [f"expected call: {wanted}"]
        else:
            lines = [f"expected {times} call{'' if times == 1 else 's'}, got {len(found)}: {wanted}"]
        if not found and named and (expected or where):
            lines += lines_of_nearest(named, expected)
        self.fail(*lines)

    @forgetting
    def assert_not_called(
        self,
        effect: object,
        /,
        *,
        where: Callable[[Call], object] | None = None,
        arguments: Mapping[str, Any] | None = None,
        **more_arguments: Any,
    ) -> None:
        """Assert that the effect was not called, or not with these arguments.

        Args and raises: as `assert_called`.
        """
        expected = self._expected(effect, arguments, more_arguments)
        self._complete()
        named = self._matching(effect)
        found = [call for call in named if agrees(call, expected, where)]
        if found:
            wanted = shown_expectation(pattern_of(effect), expected, where, named)
            self.fail(f"expected no call of {wanted}, got {len(found)}")

    def assert_only(self, *effects: object) -> None:
        """Assert that no effects but these were called. Not all of these have to be.

        Without effects: that none was called at all.
        """
        patterns = [self._known(effect) for effect in effects]
        self._complete()
        calls = _read(self._calls())
        others = [call for call in calls if not any(registry.matches(pattern, call.name) for pattern in patterns)]
        if others:
            allowed = f"only {', '.join(patterns)}" if patterns else "no effects"
            self.fail(f"expected {allowed} to be called, but also: {', '.join(sorted({c.name for c in others}))}")

    def assert_order(self, *effects: object) -> None:
        """Assert that these effects were called in this order; other calls may lie between them.

        Raises:
            AssertionError: they were not.
            UnknownSideEffect: no declared effect has one of the names.
        """
        patterns = [self._known(effect) for effect in effects]
        self._complete()
        calls = self._calls()
        position = 0
        matched: list[str] = []
        for pattern in patterns:
            while position < len(calls) and not registry.matches(pattern, calls[position].name):
                position += 1
            if position == len(calls):
                after = f" after {' → '.join(matched)}" if matched else ""
                self.fail(f"expected the order {' → '.join(patterns)}", f"no call of {pattern}{after}")
            _read([calls[position]])
            matched.append(pattern)
            position += 1

    # -- waiting and running

    @forgetting
    def wait_for(
        self,
        effect: object,
        /,
        *positional: Never,
        times: int | None = 1,
        timeout: float = 5.0,
        where: Callable[[Call], object] | None = None,
        arguments: Mapping[str, Any] | None = None,
        **more_arguments: Any,
    ) -> None:
        """As `assert_called`, tried until it holds: for what live servers, threads and workers call.

        Args:
            effect: the effect, its name or a glob.
            times: how often exactly; `None`: at least once.
            timeout: seconds.
            where: a condition on the call.
            arguments: expected arguments by parameter name (for names that this method uses itself).
            **more_arguments: expected arguments by parameter name.

        Raises:
            AssertionError: it did not hold in time, or there were more calls.
            TypeError: as `assert_called`.
            UnknownSideEffect: no declared effect has that name.
        """
        deadline = clock.monotonic() + timeout
        pause = _FIRST_LOOK
        while True:
            try:
                return self.assert_called(
                    effect, *positional, times=times, where=where, arguments=arguments, **more_arguments
                )
            except AssertionError as error:
                left = deadline - clock.monotonic()
                if left <= 0:
                    error.add_note(f"waited for {timeout:g} s")
                    raise
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LAST_LOOK)

    def run_enqueued(self, *effects: object, until_empty: bool = False) -> Calls:
        """Execute the recorded background calls of these effects now, as their workers would.

        It runs calls that were enqueued (`.enqueue`, Celery's `delay` and the like, tasks of Django, Dramatiq, Huey and
        RQ, run lists) and have not been run. It leaves out calls that wait for a commit, or whose transaction was
        rolled back. Each run is a call of its own, which executes; all else that the task calls is decided as ever.
        Arguments go through the serializer and back; a task that asks for a retry is run again, at most 100 times.

        Args:
            *effects: decorated functions, names or globs.
            until_empty: whether to run as well the calls of these effects that the run enqueues in turn.

        Returns:
            the calls that it has made.

        Raises:
            TypeError: no effects were given.
            AssertionError: no call of these effects was enqueued.
            UnknownSideEffect: no declared effect has that name.
            Exception: what a task raises, at once; the others stay to be run.
        """
        if not effects:
            raise TypeError('run_enqueued() needs at least one effect; to run all, say run_enqueued("__all__")')
        code, place = caller(1)
        where = f"{code.co_filename}:{line_in(code, place)}"
        return Calls(runner.last(self._source, [self._known(effect) for effect in effects], until_empty, where))

    # -- inside

    def _calls(self) -> Sequence[Call]:
        return self._source()[0]

    def _matching(self, effect: object) -> list[Call]:
        pattern = self._known(effect)
        return [call for call in self._calls() if registry.matches(pattern, call.name)]

    def _known(self, effect: object) -> str:
        """A misspelt name must not make `assert_not_called` pass."""
        pattern = pattern_of(effect)
        if pattern == registry.EVERYTHING or any(registry.matches(pattern, call.name) for call in self._calls()):
            return pattern
        check_known(pattern)
        return pattern

    def _expected(
        self, effect: object, arguments: Mapping[str, Any] | None, more: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        twice = sorted((arguments or {}).keys() & more.keys())
        if twice:
            raise TypeError(f"{twice[0]!r} is expected twice: in `arguments`, and by its own name")
        expected = {**(arguments or {}), **more}
        self._check_parameters(effect, expected)
        return expected

    def _refuse_positional(self, effect: object, given: Sequence[object]) -> Never:
        known = [
            name
            for one in registry.registry.match(self._known(effect))[:1]
            for name in (one.signature.parameters if one.signature else ())
            if name not in ("self", "cls")
        ]
        names = ", ".join(f"{name}=..." for name in known[: len(given)]) or "name=..."
        raise TypeError(f"give expected arguments by their names: assert_called({pattern_of(effect)!r}, {names})")

    def _check_parameters(self, effect: object, expected: Mapping[str, Any]) -> None:
        pattern = pattern_of(effect)
        declared = registry.registry.match(pattern)
        known: dict[str, None] = {}
        for one in declared:
            if one.signature is None or any(p.kind is p.VAR_KEYWORD for p in one.signature.parameters.values()):
                return
            # What a method is called on is no argument: `where=lambda call: call.instance is ...` compares it.
            owner = one.dotted_path.rpartition(":")[2].rpartition(".")[0]
            bound = ("self", "cls") if owner and not owner.endswith("<locals>") else ()
            known |= dict.fromkeys(name for name in one.signature.parameters if name not in bound)
        for name in expected if declared else ():
            if name not in known:
                raise TypeError(f"{pattern} has no parameter {name!r}; it has {', '.join(known) or 'none'}")

    def _complete(self) -> None:
        if self.dropped:
            raise AssertionError(
                f"{self.dropped} of the calls were dropped from the ledger, so this cannot be known: raise "
                f'SIDE_EFFECTS["LEDGER"]["MAX_CALLS"], or capture a smaller block (a child process that is killed '
                f"while it writes a call down loses that call, too)"
            )

    def fail(self, *lines: str) -> Never:
        """Raise an `AssertionError` that says these lines, and lists all calls."""
        calls = self._calls()
        listing = [f"  {index}. {line_of(call)}" for index, call in enumerate(calls[:_SHOWN], 1)]
        if len(calls) > _SHOWN:
            listing.append(f"  … and {len(calls) - _SHOWN} more")
        everything = ["all calls:", *listing] if calls else ["no effect was called."]
        raise AssertionError("\n".join([*lines, *everything]))


def _read(calls: Sequence[Call]) -> list[Call]:
    for call in calls:
        call.mark_read()
    return list(calls)
