"""The lines of overrides that stubs make: put into force with a count of their own, and asked whether it came true."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.policy.override_entry import Count, OverrideRule, Stub
from sideeffects._core.records.messages import line_of
from sideeffects._core.state.state import state

#: Calls that are listed.
_MOST: Final = 20


def stub_rule(
    pattern: str,
    returns: Any = None,
    raises: BaseException | type[BaseException] | None = None,
    in_turn: Any = None,
    times: Any = None,
) -> OverrideRule:
    """The line of an override that `stub` makes.

    Raises:
        TypeError: `in_turn` is no list of at least one answer, or `times` no number.
        ValueError: there are fewer answers than `times`.
    """
    if in_turn is not None and (not isinstance(in_turn, list | tuple) or not in_turn):
        raise TypeError(f"in_turn takes a list with one answer for each call, not {in_turn!r}")
    if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 0):
        raise TypeError(f"times is a number of calls, not {times!r}")
    if in_turn is not None and times is not None and times > len(in_turn):
        raise ValueError(
            f"stub({pattern!r}) has to answer {times} calls (times), and has {len(in_turn)} answers (in_turn)"
        )
    answer = Stub(Count(), returns, raises, in_turn=None if in_turn is None else tuple(in_turn), times=times)
    return OverrideRule(pattern, Decision(Mode.RECORD, f'stubbed by stub("{pattern}")'), answer)


def counted_anew(rules: Sequence[OverrideRule]) -> tuple[OverrideRule, ...]:
    """The same lines, whose stubs have answered nothing yet: the first answer comes first again."""
    return tuple(
        rule
        if rule.stub is None
        else OverrideRule(rule.pattern, rule.decision, rule.stub._replace(answered=Count(state.ledger.end)))
        for rule in rules
    )


def placed(rules: Sequence[OverrideRule], origin: str) -> tuple[OverrideRule, ...]:
    """The lines with where they stand."""
    if state.test_run.is_latched:
        # A stub with `times=0` is not missed when it answers none.
        used = [rule for rule in rules if rule.stub is not None and rule.stub.times != 0]
        state.stubs.update((rule.decision.reason, origin) for rule in used)
    return tuple(
        OverrideRule(
            rule.pattern,
            Decision(rule.decision.mode, rule.decision.reason, origin),
            None if rule.stub is None else rule.stub._replace(origin=origin),
        )
        for rule in rules
    )


def asks_for_times(rules: Iterable[OverrideRule]) -> bool:
    """Whether one of the stubs has to answer an exact number of calls."""
    return any(rule.stub is not None and rule.stub.times is not None for rule in rules)


def unmet(rules: Iterable[OverrideRule]) -> str:
    """The stubs that have answered more or fewer calls than they had to, in words; empty when there are none."""
    told = []
    for rule in rules:
        stub = rule.stub
        if stub is None or stub.times is None:
            continue
        calls = _answered(rule, stub)
        count = stub.answered.value + sum(call.is_foreign for call in calls)
        if count != stub.times:
            was = "1 call" if stub.times == 1 else f"{stub.times} calls"
            where = f" (entered at {stub.origin})" if stub.origin else ""
            lines = [
                f'stub("{rule.pattern}", times={stub.times}) had to answer {was}, and has answered {count}{where}',
                *(f"  {number}. {line_of(call)}" for number, call in enumerate(calls[:_MOST], 1)),
            ]
            told.append("\n".join(lines))
    return "\n".join(told)


def _answered(rule: OverrideRule, stub: Stub) -> Sequence[Call]:
    """The calls that a stub has answered and that are written down, those of child processes included."""
    if not state.test_run.is_latched:
        return ()
    state.sync()
    said = rule.decision.reason, stub.origin
    calls = state.ledger.read(stub.answered.since)[0]
    return [call for call in calls if (call.decision.reason, call.decision.origin) == said]
