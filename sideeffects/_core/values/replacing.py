"""Giving a function other arguments than it was given, and leaving all others where they stand."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any


def replaced(signature: inspect.Signature, arguments: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by parameter as they are with some changed; what the function takes as `**` stands below that."""
    new = dict(arguments)
    for name, value in changes.items():
        if name in new:
            new[name] = value
        else:
            rest = next(p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD)
            new[rest] = {**new[rest], name: value}
    return new


def given_as(
    signature: inspect.Signature, arguments: Mapping[str, Any], positional: int
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The positional and the keyword arguments that give a function these.

    Args:
        signature: the function's; parameters that are not among `arguments` are left out.
        arguments: by parameter, all of them.
        positional: how many were given by position. They stay so; the others are given by keyword where possible.
    """
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    taken = [parameter for parameter in signature.parameters.values() if parameter.name in arguments]
    rest = next((parameter for parameter in taken if parameter.kind is parameter.VAR_POSITIONAL), None)
    has_rest = rest is not None and len(arguments[rest.name]) > 0
    for place, parameter in enumerate(taken):
        value = arguments[parameter.name]
        if parameter.kind is parameter.VAR_POSITIONAL:
            args += value
        elif parameter.kind is parameter.VAR_KEYWORD:
            kwargs.update(value)
        elif parameter.kind is parameter.KEYWORD_ONLY:
            kwargs[parameter.name] = value
        elif parameter.kind is parameter.POSITIONAL_ONLY or place < positional or has_rest:
            args.append(value)
        else:
            kwargs[parameter.name] = value
    return tuple(args), kwargs
