"""Binding arguments at C speed.

`inspect.Signature.bind` costs more than everything else that recording does together. A function compiled with the
same parameters binds them as fast as any call, and raises the very `TypeError` that the real function would.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

from sideeffects._core.values.kinds import SCALARS

if sys.version_info >= (3, 14):
    import annotationlib

Binder = Callable[..., dict[str, Any]]


def lazy_signature(function: Callable[..., Any]) -> inspect.Signature:
    """`inspect.signature` that bears annotations naming what is defined later, or for type checkers only (3.14)."""
    if sys.version_info >= (3, 14):
        return inspect.signature(function, annotation_format=annotationlib.Format.FORWARDREF)
    return inspect.signature(function)


def signature_of(function: Callable[..., Any]) -> inspect.Signature | None:
    """The signature of `function`, or `None` where Python cannot tell (some C functions)."""
    try:
        return lazy_signature(function)
    except (ValueError, TypeError):
        return None


def compile_binder(
    signature: inspect.Signature | None, name: str, qualname: str, *, without_first: bool = False
) -> Binder:
    """A function that takes what `signature` takes and returns the arguments by name, defaults applied.

    Args:
        signature: what to accept; `None` accepts anything, as `args` and `kwargs`.
        name: the function's `__name__`, for error messages.
        qualname: its `__qualname__`, likewise.
        without_first: leave the first parameter (`self` or `cls`) out of the result.
    """
    if signature is None:
        parameters = [
            inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
            inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
        ]
    else:
        parameters = list(signature.parameters.values())
    source, namespace = _source(parameters, without_first)
    exec(compile(source, f"<arguments of {qualname}>", "exec"), namespace)  # noqa: S102 - generated, see _source
    binder: Binder = namespace["bind"]
    binder.__name__ = name
    binder.__qualname__ = qualname
    return binder


def arity(signature: inspect.Signature | None) -> tuple[int, int]:
    """The fewest and the most positional arguments that make a complete call and need no look at what they become.

    `1, 0`, which nothing fits, where keywords are needed, or a default could be changed between two calls.
    """
    fewest = most = 0
    for parameter in () if signature is None else signature.parameters.values():
        if parameter.default is not parameter.empty:
            if type(parameter.default) not in SCALARS:
                return 1, 0
        elif parameter.kind is parameter.KEYWORD_ONLY:
            return 1, 0
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            fewest += 1
        if parameter.kind is parameter.VAR_POSITIONAL:
            most = sys.maxsize
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            most += 1
    return (1, 0) if signature is None else (fewest, most)


def _source(parameters: list[inspect.Parameter], without_first: bool) -> tuple[str, dict[str, Any]]:
    """Python text of the binder. It holds parameter names, which are identifiers, and nothing else of the user's."""
    namespace: dict[str, Any] = {}
    pieces: list[str] = []
    results: list[str] = []
    star_seen = False
    slash_due = False
    for index, parameter in enumerate(parameters):
        kind = parameter.kind
        if slash_due and kind is not inspect.Parameter.POSITIONAL_ONLY:
            pieces.append("/")
            slash_due = False
        slash_due = slash_due or kind is inspect.Parameter.POSITIONAL_ONLY
        name = parameter.name
        if kind is inspect.Parameter.VAR_POSITIONAL:
            pieces.append(f"*{name}")
            star_seen = True
        elif kind is inspect.Parameter.VAR_KEYWORD:
            pieces.append(f"**{name}")
        else:
            if kind is inspect.Parameter.KEYWORD_ONLY and not star_seen:
                pieces.append("*")
                star_seen = True
            if parameter.default is not inspect.Parameter.empty:
                namespace[f"__default_{index}"] = parameter.default
                pieces.append(f"{name}=__default_{index}")
            else:
                pieces.append(name)
        if index == 0 and without_first:
            if kind is inspect.Parameter.VAR_POSITIONAL:
                results.append(f"{name!r}: {name}[1:]")
        else:
            results.append(f"{name!r}: {name}")
    if slash_due:
        pieces.append("/")
    return f"def bind({', '.join(pieces)}):\n    return {{{', '.join(results)}}}\n", namespace
