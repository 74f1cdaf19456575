"""Reading back: `Calls`, its assertions, and what they say when they fail."""

import inspect
import json
import os
import re
from collections.abc import Callable, Iterator
from typing import Any, cast
from unittest import mock

import pytest
from django.test import override_settings

from sideeffects import Call, Calls, Mode, SideEffect, UnknownSideEffect, capture, forbid, record, side_effect, stub
from sideeffects._core.calls import registry
from sideeffects._core.calls.known import pattern_of
from sideeffects._core.calls.registry import Found
from sideeffects._core.records.ledger import Ledger
from sideeffects.testing import isolated_registry

pytestmark = pytest.mark.usefixtures("own_registry")


@pytest.fixture
def send() -> Any:
    @side_effect(name="sms.send", sensitive=["token"])
    def send(to: Any, body: Any = "hi", token: str = "") -> None: ...

    return send


@pytest.fixture
def charge() -> Any:
    @side_effect(name="card.charge")
    def charge(cents: int) -> None: ...

    return charge


@pytest.fixture
def calls() -> Iterator[Calls]:
    with capture() as calls:
        yield calls


def failure(assertion: Callable[[], object]) -> str:
    """The message of a failing assertion, callers shown as `here:+n`, lines after the test's first."""
    first = inspect.stack()[1].frame.f_code.co_firstlineno
    with pytest.raises(AssertionError) as failed:
        assertion()
    return re.sub(rf"{re.escape(__file__)}:(\d+)", lambda match: f"here:+{int(match[1]) - first}", str(failed.value))


# -- a live sequence


def test_it_is_a_live_sequence(send: Any, calls: Calls) -> None:
    """Calls appear as they are made, by index, slice, iteration, length, membership and equality."""
    assert not calls
    assert repr(calls) == "<Calls: none>"
    send("ann")
    send("ben")
    assert len(calls) == 2
    assert [call.arguments["to"] for call in calls] == ["ann", "ben"]
    assert calls[0].arguments["to"] == "ann"
    assert calls[-1].arguments["to"] == "ben"
    assert [call.arguments["to"] for call in calls[1:]] == ["ben"]
    assert isinstance(calls[1:], list)
    assert calls[0] in calls
    assert list(reversed(calls)) == [calls[1], calls[0]]
    assert calls == [calls[0], calls[1]]
    assert calls == calls[:]
    assert calls != []
    assert (calls == 3) is False
    assert repr(calls) == f"<Calls: {calls[0]!r}, {calls[1]!r}>"
    with pytest.raises(IndexError):
        calls[2]
    with pytest.raises(TypeError):
        hash(calls)


def test_a_capture_sees_its_block_only(send: Any) -> None:
    """Calls before and after are not in it; what it has seen stays."""
    send("before")
    with capture() as outer:
        send("first")
        with capture() as inner:
            send("second")
        send("third")
    send("after")
    assert [call.arguments["to"] for call in outer] == ["first", "second", "third"]
    assert [call.arguments["to"] for call in inner] == ["second"]


def test_named_views_are_live_and_nest(send: Any, charge: Any, calls: Calls) -> None:
    """`named` narrows to an effect or a glob, and goes on showing what comes."""
    sms, everything = calls.named("sms.*"), calls.named("__all__")
    assert len(sms) == 0
    send("ann")
    charge(5)
    send("ben")
    assert [call.arguments["to"] for call in sms] == ["ann", "ben"]
    assert len(everything) == 3
    assert len(sms.named(send)) == 2
    assert len(sms.named(charge)) == 0
    assert sms.count(send) == 2


@pytest.mark.parametrize("how", ["function", "effect", "name", "glob", "bound", "all"])
def test_effects_are_given_in_any_form(how: str) -> None:
    """As themselves, bound or not, as their description, by name, by glob, and as all."""

    class Gateway:
        @side_effect(name="gateway.send")
        def send(self) -> None: ...

    effect = {
        "function": Gateway.send,
        "effect": Gateway.send.effect,
        "name": "gateway.send",
        "glob": "gate*.s?nd",
        "bound": Gateway().send,
        "all": "__all__",
    }[how]
    with capture() as calls:
        Gateway().send()
    assert calls.count(effect) == 1
    assert calls.one(effect) is calls[0]
    calls.assert_called(effect, times=1)
    calls.assert_only(effect)
    calls.assert_order(effect)


