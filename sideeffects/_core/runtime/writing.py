"""Writing a call down at the moment of its decision, before anything happens; a refusal is raised after that."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Mode
from sideeffects._core.calls.incoming import Arrival
from sideeffects._core.calls.outcome import NO_RESULT, Outcome
from sideeffects._core.calls.row import Row
from sideeffects._core.records.ledger import SharedLedger
from sideeffects._core.runtime.finishing import finish
from sideeffects._core.runtime.observing import swallowed
from sideeffects._core.state import extension_points
from sideeffects._core.state.live import VARIABLE, Live
from sideeffects._core.state.open_transactions import open_transactions
from sideeffects._core.state.runtime_effect import Declared, Verdict
from sideeffects._core.state.scope import Scope
from sideeffects._core.state.state import state
from sideeffects._core.values import copying, kinds
from sideeffects.errors import SideEffectBlocked, SideEffectError

__tracebackhide__ = True

logger: Final = logging.getLogger("sideeffects")

_SCALARS: Final = kinds.SCALARS
_FRESH: Final = copying.FRESH
_INFO: Final = logging.INFO
#: Looked up once: Python looks up the methods of a `ContextVar` anew at each call.
_transactions: Final = open_transactions.get
#: Python 3.11 finds the members of an enumeration by a function, which takes longer than a call of one.
_RECORD: Final = Mode.RECORD
_RAISE: Final = Mode.RAISE

#: The arguments by parameter, or what binds them later; the positional ones and the keywords as given; and what of them
#: could not be copied.
Given = tuple["dict[str, Any] | Declared", tuple[Any, ...], dict[str, Any], tuple[str, ...]]


def as_given(
    declared: Declared, bound: dict[str, Any] | None, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Given:
    """The arguments as they are now: what may change later is copied.

    Raises:
        TypeError: they are wrong; as the function itself would raise it.
    """
    count = len(args) if instance is None else len(args) + 1
    if bound is None and not kwargs and declared.fewest <= count <= declared.most:
        # These fit, and are bound when somebody reads them, unless they may have changed by then.
        for value in args:
            if type(value) not in _SCALARS:
                break
        else:
            return declared, args, kwargs, ()
    if kwargs is _FRESH:
        return declared if bound is None else bound, args, kwargs, ()
    if bound is None:
        bound = declared.bind(instance, args, kwargs)
    for value in bound.values():
        if type(value) not in _SCALARS:
            return _snapshot(bound, args, kwargs)
    return bound, args, kwargs, ()


def _snapshot(bound: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Given:
    """The arguments as they are now; see `copying.snapshot`."""
    memo: dict[int, Any] = {}
    marks: list[str] = []
    kept = {name: copying.snapshot(value, name, memo, marks) for name, value in bound.items()}
    # The same objects again, mostly: the memo has their copies, and their marks are set.
    again: list[str] = []
    kept_args = tuple(copying.snapshot(value, "", memo, again) for value in args)
    kept_kwargs = {name: copying.snapshot(value, "", memo, again) for name, value in kwargs.items()}
    return kept, kept_args, kept_kwargs, tuple(marks)


def copied(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by parameter as they are now."""
    return {name: copying.snapshot(value, name, {}, []) for name, value in arguments.items()}


def ends_at_once(row: Row, verdict: Verdict, own: Scope) -> bool:
    """Write the row of a recorded call that returns `None`, if nobody has to hear of it now. This is the usual case.

    The row becomes a `Call` when it is read.
    """
    if verdict.mode is not _RECORD or verdict.stub is not None:
        return False
    if not state.is_quiet or _transactions():
        return False
    if verdict.ruled.is_test_run:
        if state.children.reports is None and not own.captures:
            state.ledger.append(row)
            return True
    elif len(own.captures) == 1 and not logger.isEnabledFor(_INFO):
        own.captures[0].append(row)
        return True
    return False


def write(row: Row, verdict: Verdict, own: Scope, arrival: Arrival | None) -> Call:
    """Write a call down for all who read it in this process and in its parent."""
    call = Call(row)
    if arrival is not None:
        # It has been written down where it was enqueued. Only its outcome is added.
        return arrival.known(call)
    if verdict.ruled.is_test_run:
        state.ledger.append(call)
        journal = state.children.reports
        if journal is not None:
            journal.write_call(call)
    for ledger in own.captures:
        ledger.append(call)
    return call


def refuse_or_pass(declared: Declared, call: Call, verdict: Verdict, *, is_new: bool) -> None:
    """Raise the refusal of a call, once all who keep or log calls have it; other calls pass.

    Args:
        declared: the effect.
        call: the call, as written down.
        verdict: what was decided.
        is_new: whether it was decided here, instead of where it was enqueued.

    Raises:
        SideEffectBlocked: it is refused.
        SideEffectError: it is refused because of the transaction that it is made in, or by a gate.
    """
    rules, is_test_run = verdict.ruled.rules, verdict.ruled.is_test_run
    blocked: SideEffectError | None = None
    if state.live is not None:
        blocked = show_live(call, state.live)
    if is_new and open_transactions.get():
        for place in extension_points.places:
            blocked = place(call, rules, is_test_run) or blocked
    if is_new:
        for gate in state.gates:
            blocked = gate(call) or blocked
    if verdict.mode is _RAISE:
        blocked = SideEffectBlocked(call.name, call.reason, call.caller, verdict.decision.origin)
    shared = rules.shared
    if is_new and shared is not None:
        _share(shared, call, blocked, is_plain=verdict.stub is None and declared.returns is None)
    if verdict.mode is not Mode.EXECUTE and not is_test_run and logger.isEnabledFor(_INFO):
        _log(call)
    if blocked is not None:
        finish(call, Outcome(None, blocked, 0.0))
        if is_test_run:
            for tell in extension_points.refusals:
                tell(blocked)
        raise blocked


def show_live(call: Call, live: Live) -> SideEffectBlocked | None:
    """Write the line of a decision. Where that cannot be done the call is refused: who asked for it relies on it."""
    try:
        live.write(call.as_line())
    except Exception as error:  # noqa: BLE001 - whatever keeps it from being written
        reason = f"its decision cannot be written ({type(error).__name__}: {error}), and doubt never executes"
        return SideEffectBlocked(call.name, reason, call.caller, f"{VARIABLE}={live.path}")
    return None


def _share(shared: SharedLedger, call: Call, blocked: SideEffectError | None, *, is_plain: bool) -> None:
    """Write a call where other processes read it, by one record if its outcome is certain. Else it ends here."""
    outcome = NO_RESULT if is_plain and call.mode is _RECORD else None  # a held one may still be refused
    try:
        shared.write_call(call, outcome if blocked is None else Outcome(None, blocked, 0.0))
    except BaseException as error:
        call.finish(Outcome(None, error, 0.0))
        raise


def _log(call: Call) -> None:
    """Outside a test run the log is all that tells of held, recorded and refused calls."""
    with swallowed("could not log a call of %s", call):  # a filter of the user's failed
        logger.info("%s %s", _DONE[call.mode], _Shown(call))


_DONE: Final = {Mode.HOLD: "held", Mode.RECORD: "recorded", Mode.RAISE: "refused"}


class _Shown:
    """A call as the log shows it; worked out only if the record is emitted."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def __str__(self) -> str:
        return f"{self.call!r}: {self.call.decision}"
