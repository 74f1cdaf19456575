"""What can only make a decision stricter, overrides included: the floor of the environment, pauses, budgets.

It comes after the precedence table and after a redirect, in this order. In a test run the floor alone counts: no pause
and no budget is asked, and nothing is held.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.policy.budget import Budget
from sideeffects._core.policy.policy import in_tests
from sideeffects._core.policy.rules import Rule
from sideeffects._core.state.extension_points import counter, pauses
from sideeffects._core.state.state import state
from sideeffects._core.values.describe import text_of

__tracebackhide__ = True

#: Python 3.11 finds the members of an enumeration by a function, which takes longer than a call of one.
_EXECUTE: Final = Mode.EXECUTE


def tightened(effect: SideEffect, decision: Decision, is_test_run: bool, budgets: Sequence[Rule] = ()) -> Decision:
    """What holds in place of a decision of the table.

    Args:
        effect: the effect.
        decision: what the table says.
        is_test_run: whether this is a test run.
        budgets: the rules that count the call, if it would execute.
    """
    floor = state.floor
    if floor is not None and floor.mode > decision.mode:
        decision = floor
    if is_test_run:
        return in_tests(decision)
    decision = paused(effect, decision)
    for rule in budgets:
        if decision.mode is _EXECUTE:
            decision = _within(rule, decision)
    return decision


def paused(effect: SideEffect, decision: Decision) -> Decision:
    """The same decision, unless a pause is stricter."""
    for ask in pauses:
        pause = ask(effect, decision.mode)
        if pause is not None and pause.mode > decision.mode:
            decision = pause
    return decision


def _within(rule: Rule, decision: Decision) -> Decision:
    """The same decision as long as a budget is not used up; what it cannot count is past its limit."""
    budget = rule.verdict
    assert isinstance(budget, Budget)  # noqa: S101 - narrows the type for both checkers
    try:
        if counter.last(rule.pattern, budget.seconds, budget.limit):
            return decision
        reason = f"{budget.limit} calls have executed in this {budget.per}"
    except Exception as error:  # noqa: BLE001 - whatever it was, nobody knows how many have executed
        reason = f"nobody can tell how many calls have executed ({type(error).__name__}: {text_of(error)})"
    return Decision(budget.then, f"POLICY[{rule.pattern!r}] is {budget!r}, and {reason}", rule.origin)
