"""Values are described without evaluating them, and become what JSON can carry."""

import collections
import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
import time
import types
import uuid
from typing import Any

import pytest
from django.core.paginator import Page, Paginator
from django.db import models
from django.utils.functional import SimpleLazyObject, lazy
from django.utils.safestring import mark_safe

from sideeffects._core.values.describe import describe, jsonable, text_of
from sideeffects._core.values.kinds import MAX_TEXT, REDACTED, TOO_DEEP
from sideeffects._core.values.redaction import redact
from tests.support.strange_values import (
    NONE,
    Account,
    Broken,
    BrokenMapping,
    Headers,
    Point,
    copied,
    explode,
)

LAZY = {
    "translation": lazy(explode, str)("hello"),
    "lazy object": SimpleLazyObject(explode),
}


@pytest.mark.parametrize("kind", LAZY)
def test_lazy_objects_are_never_evaluated(kind: str) -> None:
    """Copied, redacted, described and made JSON-safe by their type alone, also inside containers of all kinds."""
    value = LAZY[kind]
    name = type(value).__name__
    holders: list[Any] = [
        value,
        [value],
        (value,),
        {"a": value},
        collections.OrderedDict(a=value),
        collections.deque([value]),
        Point(value, 1),
        Account(value),
        types.SimpleNamespace(a=value),
        types.MappingProxyType({"a": value}),
        ValueError(value),
        {"a": value}.values(),
        type("L", (list,), {})([value]),
    ]
    for holder in holders:
        twin, _ = copied(holder)
        clean = redact(twin, NONE)
        assert f"<{name}, not evaluated>" in describe(clean)
        assert f"<{name}, not evaluated>" in json.dumps(jsonable(clean))


@pytest.fixture(scope="module")
def order() -> Any:
    """A model whose `__str__` must not be called."""

    class Order(models.Model):  # noqa: DJ008 - it has one
        class Meta:
            app_label = "test_values"

        __str__ = explode
        __repr__ = explode

    return Order


def test_querysets_managers_and_pages_are_never_evaluated(order: Any) -> None:
    """No database is asked: pytest-django would refuse that."""
    queryset = order.objects.order_by("pk")
    for lazy_value in (queryset, order.objects, order.objects.raw("select 1")):
        kept, marks = copied({"a": [lazy_value]})
        assert kept["a"][0] is lazy_value
        assert marks == ["it['a'][0]"]
        for shown in (describe(redact(kept, NONE)), json.dumps(jsonable(kept))):
            assert "of Order, not evaluated>" in shown
    assert queryset._result_cache is None
    page = Page(queryset, 1, Paginator(queryset, 10))
    assert describe([page]) == "[<Page, not evaluated>]"


def test_models_are_described_by_class_and_key(order: Any) -> None:
    """A `__str__` of a model may ask the database."""
    assert describe(order(pk=7)) == "<Order pk=7>"
    assert jsonable([order()]) == ["<Order pk=None>"]


DESCRIBED: list[tuple[Any, str]] = [
    ({}, "{}"),
    ({"a": 1}, "{'a': 1}"),
    ([], "[]"),
    ([1, "a"], "[1, 'a']"),
    ((), "()"),
    ((1,), "(1,)"),
    ((1, 2), "(1, 2)"),
    (set(), "set()"),
    ({2, 1}, "{1, 2}"),
    (frozenset(), "frozenset()"),
    (frozenset({1}), "frozenset({1})"),
    (collections.OrderedDict(a=1), "OrderedDict({'a': 1})"),
    (collections.deque([1]), "deque([1])"),
    ({"a": 1}.items(), "dict_items([('a', 1)])"),
    ({"a": 1}.values(), "dict_values([1])"),
    (types.SimpleNamespace(a=1), "namespace(a=1)"),
    (types.MappingProxyType({"a": 1}), "mappingproxy({'a': 1})"),
    (Point(1, 2), "Point(x=1, password=2)"),
    (ValueError("a", 1), "ValueError('a', 1)"),
    (Broken(), "<Broken object, its repr raised RuntimeError>"),
    (BrokenMapping(), "<BrokenMapping object, its repr raised RuntimeError>"),
    (REDACTED, REDACTED),
    ("it's", '"it\'s"'),
]


