"""A point at which higher folders put in what lower ones call without importing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Point(Generic[T]):
    """What has been put in, in that order.

    Args:
        default: what is in force before anything is put in, where exactly one is.
    """

    __slots__ = ("_all", "is_filled", "last")

    def __init__(self, *default: T) -> None:
        self._all = default
        #: Whether anything is in it.
        self.is_filled = bool(default)
        if default:
            #: The one in force, where there is exactly one: what was put in last.
            self.last = default[-1]

    def add(self, one: T) -> Callable[[], None]:
        """Put something in, once. Returns what takes it out."""
        if one not in self._all:
            self._set((*self._all, one))
        return lambda: self.remove(one)

    def remove(self, one: T) -> None:
        self._set(tuple(other for other in self._all if other is not one))

    def _set(self, everything: tuple[T, ...]) -> None:
        self._all = everything
        self.is_filled = bool(everything)
        if everything:
            self.last = everything[-1]

    def __contains__(self, one: object) -> bool:
        return one in self._all

    def __iter__(self) -> Iterator[T]:
        return iter(self._all)
