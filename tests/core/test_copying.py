"""Arguments are kept as they were at the call."""

import collections
import decimal
import enum
import fractions
import pathlib
import re
from typing import Any

import pytest
from django.http import QueryDict

from sideeffects._core.values.describe import describe
from sideeffects._core.values.kinds import REDACTED
from sideeffects._core.values.redaction import redact
from tests.support.strange_values import (
    NONE,
    Account,
    Broken,
    Frozen,
    Point,
    copied,
    explode,
)


def changed(value: Any) -> None:
    """Change a container in place, all the way down."""
    if isinstance(value, dict):
        for child in value.values():
            changed(child)
        value["added later"] = 1
    elif isinstance(value, (list, collections.deque)):
        for child in value:
            changed(child)
        value.append("added later")
    elif isinstance(value, set):
        value.add("added later")
    elif isinstance(value, bytearray):
        value.extend(b"added later")
    elif isinstance(value, tuple):
        for child in value:
            changed(child)
    elif isinstance(value, Account):
        changed(value.name)
        value.token = "added later"
    elif isinstance(value, Frozen):
        changed(value.items)


MUTABLE = [
    {"a": [1, {"b": {2}}]},
    [[1], [2]],
    ([1], {"a": 1}),
    {1, 2},
    collections.deque([[1]], maxlen=5),
    collections.OrderedDict(b=[1], a=[2]),
    collections.defaultdict(list, a=[1]),
    collections.Counter("abc"),
    bytearray(b"abc"),
    Point([1], {"a": 1}),
    Account(["ann"]),
    Frozen([1]),
    type("Names", (list,), {})([["ann"]]),
    type("Tags", (set,), {})(["a"]),
    type("Pair", (tuple,), {})([["ann"]]),
    QueryDict("a=1&a=2", mutable=True),
]


@pytest.mark.parametrize("value", MUTABLE, ids=lambda value: type(value).__name__)
def test_a_copy_does_not_see_what_happens_to_the_original(value: Any) -> None:
    """Containers of all kinds are kept with type and content as they are now, all the way down."""
    before = repr(value)
    twin, marks = copied(value)
    changed(value)
    assert repr(value) != before
    assert repr(twin) == before
    assert type(twin) is type(value)
    assert marks == []


def test_what_never_changes_is_not_copied() -> None:
    """Scalars, functions, classes and enumerations are kept as they are, unmarked."""
    colour = enum.Enum("Colour", "RED")
    values = [None, 1, 1.5, "a", b"a", decimal.Decimal(1), len, explode, Account, colour.RED, re, re.compile("a")]
    for value in [*values, frozenset({1}), pathlib.PurePosixPath("a"), fractions.Fraction(1, 2), ...]:
        twin, marks = copied(value)
        assert twin is value or twin == value
        assert marks == []


def test_what_cannot_be_copied_is_kept_by_reference_and_marked() -> None:
    """Each mark is the path that leads to the value."""
    socket, broken = object(), Broken()

    class Refusing(dict[str, Any]):
        __copy__ = explode

    refusing = Refusing(a=1)
    twin, marks = copied({"a": [socket, {"b c": broken}], 3: Account(socket), "r": refusing})
    assert twin["a"][0] is socket
    assert twin["r"] is refusing
    assert marks == ["it['a'][0]", "it['a'][1]['b c']", "it[3].name", "it['r']"]


def test_shared_and_circular_structures_keep_their_shape() -> None:
    """What was one object is one object in the copy, and a circle stays one."""
    shared = [1]
    circle: list[Any] = [shared, shared]
    circle.append(circle)
    twin, marks = copied(circle)
    assert twin[0] is twin[1] is not shared
    assert twin[2] is twin
    assert marks == []
    account = Account([])
    account.name.append(account)
    again = copied(account)[0]
    assert again.name[0] is again


def test_what_is_nested_without_end_is_cut() -> None:
    """Past a depth that no data has, the rest is kept by reference."""
    deep: list[Any] = []
    for _ in range(500):
        deep = [deep]
    twin, marks = copied(deep)
    assert len(marks) == 1
    assert twin is not deep


def test_a_dataclass_with_a_field_that_is_not_set_is_copied() -> None:
    """Fields may be missing from an instance."""
    account = Account("ann")
    del account.__dict__["name"]
    assert not hasattr(copied(account)[0], "name")
    assert describe(redact(account, NONE)) == f"Account(name=None, token={REDACTED})"
