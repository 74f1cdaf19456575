"""The point at which is plugged in what runs enqueued calls: `_core/runtime/enqueued.py`, which stands above this."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from sideeffects._core.values.points import Point

if TYPE_CHECKING:
    from sideeffects._core.calls.call import Call

#: Given a reader of the calls, the names or globs, whether to go on until nothing is left, and the caller; returns a
#: reader of the calls that it has made. One is in force.
runner: Final[
    Point[
        Callable[
            [Callable[[], tuple[Sequence[Call], int]], Sequence[str], bool, str],
            Callable[[], tuple[Sequence[Any], int]],
        ]
    ]
] = Point()