def test_what_is_no_effect_is_refused(calls: Calls) -> None:
    """The error says what to give."""
    for nothing in (3, None, print, [], mock.Mock()):
        with pytest.raises(TypeError, match="is no side effect: give a function decorated with @side_effect"):
            calls.count(nothing)
        with pytest.raises(TypeError):
            pattern_of(nothing)


def test_a_misspelt_name_raises_everywhere(send: Any, calls: Calls) -> None:
    """Above all where it would make an assertion pass."""
    reads: list[Callable[[], object]] = [
        lambda: calls.named("smss.send"),
        lambda: calls.count("smss.send"),
        lambda: calls.one("smss.send"),
        lambda: calls.assert_called("smss.send"),
        lambda: calls.assert_called("smss.send", to="ann"),
        lambda: calls.assert_not_called("smss.send"),
        lambda: calls.assert_only("smss.send"),
        lambda: calls.assert_order("smss.send"),
    ]
    for read in reads:
        with pytest.raises(UnknownSideEffect, match=r"Did you mean 'sms\.send'\?"):
            read()
    with pytest.raises(UnknownSideEffect, match="no declared side effect matches"):
        calls.assert_not_called("smss.*")


def test_effects_in_modules_not_yet_imported_are_looked_for(calls: Calls) -> None:
    """A name that the source shows is known without its module; an unknown one is refused with what may be missing."""
    asked = []

    def discover() -> Found:
        asked.append(True)
        effect = SideEffect("found.later", "shop.sms:send", "function", "", 0, None, "")
        return Found({"found.later": effect}, ["shop/broken.py could not be imported"], lambda name: None)

    restore = registry.discovery.add(discover)
    try:
        calls.assert_not_called("found.later")
        assert asked == [True]
        with pytest.raises(UnknownSideEffect) as unknown:
            calls.assert_not_called("found.not")
    finally:
        restore()
    assert unknown.value.__notes__ == ["shop/broken.py could not be imported"]
    with pytest.raises(UnknownSideEffect):
        calls.assert_not_called("found.never")


def test_without_discovery_an_unknown_name_is_unknown(calls: Calls) -> None:
    """There is nothing else to look for until Django is there."""
    found = list(registry.discovery)
    for discover in found:
        registry.discovery.remove(discover)
    try:
        with pytest.raises(UnknownSideEffect, match=r"no side effect is named 'unknown\.name'"):
            calls.assert_not_called("unknown.name")
    finally:
        for discover in found:
            registry.discovery.add(discover)


@pytest.mark.parametrize("name", ["tto", "self", "Body"])
def test_a_misspelt_argument_raises(name: str, send: Any, charge: Any, calls: Calls) -> None:
    """Also in `assert_not_called`, which would pass otherwise, and for globs of which no effect has it."""

    class Gateway:
        @side_effect(name="gateway.send")
        def send(self, to: str) -> None: ...

    Gateway().send("ann")
    for assertion in (calls.assert_called, calls.assert_not_called):
        with pytest.raises(TypeError, match=f"sms.send has no parameter '{name}'; it has to, body, token"):
            assertion(send, **{name: 1})
        with pytest.raises(TypeError, match=f"has no parameter '{name}'; it has to"):
            assertion(Gateway.send, arguments={name: 1})
        with pytest.raises(TypeError, match=rf"\* has no parameter '{name}'; it has cents, to, body, token"):
            assertion("*", **{name: 1})
    calls.assert_not_called("*", cents=5)
    with pytest.raises(TypeError, match="has no parameter 'x'; it has none"):
        calls.assert_called(side_effect(name="bare")(lambda: None), x=1)


