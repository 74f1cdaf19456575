"""What only makes decisions stricter: the floor of the environment, pauses, budgets, in this order after the table."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings
from hypothesis import given, settings, strategies as st

from sideeffects import (
    Mode,
    SideEffectBlocked,
    budget,
    capture,
    explain,
    forbid,
    force_run,
    hold,
    record,
    redirect,
    side_effect,
    stub,
)
from sideeffects._core.calls.decision import Decision
from sideeffects._core.calls.incoming import Arrival, arriving
from sideeffects._core.calls.parcel import Parcel
from sideeffects._core.runtime.released import run_released
from sideeffects._core.runtime.worker import run_parcel
from sideeffects._core.state import extension_points, live as live_lines
from sideeffects._core.state.floor import floor_in
from sideeffects._core.state.live import Live, live_in
from sideeffects._core.state.state import state

pytestmark = pytest.mark.usefixtures("own_registry")

ran: list[str] = []


class Kept:
    """Keeps what is held, in a list."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def keep(self, call: Any, declared: Any, instance: Any, args: Any, kwargs: Any) -> None:
        self.calls.append((call, args, kwargs))

    async def keep_async(self, call: Any, declared: Any, instance: Any, args: Any, kwargs: Any) -> None:
        self.keep(call, declared, instance, args, kwargs)


@pytest.fixture
def send() -> Any:
    """The effect."""
    ran.clear()

    @side_effect(name="sms.send", async_ok=True)
    def send(to: str = "Ada") -> str:
        ran.append(to)
        return to

    return send


@pytest.fixture
def kept() -> Iterator[Kept]:
    """What is held in the test."""
    keeper = Kept()
    remove = extension_points.keeper.add(keeper)
    yield keeper
    remove()


