"""Operations on Django's caches are steps: the methods of the caches' classes stop the racer that calls them.

What a cache makes of others of its methods (`get_or_set`, and `incr` where the class has none of its own) is no step:
the others are. What racers write is put back between two orders.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, Final

from sideeffects.errors import RaceError
from sideeffects.testing.exploring.cached import kept_value, kept_whole
from sideeffects.testing.exploring.footprints import ALL, Access, Footprint, Resource
from sideeffects.testing.exploring.racer import Racer, Step, racer_here

_READS: Final = ("get", "has_key", "get_many")
_WRITES: Final = ("add", "set", "touch", "delete", "incr", "decr", "set_many", "delete_many", "clear")


class CacheHooks:
    """Makes operations on all caches steps, until they are taken off."""

    def __init__(self) -> None:
        self._before: list[tuple[type, str, Any]] = []
        #: What puts back whole caches, and single keys of others, as they were before a racer wrote to them.
        self._whole: dict[str, Callable[[], None]] = {}
        self._kept: dict[tuple[str, str, Any], Callable[[], None]] = {}
        if "django.core.cache" not in sys.modules:
            return
        from django.core.cache import caches
        from django.core.cache.backends.base import BaseCache

        for alias in caches:
            kind = type(caches[alias])
            for name in (*_READS, *_WRITES):
                home = next(base for base in kind.__mro__ if name in vars(base))
                if home is not BaseCache and (home, name) not in {(one, other) for one, other, _ in self._before}:
                    self._hook(home, name)

    def _hook(self, home: type, name: str) -> None:
        original: Callable[..., Any] = vars(home)[name]
        self._before.append((home, name, original))

        @functools.wraps(original)
        def operate(cache: Any, *args: Any, **kwargs: Any) -> Any:
            racer = racer_here()
            if racer is None or _inside(racer):
                return original(cache, *args, **kwargs)
            keys = _keys(args[0] if args else kwargs.get("key", kwargs.get("keys", kwargs.get("data"))))
            shown = f"cache.{name}({', '.join(map(repr, keys))})"
            keep = functools.partial(self._keep, cache, name, keys, kwargs.get("version")) if name in _WRITES else None
            racer.stop_before(Step("cache", lambda: shown, _footprint(cache, name, keys), keep=keep))
            return _quietly(racer, original, cache, *args, **kwargs)

        setattr(home, name, operate)

    def _keep(self, cache: Any, name: str, keys: list[Any], version: Any) -> None:
        place = _place(cache)
        if place in self._whole:
            return
        whole = kept_whole(cache)
        if whole is not None:
            self._whole[place] = whole
            return
        if name == "clear":
            raise RaceError(
                f"clear() of a {type(cache).__qualname__} cannot be taken back between two orders, as nobody knows "
                f"what is in it: let setup clear it, or explore with a cache in memory, in files or in a table"
            )
        for key in keys:
            at = (place, str(key), version)
            if at not in self._kept:
                self._kept[at] = kept_value(cache, key, version)

    def take_back(self) -> None:
        """Put back what caches had before racers wrote to them."""
        for restore in (*self._whole.values(), *self._kept.values()):
            restore()
        self._whole.clear()
        self._kept.clear()

    def remove(self) -> None:
        """Operations are no steps any more."""
        for home, name, original in reversed(self._before):
            setattr(home, name, original)
        self._before.clear()


#: Racers that are inside an operation: what a cache does for it is no operation of its own.
_busy: Final[set[Racer]] = set()


def _inside(racer: Racer) -> bool:
    return racer in _busy


def _quietly(racer: Racer, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    _busy.add(racer)
    try:
        return function(*args, **kwargs)
    finally:
        _busy.discard(racer)


def _place(cache: Any) -> str:
    """Which cache it is: each thread has an object of its own for it."""
    where = next((value for value in map(vars(cache).get, ("_servers", "_dir", "_table")) if value), None)
    # One in memory is one dictionary for all threads.
    return f"{type(cache).__qualname__} {where or id(vars(cache).get('_cache'))}"


def _keys(given: Any) -> list[Any]:
    if given is None:
        return []
    return [given] if isinstance(given, str) or not hasattr(given, "__iter__") else list(given)


def _footprint(cache: Any, name: str, keys: list[Any]) -> Footprint:
    access = Access.READ if name in _READS else Access.PUBLISH
    names = [ALL] if name == "clear" else map(str, keys)
    return frozenset((Resource("cache", _place(cache), key), access) for key in names)
