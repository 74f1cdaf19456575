"""`current_call`: which call a running effect is."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator

import pytest

from sideeffects import Call, SideEffectError, capture, current_call, force_run, side_effect
from sideeffects._core.calls.parcel import Parcel
from sideeffects._core.runtime.worker import run_parcel
from sideeffects._core.state.state import state

pytestmark = pytest.mark.usefixtures("own_registry")


@pytest.fixture(autouse=True)
def asked_for() -> None:
    """As importing it does; a test of production begins without."""
    state.show_current()


@pytest.mark.usefixtures("production")
def test_an_effect_knows_its_call_in_production() -> None:
    """The innermost one, in each kind of effect; nobody has to capture anything."""
    state.show_current()
    seen: list[Call] = []

    @side_effect(name="inner")
    def inner() -> None:
        seen.append(current_call())

    @side_effect(name="outer")
    def outer() -> None:
        inner()
        seen.append(current_call())

    @side_effect(name="later")
    async def later() -> None:
        await asyncio.sleep(0)
        seen.append(current_call())

    @side_effect(name="items")
    def items() -> Iterator[int]:
        seen.append(current_call())
        yield 1

    @side_effect(name="stream")
    async def stream() -> AsyncIterator[int]:
        seen.append(current_call())
        yield 1

    @side_effect(name="block")
    @contextlib.contextmanager
    def block() -> Generator[None]:
        seen.append(current_call())
        yield

    @side_effect(name="async_block")
    @contextlib.asynccontextmanager
    async def async_block() -> AsyncGenerator[None, None]:
        seen.append(current_call())
        yield

    async def all_async() -> None:
        await later()
        assert [item async for item in stream()] == [1]
        async with async_block():
            pass

    for _ in range(2):  # the fast switch stays on
        outer()
    assert list(items()) == [1]
    with block(), pytest.raises(SideEffectError):
        current_call()
    asyncio.run(all_async())
    names = ["inner", "outer", "inner", "outer", "items", "block", "later", "stream", "async_block"]
    assert [call.name for call in seen] == names
    assert len({call.id for call in seen}) == len(seen)


def test_a_worker_has_the_id_of_who_enqueued() -> None:
    """So that it stays the same over retries."""
    seen: list[str] = []

    @side_effect(name="inner", async_ok=True)
    def inner() -> None:
        seen.append(current_call().id)

    for _ in range(2):
        run_parcel(Parcel("7-abc-1", "inner", (), {}, True).to_data())
    assert seen == ["7-abc-1"] * 2
    with force_run(inner), capture() as calls:
        inner()
    assert seen[-1] == calls.one(inner).id


def test_what_outlives_an_effect_has_none() -> None:
    """A task that it has started goes on when its call is over: the key of that is none of what comes later."""

    @side_effect(name="outer")
    async def outer() -> asyncio.Task[None]:
        async def later() -> None:
            await asyncio.sleep(0)
            current_call()

        return asyncio.create_task(later())

    async def both() -> None:
        await (await outer())

    with force_run(outer), pytest.raises(SideEffectError, match="where no side effect is being executed"):
        asyncio.run(both())


def test_there_is_none_elsewhere() -> None:
    """The message says where to call it."""
    with pytest.raises(SideEffectError, match="where no side effect is being executed"):
        current_call()