def test_further_keywords_and_unknown_signatures_take_any_argument(calls: Calls) -> None:
    """There, no name can be told to be wrong."""
    wide = side_effect(name="wide")(lambda to, **more: None)
    largest = side_effect(name="max")(max)
    wide("ann", urgent=True)
    largest(1, 2, key=abs)
    calls.assert_called(wide, to="ann", urgent=True)
    calls.assert_not_called(wide, urgent=False)
    calls.assert_not_called(wide, nothing=1)
    calls.assert_called(largest, key=abs)
    calls.assert_called(largest, args=(1, 2))


# -- assertions that pass


def test_arguments_that_are_not_given_are_not_compared(send: Any, calls: Calls) -> None:
    """Defaults count as arguments; `arguments=` takes names that the method uses itself."""
    send("ann")
    calls.assert_called(send)
    calls.assert_called(send, to="ann")
    calls.assert_called(send, body="hi")
    calls.assert_called(send, times=1, to="ann", body="hi", token="")
    calls.assert_called(send, to=mock.ANY)
    calls.assert_called(send, where=lambda call: call.arguments["to"].startswith("a"))
    calls.assert_not_called(send, to="ben")
    calls.assert_not_called(send, where=lambda call: call.mode is Mode.EXECUTE)
    calls.assert_called(send, times=0, to="ben")

    shadowing = side_effect(name="shadowing")(lambda times, where, arguments: None)
    shadowing(1, 2, 3)
    calls.assert_called(shadowing, arguments={"times": 1, "where": 2, "arguments": 3})
    calls.assert_not_called(shadowing, arguments={"times": 2})


def test_order_allows_other_calls_between(send: Any, charge: Any, calls: Calls) -> None:
    """The effects are found one after the other, each in a call of its own."""
    charge(1)
    send("ann")
    charge(2)
    send("ben")
    calls.assert_order()
    calls.assert_order(send, charge, send)
    calls.assert_order("*", "*", "*", "*")
    calls.assert_order(charge, charge)


def test_only_allows_that_nothing_was_called(send: Any, charge: Any, calls: Calls) -> None:
    """The effects named need not have been called."""
    calls.assert_only()
    calls.assert_only(send)
    charge(1)
    calls.assert_only(send, charge)
    calls.assert_only("*")


# -- assertions that fail, literally


def test_a_missing_call_shows_the_nearest_one(send: Any, charge: Any, calls: Calls) -> None:
    """Expected, nearest call with the differing argument marked, all calls with their callers."""
    send("ann", "hello")
    send("ben", "hello", token="t0ken")
    charge(5)
    assert failure(lambda: calls.assert_called(send, to="ben", body="bye")) == (
        "expected call: sms.send(to='ben', body='bye')\n"
        "nearest call: sms.send(to='ben', body='hello', token=[redacted])  [RECORD]  here:+3\n"
        "    body: expected 'bye'\n"
        "               got 'hello'   <--\n"
        "all calls:\n"
        "  1. sms.send(to='ann', body='hello', token=[redacted])  [RECORD]  here:+2\n"
        "  2. sms.send(to='ben', body='hello', token=[redacted])  [RECORD]  here:+3\n"
        "  3. card.charge(cents=5)  [RECORD]  here:+4"
    )


def test_sensitive_values_are_compared_and_not_shown(send: Any, calls: Calls) -> None:
    """Neither what was expected nor what came."""
    send("ann", {"password": "one"}, token="two")
    calls.assert_called(send, body={"password": "one"}, token="two")
    assert failure(lambda: calls.assert_called(send, body={"password": "three"}, token="four")) == (
        "expected call: sms.send(body={'password': [redacted]}, token=[redacted])\n"
        "nearest call: sms.send(to='ann', body={'password': [redacted]}, token=[redacted])  [RECORD]  here:+2\n"
        "    body: expected {'password': [redacted]}\n"
        "               got {'password': [redacted]}   <--\n"
        "    token: expected [redacted]\n"
        "                got another value   <--\n"
        "all calls:\n"
        "  1. sms.send(to='ann', body={'password': [redacted]}, token=[redacted])  [RECORD]  here:+2"
    )


