"""`force_run`, `hold`, `record`, `forbid`, `stub`: changing decisions inside a block."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import Any, Final, NamedTuple, Protocol, Self, TypeVar, cast

from sideeffects._core.calls import registry
from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.known import check_known, pattern_of
from sideeffects._core.policy.override_entry import OverrideEntry, OverrideRule
from sideeffects._core.state import threads
from sideeffects._core.state.scope import scope
from sideeffects._core.state.state import state
from sideeffects._core.state.switches import Restorer
from sideeffects._core.verbs import class_decorators
from sideeffects._core.verbs.stub_rules import counted_anew, placed, stub_rule, unmet

F = TypeVar("F", bound=Callable[..., Any])

_MISSING: Final[Any] = object()


class Override:
    """A `with` block, or a decorator, that changes decisions inside it.

    It may be nested and used again, also by several threads and tasks at once. Leaving it removes the one entry that
    entering it made, wherever that stands by then. As a decorator it goes on functions, `async def` functions, test
    methods and `TestCase` classes.
    """

    def __init__(self, rules: Sequence[OverrideRule], label: str) -> None:
        self._rules = tuple(rules)
        self._label = label
        self._open: list[_Opened] = []

    def __repr__(self) -> str:
        return f"<{self._label}>"

    @property
    def is_stub(self) -> bool:
        """Whether `stub` made it."""
        return all(rule.stub is not None for rule in self._rules)

    def counted(self) -> tuple[OverrideRule, ...]:
        """Its lines for a marker or a class, whose stubs have answered nothing yet."""
        return counted_anew(self._rules)

    def __enter__(self) -> Self:
        __tracebackhide__ = True
        frame = sys._getframe(1)  # noqa: SLF001 - the block's line, for explanations
        self._enter(f"{frame.f_code.co_filename}:{frame.f_lineno}", _block_of(frame))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        opened = self._leave(_block_of(sys._getframe(1)))  # noqa: SLF001 - the same block again
        if opened is not None and kind is None:
            _check_times(opened.entry)

    async def __aenter__(self) -> Self:
        __tracebackhide__ = True
        frame = sys._getframe(1)  # noqa: SLF001 - the block's line, for explanations
        self._enter(f"{frame.f_code.co_filename}:{frame.f_lineno}", _block_of(frame))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        opened = self._leave(_block_of(sys._getframe(1)))  # noqa: SLF001 - the same block again
        if opened is not None and kind is None:
            _check_times(opened.entry)

    def __call__(self, decorated: F) -> F:
        """Decorate a function, a test method or a `TestCase` class."""
        where = _where(decorated)
        if isinstance(decorated, type):
            return cast(F, self._around_class(decorated, where))
        if inspect.isgeneratorfunction(decorated) or inspect.isasyncgenfunction(decorated):
            raise TypeError(
                f"{self._label} cannot decorate the generator {decorated.__qualname__}: other code runs "
                f"between its steps. Use a with block inside it"
            )
        if inspect.iscoroutinefunction(decorated):

            @functools.wraps(decorated)
            async def asynchronous(*args: Any, **kwargs: Any) -> Any:
                __tracebackhide__ = True
                leave = self._enter(where)
                try:
                    result = await decorated(*args, **kwargs)
                except BaseException:
                    leave(failed=True)
                    raise
                leave()
                return result

            return cast(F, asynchronous)
        if not callable(decorated):
            raise TypeError(f"{self._label} decorates functions and TestCase classes, not {decorated!r}")

        @functools.wraps(decorated)
        def synchronous(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            leave = self._enter(where)
            try:
                result = decorated(*args, **kwargs)
            except BaseException:
                leave(failed=True)
                raise
            leave()
            return result

        return cast(F, synchronous)

    def _around_class(self, decorated: Any, where: str) -> Any:
        if not _is_test_case(decorated):
            raise TypeError(
                f"{self._label} cannot decorate the class {decorated.__qualname__}: it is no TestCase. "
                f"For other test classes use @pytest.mark.side_effects(...)"
            )
        class_decorators.decorate(decorated, lambda: self._enter(where))
        return decorated

    def _enter(self, origin: str, block: Block | None = None) -> Leave:
        __tracebackhide__ = True
        for rule in self._rules:
            check_known(rule.pattern)
        threads.install()
        entry = OverrideEntry(placed(counted_anew(self._rules), origin), origin)
        restore = state.overrides.enter(entry)
        opened = _Opened(entry, restore, block)
        self._open.append(opened)

        def leave(*, failed: bool = False) -> None:
            with state.lock:
                if opened not in self._open:
                    return
                self._open.remove(opened)
            restore()
            if not failed:
                _check_times(entry)

        return leave

    def _leave(self, block: Block) -> _Opened | None:
        """Leave the entry that this very `with` block made.

        Where no block did (an `ExitStack`, or `__enter__` called by name): the innermost one of this context; where it
        has none either, the one entered last.
        """
        own = scope.get().entries
        with state.lock:
            if not self._open:
                return None
            mine = [opened for opened in self._open if opened.block == block]
            if not mine:
                mine = [opened for entry in own for opened in self._open if opened.entry is entry]
            opened = (mine or self._open)[-1]
            self._open.remove(opened)
        opened.restore()
        return opened


#: A `with` block that is being run: its frame's identity and its line. Python reports the leaving of a block at the
#: line where it was entered, which calls of `__enter__` and `__exit__` by name do not share.
Block = tuple[int, int]


class Leave(Protocol):
    """Leaves an override that was entered; whether the block has `failed`, so that no stub is asked for its calls."""

    def __call__(self, *, failed: bool = False) -> None: ...


class _Opened(NamedTuple):
    """One time that an override was entered."""

    entry: OverrideEntry
    restore: Restorer
    block: Block | None


def _check_times(entry: OverrideEntry) -> None:
    """Fail where a stub has answered more or fewer calls than its `times`."""
    __tracebackhide__ = True
    problem = unmet(entry.rules)
    if problem:
        raise AssertionError(problem)


def _block_of(frame: FrameType) -> Block:
    return id(frame), frame.f_lineno


def _is_test_case(kind: type) -> bool:
    """Without importing `unittest`: where there is such a class, it has been imported."""
    case = sys.modules.get("unittest.case")
    return case is not None and issubclass(kind, case.TestCase)


def _where(decorated: Any) -> str:
    code = getattr(inspect.unwrap(decorated) if callable(decorated) else decorated, "__code__", None)
    if code is not None:
        return f"{code.co_filename}:{code.co_firstlineno}"
    return f"{getattr(decorated, '__module__', '?')}.{getattr(decorated, '__qualname__', '?')}"


def _override(mode: Mode, name: str, patterns: Sequence[str]) -> Override:
    listed = ", ".join(f'"{pattern}"' for pattern in patterns if patterns != (registry.EVERYTHING,))
    label = f"{name}({listed})"
    reason = f"{_WORDS[mode]} by {label}"
    return Override([OverrideRule(pattern, Decision(mode, reason)) for pattern in patterns], label)


_WORDS: Final = {Mode.EXECUTE: "forced", Mode.HOLD: "held", Mode.RECORD: "recorded", Mode.RAISE: "forbidden"}


def force_run(*effects: object) -> Override:
    """Execute these effects inside the block.

    Args:
        *effects: decorated functions, names, globs (`"sms.*"`; `*` crosses dots) or `"__all__"`.

    Raises:
        TypeError: no effects were given: a list that was computed empty must not mean everything.
        UnknownSideEffect: on entering, when one of them means no declared effect.

    Example:
        >>> with force_run("sms.send"):
        ...     explain("sms.send").mode
        <Mode.EXECUTE: 'execute'>
    """
    if not effects:
        raise TypeError('force_run() needs at least one effect; to execute all, say force_run("__all__")')
    return _override(Mode.EXECUTE, "force_run", tuple(pattern_of(effect) for effect in effects))


def record(*effects: object) -> Override:
    """Write these effects down inside the block instead of executing them; without arguments: all.

    Args:
        *effects: as for `force_run`.

    Raises:
        UnknownSideEffect: on entering, when one of them means no declared effect.

    Example:
        >>> with record("sms.*"):
        ...     send_sms("+44 20 7946 0000", body="Hello")
        'sms-1'
    """
    patterns = tuple(pattern_of(effect) for effect in effects) or (registry.EVERYTHING,)
    return _override(Mode.RECORD, "record", patterns)


def hold(*effects: object) -> Override:
    """Keep calls of these effects in the outbox inside the block instead of executing them; without arguments: all.

    They can be released later (`manage.py outbox`). It needs the app `sideeffects.outbox`. In a test run they are
    recorded.

    Args:
        *effects: as for `force_run`.

    Raises:
        UnknownSideEffect: on entering, when one of them means no declared effect.

    Example:
        >>> with hold("sms.*"):
        ...     explain("sms.send").mode  # outside a test run it is HOLD
        <Mode.RECORD: 'record'>
    """
    patterns = tuple(pattern_of(effect) for effect in effects) or (registry.EVERYTHING,)
    return _override(Mode.HOLD, "hold", patterns)


def forbid(*effects: object) -> Override:
    """Refuse these effects inside the block with `SideEffectBlocked`; without arguments: all.

    Args:
        *effects: as for `force_run`.

    Raises:
        UnknownSideEffect: on entering, when one of them means no declared effect.

    Example:
        >>> with forbid("card.*"):
        ...     charge(cents=990, token="tok_visa")
        Traceback (most recent call last):
        sideeffects.errors.SideEffectBlocked: side effect 'card.charge' was refused ...
    """
    patterns = tuple(pattern_of(effect) for effect in effects) or (registry.EVERYTHING,)
    return _override(Mode.RAISE, "forbid", patterns)


def stub(
    effect: object,
    /,
    returns: Any = _MISSING,
    raises: BaseException | type[BaseException] | None = None,
    in_turn: Sequence[Any] | None = None,
    times: int | None = None,
) -> Override:
    """Record the effect inside the block, and let the call return or raise what is given here.

    Args:
        effect: as for `force_run`.
        returns: a value (containers are copied for each call), or a callable that is given the call's arguments.
        raises: an exception, or its class.
        in_turn: instead: a list of such values and exceptions, one for each call. A call past the last one raises
            `StubExhausted`.
        times: how many calls the stub must answer. This is checked when the block ends without an exception.

    Raises:
        TypeError: not exactly one of `returns`, `raises` and `in_turn` was given.
        ValueError: `in_turn` has fewer answers than `times` says.
        UnknownSideEffect: on entering, when it means no declared effect.
        AssertionError: on leaving, when it has not answered exactly `times` calls.

    Example:
        >>> with stub("card.charge", in_turn=[OSError("gateway"), {"id": "ch_1"}], times=2):
        ...     try:
        ...         charge(cents=990, token="tok_visa")
        ...     except OSError:
        ...         charge(cents=990, token="tok_visa")
        {'id': 'ch_1'}
    """
    if (returns is not _MISSING) + (raises is not None) + (in_turn is not None) != 1:
        raise TypeError("stub() needs one of returns=..., raises=... and in_turn=[...]")
    pattern = pattern_of(effect)
    returned = None if returns is _MISSING else returns
    return Override([stub_rule(pattern, returned, raises, in_turn, times)], f'stub("{pattern}")')


def rule_table(
    force_run: Sequence[object], record: Sequence[object], forbid: Sequence[object], stub: Any, label: str
) -> list[OverrideRule]:
    """The lines of a marker, or of a test class's attributes.

    Raises:
        TypeError: one of them is no list of effects, or `stub` neither a mapping of effect to value or exception nor a
            list of `stub(...)`.
    """
    rules = []
    for mode, word, effects in (
        (Mode.EXECUTE, "force_run", force_run),
        (Mode.RECORD, "record", record),
        (Mode.RAISE, "forbid", forbid),
    ):
        if isinstance(effects, str) or not isinstance(effects, (list, tuple, set, frozenset)):
            raise TypeError(f"{word} of {label} takes a list of effects, not {effects!r}")
        for effect in effects:
            pattern = pattern_of(effect)
            rules.append(OverrideRule(pattern, Decision(mode, f'{word}=["{pattern}"] of {label}')))
    if isinstance(stub, list | tuple) and all(isinstance(one, Override) and one.is_stub for one in stub):
        return [*rules, *(rule for one in stub for rule in one.counted())]
    if not isinstance(stub, dict):
        raise TypeError(
            f"stub of {label} takes a mapping of effect to what it returns or raises, or a list of stub(...), "
            f"not {stub!r}"
        )
    for effect, value in stub.items():
        if isinstance(value, BaseException) or (isinstance(value, type) and issubclass(value, BaseException)):
            rules.append(stub_rule(pattern_of(effect), raises=value))
        else:
            rules.append(stub_rule(pattern_of(effect), returns=value))
    return rules


def enter_rules(rules: Sequence[OverrideRule], origin: str) -> Restorer:
    """Put a marker's or a class's lines into force, as the outermost override. Returns its restorer."""
    __tracebackhide__ = True
    for rule in rules:
        check_known(rule.pattern)
    return state.overrides.enter(OverrideEntry(placed(rules, origin), origin, outermost=True))
