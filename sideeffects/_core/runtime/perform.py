"""`perform`: the one place that acts.

Every call of an effect comes here, whatever door it took (save wrapt's own direct call while the fast switch is off;
see `_state`). It is decided, written down, and then executed, answered or refused.
"""

from __future__ import annotations

import collections
import logging
import sys
from collections.abc import Callable
from types import CodeType, MappingProxyType
from typing import Any, Final

from sideeffects._core.calls import process
from sideeffects._core.calls.call import Call, serials
from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.incoming import arriving
from sideeffects._core.calls.outcome import NO_RESULT, Outcome
from sideeffects._core.policy.override_entry import Stub
from sideeffects._core.policy.policy import decide
from sideeffects._core.records.ledger import SharedLedger
from sideeffects._core.runtime.observing import notify, swallowed
from sideeffects._core.state.extension_points import plugs
from sideeffects._core.state.open_transactions import open_transactions
from sideeffects._core.state.runtime_effect import Declared, placed
from sideeffects._core.state.scope import EMPTY, scope
from sideeffects._core.state.state import state
from sideeffects._core.state.work_origin import Beneath, lineage
from sideeffects._core.values import clock, copying, kinds
from sideeffects._core.values.callers import NOBODY
from sideeffects.errors import SideEffectBlocked, SideEffectError

logger: Final = logging.getLogger("sideeffects")


