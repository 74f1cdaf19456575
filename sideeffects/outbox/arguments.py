"""The arguments of a held call: written so that changed code makes the same call later, or none."""

from __future__ import annotations

import collections
import importlib
import inspect
import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from sideeffects._core.calls.known import load_known
from sideeffects._core.runtime.background import reached
from sideeffects._core.state.runtime_effect import Declared, Reached, effect_of
from sideeffects.errors import SideEffectError

__tracebackhide__ = True


class CannotBeHeld(SideEffectError):
    """A call that could not be made again from what a row can keep."""


class CannotBeMade(SideEffectError):
    """A held call that cannot be made by the code as it is now."""


class Made(NamedTuple):
    """A held call, ready to be made.

    Attributes:
        declared: the effect.
        function: executes it; bound, if the effect is a method.
        instance: what it is bound to.
        args: the positional arguments.
        kwargs: the keyword arguments.
    """

    declared: Declared
    function: Any
    instance: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __repr__(self) -> str:
        # Error reports show variables.
        return f"<a call of {self.declared.effect.name}>"


#: What a function without a signature is taken to have.
_ANY: Final = (
    inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
    inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
)

_BY_EITHER: Final = inspect.Parameter.POSITIONAL_OR_KEYWORD
#: Kinds whose calls are a conversation with their caller.
_STREAMS: Final = ("generator", "async generator", "context manager", "async context manager")

# -- writing


def given(declared: Declared, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments by parameter, without defaults: by name, so that no later order of parameters mixes them up.

    Raises:
        CannotBeHeld: JSON cannot carry one of them.
    """
    parameters = _parameters(declared, is_bound=instance is not None)
    if declared.effect.kind in _STREAMS:
        raise CannotBeHeld(f"it is a {declared.effect.kind}: the code that uses it, in a block or a loop, cannot wait")
    bound = inspect.Signature(parameters).bind(*args, **kwargs).arguments
    for name, value in bound.items():
        _check(value, name)
    return bound


def reference(declared: Declared, instance: Any) -> str | None:
    """Where a method's instance is found again: the path of a class; `None` where the effect's name finds it.

    Raises:
        CannotBeHeld: it is not found again.
    """
    if instance is None:
        return None
    if isinstance(instance, type):
        path = f"{instance.__module__}:{instance.__qualname__}"
        try:
            if _at(path) is instance:
                return path
        except (ImportError, AttributeError):
            pass
        raise CannotBeHeld(f"the class {instance.__qualname__} cannot be found again under its name")
    try:
        if reached(declared.effect.name).instance is instance:
            return None
    except (SideEffectError, AttributeError):
        pass
    raise CannotBeHeld(
        f"it is a method, and the {type(instance).__qualname__} that it is called on cannot be kept. "
        f"Declare a function that takes an id, and look the object up in it"
    )


def _check(value: Any, where: str, depth: int = 0) -> None:
    """Refuse what would arrive as something else, or not at all."""
    kind = type(value)
    if value is None or isinstance(value, (str, bool, int)):
        return
    if depth > _DEPTH:
        raise CannotBeHeld(f"the argument {where} is nested too deep, or holds itself")
    if isinstance(value, float):
        if not math.isfinite(value):
            raise CannotBeHeld(f"the argument {where} is {value!r}, which JSON cannot carry")
    elif kind in (list, tuple):
        for number, item in enumerate(value):
            _check(item, f"{where}[{number}]", depth + 1)
    elif kind in (dict, collections.OrderedDict, collections.defaultdict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise CannotBeHeld(f"the argument {where} has the key {key!r}; in JSON a key is a string")
            _check(item, f"{where}[{key!r}]", depth + 1)
    elif any(base.__module__ == "django.db.models.base" and base.__name__ == "Model" for base in kind.__mro__):
        raise CannotBeHeld(
            f"the argument {where} is a {kind.__name__}, which may have changed until the call is released. "
            f"Pass an id, and look the object up in the effect"
        )
    else:
        raise CannotBeHeld(
            f"the argument {where} is a {kind.__qualname__}, which JSON cannot carry. Pass an id or a plain value"
        )


_DEPTH: Final = 100

# -- reading


def made(name: str, arguments: Mapping[str, Any], owner: str | None) -> Made:
    """The call as the code of today makes it.

    Args:
        name: the effect's name.
        arguments: as `given` gave them.
        owner: as `reference` gave it.

    Raises:
        CannotBeMade: there is no such effect any more, or its parameters have changed.
    """
    try:
        load_known(name)
        found = reached(name) if owner is None else _of_class(name, owner)
    except Exception as error:
        raise CannotBeMade(
            f"there is no side effect {name!r} in this code ({error}). "
            f"Release the call with code that has it, or reject it"
        ) from error
    if found.declared.effect.kind in _STREAMS:
        raise CannotBeMade(f"side effect {name!r} has become a {found.declared.effect.kind}; reject the call")
    parameters = _parameters(found.declared, is_bound=found.instance is not None)
    args, kwargs = _filled(parameters, dict(arguments), name)
    return Made(found.declared, found.function, found.instance, args, kwargs)


def _of_class(name: str, path: str) -> Reached:
    declared = reached(name).declared
    found = effect_of(getattr(_at(path), declared.effect.short_name))
    if found is None or found.declared is not declared:
        raise CannotBeMade(f"{path} has it no longer")
    return found


def _at(path: str) -> Any:
    module, _, qualname = path.partition(":")
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    return found


def _filled(
    parameters: tuple[inspect.Parameter, ...], left: dict[str, Any], name: str
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments of these values."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    has_gap = False
    for parameter in parameters:
        if parameter.kind is parameter.VAR_KEYWORD:
            kwargs.update(left.pop(parameter.name, {}))
        elif parameter.name not in left:
            if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_POSITIONAL:
                raise _changed(name, f"needs {parameter.name!r}, which the call does not have")
            has_gap = True
        elif parameter.kind is parameter.KEYWORD_ONLY or (has_gap and parameter.kind is _BY_EITHER):
            kwargs[parameter.name] = left.pop(parameter.name)
        elif has_gap:
            gap = f"takes {parameter.name!r} only by position, and the call has no value for a parameter before it"
            raise _changed(name, gap)
        elif parameter.kind is parameter.VAR_POSITIONAL:
            args += left.pop(parameter.name)
        else:
            args.append(left.pop(parameter.name))
    if left:
        raise _changed(name, f"does not take {', '.join(map(repr, left))} any more")
    return tuple(args), kwargs


def _changed(name: str, how: str) -> CannotBeMade:
    return CannotBeMade(
        f"the parameters of side effect {name!r} have changed since the call was held: it {how}. "
        f"Release the call with code that takes it, or reject it"
    )


def _parameters(declared: Declared, *, is_bound: bool) -> tuple[inspect.Parameter, ...]:
    """The parameters that a caller fills."""
    signature = declared.effect.signature
    if signature is None:
        return _ANY
    parameters = tuple(signature.parameters.values())
    return parameters[1:] if is_bound and not declared.is_bound else parameters
