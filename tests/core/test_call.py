"""Calls: what was called, decided, and came of it; modes and decisions."""

import copy
import datetime
import json
import operator
import os
import pickle
import subprocess
import sys
import textwrap
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from sideeffects import Call, Calls, Decision, Mode, capture, forbid, force_run, side_effect, stub
from sideeffects._core.calls import process
from sideeffects._core.calls.outcome import Outcome, RemoteError

pytestmark = pytest.mark.usefixtures("own_registry")


def recorded(function: Callable[..., Any], *args: Any, name: str = "it", **options: Any) -> Call:
    """The one call that `function` makes of an effect declared with these options."""
    declared = side_effect(name=name, **options)(function)
    with capture() as calls:
        declared(*args)
    return calls[0]


# -- modes and decisions


def test_modes_are_ordered_by_strictness() -> None:
    """`EXECUTE` < `HOLD` < `RECORD` < `RAISE`; nothing else compares."""
    execute, hold, record, raising = Mode
    assert execute < hold < record < raising
    assert raising > record > hold > execute
    assert execute <= Mode.EXECUTE <= hold <= Mode.HOLD <= record
    assert raising >= Mode.RAISE >= record
    assert not execute > record
    assert not raising <= record
    assert max(Mode) is Mode.RAISE
    for compare in (operator.lt, operator.le, operator.gt, operator.ge):
        with pytest.raises(TypeError):
            compare(Mode.RECORD, 1)


@pytest.mark.parametrize("text", ["record", "RECORD", "Record"])
def test_modes_are_given_by_name_too(text: str) -> None:
    """However the name is written."""
    assert Mode(text) is Mode.RECORD


@pytest.mark.parametrize("nothing", ["", "rec", "executes", 1, None, True])
def test_other_values_are_no_modes(nothing: Any) -> None:
    """An unknown mode raises; it never falls back to executing."""
    with pytest.raises(ValueError, match="is not a valid Mode"):
        Mode(nothing)


def test_a_decision_says_why_and_by_what() -> None:
    """`str` has the mode, the reason and the origin."""
    assert str(Decision(Mode.RECORD, "because")) == "RECORD: because"
    assert str(Decision(Mode.RAISE, "because", "a.py:1", conditional=True)) == (
        "RAISE (decided per call): because [a.py:1]"
    )


# -- what a call tells


def test_a_call_tells_everything_about_itself() -> None:
    """Its fields, for a recorded method call."""

    class Gateway:
        @side_effect(name="send", returns={"id": 1})
        def send(self, to: str, body: str = "hi", *rest: int, urgent: bool = False, **more: int) -> Any: ...

    gateway = Gateway()
    before = datetime.datetime.now(datetime.UTC)
    with capture() as calls:
        gateway.send("ann", "b", 3, urgent=True, extra=4)
    call = calls[0]
    assert call.name == "send"
    assert call.effect is Gateway.send.effect
    assert dict(call.arguments) == {"to": "ann", "body": "b", "rest": (3,), "urgent": True, "more": {"extra": 4}}
    assert call.args == ("ann", "b", 3)
    assert dict(call.kwargs) == {"urgent": True, "extra": 4}
    assert call.instance is gateway
    assert call.mode is Mode.RECORD
    assert call.reason == "a test run executes nothing that no test names"
    assert call.decision == Decision(Mode.RECORD, call.reason, "default of a test run")
    assert call.is_async is False
    assert call.caller.startswith(f"{__file__}:")
    assert call.run_id is None
    assert call.pid == os.getpid()
    assert before <= call.at <= datetime.datetime.now(datetime.UTC)
    assert call.outcome == Outcome({"id": 1}, None, 0.0)
    assert call.by_reference == ()
    assert not call.is_foreign
    assert repr(call) == (
        f"<Call send(to='ann', body='b', rest=(3,), urgent=True, more={{'extra': 4}}) RECORD at {call.caller}>"
    )


def test_a_call_cannot_be_changed() -> None:
    """Neither its fields nor what they hold; its outcome is added once."""
    call: Any = recorded(lambda to: None, ["ann"])
    for name in ("name", "arguments", "mode", "outcome", "anything"):
        with pytest.raises(AttributeError):
            setattr(call, name, 1)
    for mapping in (call.arguments, call.kwargs):
        with pytest.raises(TypeError):
            mapping["to"] = "ben"
    call.arguments["to"].append("ben")
    assert call.arguments["to"] == ["ann"]
    with pytest.raises(RuntimeError, match="has its outcome already"):
        call.finish(Outcome(1, None, 0.0))


