"""Finding what holds a function already: a signal, a route, a template library, a task.

`@side_effect` above a decorator that has handed the function on makes an effect that nobody calls: what was handed on
is the function below it, which is never decided. Such holders are found by asking the garbage collector what refers to
the function, so each framework needs only its name here.
"""

from __future__ import annotations

import atexit
import collections
import functools
import gc
import itertools
import sys
import weakref
from collections.abc import Iterable, Iterator, Mapping
from types import CellType, FrameType, FunctionType, MappingProxyType, MethodType
from typing import Any, Final

#: Packages whose objects call the functions that they hold.
_FRAMEWORKS: Final = frozenset(
    """
    aiohttp apscheduler blinker bottle celery channels click django falcon fastapi flask graphene huey kombu litestar
    ninja pluggy quart rest_framework rq sanic schedule sqlalchemy starlette strawberry tornado typer
    """.split()
)
#: Modules whose functions hold others in their closures, to call them.
_REGISTERING: Final = {
    "django.template.library": "a template library",
    "functools": "functools.singledispatch",
}
_PASSED: Final = (
    dict,
    list,
    tuple,
    set,
    frozenset,
    collections.deque,
    CellType,
    FunctionType,
    MappingProxyType,
    MethodType,
    staticmethod,
    classmethod,
    functools.partial,
    weakref.ref,
)
_ADMIN: Final = "django.contrib.admin.options.ModelAdmin"
#: How many containers may lie between a function and its holder.
_FAR: Final = 10


def holder_of(function: Any) -> str:
    """What holds a function that is being declared already, in words; empty when nothing known does.

    Most functions are new: the references to them are counted first, and only looked through if there are too many.
    """
    if type(function) is not FunctionType:
        return ""
    # Local names of it here would count as well.
    if sys.getrefcount(function) <= _of_new + _explained(function) and not any(
        weakref.getweakrefcount(below) for below in with_wrapped(function)
    ):
        return ""
    told = next((told for _, told in holders(with_wrapped(function))), "")
    return told or ("atexit" if _waits_for_the_exit(function) else "")


def _waits_for_the_exit(function: Any) -> bool:
    """Whether `atexit` has it, whose list is kept in C. It is taken out of it: what is refused has no need of it."""
    before = sys.getrefcount(function)
    atexit.unregister(function)
    return sys.getrefcount(function) < before


def with_wrapped(function: Any) -> Iterator[Any]:
    """A plain function, and those that it wraps and says so."""
    while type(function) is FunctionType:
        yield function
        function = vars(function).get("__wrapped__")


def _calibrated() -> int:
    """The references to a new function when `holder_of` counts them. Newer Pythons borrow some of them."""

    def counting(function: Any) -> int:
        return sys.getrefcount(function)

    def decorate(function: Any, _: Any) -> int:
        return counting(function)

    def decorator(function: Any) -> int:
        return decorate(function, None)

    return decorator(lambda: None)


_of_new: Final = _calibrated()


def _explained(function: FunctionType) -> int:
    """How many references are variables: of its own module or class, and of the functions that are running."""
    count = int(function.__globals__.get(function.__name__) is function)
    *above, name = function.__qualname__.split(".")
    if above and "<locals>" not in above:
        owner: Any = function.__globals__.get(above[0])
        for part in above[1:]:
            owner = getattr(owner, part, None)
        count += int(isinstance(owner, type) and vars(owner).get(name) is function)
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - there is no other way to the variables of callers
    while frame is not None:
        is_own = str(frame.f_globals.get("__name__", "")).startswith("sideeffects._core.")
        if not is_own and frame.f_locals is not frame.f_globals:
            count += sum(value is function for value in frame.f_locals.values())
        frame = frame.f_back
    return count


def holders(functions: Iterable[Any]) -> list[tuple[Any, str]]:
    """Those of the functions that somebody known holds, each with who that is."""
    known = {id(function): function for function in functions}
    level: dict[int, tuple[Any, frozenset[int]]] = {key: (value, frozenset((key,))) for key, value in known.items()}
    seen: set[int] = set()
    found: dict[int, str] = {}
    for _ in range(_FAR):
        above: dict[int, tuple[Any, frozenset[int]]] = {}
        for referrer, below in _referrers(level):
            if id(referrer) in seen or referrer is known or referrer is level:
                continue
            seen.add(id(referrer))
            told = _told(referrer, below)
            if told:
                found.update(dict.fromkeys(below - found.keys(), told))
            elif issubclass(type(referrer), _PASSED) and not _is_namespace(referrer):
                above[id(referrer)] = referrer, below
        level = above
        if not level:
            break
    return [(known[key], told) for key, told in found.items()]


def _referrers(level: Mapping[int, tuple[Any, frozenset[int]]]) -> Iterator[tuple[Any, frozenset[int]]]:
    """What refers to one of these, weakly or not, and which functions are below it."""
    things = [thing for thing, _ in level.values()]
    for thing, below in level.values():
        yield from ((reference, below) for reference in weakref.getweakrefs(thing))
    for referrer in gc.get_referrers(*things):
        if referrer is things or isinstance(referrer, FrameType):
            continue
        children = [level[id(child)][1] for child in gc.get_referents(referrer) if id(child) in level]
        yield referrer, frozenset(itertools.chain(*children))


def _told(referrer: Any, below: frozenset[int]) -> str:
    """Who this is, if it calls what it holds."""
    kind = type(referrer)
    if kind is FunctionType:
        return _REGISTERING.get(str(referrer.__globals__.get("__name__")), "")
    if issubclass(kind, type):
        bases = {f"{base.__module__}.{base.__name__}" for base in type.mro(referrer)}
        if "celery.app.task.Task" in bases:
            return f"the Celery task {referrer.__name__}"
        is_action = any(id(action) in below for action in vars(referrer).get("actions") or ())
        return f"the admin {referrer.__name__}" if is_action and _ADMIN in bases else ""
    package = str(kind.__module__).partition(".")[0]
    return f"{_article(kind.__name__)} of {package}" if package in _FRAMEWORKS else ""


def _article(name: str) -> str:
    return f"{'an' if name[:1] in 'AEIOUaeio' else 'a'} {name}"


def _is_namespace(referrer: Any) -> bool:
    """Whether it is the dict of a module."""
    return type(referrer) is dict and "__name__" in referrer and "__spec__" in referrer
