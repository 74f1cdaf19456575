"""The row of a call: what is written down of it at the moment of its decision.

A plain tuple. Most recorded calls are never looked at, and making a `Call` would cost as much as half of recording one.
What most calls do not have stands together, as one value that they share.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from sideeffects._core.calls import origins, process
from sideeffects._core.calls.decision import Decision
from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.calls.process import Identity
from sideeffects._core.values import clock
from sideeffects._core.values.callers import Site

#: Numbers the calls of this process.
serials: Final = itertools.count(1)


class Binds(Protocol):
    """What knows how the arguments of an effect's calls are bound."""

    def bind(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Them by name, defaults applied."""
        ...


class Besides(NamedTuple):
    """What is true of some calls only.

    Attributes:
        is_async: whether it was handed to the background.
        run_id: the run list that it belongs to.
        by_reference: paths of the arguments that could not be copied.
        details: what the effect's `details` gave, or raised.
        asked: the arguments by parameter that were given, where a redirect has changed them.
    """

    is_async: bool = False
    run_id: str | None = None
    by_reference: tuple[str, ...] = ()
    details: Mapping[str, Any] | BaseException | None = None
    asked: dict[str, Any] | None = None


#: Of a call where none of this is true.
NOTHING_BESIDES: Final = Besides()

#: As `Call` unpacks it.
Row: TypeAlias = tuple[
    SideEffect,
    Decision,
    dict[str, Any] | Binds,  # the arguments, by parameter
    tuple[Any, ...],  # as given: positional ones
    dict[str, Any],  # and keywords
    Any,  # the instance
    Site | tuple[str, int],  # who called
    frozenset[str],  # further sensitive names, normalised
    Besides,
    float,  # when: seconds since the epoch
    int,  # its number
    Identity,  # the process
    object,  # what set the code going
]


def row_of(
    effect: SideEffect,
    decision: Decision,
    bound: dict[str, Any] | Binds,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    instance: Any,
    site: Site | tuple[str, int],
    names: frozenset[str],
    besides: Besides = NOTHING_BESIDES,
) -> Row:
    """The row of a call that is made now, in this process.

    Args:
        effect: the effect.
        decision: what was decided.
        bound: the arguments by parameter, or what binds them when somebody reads them.
        args: the positional arguments as given.
        kwargs: the keyword arguments as given.
        instance: what it was called on.
        site: who called: the code and the offset in it, or the path of its file and the line.
        names: further sensitive names, normalised.
        besides: what else is true of it.
    """
    return (
        effect,
        decision,
        bound,
        args,
        kwargs or _NO_KEYWORDS,
        instance,
        site,
        names,
        besides,
        _now(),
        next(serials),
        process.current,
        _origin(),
    )


_now: Final = clock.now
_origin: Final = origins.current.get
#: One for all calls without keywords: each keeps what it was given, and most are given none.
_NO_KEYWORDS: Final[dict[str, Any]] = {}