@override_settings(SIDE_EFFECTS={"SENSITIVE": ["tax_id"]})
def test_names_of_the_setting_are_not_shown_either(calls: Calls) -> None:
    """`SIDE_EFFECTS["SENSITIVE"]` holds for expected values too."""
    send = side_effect(name="send")(lambda data, tax_id: None)
    send({"taxId": "one"}, "two")
    message = failure(lambda: calls.assert_called(send, data={"taxId": "three"}, tax_id="four"))
    assert not re.search("one|two|three|four", message.replace("another", ""))


def test_no_call_at_all_is_told_as_such(send: Any, charge: Any, calls: Calls) -> None:
    """Without calls there is neither a nearest one nor a list; with others there is the list."""
    assert failure(lambda: calls.assert_called(send, to="ann")) == (
        "expected call: sms.send(to='ann')\nno effect was called."
    )
    charge(5)
    assert failure(lambda: calls.assert_called(send)) == (
        "expected call: sms.send()\nall calls:\n  1. card.charge(cents=5)  [RECORD]  here:+5"
    )


def test_a_wrong_count_says_both_numbers(send: Any, calls: Calls) -> None:
    """What was expected, and what came."""
    send("ann")
    listing = "\nall calls:\n  1. sms.send(to='ann', body='hi', token=[redacted])  [RECORD]  here:+2"
    assert failure(lambda: calls.assert_called(send, times=2)) == f"expected 2 calls, got 1: sms.send(){listing}"
    assert failure(lambda: calls.assert_called(send, times=0)) == f"expected 0 calls, got 1: sms.send(){listing}"
    assert failure(lambda: calls.assert_called(send, times=1, to="ben")) == (
        "expected 1 call, got 0: sms.send(to='ben')\n"
        "nearest call: sms.send(to='ann', body='hi', token=[redacted])  [RECORD]  here:+2\n"
        "    to: expected 'ben'\n"
        f"             got 'ann'   <--{listing}"
    )


def test_an_argument_that_did_not_come_is_told(calls: Calls) -> None:
    """Further keywords may be missing from a call."""
    wide = side_effect(name="wide")(lambda **more: None)
    wide(a=1)
    assert failure(lambda: calls.assert_called(wide, b=2)) == (
        "expected call: wide(b=2)\n"
        "nearest call: wide(more={'a': 1})  [RECORD]  here:+3\n"
        "    b: expected 2\n"
        "            got no such argument   <--\n"
        "all calls:\n"
        "  1. wide(more={'a': 1})  [RECORD]  here:+3"
    )


def test_a_condition_is_named(send: Any, calls: Calls) -> None:
    """By the function's name."""

    def is_urgent(call: Call) -> bool:
        return "!" in call.arguments["body"]

    send("ann")
    message = failure(lambda: calls.assert_called(send, where=is_urgent, to="ann"))
    assert message.startswith("expected call: sms.send(to='ann') where is_urgent\nnearest call: sms.send(to='ann'")
    send("ann", "now!")
    message = failure(lambda: calls.assert_not_called(send, where=is_urgent))
    assert message.startswith("expected no call of sms.send() where is_urgent, got 1\nall calls:\n")


def test_unexpected_calls_are_listed(send: Any, charge: Any, calls: Calls) -> None:
    """For `assert_not_called`, `assert_only`, `assert_order` and `one`."""
    send("ann")
    charge(5)
    listing = (
        "\nall calls:\n"
        "  1. sms.send(to='ann', body='hi', token=[redacted])  [RECORD]  here:+2\n"
        "  2. card.charge(cents=5)  [RECORD]  here:+3"
    )
    assert failure(lambda: calls.assert_not_called(send)) == f"expected no call of sms.send(), got 1{listing}"
    assert failure(lambda: calls.assert_not_called("*", to="ann")) == f"expected no call of *(to='ann'), got 1{listing}"
    assert failure(lambda: calls.assert_only(send)) == (
        f"expected only sms.send to be called, but also: card.charge{listing}"
    )
    assert failure(calls.assert_only) == (f"expected no effects to be called, but also: card.charge, sms.send{listing}")
    assert failure(lambda: calls.assert_order(charge, send)) == (
        f"expected the order card.charge → sms.send\nno call of sms.send after card.charge{listing}"
    )
    assert failure(lambda: calls.named(charge).assert_order(send)) == (
        "expected the order sms.send\nno call of sms.send\nall calls:\n  1. card.charge(cents=5)  [RECORD]  here:+3"
    )
    assert failure(lambda: calls.one("*")) == f"expected one call of *, got 2{listing}"
    assert failure(lambda: calls.named(send).one(charge)).startswith("expected one call of card.charge, got 0\n")