@pytest.fixture
def floor(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the environment of this process have said something when it began."""

    def set_floor(text: str) -> None:
        monkeypatch.setattr(state, "floor", floor_in({"SIDE_EFFECTS_MODE": text}))

    return set_floor


def policy(value: Any, pattern: str = "sms.send") -> override_settings:
    """Settings with this for the effect."""
    return override_settings(SIDE_EFFECTS={"POLICY": {pattern: value}})


# -- the floor


def test_what_the_environment_may_say() -> None:
    """A mode in any case; nothing where it is empty; everything else refuses."""
    assert floor_in({}) is None
    assert floor_in({"SIDE_EFFECTS_MODE": " "}) is None
    for text in ("hold", "RECORD", "Raise "):
        decision = floor_in({"SIDE_EFFECTS_MODE": text})
        assert decision is not None
        assert decision.mode is Mode(text.strip())
    for text in ("execute", "holdd", "1"):
        decision = floor_in({"SIDE_EFFECTS_MODE": text})
        assert decision is not None
        assert decision.mode is Mode.RAISE
        assert f"SIDE_EFFECTS_MODE is '{text}', which is not one of hold, record, raise" in decision.reason


@pytest.mark.usefixtures("production")
def test_a_floor_holds_for_every_door(send: Any, floor: Any, kept: Kept) -> None:
    """Calls, overrides, the background, what arrives at a worker, forced or not, and what is released."""
    floor("hold")
    came = Parcel("7-abc-1", "sms.send", (), {}, True).to_data()
    released: dict[str, Any] = {"number": "7-abc-1", "run_id": None, "origin": ""}
    with force_run(send):
        assert send() is None
        assert send.enqueue().result(5) is None
    assert run_parcel(came) is None
    assert run_released(send._self_declared, send.__wrapped__, None, (), {}, **released).call.mode is Mode.HOLD
    assert str(explain(send)) == "HOLD: SIDE_EFFECTS_MODE is hold [SIDE_EFFECTS_MODE in the environment]"
    assert len(kept.calls) == 3
    floor("raise")
    with stub(send, returns="stubbed"), pytest.raises(SideEffectBlocked, match="SIDE_EFFECTS_MODE is raise"):
        send()
    with pytest.raises(SideEffectBlocked):
        run_parcel(came)
    assert not ran


def test_a_floor_holds_in_a_test_run_too(send: Any, floor: Any) -> None:
    """HOLD counts as RECORD there; a stub stays where the floor allows it."""
    floor("hold")
    with force_run(send), capture() as calls:
        assert send() is None
    assert calls.one(send).mode is Mode.RECORD
    assert "which counts as RECORD in a test run" in calls.one(send).reason
    with stub(send, returns="stubbed"):
        assert send() == "stubbed"
    floor("raise")
    with stub(send, returns="stubbed"), pytest.raises(SideEffectBlocked):
        send()
    assert not ran


@pytest.mark.parametrize("is_test_run", [True, False])
def test_what_a_floor_decides_is_kept_with_the_floor(
    send: Any, floor: Any, request: pytest.FixtureRequest, is_test_run: bool
) -> None:
    """The next call is answered alike, a stricter pause counts all the same, and another floor is another answer."""
    if not is_test_run:
        request.getfixturevalue("production")
    for text, mode in (("raise", Mode.RAISE), ("record", Mode.RECORD)):
        floor(text)
        for _ in range(2):
            assert decided_now(send) is mode
    with policy("RAISE"):
        assert decided_now(send) is Mode.RAISE
    with policy(budget(5, per="hour")):
        assert decided_now(send) is Mode.RECORD
    remove = extension_points.pauses.add(lambda *_: Decision(Mode.RAISE, "paused"))
    try:
        assert decided_now(send) is (Mode.RECORD if is_test_run else Mode.RAISE)
    finally:
        remove()
    assert not ran


def decided_now(send: Any) -> Mode:
    """The mode in which a call is written down."""
    with capture() as calls, suppress(SideEffectBlocked):
        send()
    return calls.one(send).mode


MODES = st.sampled_from(["EXECUTE", "HOLD", "RECORD", "RAISE", None])
OVERRIDES = st.lists(st.sampled_from([force_run, record, forbid, hold, "stub"]), max_size=3)


@pytest.mark.usefixtures("production")
@settings(max_examples=60)
@given(
    text=st.sampled_from(["hold", "record", "raise", "nonsense"]),
    mode=MODES,
    ruled=st.one_of(MODES, st.sampled_from([redirect(to="QA"), budget(5, per="hour"), lambda *_: "EXECUTE"])),
    overrides=OVERRIDES,
    pause=MODES,
    is_async=st.booleans(),
)
def test_no_program_executes_under_a_floor(
    text: str, mode: Any, ruled: Any, overrides: list[Any], pause: Any, is_async: bool
) -> None:
    """Whatever settings, policies, overrides and pauses say, and never looser than the floor."""
    ran.clear()

    @side_effect(name="sms.send", async_ok=True)
    def send(to: str = "Ada") -> None:
        ran.append(to)

    said = {"MODE": mode, "POLICY": {} if ruled is None else {"sms.send": ruled}}
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setattr(state, "floor", floor_in({"SIDE_EFFECTS_MODE": text}))
        stack.callback(extension_points.keeper.add(Kept()))
        stack.callback(extension_points.counter.add(lambda *_: True))
        if pause is not None:
            stack.callback(extension_points.pauses.add(lambda *_: Decision(Mode(pause), "paused")))
        stack.enter_context(override_settings(SIDE_EFFECTS=said))
        for override in overrides:
            stack.enter_context(stub(send, returns=1) if override == "stub" else override(send))
        calls = stack.enter_context(capture())
        try:
            if is_async:
                send.enqueue()
            else:
                send()
        except SideEffectBlocked:
            pass
        floor = state.floor
        assert floor is not None
        assert all(call.mode >= floor.mode for call in calls)
    assert len(calls) == 1
    assert not ran


# -- pauses


@pytest.mark.usefixtures("production")
def test_a_pause_comes_after_a_redirect_and_only_makes_stricter(send: Any, kept: Kept) -> None:
    """A held call keeps the redirected arguments; what is stricter stays, overrides included."""
    remove = extension_points.pauses.add(lambda effect, mode: Decision(Mode.HOLD, "paused by Ada"))
    try:
        with policy(redirect(to="QA")):
            assert send("Ada") is None
        with force_run(send):
            assert send("Eve") is None
        with record(send), capture() as calls:
            send()
        assert calls.one(send).mode is Mode.RECORD
        assert explain(send).reason == "paused by Ada"
    finally:
        remove()
    (first, args, _), (second, *_) = kept.calls
    assert (first.arguments, first.asked, args) == ({"to": "QA"}, {"to": "Ada"}, ("QA",))
    assert second.reason == "paused by Ada"
    assert not ran


# -- budgets


@pytest.fixture
def counted() -> Iterator[list[tuple[str, int, int]]]:
    """Counts in a list."""
    asked: list[tuple[str, int, int]] = []

    def count(what: str, seconds: int, limit: int) -> bool:
        asked.append((what, seconds, limit))
        return len(asked) <= limit

    remove = extension_points.counter.add(count)
    yield asked
    remove()


@pytest.mark.usefixtures("production")
def test_what_exceeds_a_budget_gets_its_mode(send: Any, counted: list[Any], kept: Kept) -> None:
    """HOLD unless it says otherwise; only what would execute is counted."""
    with policy(budget(2, per="hour")), capture() as calls:
        with record(send):
            send("nobody")
        results = [send(str(number)) for number in range(3)]
        with force_run(send):
            assert send("forced") == "forced"
    assert results == ["0", "1", None]
    assert counted == [("sms.send", 3600, 2)] * 3
    assert calls[-2].mode is Mode.HOLD
    assert calls[-2].reason == (
        "POLICY['sms.send'] is budget(2, per='hour', then='HOLD'), and 2 calls have executed in this hour"
    )
    with policy(budget(0, per="day", then="RAISE"), "sms.*"), pytest.raises(SideEffectBlocked, match="0 calls"):
        send()
    assert len(kept.calls) == 1


@pytest.mark.usefixtures("production")
def test_a_budget_that_cannot_count_is_past_its_limit(send: Any) -> None:
    """Whatever the store raises."""

    def broken(*_: object) -> bool:
        raise OSError("no cache")

    remove = extension_points.counter.add(broken)
    try:
        with policy(budget(5, per="minute", then="RECORD")), capture() as calls:
            assert send() is None
    finally:
        remove()
    assert calls.one(send).mode is Mode.RECORD
    assert "nobody can tell how many calls have executed (OSError: no cache)" in calls.one(send).reason
    assert not ran


@pytest.mark.usefixtures("production")
def test_a_call_is_counted_where_it_is_made(send: Any, counted: list[Any]) -> None:
    """Not again by the worker, nor when it is released, nor by `explain`."""
    with policy(budget(5, per="minute")):
        assert send.enqueue().result(5) == "Ada"
        run_parcel(Parcel("7-abc-1", "sms.send", (), {}).to_data())
        assert "budget(5" in explain(send).reason
    assert len(counted) == 1


def test_a_budget_asks_no_store_in_a_test_run(send: Any, counted: list[Any]) -> None:
    """It never counts there."""
    with policy(budget(0, per="minute")), force_run(send):
        assert send() == "Ada"
    with policy(budget(0, per="minute")):
        assert send() is None
    assert not counted


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ({"limit": 1.5, "per": "hour"}, TypeError, "limit must be a whole number of calls, not 1.5"),
        ({"limit": True, "per": "hour"}, TypeError, "limit must be a whole number"),
        ({"limit": -1, "per": "hour"}, ValueError, "limit must be 0 or more calls"),
        ({"limit": 1, "per": "week"}, ValueError, "per must be one of 'minute', 'hour', 'day', not 'week'"),
        ({"limit": 1, "per": "day", "then": "EXECUTE"}, ValueError, "not EXECUTE"),
        ({"limit": 1, "per": "day", "then": "HALT"}, ValueError, "HALT"),
    ],
)
def test_what_makes_no_budget(values: dict[str, Any], error: type[Exception], said: str) -> None:
    """Said where it is written."""
    with pytest.raises(error, match=said):
        budget(**values)


# -- lines of decisions


def test_each_decision_is_a_line_at_once(send: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redacted, before anything happens; a line that cannot be written refuses the call."""

    @side_effect(name="card.charge", details=lambda token: {"token": token})
    def charge(token: str) -> None:
        raise AssertionError("executed")

    path = tmp_path / "live.jsonl"
    monkeypatch.setattr(state, "live", Live(str(path)))
    charge("abcd1234")
    with force_run(send):
        send("Ada")
    with forbid(send), pytest.raises(SideEffectBlocked):
        send()
    run_parcel(Parcel("7-abc-1", "sms.send", (), {}, True).to_data())
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["name"], line["mode"]) for line in lines] == [
        ("card.charge", "record"),
        ("sms.send", "execute"),
        ("sms.send", "raise"),
        ("sms.send", "execute"),
    ]
    assert "abcd1234" not in path.read_text()
    assert lines[0]["details"] == {"token": "[redacted]"}
    assert lines[3]["id"] == "7-abc-1"
    ran.clear()
    monkeypatch.setattr(state, "live", Live(str(tmp_path)))
    with force_run(send), pytest.raises(SideEffectBlocked, match="its decision cannot be written"):
        send()
    with pytest.raises(SideEffectBlocked, match="cannot be written"):
        run_parcel(Parcel("7-abc-2", "sms.send", (), {}, True).to_data())
    assert not ran


