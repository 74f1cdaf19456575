"""`redirect`: a call executes with other arguments, such as the team's own number on staging."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from sideeffects._core.calls.effect import SideEffect

__tracebackhide__ = True


class Limits(NamedTuple):
    """What is special about redirecting the calls of an effect.

    Attributes:
        fixed: arguments that describe what cannot be changed there.
        follow: by argument, which others have to change with it, and what they become unless the redirect says it.
    """

    fixed: frozenset[str] = frozenset()
    follow: Mapping[str, Mapping[str, Any]] = {}


#: By dotted path of the effect.
limits: Final[dict[str, Limits]] = {}
_NONE: Final = Limits()


class Redirect:
    """What `redirect` makes: which arguments change, and to what.

    Attributes:
        changes: by argument: its new value, or a function of the call's arguments.
        unless: a condition on the arguments under which nothing changes.
    """

    __slots__ = ("changes", "unless")

    def __init__(self, changes: Mapping[str, Any], unless: Callable[[Mapping[str, Any]], object] | None = None) -> None:
        self.changes = changes
        self.unless = unless

    def __repr__(self) -> str:
        # The values may be secrets, or somebody's address.
        return f"redirect({', '.join(f'{name}=...' for name in self.changes)})"

    def trouble(self, effect: SideEffect) -> str:
        """Why calls of an effect cannot be redirected so; empty if they can."""
        known = limits.get(effect.dotted_path, _NONE)
        for name in self.changes:
            if name in known.fixed:
                return f"{name!r} of {effect.name} cannot be redirected"
            if not _takes(effect, name):
                return f"{effect.name} has no argument {name!r}{_has(effect)}"
        return ""

    def of(self, effect: SideEffect, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
        """The arguments that change for one call, with their new values; `None` where `unless` leaves it as it is.

        Raises:
            ValueError: the effect has no such argument.
            Exception: whatever a function of the user's raises.
        """
        trouble = self.trouble(effect)
        if trouble:
            raise ValueError(trouble)
        if self.unless is not None and self.unless(arguments):
            return None
        changed = {name: value(arguments) if callable(value) else value for name, value in self.changes.items()}
        for name, others in limits.get(effect.dotted_path, _NONE).follow.items():
            if name in changed:
                changed = {**others, **changed}
        return {name: value for name, value in changed.items() if not _is_same(arguments.get(name, changed), value)}


def redirect(*, unless: Callable[[Mapping[str, Any]], object] | None = None, **changes: Any) -> Redirect:
    """A value for `POLICY`, and what a policy function may return: the call executes with other arguments.

    It never counts in a test run. `Call.arguments` are those that were used, `Call.asked` those that were given.

    Args:
        unless: called with the arguments by name; where its answer is true the call executes unchanged.
        **changes: by argument, its new value, or a function that is called with the arguments by name and returns it.

    Returns:
        the value.

    Raises:
        TypeError: nothing would change, or `unless` is no function.

    Example:
        >>> SIDE_EFFECTS = {"POLICY": {"sms.*": redirect(to="+44 20 7946 0000")}}
    """
    if not changes:
        raise TypeError("redirect() needs the arguments that change, as in redirect(to='qa@example.org')")
    if unless is not None and not callable(unless):
        raise TypeError(f"unless is a function of the call's arguments, not {unless!r}")
    return Redirect(changes, unless)


def _is_same(one: object, other: object) -> bool:
    try:
        return type(one) is type(other) and bool(one == other)
    except Exception:  # noqa: BLE001 - values of the user's may not compare
        return False


def _takes(effect: SideEffect, name: str) -> bool:
    """Whether an effect has an argument of that name, so that nothing else says the same."""
    signature = effect.signature
    if signature is None:
        return False
    parameter = signature.parameters.get(name)
    if parameter is not None:
        return parameter is not _instance_of(effect, signature)
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    return inspect.Parameter.VAR_KEYWORD in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds


def _instance_of(effect: SideEffect, signature: inspect.Signature) -> inspect.Parameter | None:
    """The parameter that takes what a method is called on."""
    first = next(iter(signature.parameters.values()), None)
    is_method = "." in effect.dotted_path.rpartition(":")[2].rpartition("<locals>.")[2]
    return first if is_method and first is not None and first.name in ("self", "cls") else None


def _has(effect: SideEffect) -> str:
    signature = effect.signature
    if signature is None:
        return ", since Python cannot tell its arguments"
    own = _instance_of(effect, signature)
    names = [name for name, parameter in signature.parameters.items() if parameter is not own]
    return f"; it has {', '.join(names)}" if names else "; it has none"
