"""Cells of a fault sweep: which call fails, with what, at which point; and the names by which they are run again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from sideeffects._core.calls import registry
from sideeffects._core.calls.decision import Mode
from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.calls.known import check_known, pattern_of
from sideeffects.errors import SideEffectFault
from sideeffects.testing.faults.errors import FaultSweepError

FaultPoint: TypeAlias = Literal["before", "after"]
Raisable: TypeAlias = BaseException | type[BaseException]

POINTS: Final[tuple[FaultPoint, ...]] = ("before", "after")

_NAME: Final = re.compile(r"(?P<effect>[\w.-]+)#(?P<number>[1-9]\d*):(?P<exception>[^:+]+):(?P<point>before|after)\Z")


class Seen(NamedTuple):
    """A call that a run has made.

    Attributes:
        effect: the effect.
        number: which of its calls it is, from 1 on.
        mode: what was decided for it.
        is_ordered: whether it was made by the thread that runs the scenario, so that it has its place among others.
    """

    effect: SideEffect
    number: int
    mode: Mode
    is_ordered: bool

    @property
    def label(self) -> str:
        """The call as reports name it."""
        return f"{self.effect.name}#{self.number}"


class Fault(NamedTuple):
    """One call that is to fail.

    Attributes:
        name: by which it is run again: `effect#number:exception:point`.
        effect: the effect's name.
        number: which of its calls, from 1 on.
        exception: what it fails with, by name.
        point: `"before"`: nothing is done; `"after"`: it is done, and the answer is lost.
        raises: the exception, or its class.
    """

    effect: str
    number: int
    exception: str
    point: FaultPoint
    raises: Raisable

    @property
    def name(self) -> str:
        """By which it is run again."""
        return f"{self.label}:{self.exception}:{self.point}"

    @property
    def label(self) -> str:
        """The call that fails."""
        return f"{self.effect}#{self.number}"

    def error(self) -> BaseException:
        """A new exception, or the one that was given.

        Raises:
            FaultSweepError: its class wants arguments that nobody knows.
        """
        given = self.raises
        if isinstance(given, BaseException):
            return given.with_traceback(None)
        if issubclass(given, SideEffectFault):
            return given(self.effect, self.point)
        for arguments in ((f"let fail by fault_sweep ({self.name})",), ()):
            try:
                return given(*arguments)
            except TypeError:
                continue
        raise FaultSweepError(
            f"{given.__name__}, which {self.effect} raises, cannot be made without its arguments. Give one: "
            f"fault_sweep(..., raises={{{self.effect!r}: [{given.__name__}(...)]}})"
        )


Cell: TypeAlias = tuple[Fault, ...]


def name_of(cell: Cell) -> str:
    """The name by which a cell is run again; those of a pair are joined."""
    return "+".join(fault.name for fault in cell)


class Choice:
    """Which calls fail, and how: what the options of a sweep say.

    Args:
        raises: exceptions for all effects, or for some of them by effect, name or glob; others fail with what they
            declare, or with `SideEffectFault`.
        effects: only these fail.
        points: when.
    """

    def __init__(
        self,
        raises: Iterable[Raisable] | Raisable | Mapping[Any, Iterable[Raisable] | Raisable],
        effects: Iterable[object] | object | None,
        points: Iterable[str],
    ) -> None:
        self.points = _points(points)
        given: Mapping[Any, Any] = raises if isinstance(raises, Mapping) else {registry.EVERYTHING: raises}
        self._raises = {pattern_of(effect): _exceptions(listed) for effect, listed in given.items()}
        if effects is None:
            self._effects: tuple[str, ...] = (registry.EVERYTHING,)
        elif isinstance(effects, list | tuple | set | frozenset):
            self._effects = tuple(pattern_of(effect) for effect in effects)
        else:
            self._effects = (pattern_of(effects),)

    def check(self) -> None:
        """Refuse names that mean no effect.

        Raises:
            UnknownSideEffect: with close matches.
        """
        for pattern in (*self._raises, *self._effects):
            check_known(pattern)

    def faults(self, seen: Seen) -> list[Fault]:
        """All ways in which a call is to fail; none when it was refused, or is not to fail."""
        effect = seen.effect
        if seen.mode is Mode.RAISE or not any(registry.matches(pattern, effect.name) for pattern in self._effects):
            return []
        kinds = self._exceptions_of(effect)
        return [
            Fault(effect.name, seen.number, name, point, kind)
            for name, kind in zip(_names(kinds), kinds, strict=True)
            for point in self.points
        ]

    def parsed(self, name: str) -> Fault | None:
        """The fault of that name, whether or not there is such a call; `None` when there can be none."""
        found = _NAME.match(name)
        effect = None if found is None else registry.registry.get(found["effect"])
        if found is None or effect is None:
            return None
        asked = Seen(effect, int(found["number"]), Mode.RECORD, True)
        return next((fault for fault in self.faults(asked) if fault.name == name), None)

    def _exceptions_of(self, effect: SideEffect) -> Sequence[Raisable]:
        named = [pattern for pattern in self._raises if registry.matches(pattern, effect.name)]
        closest = max(
            named, key=lambda pattern: (not registry.is_glob(pattern), pattern != "__all__", len(pattern)), default=""
        )
        return self._raises.get(closest) or effect.raises or (SideEffectFault,)


def _points(points: Iterable[str]) -> tuple[FaultPoint, ...]:
    given = (points,) if isinstance(points, str) else tuple(points)
    chosen: tuple[FaultPoint, ...] = tuple(point for point in POINTS if point in given)
    if not chosen or set(given) - set(POINTS):
        raise ValueError(f"points are 'before', 'after' or both, not {points!r}")
    return chosen


def _exceptions(listed: Any) -> tuple[Raisable, ...]:
    given: tuple[Any, ...] = (listed,) if isinstance(listed, type | BaseException | str) else tuple(listed)
    for one in given:
        if not isinstance(one, BaseException) and not (isinstance(one, type) and issubclass(one, BaseException)):
            raise TypeError(f"raises takes exceptions and their classes, not {one!r}")
    return given


def _names(kinds: Sequence[Raisable]) -> list[str]:
    """A name for each: that of its class, with its module or a number where that is not enough."""
    classes = [kind if isinstance(kind, type) else type(kind) for kind in kinds]
    short = [kind.__name__ for kind in classes]
    names = [
        kind.__name__ if len({c for c in classes if c.__name__ == kind.__name__}) == 1 else f"{kind.__module__}.{name}"
        for kind, name in zip(classes, short, strict=True)
    ]
    return [
        name if names.count(name) == 1 else f"{name}~{names[: index + 1].count(name)}"
        for index, name in enumerate(names)
    ]
