"""`SIDE_EFFECTS["CHECK_STUBS"]`: what stubs and `returns` give is held against the effect's return annotation."""

import asyncio
import contextlib
import dataclasses
import pickle
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Self

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from sideeffects import StubMismatch, capture, record, side_effect, stub

pytest.importorskip("typeguard")

pytestmark = pytest.mark.usefixtures("own_registry")


@pytest.fixture(autouse=True)
def checked() -> Iterator[None]:
    """With the setting."""
    with override_settings(SIDE_EFFECTS={"CHECK_STUBS": True}):
        yield


@dataclasses.dataclass
class Rate:
    """What the effects here give."""

    value: float


def rates(currency: str) -> dict[str, list[int]]:
    raise AssertionError(currency)


def test_an_answer_of_another_type_is_refused() -> None:
    """The error says where in the answer, and is the outcome of the call."""
    get = side_effect(name="rates.get")(rates)
    with stub(get, returns={"EUR": [1, "two"]}), capture() as calls:
        with pytest.raises(
            StubMismatch, match=r"item 1 of value of key 'EUR' of dict is not an instance of int"
        ) as caught:
            get("EUR")
        assert calls.one(get).outcome is not None
    assert calls[0].outcome is not None
    assert calls[0].outcome.error is caught.value
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    with stub(get, returns={"EUR": [1]}):
        assert get("EUR") == {"EUR": [1]}
    with stub(get, returns=lambda currency: {currency: "none"}), pytest.raises(StubMismatch):
        get("EUR")


def test_the_declarations_own_answer_is_held_to_it() -> None:
    """What `returns` says, too."""
    get: Any = side_effect(name="rates.get", returns=[])(rates)
    with pytest.raises(StubMismatch, match="is not a dict"):
        get("EUR")


def test_what_was_left_out_or_cannot_be_told_is_not_checked() -> None:
    """Without `returns`, the answer is `None`; other answers are anybody's."""

    class Gateway:
        @side_effect(name="a.self")
        def same(self) -> Self:
            return self

    def nowhere() -> "NotThere":  # type: ignore[name-defined]  # noqa: F821
        ...

    assert side_effect(name="a.left_out")(rates)("EUR") is None  # type: ignore[comparison-overlap]
    unresolved: Any = side_effect(name="a.unresolved")(nowhere)
    plain: Any = side_effect(name="a.plain")(lambda: 1)
    committed: Any = side_effect(name="a.on_commit", on_commit=True)(rates)
    for effect, arguments in ((Gateway().same, ()), (unresolved, ()), (plain, ()), (committed, ("EUR",))):
        with stub(effect, returns="anything"):
            effect(*arguments)


def test_asynchronous_effects_and_streams() -> None:
    """Coroutines once they are awaited, streams item by item, and what `as` gets of a context manager."""

    @side_effect(name="rates.fetch")
    async def fetch() -> Rate: ...  # type: ignore[empty-body]

    @side_effect(name="rates.all")
    def all_of_them() -> Iterator[Rate]:
        yield Rate(1)

    @side_effect(name="rates.stream")
    async def stream() -> AsyncIterator[Rate]:
        yield Rate(1)

    @side_effect(name="rates.session")
    @contextlib.contextmanager
    def session() -> Iterator[Rate]:
        yield Rate(1)

    async def wrong() -> str:
        return "two"

    async def items() -> list[Any]:
        return [item async for item in stream()]

    def entered() -> None:
        with session() as rate:
            assert rate == Rate(2)

    cases: list[tuple[Any, Any, Any, Callable[[], Any]]] = [
        (fetch, wrong, Rate(2), lambda: asyncio.run(awaited(fetch()))),
        (all_of_them, [Rate(1), "two"], [Rate(2)], lambda: list(all_of_them())),
        (stream, [Rate(1), "two"], [Rate(2)], lambda: asyncio.run(items())),
        (session, "two", Rate(2), entered),
    ]
    for effect, bad, good, call in cases:
        with stub(effect, returns=bad), pytest.raises(StubMismatch):
            call()
        with stub(effect, returns=good):
            call()


async def awaited(coroutine: Awaitable[Any]) -> Any:
    return await coroutine


def test_nothing_is_checked_unless_it_is_asked_for() -> None:
    """Nor in production, whatever the setting."""
    get: Any = side_effect(name="rates.get")(rates)
    with override_settings(SIDE_EFFECTS={}), stub(get, returns="two"):
        assert get("EUR") == "two"


def test_production_answers_as_declared(production: None) -> None:
    """A recorded call must not fail there for a wrong annotation."""
    get: Any = side_effect(name="rates.get", returns="two")(rates)
    with record(get):
        assert get("EUR") == "two"


def test_the_setting_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flag, and its package."""
    get: Any = side_effect(name="rates.get")(rates)
    with (
        override_settings(SIDE_EFFECTS={"CHECK_STUBS": "yes"}),
        pytest.raises(ImproperlyConfigured, match="True or False"),
    ):
        get("EUR")
    monkeypatch.setattr("sideeffects.settings.check_stubs.find_spec", lambda _: None)
    with override_settings(SIDE_EFFECTS={"CHECK_STUBS": True}), pytest.raises(ImproperlyConfigured, match="typeguard"):
        get("EUR")
