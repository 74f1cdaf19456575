"""What pauses say of a call: they are asked outside test runs alone, and only make decisions stricter."""

from collections.abc import Iterator

import pytest

from sideeffects import Mode, SideEffectBlocked, explain, force_run, record, side_effect
from sideeffects._core.calls.decision import Decision
from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.runtime.worker import decide_here
from sideeffects._core.state import extension_points
from sideeffects._core.state.runtime_effect import declared_named
from sideeffects._core.state.state import state

pytestmark = pytest.mark.usefixtures("own_registry")

Asked = list[tuple[str, Mode]]


@pytest.fixture
def asked(request: pytest.FixtureRequest) -> Iterator[tuple[Asked, dict[str, Mode]]]:
    """What was asked, and what is paused. After `production`, where a test asks for that."""
    if "production" in request.fixturenames:
        request.getfixturevalue("production")
    asked: Asked = []
    paused: dict[str, Mode] = {}

    def ask(effect: SideEffect, mode: Mode) -> Decision | None:
        asked.append((effect.name, mode))
        return Decision(paused[effect.name], "paused by ann", "pause 1") if effect.name in paused else None

    forget = extension_points.pauses.add(ask)
    leave = state.switches.keep_on(ask)  # as whoever adds one does
    yield asked, paused
    forget()
    leave()
    assert not extension_points.pauses.is_filled


def test_the_stricter_of_a_decision_and_a_pause_holds(production: None, asked: tuple[Asked, dict[str, Mode]]) -> None:
    """For calls, for `explain` and in workers; overrides included."""
    told, paused = asked

    @side_effect(name="sms.send")
    def send() -> str:
        return "sent"

    assert send() == "sent"
    assert told == [("sms.send", Mode.EXECUTE)]
    paused["sms.send"] = Mode.RECORD
    assert send() is None
    with force_run(send):
        assert send() is None
        assert str(explain("sms.send")) == "RECORD: paused by ann [pause 1]"
    assert decide_here(declared_named("sms.send"), {})[0].mode is Mode.RECORD
    paused["sms.send"] = Mode.RAISE
    with record(send), pytest.raises(SideEffectBlocked, match="paused by ann"):
        send()
    paused["sms.send"] = Mode.EXECUTE
    with record(send):
        assert send() is None


def test_a_test_run_asks_no_pause(asked: tuple[Asked, dict[str, Mode]]) -> None:
    """Neither for calls, nor for `explain`, nor in a worker."""
    told, paused = asked

    @side_effect(name="sms.send")
    def send() -> str:
        return "sent"

    paused["sms.send"] = Mode.RAISE
    with force_run(send):
        assert send() == "sent"
        explain("sms.send")
        decide_here(declared_named("sms.send"), {})
    assert told == []
