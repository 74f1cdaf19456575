"""Frozen values behave as frozen dataclasses with slots would."""

import copy
import pickle
from typing import Any

import pytest

from sideeffects import Decision, Mode
from sideeffects._core.values.frozen import Frozen

DECISION = Decision(Mode.RECORD, "because", "a.py:1")


class Pair(Frozen):
    """A value with a default."""

    left: Any
    right: Any = 2


class Twin(Frozen):
    """Another one with the same fields."""

    left: Any
    right: Any = 2


def test_fields_are_given_by_position_or_by_name() -> None:
    """Defaults fill in what is left out."""
    assert (Pair(1).left, Pair(1).right) == (1, 2)
    assert Pair(1, 3) == Pair(right=3, left=1)
    assert repr(Pair(1)) == "Pair(left=1, right=2)"


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "Pair needs left"),
        ((), {"right": 1}, "Pair needs left"),
        ((1, 2, 3), {}, "Pair takes the fields left, right, each of them once"),
        ((1,), {"left": 1}, "Pair takes the fields left, right, each of them once"),
        ((1,), {"middle": 1}, "Pair takes the fields left, right, each of them once"),
    ],
    ids=["none", "missing", "too many", "twice", "unknown"],
)
def test_wrong_fields_are_refused(args: tuple[Any, ...], kwargs: dict[str, Any], message: str) -> None:
    """The error names them."""
    with pytest.raises(TypeError, match=message):
        Pair(*args, **kwargs)


def test_they_cannot_be_changed() -> None:
    """Neither set nor deleted, and nothing is added."""
    value: Any = Pair(1)
    for name in ("left", "other"):
        with pytest.raises(AttributeError, match=f"a Pair is frozen: '{name}' cannot be set"):
            setattr(value, name, 3)
    with pytest.raises(AttributeError, match="a Pair is frozen: 'left' cannot be deleted"):
        del value.left
    assert not hasattr(value, "__dict__")


def test_equality_and_hash_are_those_of_the_fields() -> None:
    """Values of another type are never equal."""
    assert Pair(1) == Pair(1, 2)
    assert Pair(1) != Pair(2)
    assert Pair(1) != (1, 2)
    assert len({Pair(1), Pair(1, 2), Pair(2)}) == 2
    assert Twin(1) != Pair(1)


def test_they_survive_pickling_and_copying() -> None:
    """As equal values."""
    for twin in (pickle.loads(pickle.dumps(DECISION)), copy.copy(DECISION), copy.deepcopy(DECISION)):
        assert twin == DECISION
        assert str(twin) == "RECORD: because [a.py:1]"
