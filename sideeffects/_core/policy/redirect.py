"""`redirect`: a call executes with other arguments, such as the team's own number on staging."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.values import copying, kinds

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
            ValueError: the effect has no such argument, or cannot be given that value for it.
            TypeError: a function of the user's is asynchronous.
            Exception: whatever a function of the user's raises.
        """
        trouble = self.trouble(effect)
        if trouble:
            raise ValueError(trouble)
        if self.unless is not None and _answer(self.unless, arguments):
            return None
        changed = {
            # A function may change what it is given: the next call gets the value as it was written.
            name: _answer(value, arguments) if callable(value) else copying.snapshot(value, name, {}, [])
            for name, value in self.changes.items()
        }
        for name, others in limits.get(effect.dotted_path, _NONE).follow.items():
            if name in changed:
                changed = {**others, **changed}
        _check_values(effect, changed)
        return {name: value for name, value in changed.items() if not is_same(arguments.get(name, changed), value)}


def redirect(*, unless: Callable[[Mapping[str, Any]], object] | None = None, **changes: Any) -> Redirect:
    """A value for `POLICY`, and what a policy function may return: the call executes with other arguments.

    In a test run it has no effect. `Call.arguments` are those that were used, `Call.asked` those that were given.

    Args:
        unless: called with the arguments by name; where its answer is true the call executes unchanged.
        **changes: the new value of each argument, or a function that takes all arguments by name and returns it.

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
        raise TypeError(f"unless must be a function of the call's arguments, not {unless!r}")
    return Redirect(changes, unless)


def is_same(one: Any, other: Any) -> bool:
    """Whether two values are surely the same. Objects of the user's may equal others that say something else."""
    kind = type(one)
    if one is other or kind is not type(other):
        return one is other
    if kind is dict:
        return one.keys() == other.keys() and all(is_same(value, other[key]) for key, value in one.items())
    if kind is list or kind is tuple:
        return len(one) == len(other) and all(map(is_same, one, other))
    return kind in kinds.SCALARS and bool(one == other)


def _answer(function: Callable[[Mapping[str, Any]], object], arguments: Mapping[str, Any]) -> Any:
    answer = function(arguments)
    if inspect.isawaitable(answer):
        close = getattr(answer, "close", None)
        if close is not None:
            close()  # or Python says that nobody has awaited it
        raise TypeError("a redirect's functions are called at once: they cannot be asynchronous")
    return answer


def _check_values(effect: SideEffect, changed: Mapping[str, Any]) -> None:
    """Refuse values that the parameters for all further arguments cannot have.

    Raises:
        ValueError: one of them is such a value.
    """
    parameters = {} if effect.signature is None else effect.signature.parameters
    for name, value in changed.items():
        parameter = parameters.get(name)
        if parameter is None:
            continue
        if parameter.kind is parameter.VAR_POSITIONAL and not isinstance(value, list | tuple):
            raise ValueError(f"{name!r} of {effect.name} takes a list of arguments, not a {type(value).__name__}")
        if parameter.kind is parameter.VAR_KEYWORD and not (isinstance(value, dict) and not parameters.keys() & value):
            raise ValueError(f"{name!r} of {effect.name} takes a dict of further keyword arguments")


def _takes(effect: SideEffect, name: str) -> bool:
    """Whether an effect has an argument of that name, so that nothing else says the same."""
    signature = effect.signature
    if signature is None:
        return False
    parameter = signature.parameters.get(name)
    if parameter is not None:
        return parameter is not _instance_of(effect, signature)
    there = {parameter.kind for parameter in signature.parameters.values()}
    return inspect.Parameter.VAR_KEYWORD in there and inspect.Parameter.VAR_POSITIONAL not in there


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
