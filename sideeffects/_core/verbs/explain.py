"""`explain`: the decision that is in force for an effect, and why."""

from __future__ import annotations

from sideeffects._core.calls import registry
from sideeffects._core.calls.decision import Decision
from sideeffects._core.calls.known import check_known, pattern_of
from sideeffects._core.runtime.deciding import explain_declared
from sideeffects._core.state.runtime_effect import Declared, declared_named

__tracebackhide__ = True


def explain(name: object) -> Decision:
    """The decision now in force for an effect, in this context, and why.

    Args:
        name: the effect's name, or the effect itself.

    Returns:
        the decision. Where a rule asks for the call's arguments it is `conditional`, with the strictest mode.

    Raises:
        UnknownSideEffect: no effect has that name.

    Example:
        >>> with forbid("sms.*"):
        ...     explain("sms.send").reason
        'forbidden by forbid("sms.*")'
    """
    pattern = pattern_of(name)
    if pattern not in registry.registry:
        for effect in check_known(pattern):
            if effect.name == pattern:  # its module has not been imported
                return explain_declared(Declared(effect, None, effect.short_name))
    return explain_declared(declared_named(pattern))