def test_arguments_are_what_they_were_at_the_call() -> None:
    """What happens to them afterwards is not seen, nor what the effect itself does to them."""

    @side_effect(name="send")
    def send(items: list[int], *rest: dict[str, int], **more: set[int]) -> list[int]:
        items.append(2)
        rest[0]["b"] = 2
        more["extra"].add(2)
        return items

    items, first, extra = [1], {"a": 1}, {1}
    with capture() as calls, force_run("send"):
        result = send(items, first, extra=extra)
    result.append(3)
    call = calls[0]
    assert dict(call.arguments) == {"items": [1], "rest": ({"a": 1},), "more": {"extra": {1}}}
    assert call.args == ([1], {"a": 1})
    assert call.kwargs["extra"] == {1}
    assert call.outcome is not None
    assert call.outcome.result == [1, 2]


def test_what_cannot_be_copied_is_named() -> None:
    """`by_reference` has the paths, and the values show what they are now."""
    lock = object()
    call = recorded(lambda a, b, c: None, lock, [lock], "copied")
    assert call.by_reference == ("a", "b[0]")
    assert call.arguments["a"] is lock


def test_a_caller_without_lines_is_told_by_the_line_of_its_function() -> None:
    """Code may have been stripped of what tells its lines."""
    declared = side_effect(name="send")(lambda: None)

    def calling() -> None:
        declared()

    stripped = calling.__code__.replace(co_linetable=b"")
    with capture() as calls:
        types.FunctionType(stripped, {}, "calling", None, calling.__closure__)()
    assert calls[0].caller == f"{__file__}:{calling.__code__.co_firstlineno}"


def test_identifiers_are_unique() -> None:
    """Among the calls of a process."""
    call = recorded(lambda: None)
    with capture() as calls:
        for _ in range(100):
            side_effect(name="other")(lambda: None)()
    assert len({call.id, *(other.id for other in calls)}) == 101


def test_the_outcome_of_a_failing_call_has_the_error() -> None:
    """What the effect raised, as it is, and how long it took in seconds."""

    @side_effect(name="send")
    def send() -> None:
        raise ConnectionError("no network")

    with capture() as calls, force_run("send"), pytest.raises(ConnectionError) as raised:
        send()
    outcome = calls[0].outcome
    assert outcome is not None
    assert outcome.error is raised.value
    assert 0 <= outcome.duration < 60


# -- redaction


def test_declared_parameters_are_redacted_wherever_they_arrive() -> None:
    """By position, by keyword, by default, in `*args` and in `**kwargs`, for functions and methods."""

    @side_effect(name="one", sensitive=["first", "second", "fourth"])
    def one(first: str, /, second: str, third: str = "shown", *, fourth: str = "default-secret") -> None: ...

    @side_effect(name="two", sensitive=["rest", "extra"])
    def two(to: str, *rest: str, **more: str) -> None: ...

    @side_effect(name="three", sensitive=["more"])
    def three(to: str, **more: str) -> None: ...

    class Gateway:
        @side_effect(name="four", sensitive=["first"])
        def four(self, to: str, first: str) -> None: ...

    with capture() as calls:
        one("s3cret", "s3cret")
        one("s3cret", second="s3cret", fourth="s3cret")
        two("ann", "s3cret", "s3cret", extra="s3cret", other="shown")
        three("ann", a="s3cret", b="s3cret")
        Gateway().four("ann", "s3cret")
        Gateway().four("ann", first="s3cret")
    for call in calls:
        for rendered in (call, call.arguments, call.args, call.kwargs, call.to_record(), pickle.dumps(call)):
            assert "s3cret" not in repr(rendered)
            assert "default-secret" not in repr(rendered)
    assert calls[0].args == ("[redacted]", "[redacted]")
    assert calls[1].args == ("[redacted]",)
    assert dict(calls[1].arguments) == {
        "first": "[redacted]",
        "second": "[redacted]",
        "third": "shown",
        "fourth": "[redacted]",
    }
    assert calls[2].args == ("ann", "[redacted]", "[redacted]")
    assert dict(calls[2].kwargs) == {"extra": "[redacted]", "other": "shown"}
    assert calls[2].arguments["more"] == {"extra": "[redacted]", "other": "shown"}
    assert dict(calls[3].kwargs) == {"a": "[redacted]", "b": "[redacted]"}
    assert calls[4].args == ("ann", "[redacted]")
    calls.assert_called("one", first="s3cret", second="s3cret", fourth="default-secret")
    calls.assert_called("two", rest=("s3cret", "s3cret"), extra="s3cret", other="shown")
    calls.assert_called("three", a="s3cret")


