"""Deciding a call: the rules and overrides that hold for it at this moment, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.incoming import arriving
from sideeffects._core.policy.policy import Decided, decide
from sideeffects._core.runtime.tightening import paused, tightened
from sideeffects._core.state.extension_points import pauses, rules_source
from sideeffects._core.state.open_transactions import open_transactions
from sideeffects._core.state.runtime_effect import Declared, Redirected, Verdict
from sideeffects._core.state.scope import Scope, scope
from sideeffects._core.state.state import state
from sideeffects._core.state.work_origin import lineage
from sideeffects._core.values.replacing import given_as, replaced

__tracebackhide__ = True

#: Python 3.11 finds the members of an enumeration by a function, which takes longer than a call of one.
_HOLD: Final = Mode.HOLD


def decided(declared: Declared, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any], own: Scope) -> Verdict:
    """What holds for a call.

    The table: what the rules say, with a redirect perhaps, unless an override that the call sees (`own` and, in a test
    run, all others) speaks first. Then what makes it stricter; see `tightening.py`.
    """
    rules = rules_source.last()
    test_run = state.test_run
    is_test_run = test_run.is_latched or test_run.is_on(rules)
    ruled = declared.ruled
    if ruled.rules is not rules or ruled.is_test_run is not is_test_run or ruled.option is not state.option:
        ruled = declared.ruled_by(rules, is_test_run)
    changes = None
    floor = state.floor
    first = own.first
    rule = None if first is None or first.closed else first.find(declared.effect.name)
    if rule is not None:
        verdict = Verdict(ruled, rule.decision, rule.stub)
    elif not (ruled.standing.conditions or own.entries or (is_test_run and state.overrides.entries)):
        verdict = ruled.verdict if floor is None else ruled.floored
    else:
        arguments = declared.bind(instance, args, kwargs)
        overrides = state.overrides.visible(own, is_test_run)
        found = decide(declared.effect, MappingProxyType(arguments), overrides, ruled.standing, instance)
        verdict = Verdict(ruled, found.decision, found.stub, arguments, budgets=found.budgets)
        changes = found.changes
    if floor is not None and verdict.decision is not floor and verdict.mode is not floor.mode:
        if verdict is ruled.floored:  # as strict by itself, or made under another floor
            verdict = ruled.verdict
        return _tightened(declared, verdict, args, changes)
    if is_test_run:
        if verdict.mode is not _HOLD:
            return verdict
    elif not (verdict.budgets or changes):
        decision = verdict.decision
        if not pauses.is_filled or paused(declared.effect, decision) is decision:
            return verdict
    return _tightened(declared, verdict, args, changes)


def _tightened(
    declared: Declared, verdict: Verdict, args: tuple[Any, ...], changes: Mapping[str, Any] | None
) -> Verdict:
    """The verdict once the call is redirected and as strict as it has to be.

    What arrives was counted, and perhaps redirected, where it was handed over.
    """
    arrival = arriving.get()
    if arrival is not None and not arrival.means(declared.effect.name):
        arrival = None
    ruled = verdict.ruled
    budgets = verdict.budgets if arrival is None else ()
    decision = tightened(declared.effect, verdict.decision, ruled.is_test_run, budgets)
    if changes and not (arrival is not None and arrival.is_redirected):
        assert verdict.arguments is not None  # noqa: S101 - a redirect has seen them
        arguments, redirected = redirect_arguments(declared, verdict.arguments, args, changes)
        return Verdict(ruled, decision, verdict.stub, arguments, redirected)
    if decision is verdict.decision:
        return verdict
    return Verdict(ruled, decision, verdict.stub, verdict.arguments)


def redirect_arguments(
    declared: Declared, arguments: dict[str, Any], args: tuple[Any, ...], changes: Mapping[str, Any]
) -> tuple[dict[str, Any], Redirected]:
    """The arguments of a call, by parameter and as they are given, with those changed that a redirect changes."""
    signature = declared.effect.signature
    assert signature is not None  # noqa: S101 - effects without one cannot be redirected
    new = replaced(signature, arguments, changes)
    return new, Redirected(*given_as(signature, new, len(args)), arguments)


def is_watched(verdict: Verdict, own: Scope) -> bool:
    """Whether anybody wants to see an executing call."""
    ruled = verdict.ruled
    return bool(
        ruled.is_test_run
        or own.captures
        or not state.is_quiet
        or state.shows_current
        or ruled.rules.shared is not None
        or lineage.get().guards
        or open_transactions.get()
    )


def explain_declared(declared: Declared) -> Decision:
    """The decision now in force for an effect, in this context."""
    return decide_here(declared, None).decision


def decide_here(declared: Declared, arguments: Mapping[str, Any] | None, instance: Any = None) -> Decided:
    """What the rules and overrides of this process and context say of a call that was made elsewhere, or of none.

    No budget counts it: that was done where it was made.
    """
    rules = state.rules_source()
    is_test_run = state.test_run.is_on(rules)
    standing = declared.ruled_by(rules, is_test_run).standing
    overrides = state.overrides.visible(scope.get(), is_test_run)
    found = decide(declared.effect, arguments, overrides, standing, instance)
    return found._replace(decision=tightened(declared.effect, found.decision, is_test_run))
