"""Values that can be held against a plan, and those that look the same whatever is in them."""

import dataclasses
import datetime
import decimal
import enum
import io
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from sideeffects.dryrun.comparable import is_comparable


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: object


@dataclasses.dataclass
class Half:
    x: int
    y: int = dataclasses.field(default=0, repr=False)


class Row:
    _meta = "as a model has it"

    def __init__(self, pk: int | None) -> None:
        self.pk = pk


class Shown:
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class Broken:
    def __repr__(self) -> str:
        raise ZeroDivisionError


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 1


def numbers() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    "value",
    [
        None,
        1 << 4000,
        "x" * 5000,
        b"x" * 5000,
        decimal.Decimal("1.0"),
        datetime.date(2026, 1, 1),
        Colour.RED,
        {"a": [1, (2, {3})], 4: SimpleNamespace(b=5)},
        Point(Point(1)),
        Row(1),
        Shown("<a point>"),
        len,
        nested,
        Shown,
        nested(7),
    ],
)
def test_told(value: Any) -> None:
    """Plain values, what is made of them, rows, and objects that show what they are."""
    assert is_comparable(value)


@pytest.mark.parametrize(
    "value",
    [
        object(),
        io.BytesIO(b"x"),
        numbers(),
        lambda: 1,
        Half(1),
        Row(None),
        Shown("<Shown at 0x7f>"),
        Shown("x" * 2000),
        Broken(),
        nested(20),
        [[number] for number in range(30_000)],
    ],
)
def test_untold(value: Any) -> None:
    """Objects that show nothing of themselves, or not all; and what is too deep or too much."""
    assert not is_comparable(value)
    assert not is_comparable(Point([value]))
    assert not is_comparable({"in": value})