def test_a_failure_tells_refusals_errors_and_references(calls: Calls) -> None:
    """Modes, exceptions, and arguments that show what they are now."""
    send = side_effect(name="send")(lambda to, items: None)
    lock = type("Lock", (), {"__repr__": lambda self: "<lock>"})()
    with forbid("send"), pytest.raises(Exception, match="refused"):
        send(lock, [1])
    with stub("send", raises=ConnectionError), pytest.raises(ConnectionError):
        send(1, [lock])
    lines = failure(lambda: calls.assert_not_called(send)).splitlines()
    assert lines[2:] == [
        "  1. send(to=<lock> (by reference), items=[1])  [RAISE, SideEffectBlocked]  here:+5",
        "  2. send(to=1, items=[<lock>] (by reference))  [RECORD, ConnectionError]  here:+7",
    ]


def test_many_calls_are_cut(charge: Any, calls: Calls) -> None:
    """Fifty are listed, the others counted."""
    for number in range(60):
        charge(number)
    lines = failure(lambda: calls.assert_not_called(charge)).splitlines()
    assert len(lines) == 53
    assert lines[-1] == "  … and 10 more"


def test_objects_that_cannot_be_shown_do_not_hide_the_failure(calls: Calls) -> None:
    """A `repr` that raises is told as such."""

    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    send = side_effect(name="send")(lambda to: None)
    send(Broken())
    assert "to=<Broken object, its repr raised RuntimeError>" in failure(lambda: calls.assert_called(send, to=1))


def test_the_frames_of_the_library_are_hidden() -> None:
    """The report of a failing assertion ends in the test."""
    for method in ("count", "one", "assert_called", "assert_not_called", "assert_only", "assert_order"):
        assert getattr(Calls, method).__globals__["__tracebackhide__"]


# -- dropped calls


def test_dropped_calls_make_assertions_fail_rather_than_lie(charge: Any) -> None:
    """When the ledger has dropped calls, nobody can tell."""
    ledger = Ledger(bound=3)
    with capture() as all_calls:
        for number in range(10):
            charge(number)
    for call in all_calls:
        ledger.append(call)
    calls = Calls(lambda: ledger.read(0))
    assert calls.dropped == 7
    assert [call.arguments["cents"] for call in calls] == [7, 8, 9]
    for read in (
        lambda: calls.count(charge),
        lambda: calls.one(charge),
        lambda: calls.assert_called(charge),
        lambda: calls.assert_not_called(charge, cents=99),
        lambda: calls.assert_only(charge),
        lambda: calls.assert_order(charge),
        lambda: calls.named(charge).count(charge),
    ):
        with pytest.raises(
            AssertionError, match=r"7 of the calls were dropped from the ledger, so this cannot be known: raise SIDE"
        ):
            read()


def test_the_bound_of_the_setting_holds(charge: Any) -> None:
    """`SIDE_EFFECTS["LEDGER"]["MAX_CALLS"]` bounds what a test run keeps."""
    with override_settings(SIDE_EFFECTS={"LEDGER": {"MAX_CALLS": 5}}), capture() as calls:
        for number in range(8):
            charge(number)
        assert (len(calls), calls.dropped) == (5, 3)


# -- calls of other processes


def in_child(work: Callable[[], object]) -> None:
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def test_calls_of_children_are_compared_by_what_travelled(send: Any, calls: Calls) -> None:
    """JSON-safe stand-ins of both sides are equal where the values were."""
    in_child(lambda: send(("ann", 1), {"when": {1, 2}, "password": "s3cret"}))
    calls.assert_called(send, to=("ann", 1), body={"when": {2, 1}, "password": "any"})
    calls.assert_not_called(send, to=("ann", 2))
    calls.assert_called(send, arguments={"to": ["ann", 1]})


