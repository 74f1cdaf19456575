"""Who calls: the code, and the place in it."""

from __future__ import annotations

import sys
from typing import Any

from sideeffects._core.values.callers import NOBODY, caller, caller_outside


def test_the_caller_is_the_code_that_many_calls_above() -> None:
    """Counted from whoever asks."""

    def asks(depth: int) -> Any:
        return caller(depth)

    here = sys._getframe().f_code
    asked = asks(0)[0], asks(1)[0]
    assert asked == (asks.__code__, here)


def test_above_the_first_frame_is_nobody() -> None:
    """Python may be entered by a raw thread or a greenlet, with no frame beneath."""
    assert caller(sys.getrecursionlimit()) == (NOBODY, 0)


def test_the_caller_outside_is_the_innermost_one_of_another_module() -> None:
    """Libraries that only hand a call on are passed over; with nothing else beneath, the outermost code stands."""
    seen: list[str] = []

    def is_between(module: str) -> bool:
        seen.append(module)
        return len(seen) < 3

    namespace: dict[str, Any] = {"__name__": "library", "ask": lambda: caller_outside(is_between)}
    exec("def hand_on(): return ask()", namespace)
    assert namespace["hand_on"]()[0] is sys._getframe().f_code
    assert seen == [__name__, "library", __name__]
    outermost = sys._getframe()
    while outermost.f_back is not None:
        outermost = outermost.f_back
    assert caller_outside(lambda _: True)[0] is outermost.f_code