@pytest.mark.usefixtures("production")
def test_lines_of_what_is_released(send: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is decided again, and not executed where that cannot be written."""
    given: dict[str, Any] = {"number": "7-abc-1", "run_id": None, "origin": ""}
    monkeypatch.setattr(state, "live", Live(str(tmp_path / "live")))
    assert run_released(send._self_declared, send.__wrapped__, None, (), {}, **given).error is None
    monkeypatch.setattr(state, "live", Live(str(tmp_path)))
    assert run_released(send._self_declared, send.__wrapped__, None, (), {}, **given).error is not None
    assert ran == ["Ada"]


def test_children_find_the_same_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Wherever they work; standard error stays what it is."""
    monkeypatch.chdir(tmp_path)
    environment = {"SIDE_EFFECTS_LIVE": "live.jsonl"}
    live = live_in(environment)
    assert live is not None
    assert live.path == environment["SIDE_EFFECTS_LIVE"] == str(tmp_path / "live.jsonl")
    dash = live_in({"SIDE_EFFECTS_LIVE": "-"})
    assert dash is not None
    assert dash.path == "-"
    dash.write({"name": "sms.send"})
    assert capfd.readouterr().err == '{"name": "sms.send"}\n'
    assert live_in({"SIDE_EFFECTS_LIVE": ""}) is None
    monkeypatch.setattr(live_lines, "_AGAIN", str(tmp_path / "nothing" / "here"))
    dash.write({"name": "where standard error cannot be opened again"})
    assert "cannot be opened again" in capfd.readouterr().err


AT_ONCE = """
    import os, threading
    from sideeffects import record, side_effect

    @side_effect(name="sms.send")
    def send(body):
        raise AssertionError

    def many():
        with record():
            for _ in range(20):
                send("long" * 5_000)

    if os.fork() == 0:
        many()
        os._exit(0)
    threads = [threading.Thread(target=many) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.wait()
"""


def test_lines_of_threads_and_processes_do_not_mix_in_a_pipe(tmp_path: Path) -> None:
    """Also those that are longer than a pipe takes at once."""
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(AT_ONCE))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2]), "SIDE_EFFECTS_LIVE": "-"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(program)], env=environment, stderr=subprocess.PIPE, timeout=60, check=True
    )
    assert [json.loads(line)["name"] for line in done.stderr.splitlines()] == ["sms.send"] * 60


