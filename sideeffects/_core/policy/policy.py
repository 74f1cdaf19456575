"""Rules -> decision. Pure: everything that a decision depends on is handed in.

The precedence table of `docs/reference/precedence.md` is written here once, in `standing` (its rows 2 to 4) and
`decide` (row 1 and the rules on arguments).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.calls.registry import EVERYTHING, matches
from sideeffects._core.policy.asking import policy_takes_instance
from sideeffects._core.policy.budget import Budget
from sideeffects._core.policy.override_entry import OverrideEntry, Stub, specificity
from sideeffects._core.policy.redirect import Redirect, is_same
from sideeffects._core.policy.rules import Rule, Rules
from sideeffects._core.values.describe import text_of

__tracebackhide__ = True


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Standing:
    """What the rules say of one effect.

    Attributes:
        decision: the decision.
        conditions: rules that tighten or replace it for each call: functions, and redirects.
        floor: a condition that is not stricter does not count.
        budgets: rules that say how many calls may execute.
    """

    decision: Decision
    conditions: tuple[Rule, ...] = ()
    floor: Mode = Mode.EXECUTE
    budgets: tuple[Rule, ...] = ()


def legacy_names(effect: SideEffect) -> frozenset[str]:
    """What `FORCE_RUN_SIDE_EFFECTS` may call an effect: matched whole, never as a substring."""
    dotted = effect.dotted_path.replace(":", ".")
    return frozenset((effect.name, effect.short_name, effect.dotted_path, dotted))


RECORDED_IN_TESTS: Final = Decision(
    Mode.RECORD, "a test run executes nothing that no test names", "default of a test run"
)
HELD_BACK: Final = Decision(Mode.RECORD, "this process executes only what reads", "default")


def in_tests(decision: Decision) -> Decision:
    """What a decision counts as in a test run: there is nobody to release what would be held."""
    if decision.mode is not Mode.HOLD:
        return decision
    return replace(decision, mode=Mode.RECORD, reason=f"{decision.reason}, which counts as RECORD in a test run")


EXECUTED: Final = Decision(Mode.EXECUTE, "outside a test run effects execute", "default")


def standing(rules: Rules, effect: SideEffect, test_run: bool, option: Mode | None) -> Standing:
    """Rows 2 to 4 of the precedence table: what holds for `effect` when no override speaks.

    Args:
        rules: what the settings say.
        effect: the effect.
        test_run: whether this is a test run.
        option: pytest's `--side-effects`, if given.
    """
    if rules.holds_back and not effect.reads and not test_run:
        return Standing(HELD_BACK)
    policy = rules_for(rules, effect)
    fixed = [_by_rule(rule, rule.verdict) for rule in policy if isinstance(rule.verdict, Mode | Budget)]
    conditions = tuple(rule for rule in policy if not isinstance(rule.verdict, Mode | Budget))
    strictest = max(fixed, key=lambda decision: decision.mode, default=None)
    if not test_run:
        budgets = tuple(rule for rule in policy if isinstance(rule.verdict, Budget))
        if strictest is not None:
            return Standing(strictest, conditions, budgets=budgets)
        if conditions:
            return Standing(_undecided(conditions), conditions)
        if rules.mode is not None:
            return Standing(Decision(rules.mode, f"MODE is {rules.mode.name}", 'settings.SIDE_EFFECTS["MODE"]'))
        return Standing(EXECUTED)
    conditions = tuple(rule for rule in conditions if not isinstance(rule.verdict, Redirect))
    forced = _forced(rules, effect)
    if forced is not None:
        return Standing(forced)
    if strictest is not None and strictest.mode is Mode.RAISE:
        return Standing(strictest)
    if rules.mode is Mode.RAISE:
        return Standing(Decision(Mode.RAISE, "MODE is RAISE", 'settings.SIDE_EFFECTS["MODE"]'))
    if option is Mode.RAISE:
        return Standing(Decision(Mode.RAISE, "this test run raises", "--side-effects=raise"))
    return Standing(RECORDED_IN_TESTS, conditions, Mode.RECORD)


def rules_for(rules: Rules, effect: SideEffect) -> list[Rule]:
    """The rules of `POLICY` that hold: the exact name, then the longest globs, then tags."""
    exact = [rule for rule in rules.policy if rule.pattern == effect.name]
    if exact:
        return exact
    globs = [
        rule for rule in rules.policy if not rule.pattern.startswith("tag:") and matches(rule.pattern, effect.name)
    ]
    if globs:
        longest = max(specificity(rule.pattern) for rule in globs)
        return [rule for rule in globs if specificity(rule.pattern) == longest]
    tags = {f"tag:{tag}" for tag in effect.tags}
    return [rule for rule in rules.policy if rule.pattern in tags]


def _by_rule(rule: Rule, verdict: Mode | Budget) -> Decision:
    label = f"POLICY[{rule.pattern!r}]"
    if isinstance(verdict, Budget):
        return Decision(Mode.EXECUTE, f"{label} is {verdict!r}", rule.origin)
    return Decision(verdict, f"{label} is {verdict.name}", rule.origin)


def _undecided(conditions: Sequence[Rule]) -> Decision:
    """What can be said of rules on arguments where there are none."""
    for rule in conditions:
        if not isinstance(rule.verdict, Redirect):
            reason = f"POLICY[{rule.pattern!r}] decides each call from its arguments"
            return Decision(Mode.RAISE, reason, rule.origin, conditional=True)
    rule = conditions[0]
    return Decision(Mode.EXECUTE, f"POLICY[{rule.pattern!r}] is {rule.verdict!r}", rule.origin, conditional=True)


def _forced(rules: Rules, effect: SideEffect) -> Decision | None:
    for pattern in rules.force_run:
        if matches(pattern, effect.name):
            origin = 'settings.SIDE_EFFECTS["FORCE_RUN"]'
            return Decision(Mode.EXECUTE, f"FORCE_RUN names {pattern!r}", origin)
    legacy = rules.force_run_legacy & (legacy_names(effect) | {EVERYTHING})
    if legacy:
        named = min(legacy)
        return Decision(Mode.EXECUTE, f"FORCE_RUN_SIDE_EFFECTS names {named!r}", "settings.FORCE_RUN_SIDE_EFFECTS")
    return None


class Decided(NamedTuple):
    """What the table says of one call.

    Attributes:
        decision: the decision.
        stub: what a recorded call returns, if an override said so.
        changes: the arguments that a redirect changes, with their new values; `None` where none does.
        budgets: the rules that say how many such calls may execute.
    """

    decision: Decision
    stub: Stub | None = None
    changes: dict[str, Any] | None = None
    budgets: tuple[Rule, ...] = ()


def decide(
    effect: SideEffect,
    arguments: Mapping[str, Any] | None,
    overrides: Iterable[tuple[OverrideEntry, bool]],
    standing: Standing,
    instance: Any = None,
) -> Decided:
    """The whole table for one call.

    Args:
        effect: what is called.
        arguments: the call's arguments, for rules that ask for them; `None` when there is no call (`explain`).
        overrides: the entries that this call sees, the one that speaks first first, each with whether it is outlived
            (its block has been left, and this is work that was started inside).
        standing: what holds when none of them speaks.
        instance: what a method is called on.
    """
    for entry, outlived in overrides:
        rule = entry.find(effect.name)
        if rule is None:
            continue
        if not outlived:
            return Decided(rule.decision, rule.stub)
        # Work that outlives its block keeps what is strict about it and loses EXECUTE and stubs.
        if rule.decision.mode is not Mode.EXECUTE:
            return Decided(rule.decision)
    decision = standing.decision
    if not standing.conditions:
        return Decided(decision, budgets=standing.budgets)
    if arguments is None:
        undecided = _undecided(standing.conditions)
        fixed = undecided if decision.conditional else decision
        return Decided(max(undecided, fixed, key=lambda one: one.mode))
    answers = [_ask(rule, effect, arguments, instance) for rule in standing.conditions]
    if not decision.conditional:
        answers.append((decision, None))
    strictest = max((verdict for verdict, _ in answers), key=lambda verdict: verdict.mode)
    if standing.floor is not Mode.EXECUTE:  # in a test run a rule on arguments can only tighten
        return Decided(strictest if strictest.mode > standing.floor else decision)
    redirects = [answer for answer in answers if answer[1] is not None]
    if not redirects or strictest.mode > Mode.HOLD:
        return Decided(strictest, budgets=standing.budgets)
    if not all(is_same(redirects[0][1], other) for _, other in redirects[1:]):
        reason = f"{' and '.join(verdict.reason for verdict, _ in redirects)}, and they differ"
        return Decided(Decision(Mode.RAISE, reason, redirects[0][0].origin))
    decision, changes = redirects[0]
    return Decided(decision if strictest.mode is Mode.EXECUTE else strictest, None, changes, standing.budgets)


def _ask(
    rule: Rule, effect: SideEffect, arguments: Mapping[str, Any], instance: Any
) -> tuple[Decision, dict[str, Any] | None]:
    """What a rule on arguments says of one call, and which of these it changes.

    Doubt never executes: a failure or a strange answer is a refusal.
    """
    label = f"POLICY[{rule.pattern!r}]"
    try:
        answer: Any = rule.verdict
        if not isinstance(answer, Redirect):
            assert callable(answer)  # noqa: S101 - modes and budgets are no conditions
            asks = policy_takes_instance(answer)
            answer = answer(effect, arguments, instance) if asks else answer(effect, arguments)
        if isinstance(answer, Redirect):
            changes = answer.of(effect, arguments)
            if changes is None:
                return Decision(Mode.EXECUTE, f"{label} redirects it, unless these arguments", rule.origin), None
            return Decision(Mode.EXECUTE, f"{label} redirects it, by {', '.join(changes)}", rule.origin), changes
        mode = answer if isinstance(answer, Mode) else Mode(answer)
    except Exception as error:  # noqa: BLE001 - whatever it was, it is a doubt
        names = f"the arguments {', '.join(arguments)}" if arguments else "no arguments"
        there = f"; {effect.name} has {names}" if isinstance(error, KeyError) else ""
        reason = f"{label} could not decide ({type(error).__name__}: {text_of(error)}{there}), and doubt never executes"
        return Decision(Mode.RAISE, reason, rule.origin), None
    return Decision(mode, f"{label} answered {mode.name} for these arguments", rule.origin), None
