"""Which functions of the user's ask for the instance that a method was called on."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from sideeffects._core.values.binding import lazy_signature


def policy_takes_instance(function: Callable[..., Any]) -> bool:
    """Whether a policy function is one of `(effect, arguments, instance)`: its third parameter has that name."""
    return _named_third(function)


def stub_takes_instance(function: Callable[..., Any]) -> bool:
    """Whether what gives a stub's answer has a keyword-only parameter `instance`."""
    return _has_keyword(function)


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(lazy_signature(function).parameters.values())
    except (TypeError, ValueError):  # what is written in C may not tell
        return []


def _kept(look: Callable[[list[inspect.Parameter]], bool]) -> Callable[[Callable[..., Any]], bool]:
    """Looked at once for each function: it takes longer than a decision."""

    @functools.lru_cache(maxsize=1024)
    def looked(function: Callable[..., Any]) -> bool:
        return look(_parameters(function))

    def answer(function: Callable[..., Any]) -> bool:
        try:
            return looked(function)
        except TypeError:  # it has no hash
            return look(_parameters(function))

    return answer


def _is_third(parameters: list[inspect.Parameter]) -> bool:
    return len(parameters) > _BEFORE and parameters[_BEFORE].name == "instance"


#: The effect and the arguments.
_BEFORE = 2


def _is_keyword(parameters: list[inspect.Parameter]) -> bool:
    return any(one.name == "instance" and one.kind is one.KEYWORD_ONLY for one in parameters)


_named_third = _kept(_is_third)
_has_keyword = _kept(_is_keyword)
