"""`perform`: the one place that acts.

Every call of an effect comes here, whatever door it took (save wrapt's own direct call while the fast switch is off;
see `state/switches.py`). It is decided, written down, and then executed, answered or refused.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Mode
from sideeffects._core.calls.incoming import arriving
from sideeffects._core.calls.row import NOTHING_BESIDES, Besides, row_of
from sideeffects._core.policy.override_entry import Stub
from sideeffects._core.runtime.acting import answer, execute, wait_for_commit
from sideeffects._core.runtime.deciding import decided, is_watched
from sideeffects._core.runtime.details import details_of
from sideeffects._core.runtime.holding import hold
from sideeffects._core.runtime.writing import as_given, copied, ends_at_once, refuse_or_pass, write
from sideeffects._core.state.runtime_effect import Declared, Verdict, placed
from sideeffects._core.state.scope import EMPTY, scope
from sideeffects._core.state.state import state
from sideeffects._core.state.user_line import user_site
from sideeffects._core.values.callers import NOBODY, Site
from sideeffects._core.values.frames import forget

__tracebackhide__ = True

#: Python 3.11 finds the members of an enumeration by a function, which takes longer than a call of one.
_EXECUTE: Final = Mode.EXECUTE
_HOLD: Final = Mode.HOLD
#: Looked up once: Python looks up the methods of a `ContextVar` anew at each call.
_own_scope: Final = scope.get
_arrival: Final = arriving.get


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
    try:  # as `caller` does; the line is worked out when somebody asks for it
        frame = sys._getframe(_DEPTH)  # noqa: SLF001 - the caller, for `Call.caller`
        site = frame.f_code, frame.f_lasti
    except ValueError:
        site = NOBODY, 0
    try:
        if instance is None and args and declared.may_be_method:
            wrapped, instance, args = placed(declared, wrapped, args)
        shape = declared.shape
        if shape is not None:
            return shape(declared, wrapped, instance, args, kwargs, site)
        begun = begin(declared, instance, args, kwargs, site)
        if begun is ENDED:
            return None
        call, mode, stub, given = begun
        if given is not None:
            args, kwargs = given
        if declared.effect.on_commit is not False:
            return wait_for_commit(declared, call, mode, stub, wrapped, args, kwargs)
        if mode is _EXECUTE:
            return wrapped(*args, **kwargs) if call is None else execute(call, wrapped, args, kwargs)
        return answer(declared, call, stub, args, kwargs)
    except BaseException as error:
        forget(error)
        del wrapped, instance, args, kwargs
        raise


def _caller_depth() -> int:
    """How far up the caller is: wrapt's C code calls `perform` without a frame of its own; its Python code has one."""
    import wrapt

    return 1 if getattr(wrapt.FunctionWrapper.__call__, "__code__", None) is None else 2


_DEPTH: Final = _caller_depth()


class Begun(NamedTuple):
    """A call that has been decided and written down.

    Attributes:
        call: the call; `None` where nobody wants an executing one written, and where a recorded one has ended.
        mode: what was decided.
        stub: what answers it, if an override said so.
        given: the arguments, positional and by keyword, that a redirect has put in place of those that were given.
    """

    call: Call | None
    mode: Mode
    stub: Stub | None
    given: tuple[tuple[Any, ...], dict[str, Any]] | None = None


UNSEEN: Final = Begun(None, Mode.EXECUTE, None)
ENDED: Final = Begun(None, Mode.RECORD, None)


def begin(
    declared: Declared,
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    site: Site,
    is_async: bool = False,
    run_id: str | None = None,
    keeps: bool = True,
) -> Begun:
    """Decide a call, write it down, and have it kept if it is held. A refusal is raised from here.

    Args:
        declared: the effect.
        instance: as `perform` has it.
        args: as `perform` has them.
        kwargs: as `perform` has them.
        site: where it is called.
        is_async: whether it is handed to the background.
        run_id: the run list that it belongs to.
        keeps: whether a held call is kept here; a coroutine does it itself.
    """
    generation = state.switches.generation
    effect = declared.effect
    own = _own_scope()
    verdict = decided(declared, instance, args, kwargs, own)
    redirected, given, asked = verdict.redirected, None, None
    if redirected is not None:
        args, kwargs = given = redirected.args, redirected.kwargs
    if verdict.mode is _EXECUTE and not is_watched(verdict, own):
        if own is EMPTY and verdict.ruled.may_settle:
            state.switches.settle(declared, generation, state.test_run.signs)
        return UNSEEN if given is None else Begun(None, _EXECUTE, None, given)
    bound, args, kwargs, by_reference = as_given(declared, verdict.arguments, instance, args, kwargs)
    if redirected is not None:
        asked = copied(redirected.asked)
    arrival = _arrival()
    if arrival is not None:
        arrival, is_async, run_id = arrival.claim(effect.name, is_async, run_id)
    faults, fault = state.faults, None
    if faults is not None and arrival is None:  # what arrives was met where it was enqueued
        decision, stub, fault = faults.meet(effect, verdict.decision, verdict.stub, declared.returns)
        verdict = Verdict(verdict.ruled, decision, stub)
    ruled, decision = verdict.ruled, verdict.decision
    details = None if effect.details is None else details_of(effect, instance, args, kwargs)
    names = ruled.rules.sensitive
    called_at = site if site[0] is declared.caller else user_site(declared, site)
    besides = NOTHING_BESIDES
    if is_async or run_id is not None or by_reference or details is not None or asked is not None:
        besides = Besides(is_async, run_id, by_reference, details, asked)
    row = row_of(effect, decision, bound, args, kwargs, instance, called_at, names, besides)
    if ruled.may_end and not is_async and run_id is None and arrival is None and ends_at_once(row, verdict, own):
        return ENDED
    call = write(row, verdict, own, arrival)
    if faults is not None and fault is not None:
        faults.begun(call, fault)
    refuse_or_pass(declared, call, verdict, is_new=arrival is None)
    if verdict.mode is _HOLD and keeps:
        hold(call, declared, instance, args, kwargs)
    return Begun(call, verdict.mode, verdict.stub, given)
