"""name -> declared effect. One per process, swapped as a whole by `isolated_registry`."""

from __future__ import annotations

import fnmatch
import functools
import os
import re
import string
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.values.points import Point
from sideeffects.errors import DuplicateSideEffect, UnknownSideEffect

EVERYTHING = "__all__"

_CHARACTERS: Final = frozenset(f"{string.ascii_letters}{string.digits}_-")


def check_name(name: object) -> str:
    """`name`, if it is a valid effect name; `ValueError` with the rule otherwise."""
    if isinstance(name, str) and name != EVERYTHING:
        segments = name.split(".")
        if all(segments) and all(map(_CHARACTERS.issuperset, segments)):
            return name
    raise ValueError(
        f"{name!r} is no side effect name: use letters, digits, '_' and '-', in segments separated by single dots, "
        f"such as 'sms.send'"
    )


def is_glob(pattern: str) -> bool:
    """Whether `pattern` can match more than one name."""
    return pattern == EVERYTHING or any(letter in pattern for letter in "*?[")


@functools.lru_cache(maxsize=4096)
def glob_matcher(pattern: str) -> Callable[[str], object]:
    """A function that tells whether a name matches: case-sensitive, `*` crosses dots, `__all__` matches all."""
    if pattern == EVERYTHING:
        return lambda _: True
    return re.compile(fnmatch.translate(pattern)).match


def matches(pattern: str, name: str) -> bool:
    """Whether the name, glob or `__all__` in `pattern` means the effect `name`."""
    return pattern == name or (is_glob(pattern) and glob_matcher(pattern)(name) is not None)


class Found(NamedTuple):
    """What is known of effects in modules that nothing has imported.

    Attributes:
        effects: them by name, as the source shows them.
        notes: what may be missing, a sentence each.
        load: imports what declares an effect of that name, which is to run.
    """

    effects: Mapping[str, SideEffect]
    notes: Sequence[str]
    load: Callable[[str], None]


NOTHING_FOUND: Final = Found({}, (), lambda name: None)  # noqa: ARG005 - there is nothing to load

#: Finds effects in modules that are not yet imported; see `state/extension_points.py`.
discovery: Final[Point[Callable[[], Found]]] = Point()


class Store:
    """What the registry shows: effects, and the decorated functions that perform them."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.effects: dict[str, SideEffect] = {}
        self.functions: dict[str, Any] = {}
        #: How many `isolated_registry` blocks are open: what is declared in them is forgotten afterwards.
        self.isolations = 0
        self._sorted: tuple[str, ...] | None = ()
        self._waiting: list[Callable[[], None]] = []

    def when_declared(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` once an effect is declared, or at once if one is. Returns what takes it back."""
        with self.lock:
            if not self.effects:
                self._waiting.append(callback)
                return lambda: self._waiting.remove(callback) if callback in self._waiting else None
        callback()
        return lambda: None

    def add(self, effect: SideEffect, function: Any) -> None:
        """Enter `effect`, with the decorated function that performs it.

        Raises:
            DuplicateSideEffect: another function has the name. The same function, imported again, reloaded or run as
                `__main__` (same file and line, or same module and qualified name), replaces itself.
        """
        with self.lock:
            known = self.effects.get(effect.name)
            if known is not None and not _is_same_function(known, effect):
                raise DuplicateSideEffect(effect.name, known.location, effect.location)
            if known is None:
                self._sorted = None
            self.effects[effect.name] = effect
            self.functions[effect.name] = function
            waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        with self.lock:
            if self._sorted is None:
                self._sorted = tuple(sorted(self.effects))
            return self._sorted

    def swap(self, effects: dict[str, SideEffect], functions: dict[str, Any]) -> Callable[[], None]:
        """Hold these instead. Returns the restorer."""
        with self.lock:
            before = self.effects, self.functions
            self.effects, self.functions, self._sorted = effects, functions, None
            self.isolations += 1

        def restore() -> None:
            with self.lock:
                self.effects, self.functions = before
                self.isolations -= 1
                self._sorted = None

        return restore


class Registry(Mapping[str, SideEffect]):
    """All declared effects by name, sorted; read-only.

    `registry["smss.send"]` raises `UnknownSideEffect` with close matches; `registry.match("sms.*")` lists.

    Example:
        >>> registry["sms.send"].owner
        'support'
        >>> [effect.name for effect in registry.match("card.*")]
        ['card.charge']
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getitem__(self, name: str) -> SideEffect:
        try:
            return self._store.effects[name]
        except (KeyError, TypeError):
            raise UnknownSideEffect(str(name), self.close_to(str(name))) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._store.names())

    def __len__(self) -> int:
        return len(self._store.effects)

    def __contains__(self, name: object) -> bool:
        return name in self._store.effects

    def __repr__(self) -> str:
        return f"<registry of {len(self)} side effect{'' if len(self) == 1 else 's'}>"

    def match(self, pattern: str) -> tuple[SideEffect, ...]:
        """The effects that a name, a glob (`sms.*`; `*` crosses dots) or `__all__` means, sorted by name."""
        effects = self._store.effects
        if not is_glob(pattern):
            return (effects[pattern],) if pattern in effects else ()
        return tuple(effects[name] for name in self._store.names() if matches(pattern, name))

    def close_to(self, name: str, more: Iterable[str] = ()) -> tuple[str, ...]:
        """Up to three names, declared or among these, that look like `name`, best first."""
        from sideeffects._core.values.close_names import close_to  # for error messages alone

        names = sorted({*self._store.names(), *more})
        close = close_to(name, names)
        return close or tuple(
            [known for known in names if known.startswith(f"{name}.") or known.endswith(f".{name}")][:3]
        )


store: Final = Store()


def _after_fork_in_child() -> None:
    # A lock that another thread held at the fork would stay locked for good.
    store.lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=_after_fork_in_child)

registry: Final = Registry(store)


def only_reads(name: str) -> bool:
    """Whether the effect of that name is declared with `reads=True`."""
    effect = store.effects.get(name)
    return effect is not None and effect.reads


def function_of(name: str) -> Any:
    """The decorated function of an effect.

    Raises:
        UnknownSideEffect: no effect has that name.
    """
    return store.functions[registry[name].name]


def _is_same_function(one: SideEffect, other: SideEffect) -> bool:
    if one.file and one.file == other.file and one.line == other.line:
        return True
    return one.dotted_path == other.dotted_path and "<lambda>" not in one.dotted_path


@contextmanager
def isolated_registry() -> Generator[Registry]:
    """An empty registry for the length of a `with` block; the one before comes back afterwards.

    For tests that declare effects. It is one registry for the process, so threads see it too.

    Yields:
        the registry.

    Example:
        >>> with isolated_registry() as names:
        ...     @side_effect(name="only.here")
        ...     def only_here(): ...
        ...     list(names)
        ['only.here']
    """
    restore = store.swap({}, {})
    try:
        yield registry
    finally:
        restore()
