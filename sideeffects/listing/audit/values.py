"""Values as texts: what an expression may stand for, as far as that leads to the outside world.

`requests.post` is what stands at that path, `requests.Session()` what calling it gives, and `[` in front means that it
stands in a container.
"""

from __future__ import annotations

from typing import Final, TypeAlias

Values: TypeAlias = frozenset[str]

NONE: Final[Values] = frozenset()
#: Longer ones come of objects that hold each other.
LONGEST: Final = 120
_DEEPEST: Final = 3


def inside(values: Values) -> Values:
    """A container with these in it."""
    return frozenset(f"[{value}" for value in values)


def taken_out(values: Values) -> Values:
    """What is in containers."""
    return frozenset(value[1:] for value in values if value.startswith("["))


def objects(values: Values) -> Values:
    """Without functions: a function that is handed on is listed where it is handed on, not where it is called."""
    return frozenset(value for value in values if value.endswith("()"))


def is_too_long(value: str) -> bool:
    """Whether following it further leads to nothing."""
    return len(value) > LONGEST or value.startswith("[" * (_DEEPEST + 1))
