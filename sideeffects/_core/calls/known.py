"""Which effects a name or a glob means, those in modules that nothing has imported included."""

from __future__ import annotations

from collections.abc import Sequence

from sideeffects._core.calls import registry
from sideeffects._core.calls.effect import SideEffect
from sideeffects.errors import UnknownSideEffect

__tracebackhide__ = True


def pattern_of(effect: object) -> str:
    """The name or glob that `effect` stands for.

    Args:
        effect: a decorated function, a bound one, a `SideEffect`, a name, a glob or `"__all__"`.

    Raises:
        TypeError: it is none of these.
    """
    if isinstance(effect, str):
        return effect
    if isinstance(effect, SideEffect):
        return effect.name
    declared = getattr(effect, "effect", None)
    if isinstance(declared, SideEffect):
        return declared.name
    raise TypeError(
        f"{effect!r} is no side effect: give a function decorated with @side_effect, its name, "
        f"or a glob such as 'sms.*'"
    )


def check_known(pattern: str) -> Sequence[SideEffect]:
    """Refuse a name or glob that means no effect, after looking for those in modules that nothing has imported.

    Returns:
        the effects that it means in such modules, if it means none that is declared by now.

    Raises:
        UnknownSideEffect: with close matches.
    """
    if pattern == registry.EVERYTHING or registry.registry.match(pattern):
        return ()
    found = [discover() for discover in registry.discovery]
    names = {name: effect for one in found for name, effect in one.effects.items()}
    meant = [effect for name, effect in names.items() if registry.matches(pattern, name)]
    if not meant and not registry.registry.match(pattern):
        unknown = UnknownSideEffect(pattern, registry.registry.close_to(pattern, names))
        for note in (note for one in found for note in one.notes):
            unknown.add_note(note)
        raise unknown
    return meant


def load_known(name: str) -> None:
    """As `check_known`, for an effect that is to run: what declares it is imported.

    Raises:
        UnknownSideEffect: with close matches.
    """
    if name not in registry.registry:
        for discover in registry.discovery:
            discover().load(name)
        check_known(name)
