"""HOLD: between EXECUTE and RECORD, kept by whoever keeps held calls, refused where nobody does."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from sideeffects import (
    Mode,
    SideEffectBlocked,
    SideEffectError,
    capture,
    explain,
    force_run,
    hold,
    record,
    side_effect,
)
from sideeffects._core.calls.parcel import Parcel
from sideeffects._core.runtime.released import run_released
from sideeffects._core.runtime.worker import run_parcel
from sideeffects._core.state import extension_points
from sideeffects._core.state.runtime_effect import effect_of

pytestmark = pytest.mark.usefixtures("own_registry")


class Keeper:
    """Keeps calls in a list; refuses those to "nobody"."""

    def __init__(self) -> None:
        self.kept: list[tuple[Any, ...]] = []

    def keep(self, call: Any, declared: Any, instance: Any, args: Any, kwargs: Any) -> None:
        if "nobody" in args:
            raise SideEffectBlocked(call.name, "nobody can be reached later")
        self.kept.append((call.name, call.reason, args, kwargs))

    async def keep_async(self, *given: Any) -> None:
        await asyncio.sleep(0)
        self.keep(*given)


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    one = Keeper()
    forget = extension_points.keeper.add(one)
    yield one
    forget()


def test_hold_is_stricter_than_execute_and_looser_than_record() -> None:
    """The order of the modes."""
    assert sorted(Mode, key=lambda mode: [mode < other for other in Mode].count(True), reverse=True) == [
        Mode.EXECUTE,
        Mode.HOLD,
        Mode.RECORD,
        Mode.RAISE,
    ]


@pytest.mark.usefixtures("production")
def test_a_held_call_is_kept_and_answered_as_a_recorded_one(keeper: Keeper) -> None:
    """With its stub, its `returns` or `None`; the function does not run."""

    @side_effect(name="sms.send", returns=lambda to: f"held for {to}")
    def send(to: str) -> str:
        raise AssertionError

    with hold("sms.*"), capture() as calls:
        assert send("ann") == "held for ann"
    assert keeper.kept == [("sms.send", 'held by hold("sms.*")', ("ann",), {})]
    assert (calls[0].mode, calls[0].outcome.result) == (Mode.HOLD, "held for ann")
    with hold(), force_run(send), pytest.raises(AssertionError):
        send("ben")


@pytest.mark.usefixtures("production")
async def test_a_coroutine_is_held_when_it_is_awaited(keeper: Keeper) -> None:
    """By the keeper's own coroutine."""

    @side_effect(name="sms.send")
    async def send(to: str) -> str:
        raise AssertionError

    with hold():
        later = send("ann")
        assert keeper.kept == []
        assert await later is None
        with pytest.raises(SideEffectBlocked, match="nobody can be reached later"):
            await send("nobody")
    assert [args for _, _, args, _ in keeper.kept] == [("ann",)]


@pytest.mark.usefixtures("production")
def test_what_is_handed_to_the_background_is_held_too(keeper: Keeper) -> None:
    """Also what a worker decides to hold when it comes there."""

    @side_effect(name="sms.send", async_ok=True)
    def send(to: str) -> str:
        raise AssertionError

    with hold():
        assert send.enqueue("ann").result(5) is None
        assert run_parcel(Parcel("1-a-1", "sms.send", ("ben",), {}).to_data()) is None
    assert [args for _, _, args, _ in keeper.kept] == [("ann",), ("ben",)]


@pytest.mark.usefixtures("production")
def test_what_cannot_be_kept_is_refused(keeper: Keeper) -> None:
    """The refusal is the call's outcome."""

    @side_effect(name="sms.send")
    def send(to: str) -> str:
        raise AssertionError

    with hold(), capture() as calls, pytest.raises(SideEffectBlocked, match="nobody can be reached later"):
        send("nobody")
    assert isinstance(calls[0].outcome.error, SideEffectBlocked)


@pytest.mark.usefixtures("production")
async def test_without_the_outbox_a_held_call_is_refused() -> None:
    """Synchronous or not; the message says what is missing. Nor can such a process run a released call."""

    @side_effect(name="sms.send")
    def send(to: str) -> str:
        raise AssertionError

    @side_effect(name="sms.ring")
    async def ring(to: str) -> str:
        raise AssertionError

    with hold(), pytest.raises(SideEffectBlocked, match=r"add 'sideeffects\.outbox' to INSTALLED_APPS"):
        send("ann")
    with hold(), pytest.raises(SideEffectBlocked, match=r"add 'sideeffects\.outbox' to INSTALLED_APPS"):
        await ring("ann")
    with pytest.raises(SideEffectError, match="held call 7 cannot be executed by this process"):
        run_parcel(Parcel("1-a-1", "sms.send", (), {}, held="7").to_data())


def test_in_a_test_run_hold_counts_as_record(keeper: Keeper) -> None:
    """Nothing is kept, and `explain` says so."""

    @side_effect(name="sms.send")
    def send(to: str) -> str:
        raise AssertionError

    with hold(send), capture() as calls:
        assert send("ann") is None
        assert explain("sms.send").mode is Mode.RECORD
    assert (calls[0].mode, keeper.kept) == (Mode.RECORD, [])
    assert calls[0].reason == 'held by hold("sms.send"), which counts as RECORD in a test run'


@pytest.mark.usefixtures("production")
def test_releasing_lifts_the_hold_and_nothing_else() -> None:
    """A call that is released executes under a HOLD, under the id that it had; RECORD and RAISE hold."""
    sent = []

    @side_effect(name="sms.send")
    def send(to: str) -> None:
        sent.append(to)
        if to == "bad":
            raise ValueError(to)

    @side_effect(name="sms.ring")
    async def ring(to: str) -> None:
        sent.append(to)

    def release(effect: Any, to: str) -> Any:
        found = effect_of(effect)
        return run_released(
            found.declared, found.function, None, (to,), {}, number="7-abc-1", run_id=None, origin="a request"
        )

    with hold():
        ran = release(send, "ann")
        assert (ran.call.id, ran.call.origin, ran.call.mode, ran.error) == ("7-abc-1", "a request", Mode.EXECUTE, None)
        assert release(ring, "ben").error is None
        assert isinstance(release(send, "bad").error, ValueError)
    with record():
        ran = release(send, "cay")
    assert (ran.call.mode, ran.error) == (Mode.RECORD, None)
    assert sent == ["ann", "ben", "bad"]
