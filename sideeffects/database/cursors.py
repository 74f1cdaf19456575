"""Cursors of a driver whose statements somebody sees, by whichever of their methods they come."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol


class Watcher(Protocol):
    """What sees the statements of a cursor."""

    def before(self, method: str, query: Any, cursor: Any, options: Mapping[str, Any]) -> tuple[Any, Any]:
        """A statement is about to be sent. What this raises, the caller gets, and nothing is sent.

        Args:
            method: by which of the cursor's methods.
            query: the statement.
            cursor: which cursor.
            options: what else the method was given by name.

        Returns:
            the statement to send, and what is handed to the other two.
        """
        ...

    def after(self, seen: Any, cursor: Any) -> None:
        """It went well."""
        ...

    def failed(self, seen: Any, cursor: Any, error: BaseException) -> None:
        """It did not."""
        ...


def watched(factory: Any, watcher: Watcher) -> Any:
    """A class of cursors whose statements are seen.

    Args:
        factory: the class of cursors that there would be without.
        watcher: sees them.
    """
    methods = {
        name: make(name, getattr(factory, name), watcher) for name, make in _METHODS.items() if hasattr(factory, name)
    }
    attributes = {"watcher": watcher, "unwatched": factory, "__qualname__": factory.__qualname__, **methods}
    return type(factory.__name__, (factory,), attributes)


class WatchedClasses(dict[Any, Any]):
    """Such classes, by the class without, for one watcher."""

    def __init__(self, watcher: Watcher) -> None:
        super().__init__()
        self._watcher = watcher

    def __missing__(self, factory: Any) -> Any:
        made = self[factory] = watched(factory, self._watcher)
        return made


def unwatched(factory: Any, kind: type) -> Any:
    """The class without its watcher, if that is one of a kind; others go on watching."""
    return factory.unwatched if isinstance(vars(factory).get("watcher"), kind) else factory


def _executing(name: str, original: Callable[..., Any], watcher: Watcher) -> Callable[..., Any]:
    before, after, failed = watcher.before, watcher.after, watcher.failed

    @functools.wraps(original)
    def execute(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        query, seen = before(name, query, self, options)
        try:
            result = original(self, query, *args, **options)
        except BaseException as error:
            failed(seen, self, error)
            raise
        after(seen, self)
        return result

    return execute


def _streaming(name: str, original: Callable[..., Any], watcher: Watcher) -> Callable[..., Any]:
    """Nothing is sent before the first step; whether there is a last one is up to the caller."""

    @functools.wraps(original)
    def stream(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        query, seen = watcher.before(name, query, self, options)
        try:
            yield from original(self, query, *args, **options)
        except Exception as error:
            watcher.failed(seen, self, error)
            raise

    return stream


def _copying(name: str, original: Callable[..., Any], watcher: Watcher) -> Callable[..., Any]:
    @functools.wraps(original)
    @contextlib.contextmanager
    def copy(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        query, seen = watcher.before(name, query, self, options)
        try:
            with original(self, query, *args, **options) as copying:
                yield copying
        except Exception as error:
            watcher.failed(seen, self, error)
            raise

    return copy


_METHODS: Final[dict[str, Callable[[str, Callable[..., Any], Watcher], Callable[..., Any]]]] = {
    "execute": _executing,
    "executemany": _executing,
    "executescript": _executing,
    "copy_expert": _executing,
    "stream": _streaming,
    "copy": _copying,
}
