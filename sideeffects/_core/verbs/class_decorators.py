"""Overrides above `TestCase` classes: in force from before `setUpClass` until the last class cleanup."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from sideeffects._core.state.switches import Restorer

#: Where a class has what its decorators enter, the one closest to it first.
_NAME: Final = "_side_effects_overrides"
#: Classes that are set up: their decorators, and those of their bases, have been entered.
_set_up: Final[set[type]] = set()


def decorate(decorated: Any, enter: Callable[[], Restorer]) -> None:
    """Let `enter` be called as the class is set up.

    Those of bases are entered first, and so is the upper one of two on a class: the class closer to the tests wins, as
    with class attributes, whichever class's `setUpClass` calls that of its base, and when.
    """
    own = vars(decorated).get(_NAME)
    if own is not None:
        own.append(enter)
        return
    setattr(decorated, _NAME, [enter])
    original = vars(decorated).get("setUpClass")

    def set_up_class(cls: Any) -> None:
        if cls not in _set_up:
            _set_up.add(cls)
            cls.addClassCleanup(_set_up.discard, cls)
            for base in reversed(cls.__mro__):
                for one in reversed(vars(base).get(_NAME, ())):
                    cls.addClassCleanup(one())
        if original is None:
            cast(Any, super(decorated, cls)).setUpClass()
        else:
            original.__get__(None, cls)()

    decorated.setUpClass = classmethod(set_up_class)
