"""The worker's side of the background: what it does with a call that was enqueued in another process."""

import asyncio
from types import MethodType
from typing import Any

import pytest

from sideeffects import SideEffectBlocked, UnknownSideEffect, forbid, run_side_effects, side_effect, stub
from sideeffects._core.calls.parcel import Parcel
from sideeffects._core.runtime.worker import run_parcel

ran: list[Any] = []


@side_effect(name="background.post", async_ok=True)
def post(text: str) -> str:
    """Note that it ran."""
    ran.append(text)
    return f"posted {text}"


@side_effect(name="background.quote", async_ok=True, returns=lambda text: f"stub of {text}")
def quote(text: str) -> str:
    """Note that it ran."""
    ran.append(text)
    return f"quoted {text}"


@side_effect(name="background.later", async_ok=True)
async def later(text: str) -> str:
    """Note that it ran."""
    await asyncio.sleep(0)
    ran.append(text)
    return f"later {text}"


class Board:
    """Has an effect that is a class method."""

    @side_effect(name="background.pin", async_ok=True)
    @classmethod
    def pin(cls, text: str) -> tuple[str, str]:
        """Note that it ran."""
        ran.append(text)
        return cls.__name__, text

    @classmethod
    @side_effect(name="background.hang", async_ok=True)
    def hang(cls, text: str) -> tuple[str, str]:
        """Note that it ran."""
        ran.append(text)
        return cls.__name__, text


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    """Each test starts with nothing that ran."""
    ran.clear()


def arrive(name: str, *, is_forced: bool = False) -> Any:
    """Run a parcel as a worker gets it."""
    return run_parcel(Parcel("7-abc-1", name, ("hi",), {}, is_forced).to_data())


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("background.post", "posted hi"),
        ("background.later", "later hi"),
        ("background.pin", ("Board", "hi")),
        ("background.hang", ("Board", "hi")),
    ],
)
def test_a_worker_runs_what_a_test_named(name: str, result: object) -> None:
    """What was forced where it was enqueued runs in a worker that is in a test run, too."""
    assert arrive(name, is_forced=True) == result
    assert ran == ["hi"]


@pytest.mark.parametrize(
    ("name", "result"), [("background.post", None), ("background.later", None), ("background.quote", "stub of hi")]
)
def test_a_worker_in_a_test_run_holds_back_the_rest(name: str, result: object) -> None:
    """A worker obeys its own test run, and answers as a recorded call does."""
    assert arrive(name) == result
    assert ran == []


def test_a_worker_refuses_what_it_forbids() -> None:
    """The stricter of both decisions holds."""
    with forbid("background.post"), pytest.raises(SideEffectBlocked, match=r"background\.post"):
        arrive("background.post")
    assert ran == []


def test_stubs_of_the_worker_answer() -> None:
    """What an override of the worker says is what the call raises."""
    with stub("background.post", raises=TimeoutError("slow")), pytest.raises(TimeoutError, match="slow"):
        arrive("background.post")
    assert ran == []


def test_an_effect_that_the_worker_does_not_know_is_a_clear_failure() -> None:
    """It is not dropped in silence."""
    with pytest.raises(UnknownSideEffect, match=r"background\.pots.*background\.post"):
        arrive("background.pots")


def test_a_class_method_that_is_not_told_its_class_is_refused() -> None:
    """As Python binds them since 3.13, where `@classmethod` stands above; a first argument would become the class."""
    bound: Any = MethodType(vars(Board)["hang"].__func__, Board)
    with pytest.raises(TypeError, match=r"Board\.hang\.enqueue does not know its class: .* Write @side_effect above"):
        bound.enqueue("hi")
    assert ran == []


def test_wrong_arguments_are_told_to_who_enqueues(production: None) -> None:
    """In production as in a test: not to the background alone, where nobody may look."""
    send = side_effect(name="send", async_ok=True)(lambda to: None)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'to'"):
        send.enqueue()
    with pytest.raises(TypeError, match="unexpected keyword argument 'two'"):
        run_side_effects("r", [(send, {"two": 1}, True)])


def test_what_cannot_travel_is_refused_with_the_argument_named() -> None:
    """Arguments travel as JSON."""
    with pytest.raises(TypeError, match=r"'background.post' cannot be enqueued: text \(object\) cannot be serialised"):
        Parcel("7-abc-1", "background.post", (), {"text": object()}).to_data()
    with pytest.raises(TypeError, match="argument 1"):
        Parcel("7-abc-1", "background.post", ({1, 2},), {}).to_data()
