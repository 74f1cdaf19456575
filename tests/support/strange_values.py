"""Values of all kinds, some of which break when they are looked at."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sideeffects._core.values.copying import snapshot

NONE: frozenset[str] = frozenset()


class Point(NamedTuple):
    x: Any
    password: Any


@dataclasses.dataclass
class Account:
    name: Any
    token: Any = None
    hidden: Any = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    items: Any
    api_key: Any = None


class Evaluated(Exception):
    """Something lazy was looked at."""


def explode(*args: object, **kwargs: object) -> Any:
    raise Evaluated


class Broken:
    """Raises at whatever looks at it."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __copy__(self) -> Any:
        raise RuntimeError("no copy")

    def __deepcopy__(self, memo: object) -> Any:
        raise RuntimeError("no copy")

    def __reduce__(self) -> Any:
        raise RuntimeError("no pickle")


class BrokenMapping(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("no item")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no keys")

    def __len__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return "BrokenMapping()"


class Headers(Mapping[str, str]):
    """A mapping of somebody else's making, which is no `dict`."""

    def __init__(self, **held: str) -> None:
        self._held = held

    def __getitem__(self, key: str) -> str:
        return self._held[key.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def __repr__(self) -> str:
        return f"Headers({self._held})"


def copied(value: Any) -> tuple[Any, list[str]]:
    marks: list[str] = []
    return snapshot(value, "it", {}, marks), marks
