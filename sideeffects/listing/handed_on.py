"""Who calls functions of effects without a decision, having been handed what stands below `@side_effect`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from sideeffects._core.calls import registry
from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.verbs import registered
from sideeffects.project.discovery.looking import looking


def problems(effects: Iterable[tuple[str, SideEffect]]) -> Iterator[str]:
    """A sentence for each of the effects, given with their places, whose bare function a framework holds."""
    with looking():
        _load()
    bare_of = {}
    for where, effect in effects:
        function = getattr(registry.store.functions.get(effect.name), "__wrapped__", None)
        if isinstance(function, classmethod | staticmethod):
            function = function.__func__
        for bare in registered.with_wrapped(function):
            bare_of[id(bare)] = bare, where, effect.name
    for bare, holder in registered.holders(bare for bare, _, _ in bare_of.values()):
        _, where, name = bare_of[id(bare)]
        yield (
            f"{where}: {holder} calls the function of {name} without a decision: put @side_effect right above the "
            f"function, below the decorator that hands it on"
        )


def _load() -> None:
    """Let routes and template libraries be there. What cannot be loaded shows elsewhere."""
    from django.template import engines
    from django.urls import get_resolver

    with contextlib.suppress(Exception):
        engines.all()
    with contextlib.suppress(Exception):
        waiting = [get_resolver()]
        while waiting:
            waiting += getattr(waiting.pop(), "url_patterns", ())
