"""What is in force for effects in the test, in its racers: overrides and stubs, `--side-effects`, declarations."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any, Final

from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.registry import registry
from sideeffects._core.policy.override_entry import Count, OverrideEntry, OverrideRule, Stub
from sideeffects._core.state.scope import scope
from sideeffects._core.state.state import state
from sideeffects._core.verbs import declare
from sideeffects.testing.races.errors import CannotTravel
from sideeffects.testing.races.exceptions import from_data, to_data
from sideeffects.testing.races.messages import packed

#: An override as it travels: its rules, its origin, and its three flags.
Travelling = tuple[list[bytes], str, bool, bool, bool]


def option() -> str | None:
    """What `--side-effects` says."""
    return None if state.option is None else state.option.value


def overrides() -> list[Travelling]:
    """The overrides that a call made here would see, those that speak last first.

    Raises:
        CannotTravel: the message names the override's effect.
    """
    own = [entry for entry in scope.get().entries if not entry.closed]
    elsewhere = [entry for entry in state.overrides.entries if not entry.closed and entry not in own]
    return [_travelling(entry) for entry in (*elsewhere, *own)]


def _travelling(entry: OverrideEntry) -> Travelling:
    rules = [_rule(rule) for rule in entry.rules]
    return rules, entry.origin, entry.context_only, entry.outermost, entry.foremost


def _rule(rule: OverrideRule) -> bytes:
    decision, answer = rule.decision, rule.stub
    what = (rule.pattern, decision.mode.value, decision.reason, decision.origin, decision.conditional)
    if answer is None:
        return packed((what, None), f"the override {decision.reason}")
    if answer.in_turn is not None:
        raise CannotTravel(
            f"stub({rule.pattern!r}, in_turn=[...]) cannot go into racers that are processes: each would begin with "
            f'the first answer. Race in threads (Race(using="threads")), or give `returns` a function'
        )
    # Exceptions have a way of their own, since many of them cannot be unpickled.
    raised = to_data(answer.raises) if isinstance(answer.raises, BaseException) else answer.raises
    return packed((what, (answer.returns, raised)), f"what stub({rule.pattern!r}) gives")


def enter(travelled: Sequence[Travelling], option_value: str | None) -> None:
    """Put overrides into force for as long as the process lasts: it ends with the race."""
    state.option = None if option_value is None else Mode(option_value)
    for rules, origin, context_only, outermost, foremost in travelled:
        placed: list[OverrideRule] = []
        for data in rules:
            (pattern, mode, reason, place, conditional), given = pickle.loads(data)  # noqa: S301 - our test process's
            answer = (
                None
                if given is None
                else Stub(Count(), given[0], from_data(given[1]) if type(given[1]) is dict else given[1])
            )
            placed.append(OverrideRule(pattern, Decision(Mode(mode), reason, place, conditional), answer))
        entry = OverrideEntry(tuple(placed), origin, context_only=context_only, outermost=outermost, foremost=foremost)
        state.overrides.enter(entry)
        _kept.append(entry)


#: What is in force is held by those who entered it.
_kept: Final[list[Any]] = []


def declarations() -> list[tuple[str, str | None, dict[str, Any]]]:
    """What was declared by `declare(...)` or the settings, and still is: targets with names and options."""
    waiting = set(declare.waiting())
    return [
        (target, name, options)
        for target, (name, options) in declare.declarations.items()
        if target in waiting or (name or target.replace(":", ".")) in registry
    ]