def test_a_sensitive_value_of_a_child_cannot_be_compared(send: Any, calls: Calls) -> None:
    """It did not travel, so the assertion fails and says why, instead of passing or failing by chance."""
    in_child(lambda: send("ann", token="t0ken"))
    calls.assert_called(send, to="ann")
    for assertion in (calls.assert_called, calls.assert_not_called):
        with pytest.raises(
            AssertionError, match=r"token of sms.send is sensitive and was redacted in the other process"
        ):
            assertion(send, token="t0ken")


def test_effects_that_only_a_child_declares_can_be_read(calls: Calls) -> None:
    """Their names are known from their calls, and so are their further keywords."""

    def work() -> None:
        wide = side_effect(name="only.there", sensitive=["pin_code"])(lambda to, **options: None)
        wide("ann", urgent=True, pin_code="1234")

    in_child(work)
    assert calls.count("only.there") == calls.count("only.*") == 1
    calls.assert_called("only.there", to="ann", urgent=True)
    calls.assert_not_called("only.there", urgent=False)
    call = calls.one("only.there")
    assert call.arguments["options"] == {"urgent": True, "pin_code": "[redacted]"}
    assert call.effect.kind == "elsewhere"
    assert json.dumps(calls.as_data())


# -- what has been read


def test_reading_a_call_marks_it_read(send: Any, charge: Any) -> None:
    """A test that looked at a refused call has not swallowed it; counting and showing all is not looking."""
    reads: dict[str, Callable[[Calls], object]] = {
        "index": lambda calls: calls[0],
        "slice": lambda calls: calls[:],
        "iteration": list,
        "one": lambda calls: calls.one(send),
        "count": lambda calls: calls.count(send),
        "assert_called": lambda calls: calls.assert_called(send, to="ann"),
        "assert_only": lambda calls: calls.assert_only(send),
        "assert_order": lambda calls: calls.assert_order(send),
    }
    for way, read in reads.items():
        with capture() as calls:
            send("ann")
        assert not calls._calls()[0].is_read
        _ = len(calls), repr(calls), bool(calls)
        calls.assert_not_called(send, to="ben")
        assert not calls._calls()[0].is_read, way
        read(calls)
        assert calls._calls()[0].is_read, way


def test_contradicting_expectations_are_refused() -> None:
    """What is expected twice, or a number of calls that is none, would say nothing."""
    with isolated_registry(), capture() as calls:
        send = side_effect(name="send")(lambda to: None)
        send("a")
        with pytest.raises(TypeError, match="'to' is expected twice"):
            calls.assert_called(send, arguments={"to": "b"}, to="a")
        with pytest.raises(TypeError, match="'to' is expected twice"):
            calls.assert_not_called(send, arguments={"to": "b"}, to="a")
        with pytest.raises(TypeError, match="times is a number of calls, not '1'"):
            calls.assert_called(send, times=cast(Any, "1"))
        with pytest.raises(TypeError, match="times is a number of calls, not True"):
            calls.assert_called(send, times=True)


def test_a_parameter_of_a_plain_function_may_be_named_self() -> None:
    """Only what a method is called on is no argument."""
    with isolated_registry(), capture() as calls:

        @side_effect(name="send")
        def send(self: int, to: str) -> None:
            """Take what is called `self` as an argument like others."""

        send(1, "a")
        calls.assert_called(send, arguments={"self": 1})
        with pytest.raises(AssertionError):
            calls.assert_called(send, arguments={"self": 2})


def test_habits_of_mocks_are_told_what_to_write() -> None:
    """Arguments go by name, and what mocks call their assertions has another name here."""
    with isolated_registry(), capture() as calls:

        @side_effect(name="habit.send")
        def send(to: str, body: str = "") -> None: ...

        with record("habit.send"):
            send("+44")
        with pytest.raises(TypeError, match=r"by their names: assert_called\('habit.send', to=\.\.\.\)"):
            calls.assert_called("habit.send", "+44")  # type: ignore[arg-type]
        with pytest.raises(AttributeError, match=r"use assert_called\(effect, times=1, name=\.\.\.\)"):
            calls.assert_called_once_with("habit.send", "+44")
        assert not hasattr(calls, "nothing")
