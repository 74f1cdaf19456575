"""Who goes around decisions: what calls the function below `@side_effect`, and queues that hand effects to workers."""

from __future__ import annotations

import contextlib
import gc
import inspect
from collections.abc import Iterable, Iterator
from typing import Any, Final

from sideeffects._core.calls import registry
from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.verbs import registered
from sideeffects._core.verbs.queue_tasks import way_of
from sideeffects.listing.audit.source import ACCEPTED
from sideeffects.project.discovery.looking import looking

#: Packages whose own ways to hand over are decided, and the parts of ours; a generator's `send` hands nothing over.
_DECIDED: Final = frozenset(("builtins", "celery", "django", "django_tasks", "dramatiq", "huey", "rq", "sideeffects"))


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


def queues(effects: Iterable[tuple[str, SideEffect]]) -> Iterator[str]:
    """A sentence for each of the effects that a task of a queue holds which is not adapted.

    Who publishes such a task calls no function of the effect, so nothing can be decided there: in a test run it is
    really published, and a worker that is in none executes it.
    """
    functions = registry.store.functions
    held = {id(functions[effect.name]): (where, effect.name) for where, effect in effects if effect.name in functions}
    for task, key in _tasks_of(held):
        where, name = held[key]
        if not _is_accepted(functions[name]):
            kind = type(task)
            yield (
                f"{where}: a {kind.__module__}.{kind.__qualname__} hands {name} to a queue by .{way_of(task)}() "
                f"without a decision, in a test run too: declare the function that calls .{way_of(task)}(), and accept "
                f"this finding by a comment '# sideeffects: accepted' at the def of {name}"
            )


def _tasks_of(held: dict[int, tuple[str, str]]) -> Iterator[tuple[Any, int]]:
    """Objects that hold an effect and can hand it over, each with the effect's id."""
    effects = [function for function in registry.store.functions.values() if id(function) in held]
    level: list[tuple[Any, int]] = [(effect, id(effect)) for effect in effects]
    found: dict[tuple[int, int], tuple[Any, int]] = {}
    for _ in range(2):  # the attributes of an object, and the object
        above: list[tuple[Any, int]] = []
        keys = {id(thing): key for thing, key in level}
        things = [thing for thing, _ in level]
        for holder in gc.get_referrers(*things) if things else ():
            if holder is things or inspect.isframe(holder):
                continue
            key = next((keys[id(child)] for child in gc.get_referents(holder) if id(child) in keys), 0)
            package = str(type(holder).__module__).partition(".")[0]
            if key and package not in _DECIDED and not isinstance(holder, type) and way_of(holder):
                found[id(holder), key] = holder, key
            elif key and type(holder) is dict and "__spec__" not in holder:
                above.append((holder, key))
        level = above
    return iter(found.values())


def _is_accepted(function: Any) -> bool:
    """Whether a comment at its decorators or its `def` says so."""
    try:
        lines, _ = inspect.getsourcelines(inspect.unwrap(function))
    except (OSError, TypeError):
        return False
    for line in lines:
        if ACCEPTED.search(line):
            return True
        if line.lstrip().startswith(("def ", "async def ")):
            return False
    return False


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
