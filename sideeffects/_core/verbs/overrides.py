"""`force_run`, `record`, `forbid`, `stub`: changing decisions inside a block."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import Any, Final, NamedTuple, Self, TypeVar, cast

from sideeffects._core.calls import registry
from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.known import check_known, pattern_of
from sideeffects._core.policy.override_entry import OverrideEntry, OverrideRule, Stub
from sideeffects._core.state import threads
from sideeffects._core.state.scope import scope
from sideeffects._core.state.state import state
from sideeffects._core.state.switches import Restorer
from sideeffects._core.verbs import class_decorators

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

    def __enter__(self) -> Self:
        __tracebackhide__ = True
        frame = sys._getframe(1)  # noqa: SLF001 - the block's line, for explanations
        self._enter(f"{frame.f_code.co_filename}:{frame.f_lineno}", _block_of(frame))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave(_block_of(sys._getframe(1)))  # noqa: SLF001 - the same block again

    async def __aenter__(self) -> Self:
        __tracebackhide__ = True
        frame = sys._getframe(1)  # noqa: SLF001 - the block's line, for explanations
        self._enter(f"{frame.f_code.co_filename}:{frame.f_lineno}", _block_of(frame))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave(_block_of(sys._getframe(1)))  # noqa: SLF001 - the same block again

    def __call__(self, decorated: F) -> F:
        """Decorate a function, a test method or a `TestCase` class."""
        where = _where(decorated)
        if isinstance(decorated, type):
            return cast(F, self._around_class(decorated, where))
        if inspect.isgeneratorfunction(decorated) or inspect.isasyncgenfunction(decorated):
            raise TypeError(
                f"{self._label} cannot decorate the generator {decorated.__qualname__}: what runs between its steps "
                f"is not its own. Use a with block inside it"
            )
        if inspect.iscoroutinefunction(decorated):

            @functools.wraps(decorated)
            async def asynchronous(*args: Any, **kwargs: Any) -> Any:
                __tracebackhide__ = True
                leave = self._enter(where)
                try:
                    return await decorated(*args, **kwargs)
                finally:
                    leave()

            return cast(F, asynchronous)
        if not callable(decorated):
            raise TypeError(f"{self._label} decorates functions and TestCase classes, not {decorated!r}")

        @functools.wraps(decorated)
        def synchronous(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            leave = self._enter(where)
            try:
                return decorated(*args, **kwargs)
            finally:
                leave()

        return cast(F, synchronous)

    def _around_class(self, decorated: Any, where: str) -> Any:
        if not _is_test_case(decorated):
            raise TypeError(
                f"{self._label} cannot decorate the class {decorated.__qualname__}: it is no TestCase. "
                f"For other test classes use @pytest.mark.side_effects(...)"
            )
        class_decorators.decorate(decorated, lambda: self._enter(where))
        return decorated

    def _enter(self, origin: str, block: Block | None = None) -> Restorer:
        __tracebackhide__ = True
        for rule in self._rules:
            check_known(rule.pattern)
        threads.install()
        entry = OverrideEntry(_placed(self._rules, origin), origin)
        restore = state.overrides.enter(entry)
        opened = _Opened(entry, restore, block)
        self._open.append(opened)

        def leave() -> None:
            with state.lock:
                if opened not in self._open:
                    return
                self._open.remove(opened)
            restore()

        return leave

    def _leave(self, block: Block) -> None:
        """Leave the entry that this very `with` block made.

        Where no block did (an `ExitStack`, or `__enter__` called by name): the innermost one of this context; where it
        has none either, the one entered last.
        """
        own = scope.get().entries
        with state.lock:
            if not self._open:
                return
            mine = [opened for opened in self._open if opened.block == block]
            if not mine:
                mine = [opened for entry in own for opened in self._open if opened.entry is entry]
            opened = (mine or self._open)[-1]
            self._open.remove(opened)
        opened.restore()


#: A `with` block that is being run: its frame's identity and its line. Python reports the leaving of a block at the
#: line where it was entered, which calls of `__enter__` and `__exit__` by name do not share.
Block = tuple[int, int]


class _Opened(NamedTuple):
    """One time that an override was entered."""

    entry: OverrideEntry
    restore: Restorer
    block: Block | None


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


_WORDS: Final = {Mode.EXECUTE: "forced", Mode.RECORD: "recorded", Mode.RAISE: "forbidden"}


def force_run(*effects: object) -> Override:
    """Execute these effects inside the block.

    Args:
        *effects: decorated functions, names, globs (`"sms.*"`; `*` crosses dots) or `"__all__"`.

    Raises:
        TypeError: no effects were given: a list that was computed empty must not mean everything.
        UnknownSideEffect: on entering, when one of them means no declared effect.
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
    """
    patterns = tuple(pattern_of(effect) for effect in effects) or (registry.EVERYTHING,)
    return _override(Mode.RECORD, "record", patterns)


def forbid(*effects: object) -> Override:
    """Refuse these effects inside the block with `SideEffectBlocked`; without arguments: all.

    Args:
        *effects: as for `force_run`.

    Raises:
        UnknownSideEffect: on entering, when one of them means no declared effect.
    """
    patterns = tuple(pattern_of(effect) for effect in effects) or (registry.EVERYTHING,)
    return _override(Mode.RAISE, "forbid", patterns)


def stub(
    effect: object, /, returns: Any = _MISSING, raises: BaseException | type[BaseException] | None = None
) -> Override:
    """Record the effect inside the block, and let the call return or raise what is given here.

    Args:
        effect: as for `force_run`.
        returns: a value (containers are copied for each call), or a callable that is given the call's arguments.
        raises: an exception, or its class.

    Raises:
        TypeError: both or neither of `returns` and `raises` were given.
        UnknownSideEffect: on entering, when it means no declared effect.
    """
    if (returns is _MISSING) == (raises is None):
        raise TypeError("stub() needs either returns=... or raises=...")
    return Override([stub_rule(pattern_of(effect), returns, raises)], f'stub("{pattern_of(effect)}")')


def stub_rule(
    pattern: str, returns: Any = None, raises: BaseException | type[BaseException] | None = None
) -> OverrideRule:
    """The line of an override that `stub` makes."""
    answer = Stub(None if returns is _MISSING else returns, raises)
    return OverrideRule(pattern, Decision(Mode.RECORD, f'stubbed by stub("{pattern}")'), answer)


def rule_table(
    force_run: Sequence[object], record: Sequence[object], forbid: Sequence[object], stub: Any, label: str
) -> list[OverrideRule]:
    """The lines of a marker, or of a test class's attributes.

    Raises:
        TypeError: one of them is no list of effects, or `stub` is no mapping of effect to value or exception.
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
    if not isinstance(stub, dict):
        raise TypeError(f"stub of {label} takes a mapping of effect to what it returns or raises, not {stub!r}")
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
    return state.overrides.enter(OverrideEntry(_placed(rules, origin), origin, outermost=True))


def _placed(rules: Sequence[OverrideRule], origin: str) -> tuple[OverrideRule, ...]:
    """The lines with where they stand."""
    if state.test_run.is_latched:
        state.stubs.update((rule.decision.reason, origin) for rule in rules if rule.stub is not None)
    return tuple(
        OverrideRule(rule.pattern, Decision(rule.decision.mode, rule.decision.reason, origin), rule.stub)
        for rule in rules
    )