def perform(
    declared: Declared, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Decide one call of an effect, write it down, and act.

    Args:
        declared: the effect.
        wrapped: the function itself, bound to its instance if it has one.
        instance: that instance (the class for class methods), `None` for functions.
        args: positional arguments, without the instance.
        kwargs: keyword arguments.

    Returns:
        what the function returns, or what a recorded call returns.

    Raises:
        SideEffectBlocked: it was refused.
        TypeError: wrong arguments, as the function itself would raise it.
    """
    __tracebackhide__ = True
    try:  # as `caller` does; the line is worked out when somebody asks for it
        frame = sys._getframe(_DEPTH)  # noqa: SLF001 - who calls, for the call's `caller`
        code, instruction = frame.f_code, frame.f_lasti
    except ValueError:
        code, instruction = NOBODY, 0
    if instance is None and args and declared.may_be_method:
        wrapped, instance, args = placed(declared, wrapped, args)
    shape = declared.shape
    if shape is not None:
        return shape(declared, wrapped, instance, args, kwargs, code, instruction)
    may_end = declared.effect.on_commit is False
    call, mode, stub = begin(declared, instance, args, kwargs, code, instruction, False, None, may_end)
    if not may_end:
        return _wait_for_commit(declared, call, mode, stub, wrapped, args, kwargs)
    if mode is _EXECUTE:
        return wrapped(*args, **kwargs) if call is None else execute(call, wrapped, args, kwargs)
    return None if call is None else answer(declared, call, stub, args, kwargs)


def _caller_depth() -> int:
    """How far up the caller is: wrapt's C code calls `perform` without a frame of its own; its Python code has one."""
    import wrapt

    return 1 if getattr(wrapt.FunctionWrapper.__call__, "__code__", None) is None else 2


_DEPTH: Final = _caller_depth()


def begin(
    declared: Declared,
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    code: CodeType,
    instruction: int,
    is_async: bool = False,
    run_id: str | None = None,
    may_end: bool = False,
) -> tuple[Call | None, Mode, Stub | None]:
    """Decide a call and write it down. A refusal is raised from here.

    Args:
        declared: the effect.
        instance: as `perform` has it.
        args: as `perform` has them.
        kwargs: as `perform` has them.
        code: the code that called.
        instruction: the offset in it.
        is_async: whether it is handed to the background.
        run_id: the run list that it belongs to.
        may_end: whether a recorded call that is answered with nothing may end here: most of them do.

    Returns:
        the call, its mode, and what answers it. The call is `None` where nobody wants an executing one written, and
        where a recorded one has ended.
    """
    __tracebackhide__ = True
    generation = state.switches.generation
    effect = declared.effect
    rules = state.rules_source()
    is_test_run = state.test_run.is_latched or state.test_run.is_on(rules)
    own = scope.get()
    known, known_test_run, known_option, ruled = declared.known
    if known is not rules or known_test_run is not is_test_run or known_option is not state.option:
        ruled = declared.standing(rules, is_test_run)
    stub: Stub | None = None
    bound: dict[str, Any] | None = None
    first = own.first
    rule = None if first is None or first.closed else first.find(effect.name)
    if rule is not None:
        decision, stub = rule.decision, rule.stub
    elif not (ruled.conditions or own.entries or (is_test_run and state.overrides.entries)):
        decision = ruled.decision
    else:
        bound = declared.bind(instance, args, kwargs)
        decision, stub = decide(effect, MappingProxyType(bound), state.overrides.visible(own, is_test_run), ruled)
    mode = decision.mode
    shared = rules.shared
    if (
        mode is _EXECUTE
        and not is_test_run
        and not own.captures
        and not state.observers
        and shared is None
        and not lineage.get().guards
        and not open_transactions.get()
    ):
        if (
            declared.is_direct
            and own is EMPTY
            and rules.settled
            and not ruled.conditions
            and not rules.watches_transactions
        ):
            state.switches.settle(declared, generation, state.test_run.signs)
        return None, mode, None
    by_reference: tuple[str, ...] = ()
    is_bound_later = False
    if bound is None and not kwargs and declared.fewest <= len(args) + (instance is not None) <= declared.most:
        # These fit, and are bound when somebody reads them, unless they may have changed by then.
        for value in args:
            if type(value) not in _SCALARS:
                break
        else:
            is_bound_later = True
    if not is_bound_later:
        if bound is None:
            bound = declared.bind(instance, args, kwargs)
        for value in bound.values():
            if type(value) not in _SCALARS:
                bound, args, kwargs, by_reference = _snapshot(bound, args, kwargs)
                break
    arrival = arriving.get()
    if arrival is not None:
        arrival, is_async, run_id = arrival.claim(effect.name, is_async, run_id)
    faults, fault = state.faults, None
    if faults is not None and arrival is None:  # what arrives was met where it was enqueued
        decision, stub, fault = faults.meet(effect, decision, stub, declared.returns)
        mode = decision.mode
    row = (
        effect,
        decision,
        declared if bound is None else bound,
        args,
        kwargs or _NO_KEYWORDS,
        instance,
        by_reference,
        code,
        instruction,
        _now(),
        rules.sensitive,
        is_async,
        run_id,
        next(serials),
        process.current,
    )
    if (
        may_end
        and mode is _RECORD
        and stub is None
        and declared.returns is None
        and arrival is None
        and faults is None
        and shared is None
        and not state.observers
        and not open_transactions.get()
    ):
        # Nobody need hear of it now: who reads it makes the call of it.
        if is_test_run:
            if state.children.reports is None and not own.captures:
                state.ledger.append(row)
                return None, mode, None
        elif len(own.captures) == 1 and not logger.isEnabledFor(_INFO):
            own.captures[0].append(row)
            return None, mode, None
    call = Call(row)
    if arrival is not None:
        # It has been written down where it was enqueued. Only its outcome is added.
        call = arrival.known(call)
    elif is_test_run:
        state.ledger.append(call)
        journal = state.children.reports
        if journal is not None:
            journal.write_call(call)
    for ledger in own.captures if arrival is None else ():
        ledger.append(call)
    if faults is not None and fault is not None:
        faults.begun(call, fault)
    blocked: SideEffectError | None = None
    if open_transactions.get() and arrival is None:
        blocked = plugs.place(call, rules, is_test_run)
    if mode is _RAISE:
        blocked = SideEffectBlocked(effect.name, call.reason, call.caller, decision.origin)
    if shared is not None and arrival is None:
        _share(shared, call, blocked, is_plain=stub is None and declared.returns is None)
    if mode is not _EXECUTE and not is_test_run and logger.isEnabledFor(_INFO):
        _log(call)
    if blocked is not None:
        finish(call, Outcome(None, blocked, 0.0))
        raise blocked
    return call, mode, stub


def _share(shared: SharedLedger, call: Call, blocked: SideEffectError | None, *, is_plain: bool) -> None:
    """Write a call where other processes read it, by one record if its outcome is certain. Else it ends here."""
    __tracebackhide__ = True
    outcome = NO_RESULT if is_plain and call.mode is Mode.RECORD else None
    try:
        shared.write_call(call, outcome if blocked is None else Outcome(None, blocked, 0.0))
    except BaseException as error:
        call.finish(Outcome(None, error, 0.0))
        raise


_SCALARS: Final = kinds.SCALARS
_now: Final = clock.now
#: Python 3.11 finds the members of an enumeration by a function, which takes longer than a call of one.
_EXECUTE: Final = Mode.EXECUTE
_RECORD: Final = Mode.RECORD
_RAISE: Final = Mode.RAISE
_INFO: Final = logging.INFO
#: One for all calls without keywords: each keeps what it was given, and most are given none.
_NO_KEYWORDS: Final[dict[str, Any]] = {}


def _snapshot(
    bound: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[dict[str, Any], tuple[Any, ...], dict[str, Any], tuple[str, ...]]:
    """The arguments as they are now; see `copying.snapshot`."""
    memo: dict[int, Any] = {}
    marks: list[str] = []
    kept = {name: copying.snapshot(value, name, memo, marks) for name, value in bound.items()}
    # The same objects again, mostly: the memo has their copies, and their marks are set.
    again: list[str] = []
    kept_args = tuple(copying.snapshot(value, "", memo, again) for value in args)
    kept_kwargs = {name: copying.snapshot(value, "", memo, again) for name, value in kwargs.items()}
    return kept, kept_args, kept_kwargs, tuple(marks)


def _log(call: Call) -> None:
    """Outside a test run the log is all that tells of recorded and refused calls."""
    with swallowed("could not log a call of %s", call):  # a filter of the user's failed
        logger.info("%s %s", "recorded" if call.mode is Mode.RECORD else "refused", _Shown(call))


class _Shown:
    """A call as the log shows it; worked out only if the record is emitted."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def __str__(self) -> str:
        return f"{self.call!r}: {self.call.decision}"


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
        notify(call, [watching.finished for watching in state.observers])
    faults = state.faults
    if faults is not None:
        faults.finished(call)


def begun(call: Call | None) -> float:
    """Tell those who watch executions that this one starts. Returns when, for the duration of its outcome."""
    if state.observers and call is not None:
        notify(call, [watching.started for watching in state.observers if watching.started is not None])
    return clock.monotonic()


# -- acting


def execute(call: Call, wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    __tracebackhide__ = True
    started = begun(call)
    try:
        with Beneath(call.name):
            result = wrapped(*args, **kwargs)
    except BaseException as error:
        finish(call, Outcome(None, error, clock.monotonic() - started))
        raise
    finish(call, returned(result, started))
    return result


def returned(result: Any, started: float) -> Outcome:
    duration = clock.monotonic() - started
    return Outcome(copying.snapshot(result, "", {}, []), None, duration)


def answer(
    declared: Declared, call: Call | None, stub: Stub | None, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """What a recorded call returns, or raises."""
    __tracebackhide__ = True
    assert call is not None  # noqa: S101 - recorded calls are always written down
    if stub is None and declared.returns is None:
        finish(call, NO_RESULT)
        return None
    try:
        value = stubbed(declared, stub, args, kwargs)
    except BaseException as error:
        finish(call, Outcome(None, error, 0.0))
        raise
    finish(call, Outcome(copying.snapshot(value, "", {}, []), None, 0.0))
    return value


def stubbed(declared: Declared, stub: Stub | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    __tracebackhide__ = True
    if stub is not None and stub.raises is not None:
        raise stub.raises if isinstance(stub.raises, type) else stub.raises.with_traceback(None)
    value = declared.returns if stub is None else stub.returns
    if callable(value):
        return value(*args, **kwargs)
    # Not `copy.deepcopy`, which fails on what cannot be copied.
    return copying.snapshot(value, "", {}, []) if issubclass(type(value), _CONTAINERS) else value


_CONTAINERS: Final = (dict, list, set, tuple, bytearray, collections.deque)


def _wait_for_commit(
    declared: Declared,
    call: Call | None,
    mode: Mode,
    stub: Stub | None,
    wrapped: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    """A call of an effect with `on_commit`: it returns `None` in every mode."""
    __tracebackhide__ = True
    if mode is not Mode.EXECUTE:
        answer_on_commit(declared, call, stub, args, kwargs)
        return
    plugs.deferral.run(
        alias_of(declared),
        call,
        lambda: wrapped(*args, **kwargs) if call is None else execute(call, wrapped, args, kwargs),
    )


def answer_on_commit(
    declared: Declared, call: Call | None, stub: Stub | None, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Let a recorded call of an effect with `on_commit` have its outcome: at once, unless its stub waits as well."""
    __tracebackhide__ = True
    if stub is None or not stub.at_commit:
        answer(declared, call, stub, args, kwargs)
    else:
        # Without the call: nobody need be told that it still waits, since it would not execute.
        plugs.deferral.run(alias_of(declared), None, lambda: answer(declared, call, stub, args, kwargs))


def alias_of(declared: Declared) -> str | None:
    on_commit = declared.effect.on_commit
    return on_commit if isinstance(on_commit, str) else None


def explain_declared(declared: Declared) -> Decision:
    """The decision now in force for an effect, in this context."""
    rules = state.rules_source()
    is_test_run = state.test_run.is_on(rules)
    ruled = declared.standing(rules, is_test_run)
    return decide(declared.effect, None, state.overrides.visible(scope.get(), is_test_run), ruled)[0]
