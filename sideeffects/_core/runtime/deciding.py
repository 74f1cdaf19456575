"""Deciding a call: the rules and overrides that hold for it at this moment, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.policy.override_entry import Stub
from sideeffects._core.policy.policy import decide, in_tests
from sideeffects._core.state.extension_points import pauses, rules_source
from sideeffects._core.state.open_transactions import open_transactions
from sideeffects._core.state.runtime_effect import Declared, Verdict
from sideeffects._core.state.scope import Scope, scope
from sideeffects._core.state.state import state
from sideeffects._core.state.work_origin import lineage

__tracebackhide__ = True

#: Python 3.11 finds the members of an enumeration by a function, which takes longer than a call of one.
_HOLD: Final = Mode.HOLD


def decided(declared: Declared, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any], own: Scope) -> Verdict:
    """What the rules say, unless an override that the call sees (`own` and, in a test run, all others) speaks first.

    A pause can only make that stricter.
    """
    rules = rules_source.last()
    test_run = state.test_run
    is_test_run = test_run.is_latched or test_run.is_on(rules)
    ruled = declared.ruled
    if ruled.rules is not rules or ruled.is_test_run is not is_test_run or ruled.option is not state.option:
        ruled = declared.ruled_by(rules, is_test_run)
    first = own.first
    rule = None if first is None or first.closed else first.find(declared.effect.name)
    if rule is not None:
        verdict = Verdict(ruled, rule.decision, rule.stub)
    elif not (ruled.standing.conditions or own.entries or (is_test_run and state.overrides.entries)):
        verdict = ruled.verdict
    else:
        arguments = declared.bind(instance, args, kwargs)
        overrides = state.overrides.visible(own, is_test_run)
        decision, stub = decide(declared.effect, MappingProxyType(arguments), overrides, ruled.standing)
        verdict = Verdict(ruled, decision, stub, arguments)
    if is_test_run:
        if verdict.mode is not _HOLD:
            return verdict
        return Verdict(ruled, in_tests(verdict.decision), verdict.stub, verdict.arguments)
    if pauses.is_filled:
        decision = paused(declared, verdict.decision)
        if decision is not verdict.decision:
            return Verdict(ruled, decision, verdict.stub, verdict.arguments)
    return verdict


def paused(declared: Declared, decision: Decision) -> Decision:
    """What holds for a call outside a test run once pauses have spoken: the strictest."""
    for ask in pauses:
        other = ask(declared.effect, decision.mode)
        if other is not None and other.mode > decision.mode:
            decision = other
    return decision


def is_watched(verdict: Verdict, own: Scope) -> bool:
    """Whether anybody wants to see an executing call."""
    ruled = verdict.ruled
    return bool(
        ruled.is_test_run
        or own.captures
        or state.observers
        or state.gates
        or ruled.rules.shared is not None
        or lineage.get().guards
        or open_transactions.get()
    )


def explain_declared(declared: Declared) -> Decision:
    """The decision now in force for an effect, in this context."""
    return decide_here(declared, None)[0]


def decide_here(declared: Declared, arguments: Mapping[str, Any] | None) -> tuple[Decision, Stub | None]:
    """What the rules and overrides of this process and context say of a call that was made elsewhere, or of none."""
    rules = state.rules_source()
    is_test_run = state.test_run.is_on(rules)
    standing = declared.ruled_by(rules, is_test_run).standing
    decision, stub = decide(declared.effect, arguments, state.overrides.visible(scope.get(), is_test_run), standing)
    return in_tests(decision) if is_test_run else paused(declared, decision), stub
