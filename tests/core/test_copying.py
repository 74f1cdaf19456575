"""Arguments are kept as they were at the call."""

import collections
import dataclasses
import decimal
import enum
import fractions
import itertools
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
    assert sorted(marks) == ["it['a'][0]", "it['a'][1]['b c']", "it['r']", "it[3].name"]


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


def test_long_chains_are_copied_to_their_end() -> None:
    """However deep lists, mappings and objects hold each other, each is copied."""
    last: list[Any] = []
    chain: Any = last
    for _ in range(2_000):
        chain = Account({"next": [chain]})
    twin, marks = copied(chain)
    last.append("added later")
    while isinstance(twin, Account):
        twin = twin.name["next"][0]
    assert twin == []
    assert marks == []


def test_tuples_that_are_nested_without_end_are_cut() -> None:
    """Past a depth that no data has, the rest is kept by reference."""
    deep: Any = [1]
    for _ in range(500):
        deep = (deep,)
    twin, marks = copied(deep)
    assert len(marks) == 1
    assert twin is not deep


class Linked(Account):
    """Counts how often it is copied."""

    copies = 0

    def __copy__(self) -> Any:
        type(self).copies += 1
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        return twin


def linked(number: int) -> list[Any]:
    """So many objects in a list, each of which holds both its neighbours, by itself and in a mapping."""
    chain = [Linked({}, "s3cret") for _ in range(number)]
    for before, after in itertools.pairwise(chain):
        before.name["next"], after.name["before"] = after, before
        before.hidden = after
    return chain


@pytest.mark.parametrize(
    "walk", [lambda value: copied(value)[0], lambda value: redact(value, NONE)], ids=["copy", "redact"]
)
def test_each_object_is_visited_once_however_many_hold_it(walk: Any) -> None:
    """Copying and redacting take as long as there are objects, not paths, and keep the shape."""
    chain = linked(1_000)
    Linked.copies = 0
    twins = walk(chain)
    assert Linked.copies == len(chain)
    for before, after in itertools.pairwise(twins):
        assert before.hidden is before.name["next"] is after
        assert after.name["before"] is before
    assert twins[0] is not chain[0]


def test_what_copies_itself_to_itself_is_kept_by_reference() -> None:
    """Filling such a copy would change the original."""

    class Same(list[Any]):
        def __copy__(self) -> Any:
            return self

    same = Same([[1]])
    inner = same[0]
    twin, marks = copied({"a": same})
    assert twin["a"] is same
    assert same[0] is inner
    assert marks == ["it['a']"]


def test_what_cannot_be_filled_is_marked() -> None:
    """A dataclass whose copy refuses other values holds what the original holds."""

    @dataclasses.dataclass
    class Sealed:
        items: Any

        def __copy__(self) -> Any:
            return 5

    twin, marks = copied([Sealed([1])])
    assert twin == [5]
    assert marks == ["it[0]"]


def test_a_dataclass_with_a_field_that_is_not_set_is_copied() -> None:
    """Fields may be missing from an instance."""
    account = Account("ann")
    del account.__dict__["name"]
    assert not hasattr(copied(account)[0], "name")
    assert describe(redact(account, NONE)) == f"Account(name=None, token={REDACTED})"