def test_functions_without_a_signature_are_redacted_by_name() -> None:
    """Python knows no parameters of theirs, so names are all there is."""
    declared = side_effect(name="max", sensitive=["secret"])(max)
    with capture() as calls:
        declared(1, secret="s3cret", password="s3cret")
    assert "s3cret" not in repr(calls[0].to_record())
    assert calls[0].args == (1,)


def test_default_names_are_redacted_at_any_depth() -> None:
    """As parameters, in nested data, in results; whole names only."""
    call = recorded(
        lambda password, data, cache_key: None,
        "s3cret",
        {"user": [{"X-Api-Key": "s3cret", "max_tokens": 5}]},
        "shown",
        returns={"accessToken": "s3cret", "id": 7},
    )
    assert dict(call.arguments) == {
        "password": "[redacted]",
        "data": {"user": [{"X-Api-Key": "[redacted]", "max_tokens": 5}]},
        "cache_key": "shown",
    }
    assert call.outcome is not None
    assert call.outcome.result == {"accessToken": "[redacted]", "id": 7}


@override_settings(SIDE_EFFECTS={"SENSITIVE": ["taxId"]})
def test_the_setting_adds_names() -> None:
    """`SIDE_EFFECTS["SENSITIVE"]` counts as the default names do, in children's reports too."""
    call = recorded(lambda tax_id, data: None, "s3cret", {"Tax-Id": "s3cret"})
    assert "s3cret" not in repr(call) + json.dumps(call.to_record())
    again = pickle.loads(pickle.dumps(call))
    assert again.sensitive_names == call.sensitive_names == {"tax_id"}


def test_an_error_that_quotes_a_secret_of_the_call_travels_without_it() -> None:
    """The exception itself is not touched; its text is scrubbed where it is written down for others."""

    class Gateway:
        def __init__(self) -> None:
            self.api_key = "key-1234"

        @side_effect(name="charge", sensitive=["token"])
        def charge(self, token: str, headers: dict[str, str]) -> None:
            raise ConnectionError(f"{self.api_key}: rejected {token} with {headers}")

    with capture() as calls, force_run("charge"), pytest.raises(ConnectionError, match="tok-1234"):
        Gateway().charge("tok-1234", {"Authorization": "Bearer abc"})
    again = pickle.loads(pickle.dumps(calls[0]))
    assert isinstance(again.outcome.error, RemoteError)
    assert str(again.outcome.error) == (
        "ConnectionError: [redacted]: rejected [redacted] with {'Authorization': '[redacted]'}"
    )


def test_a_policy_that_fails_with_a_secret_in_its_words_does_not_pass_it_on() -> None:
    """Neither the refusal nor the call quotes it."""

    def policy(effect: Any, arguments: Any) -> Mode:
        raise LookupError(f"no rule for {arguments['token']}")

    @side_effect(name="charge")
    def charge(token: str) -> None: ...

    with (
        override_settings(SIDE_EFFECTS={"POLICY": {"charge": policy}}),
        capture() as calls,
        pytest.raises(Exception, match="no rule for") as refused,
    ):
        charge("tok-1234")
    for text in (str(refused.value), calls[0].reason, str(calls[0].decision), repr(calls[0].outcome)):
        assert "no rule for [redacted]" in text
        assert "tok-1234" not in text


def test_the_instance_is_described_without_its_secrets() -> None:
    """Where a dataclass has a secret among its fields, the report of a call on it has not."""
    import dataclasses

    @dataclasses.dataclass
    class Gateway:
        api_key: str

        @side_effect(name="send")
        def send(self) -> None: ...

    with capture() as calls:
        Gateway("s3cret").send()
    assert calls[0].to_record()["instance"].endswith("Gateway(api_key=[redacted])")
    assert "s3cret" not in json.dumps(calls[0].to_record())


# -- travelling