@pytest.mark.parametrize(("value", "text"), DESCRIBED, ids=[text for _, text in DESCRIBED])
def test_values_are_described_as_repr_would(value: Any, text: str) -> None:
    """Without evaluating anything, and without raising."""
    assert describe(value) == text


def test_a_repr_that_its_author_wrote_is_used() -> None:
    """It may hide what its fields would show; one that the author did not want is not made up."""

    @dataclasses.dataclass
    class Careful:
        number: str

        def __repr__(self) -> str:
            return "Careful(****)"

    @dataclasses.dataclass(repr=False)
    class Silent:
        number: str

    assert describe(Careful("4242")) == "Careful(****)"
    assert "4242" not in describe(Silent("4242"))


def test_huge_values_cost_no_more_than_long_ones() -> None:
    """What nobody is shown is not worked out."""
    started = time.perf_counter()
    for huge in (list(range(3_000_000)), {number: [number] for number in range(300_000)}, "a" * 10_000_000):
        text = describe(huge)
        assert len(text) == MAX_TEXT
        assert text.endswith("…")
    assert time.perf_counter() - started < 30
    assert describe("a" * 100, 10) == "'aaaaaaaa…"
    assert describe([[[[[[[[[[1]]]]]]]]]]) == f"{'[' * 9}{TOO_DEEP}{']' * 9}"


def test_the_text_of_an_error_never_raises() -> None:
    """Whatever its `__str__` does."""

    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert text_of(ValueError("plain")) == "plain"
    assert text_of(Odd()) == "<its __str__ raised RuntimeError>"


JSON: list[tuple[Any, Any]] = [
    (None, None),
    (True, True),
    (1.5, 1.5),
    (float("nan"), "nan"),
    (float("-inf"), "-inf"),
    (decimal.Decimal("1.50"), "1.50"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (datetime.date(2024, 1, 2), "2024-01-02"),
    (datetime.datetime(2024, 1, 2, 3, 4, tzinfo=datetime.UTC), "2024-01-02T03:04:00+00:00"),
    (datetime.time(3, 4), "03:04:00"),
    (datetime.timedelta(minutes=1), 60.0),
    (b"a\xff", "a\\xff"),
    (pathlib.PurePosixPath("/a"), "/a"),
    (enum.Enum("Colour", {"RED": "red"})["RED"], "red"),
    (enum.IntEnum("Level", {"LOW": 1})["LOW"], 1),
    (mark_safe("safe"), "safe"),
    ({1: "a", "b": 2, mark_safe("c"): 3, None: 4}, {"1": "a", "b": 2, "c": 3, "None": 4}),
    ((1, [2], collections.deque([3])), [1, [2], [3]]),
    ({"b", "a"}, ["a", "b"]),
    (frozenset({2, 1}), [1, 2]),
    (types.SimpleNamespace(a=[1]), {"a": [1]}),
    ({"a": 1}.items(), [["a", 1]]),
    (Headers(accept="*"), {"accept": "*"}),
    (Account("ann"), {"name": "ann", "token": None}),
    (10**3000, hex(10**3000)),
    (-7, -7),
    (BrokenMapping(), "<BrokenMapping object, its repr raised RuntimeError>"),
    (complex(1, 2), "(1+2j)"),
]


@pytest.mark.parametrize(("value", "data"), JSON, ids=[str(number) for number in range(len(JSON))])
def test_values_become_what_json_can_carry(value: Any, data: Any) -> None:
    """`json.dumps` takes it, and it is the same in each process."""
    assert jsonable(value) == data
    assert json.loads(json.dumps(jsonable(value))) == data


def test_addresses_are_left_out_of_json() -> None:
    """They differ from run to run."""
    assert jsonable(object()) == "<object object>"
    assert "0x" not in json.dumps(jsonable({explode: explode}))
    assert jsonable([[[[[[[[[[1]]]]]]]]]]) == [[[[[[[[[TOO_DEEP]]]]]]]]]
