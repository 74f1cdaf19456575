"""Gates: who may refuse a call once it has been decided, before anything of it happens."""

import threading
from typing import Any

import pytest

from sideeffects import Mode, capture, forbid, record, side_effect
from sideeffects._core.policy.policy import standing
from sideeffects._core.policy.rules import Rules
from sideeffects._core.state.state import state
from sideeffects.errors import PlanChanged, SideEffectBlocked, SideEffectError

pytestmark = pytest.mark.usefixtures("own_registry")


@pytest.fixture
def executed() -> list[str]:
    return []


@pytest.fixture
def send(executed: list[str]) -> Any:
    @side_effect(name="sms.send", async_ok=True)
    def send(to: str) -> None:
        """Send."""
        executed.append(to)

    return send


def test_a_gate_refuses_a_call_that_would_execute(production: None, send: Any, executed: list[str]) -> None:
    """In whichever thread, also where the fast switch was off before; what it lets pass executes."""
    send("settled")
    send("settled")
    refused: list[BaseException] = []

    def gate(call: Any) -> SideEffectError | None:
        return PlanChanged(call.name, "no") if call.arguments["to"] == "bad" else None

    def other() -> None:
        try:
            send("bad")
        except PlanChanged as error:
            refused.append(error)

    remove = state.add_gate(gate)
    try:
        send("good")
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        with pytest.raises(PlanChanged, match="and that differs from the plan: no"):
            send("bad")
    finally:
        remove()
        remove()
    send("bad")
    assert executed == ["settled", "settled", "good", "bad"]
    assert len(refused) == 1


def test_a_gate_is_asked_once_of_a_recorded_call_and_of_one_in_the_background(
    production: None, send: Any, executed: list[str]
) -> None:
    """A call that is handed to the background is asked of where it is decided, and not again where it runs."""
    seen: list[tuple[str, Mode]] = []

    def gate(call: Any) -> None:
        seen.append((call.arguments["to"], call.mode))

    remove = state.add_gate(gate)
    try:
        with record("sms.send"), capture() as calls:
            send("recorded")
        assert calls.count("sms.send") == 1
        send.enqueue("later").result(timeout=30)
    finally:
        remove()
    assert seen == [("recorded", Mode.RECORD), ("later", Mode.EXECUTE)]
    assert executed == ["later"]


def test_a_gate_of_a_test_run_is_asked_before_a_recorded_call_ends(send: Any) -> None:
    """What a policy refuses stays refused by the policy."""
    seen: list[str] = []
    remove = state.add_gate(lambda call: seen.append(call.name))
    try:
        send("recorded")
        with pytest.raises(SideEffectBlocked), forbid("sms.send"):
            send("forbidden")
    finally:
        remove()
    assert seen == ["sms.send", "sms.send"]


def test_a_gate_that_is_left_open_is_told(production: None) -> None:
    """By the state that is put back after a test of what happens in production."""
    put_back = state.set_aside()
    state.add_gate(print)
    assert put_back() == ["the gate <built-in function print>"]


def test_rules_that_hold_back_let_reads_pass() -> None:
    """Outside a test run nothing else executes under them, whatever a policy says; in one they say nothing."""

    @side_effect(name="rates.get", reads=True)
    def get() -> int:
        """Read."""
        return 1

    @side_effect(name="rates.set")
    def put() -> None:
        """Write."""

    rules = Rules(holds_back=True, mode=Mode.EXECUTE)
    assert standing(rules, get.effect, False, None).decision.mode is Mode.EXECUTE
    assert standing(rules, put.effect, False, None).decision.mode is Mode.RECORD
    assert "only what reads" in standing(rules, put.effect, False, None).decision.reason
    assert standing(rules, get.effect, True, None).decision.mode is Mode.RECORD


def test_plan_changed_says_what_to_do() -> None:
    """Its fields are kept, and an argument that differs each time is named as `--ignore` takes it."""
    error = PlanChanged("sms.send", "its argument 'at' is 2, and in the plan it is 1", "a.py:1", "at", "1", "2")
    assert (error.name, error.argument, error.planned, error.given, error.caller) == (
        "sms.send",
        "at",
        "1",
        "2",
        "a.py:1",
    )
    assert "called at a.py:1, and that differs from the plan" in str(error)
    assert "--ignore sms.send.at" in str(error)
    assert "--ignore" not in str(PlanChanged("sms.send", "the plan has no further call here"))