PROGRAM = """
    import os, subprocess, sys
    from sideeffects import side_effect

    @side_effect(name="sms.send")
    def send(to):
        print("executed", to)

    os.environ["SIDE_EFFECTS_MODE"] = "" if "child" in sys.argv else os.environ["SIDE_EFFECTS_MODE"]
    send("Ada")
    if "child" not in sys.argv:
        subprocess.run([sys.executable, __file__, "child"], check=True)
"""


def test_a_process_and_its_children_obey_the_environment(tmp_path: Path) -> None:
    """Read once: what a program says of it later changes nothing of its own. The lines come from both."""
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    root = str(Path(__file__).parents[2])
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": root, "SIDE_EFFECTS_LIVE": "-"}
    done = subprocess.run(
        [sys.executable, str(program)],
        env={**environment, "SIDE_EFFECTS_MODE": "record"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "executed" not in done.stdout
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert [line["mode"] for line in lines] == ["record", "record"]
    assert len({line["pid"] for line in lines}) == 2


def test_a_line_that_is_written_in_parts_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe may take less than it is given."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:5]))
    Live(str(tmp_path / "live")).write({"name": "sms.send"})
    assert json.loads((tmp_path / "live").read_text()) == {"name": "sms.send"}


@pytest.mark.usefixtures("production")
def test_a_call_that_another_makes_while_it_arrives_is_counted(send: Any, counted: list[Any]) -> None:
    """Only the call that arrives was counted before."""
    with policy(budget(5, per="minute")):
        token = arriving.set(Arrival("other.effect", "7-abc-1"))
        try:
            send()
        finally:
            arriving.reset(token)
    assert len(counted) == 1
