"""Rules -> decision. Pure: everything that a decision depends on is handed in.

The precedence table of `docs/reference/precedence.md` is written here once, in `standing` (its rows 2 to 4) and
`decide` (row 1 and the rules on arguments).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.calls.registry import EVERYTHING, matches
from sideeffects._core.policy.override_entry import OverrideEntry, Stub, specificity
from sideeffects._core.policy.rules import Rule, Rules
from sideeffects._core.values.describe import text_of

__tracebackhide__ = True


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Standing:
    """What the rules say of one effect: a decision, and functions that may tighten or replace it per call."""

    decision: Decision
    conditions: tuple[Rule, ...] = ()
    floor: Mode = Mode.EXECUTE


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
    policy = _policy_for(rules, effect)
    fixed = [_by_rule(rule.pattern, rule.verdict, rule.origin) for rule in policy if isinstance(rule.verdict, Mode)]
    conditions = tuple(rule for rule in policy if not isinstance(rule.verdict, Mode))
    strictest = max(fixed, key=lambda decision: decision.mode, default=None)
    if not test_run:
        if strictest is not None:
            return Standing(strictest, conditions)
        if conditions:
            return Standing(_undecided(conditions[0]), conditions)
        if rules.mode is not None:
            return Standing(Decision(rules.mode, f"MODE is {rules.mode.name}", 'settings.SIDE_EFFECTS["MODE"]'))
        return Standing(EXECUTED)
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


def _policy_for(rules: Rules, effect: SideEffect) -> list[Rule]:
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


def _by_rule(pattern: str, mode: Mode, origin: str) -> Decision:
    return Decision(mode, f"POLICY[{pattern!r}] is {mode.name}", origin)


def _undecided(rule: Rule) -> Decision:
    return Decision(
        Mode.RAISE, f"POLICY[{rule.pattern!r}] decides each call from its arguments", rule.origin, conditional=True
    )


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


def decide(
    effect: SideEffect,
    arguments: Mapping[str, Any] | None,
    overrides: Iterable[tuple[OverrideEntry, bool]],
    standing: Standing,
) -> tuple[Decision, Stub | None]:
    """The whole table for one call.

    Args:
        effect: what is called.
        arguments: the call's arguments, for rules that ask for them; `None` when there is no call (`explain`).
        overrides: the entries that this call sees, the one that speaks first first, each with whether it is outlived
            (its block has been left, and this is work that was started inside).
        standing: what holds when none of them speaks.

    Returns:
        the decision, and what a recorded call returns if an override said so.
    """
    for entry, outlived in overrides:
        rule = entry.find(effect.name)
        if rule is None:
            continue
        if not outlived:
            return rule.decision, rule.stub
        # Work that outlives its block keeps what is strict about it and loses EXECUTE and stubs.
        if rule.decision.mode is not Mode.EXECUTE:
            return rule.decision, None
    decision = standing.decision
    if not standing.conditions:
        return decision, None
    if arguments is None:
        return _undecided(standing.conditions[0]), None
    verdicts = [_ask(rule, effect, arguments) for rule in standing.conditions]
    if not decision.conditional:
        verdicts.append(decision)
    strictest = max(verdicts, key=lambda verdict: verdict.mode)
    # In a test run a rule on arguments can only tighten.
    return (strictest if strictest.mode > standing.floor or standing.floor is Mode.EXECUTE else decision), None


def _ask(rule: Rule, effect: SideEffect, arguments: Mapping[str, Any]) -> Decision:
    """What a rule on arguments says of one call. Doubt never executes: a failure or a strange answer is a refusal."""
    assert not isinstance(rule.verdict, Mode)  # noqa: S101 - narrows the type for both checkers
    label = f"POLICY[{rule.pattern!r}]"
    try:
        answer = rule.verdict(effect, arguments)
        mode = answer if isinstance(answer, Mode) else Mode(answer)
    except Exception as error:  # noqa: BLE001 - whatever it was, it is a doubt
        names = f"the arguments {', '.join(arguments)}" if arguments else "no arguments"
        there = f"; {effect.name} has {names}" if isinstance(error, KeyError) else ""
        reason = f"{label} could not decide ({type(error).__name__}: {text_of(error)}{there}), and doubt never executes"
        return Decision(Mode.RAISE, reason, rule.origin)
    return Decision(mode, f"{label} answered {mode.name} for these arguments", rule.origin)