def test_a_call_travels_as_an_equal_looking_one() -> None:
    """Pickled and copied, its values are JSON-safe stand-ins; it knows that it is from elsewhere."""

    class Gateway:
        def __repr__(self) -> str:
            return "Gateway()"

        @side_effect(name="send", sensitive=["token"])
        def send(self, to: Any, token: str, **more: Any) -> Any: ...

    with capture() as calls, stub("send", returns=[1, {2}]):
        Gateway().send(("ann", 1), token="s3cret", extra=datetime.date(2024, 1, 2))
    call = calls[0]
    for twin in (pickle.loads(pickle.dumps(call)), copy.deepcopy(call)):
        assert twin.is_foreign
        assert (twin.name, twin.mode, twin.reason, twin.caller) == (call.name, call.mode, call.reason, call.caller)
        assert (twin.at, twin.id, twin.pid, twin.is_async) == (call.at, call.id, call.pid, call.is_async)
        assert twin.instance == "Gateway()"
        assert dict(twin.arguments) == {"to": ["ann", 1], "token": "[redacted]", "more": {"extra": "2024-01-02"}}
        assert twin.outcome.result == [1, [2]]
        assert twin.true_argument("extra") == "2024-01-02"
        assert twin.hides("token")
        assert not twin.has_argument("nothing")
        assert twin.as_data() == {**call.as_data()}
        assert repr(twin).startswith("<Call send(to=['ann', 1], token=[redacted]")


def test_a_call_that_has_not_finished_travels_without_an_outcome() -> None:
    """As one whose outcome is not known yet."""
    twins = []

    @side_effect(name="send")
    def send() -> None:
        twins.append(pickle.loads(pickle.dumps(calls[0])))

    with capture() as calls, force_run("send"):
        send()
    assert twins[0].outcome is None
    assert twins[0].as_data()["result"] is None


def test_errors_travel_by_name_and_text() -> None:
    """A refusal in a child is told by its type and its words."""
    declared = side_effect(name="send")(lambda: None)
    with capture() as calls, forbid("send"), pytest.raises(Exception, match="refused"):
        declared()
    error = pickle.loads(pickle.dumps(calls[0])).outcome.error
    assert (error.kind, calls[0].as_data()["error"]) == ("SideEffectBlocked", "SideEffectBlocked")
    assert str(error).startswith("SideEffectBlocked: side effect 'send' was refused")
    assert str(RemoteError("KeyError", "")) == "KeyError"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


DATA = """
    import dataclasses, decimal, datetime, json, uuid
    from sideeffects import capture, side_effect

    @dataclasses.dataclass
    class Account:
        name: str
        tags: set

    class Thing: ...

    @side_effect(name="send", returns={"b", "a", "c"})
    def send(account, things, when, amount=decimal.Decimal("1.50"), **more): ...

    with capture() as calls:
        account = Account("ann", {"x", "y", "z"})
        send(account, [Thing(), Thing], datetime.date(2024, 1, 2), call=send, id=uuid.UUID(int=1))
    print(json.dumps(calls.as_data()))
"""


def test_data_for_snapshots_is_the_same_in_each_process() -> None:
    """Neither hash seeds nor addresses, times, processes or line numbers change it."""
    outputs = set()
    for seed in ("1", "2", "3"):
        ran = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(DATA)],
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        assert ran.returncode == 0, ran.stderr
        outputs.add(ran.stdout)
    assert len(outputs) == 1
    [data] = json.loads(outputs.pop())
    assert data == {
        "name": "send",
        "arguments": {
            "account": {"name": "ann", "tags": ["x", "y", "z"]},
            "things": ["<__main__.Thing object>", "<class '__main__.Thing'>"],
            "when": "2024-01-02",
            "amount": "1.50",
            "more": {"call": "<side effect send>", "id": "00000000-0000-0000-0000-000000000001"},
        },
        "mode": "record",
        "is_async": False,
        "run_id": None,
        "result": ["a", "b", "c"],
        "error": None,
    }


def test_a_call_tells_which_racer_made_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of its process, or the one noted afterwards; it travels, and is no part of a snapshot."""
    assert recorded(lambda: None).racer is None
    monkeypatch.setattr(process, "current", process.current)  # put back afterwards
    process.set_racer(3)
    call = recorded(lambda: None, name="another")
    assert pickle.loads(pickle.dumps(call)).racer == call.racer == 3
    call.mark_racer(4)
    assert call.racer == 4
    assert "racer" not in call.as_data()


def test_a_forked_child_numbers_its_calls_anew(tmp_path: Path) -> None:
    """Calls of a child of a fork have the child's process number, and no identifier of the parent's."""
    declared = side_effect(name="send")(lambda: None)
    with capture() as calls:
        declared()
        child = os.fork()
        if child == 0:
            declared()
            os._exit(0)
        os.waitpid(child, 0)
    here, there = calls
    assert (here.pid, there.pid) == (os.getpid(), child)
    assert here.id != there.id
    assert isinstance(calls, Calls)
