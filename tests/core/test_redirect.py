"""`redirect`: a call executes with other arguments than it was given."""

import asyncio
import contextlib
import importlib
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from sideeffects import (
    Mode,
    SideEffectBlocked,
    capture,
    explain,
    force_run,
    record,
    redirect,
    run_side_effects,
    side_effect,
)
from sideeffects._core.calls.parcel import Parcel
from sideeffects._core.policy import redirect as redirecting
from sideeffects._core.policy.redirect import Limits
from sideeffects._core.runtime.released import run_released
from sideeffects._core.runtime.worker import run_parcel

pytestmark = pytest.mark.usefixtures("own_registry")


def policy(value: Any, pattern: str = "sms.send", **others: Any) -> override_settings:
    """Settings with this for the effect."""
    return override_settings(SIDE_EFFECTS={"POLICY": {pattern: value, **others}})


def sms(**options: Any) -> Any:
    """The effect that most tests call; it returns what it was given."""

    @side_effect(name="sms.send", **options)
    def send(to: str, body: str = "hi", *rest: int, urgent: bool = False, **more: Any) -> Any:
        return to, body, rest, urgent, more

    return send


@pytest.mark.usefixtures("production")
def test_a_redirected_call_executes_with_other_arguments() -> None:
    """Values and functions of the arguments; the call says what was used and what was asked."""
    send = sms()
    with policy(redirect(to="QA", body=lambda arguments: f"for {arguments['to']}: {arguments['body']}")):
        assert send("Ada", urgent=True) == ("QA", "for Ada: hi", (), True, {})
        assert send(to="Ada", body="x") == ("QA", "for Ada: x", (), False, {})
        with capture() as calls:
            send("Ada", "x", 1, 2, extra=[3])
    call = calls.one("sms.send")
    assert call.mode is Mode.EXECUTE
    assert "POLICY['sms.send'] redirects it, by to, body" in call.reason
    assert call.arguments == {"to": "QA", "body": "for Ada: x", "rest": (1, 2), "urgent": False, "more": {"extra": [3]}}
    assert call.asked == {"to": "Ada", "body": "x", "rest": (1, 2), "urgent": False, "more": {"extra": [3]}}
    assert call.args == ("QA", "for Ada: x", 1, 2)
    assert call.true_given("to") == "Ada"
    assert call.as_data()["asked"]["to"] == "Ada"


@pytest.mark.usefixtures("production")
def test_what_stays_the_same_is_no_redirect() -> None:
    """`unless`, and values that are those given already: the call is as it was, and nothing was asked besides."""
    send = sms()
    for value in (redirect(to="Ada"), redirect(to="QA", unless=lambda arguments: arguments["to"] == "Ada")):
        with policy(value), capture() as calls:
            assert send("Ada")[0] == "Ada"
            assert calls.one(send).asked is None
            assert send("Eve")[0] != "Eve"


@pytest.mark.usefixtures("production")
def test_a_policy_function_may_answer_with_a_redirect_and_ask_for_the_instance() -> None:
    """Its third parameter is named `instance`; a callable for `returns` asks by keyword."""

    class Shop:
        def __init__(self, team: str) -> None:
            self.team = team

        @side_effect(name="sms.send", returns=lambda to, *, instance: (instance.team, to))
        def send(self, to: str) -> tuple[str, str]:
            return "sent", to

    def by_team(effect: Any, arguments: Mapping[str, Any], instance: Shop) -> Any:
        return Mode.RECORD if instance.team == "north" else redirect(to=instance.team)

    with policy(by_team):
        assert Shop("south").send("Ada") == ("sent", "south")
        assert Shop("north").send("Ada") == ("north", "Ada")
    with policy("tests.core.test_redirect.dotted"):
        assert Shop("south").send("Ada") == ("sent", "Shop")


def dotted(effect: Any, arguments: Any, instance: Any) -> Any:
    """A policy function that settings name."""
    return redirect(to=type(instance).__name__)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are evaluated lazily from Python 3.14 on")
@pytest.mark.usefixtures("production")
def test_what_is_asked_may_have_annotations_that_nobody_can_evaluate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Policy functions, given or named by their paths, what gives a stub's answer, and what gives a call's details."""
    (tmp_path / "lazily_annotated_rules.py").write_text(
        "from sideeffects import Mode\n"
        "def rule(effect: Later, arguments: Later, instance: Later) -> Later: return Mode.RECORD\n"
        "def answer(to: Later, *, instance: Later) -> Later: return instance, to\n"
        "def details(to: Later) -> Later: return {'to': to}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    rules: Any = importlib.import_module("lazily_annotated_rules")

    @side_effect(name="sms.send", returns=rules.answer, details=rules.details)
    def send(to: str) -> Any: ...

    for value in (rules.rule, "lazily_annotated_rules.rule"):
        with policy(value), capture() as calls:
            assert send("Ada") == (None, "Ada")
        assert calls.one(send).details == {"to": "Ada"}


def test_a_redirect_never_counts_in_a_test_run() -> None:
    """Whether the value itself or what a function answers; a forced call has its own arguments."""
    send = sms()
    for value in (redirect(to="QA"), lambda effect, arguments: redirect(to="QA")):
        with policy(value):
            with capture() as calls:
                assert send("Ada") is None
            assert calls.one(send).arguments["to"] == "Ada"
            assert calls.one(send).asked is None
            with force_run(send):
                assert send("Ada")[0] == "Ada"


async def asked_later(arguments: Any) -> bool:
    """What it gives is a coroutine, which is true."""
    return False


class Waits:
    """What can be awaited, and not closed."""

    def __await__(self) -> Iterator[Any]:
        yield


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize(
    ("value", "said"),
    [
        (redirect(too="QA"), "sms.send has no argument 'too'; it has to"),
        (redirect(to=lambda arguments: arguments["nobody"]), "KeyError: 'nobody'; sms.send has the arguments to"),
        (redirect(to="QA", unless=lambda arguments: 1 / 0), "ZeroDivisionError"),
        (redirect(to="QA", unless=asked_later), "a redirect's functions are called at once"),
        (redirect(to=lambda _: Waits()), "a redirect's functions are called at once"),
    ],
)
def test_doubt_about_a_redirect_refuses(value: Any, said: str) -> None:
    """An argument that there is not, and whatever a function of the user's raises."""

    @side_effect(name="sms.send")
    def send(to: str) -> None:
        raise AssertionError("executed")

    with policy(value), pytest.raises(SideEffectBlocked) as refused:
        send("Ada")
    assert said in str(refused.value)


@pytest.mark.usefixtures("production")
def test_arguments_that_only_keywords_name() -> None:
    """A function that takes any keyword may be given another; not where a position may have said the same."""

    @side_effect(name="sms.send")
    def send(**given: Any) -> Any:
        return given

    @side_effect(name="sms.push")
    def push(*args: Any, **given: Any) -> None:
        raise AssertionError("executed")

    largest = side_effect(name="sms.max")(max)
    with policy(redirect(to="QA"), "sms.*"):
        assert send(body="x") == {"to": "QA", "body": "x"}
        with pytest.raises(SideEffectBlocked, match="has no argument 'to'; it has args, given"):
            push("Ada")
        with pytest.raises(SideEffectBlocked, match="since Python cannot tell its arguments"):
            largest(1, 2)


@pytest.mark.usefixtures("production")
def test_further_arguments_are_redirected_together() -> None:
    """By a list and by a dict of names that no other parameter has; anything else refuses the call."""

    @side_effect(name="sms.send")
    def send(to: str, *rest: Any, **given: Any) -> Any:
        return to, rest, given

    with policy(redirect(rest=["x"], given={"body": "y"})):
        assert send("Ada", 1, 2, key=3) == ("Ada", ("x",), {"body": "y"})
    for value, said in (
        (redirect(rest="xy"), "'rest' of sms.send takes a list"),
        (redirect(given=5), "'given' of sms.send takes a dict"),
        (redirect(given={"to": "QA"}), "'given' of sms.send takes a dict"),
    ):
        with policy(value), pytest.raises(SideEffectBlocked, match=said):
            send("Ada")


@pytest.mark.usefixtures("production")
def test_each_call_gets_the_value_as_it_was_written() -> None:
    """Whatever the function before has done with its own."""

    @side_effect(name="sms.send")
    def send(to: list[str]) -> list[str]:
        to.append("more")
        return to

    with policy(redirect(to=["QA"])):
        assert [send(["Ada"]), send(["Eve"])] == [["QA", "more"]] * 2


@pytest.mark.usefixtures("production")
def test_redirects_of_one_rank_refuse_where_they_differ() -> None:
    """Two tags that say the same are one; a HOLD beside a redirect holds the redirected call; RECORD is stricter."""
    send = sms(tags=["a", "b"])
    qa, other = redirect(to="QA"), redirect(to="other")
    cases: list[tuple[Any, Any]] = [(qa, redirect(to="QA")), (qa, Mode.EXECUTE)]
    for first, second in cases:
        with policy(first, "tag:a", **{"tag:b": second}):
            assert send("Ada")[0] == "QA"
    with policy(qa, "tag:a", **{"tag:b": other}), pytest.raises(SideEffectBlocked, match="and they differ"):
        send("Ada")
    with policy(qa, "tag:a", **{"tag:b": "RECORD"}), capture() as calls:
        assert send("Ada") is None
        assert calls.one(send).asked is None

    class Odd:
        def __eq__(self, other: object) -> bool:
            raise ValueError

        __hash__ = object.__hash__

    odd = redirect(to=Odd())
    with policy(odd, "tag:a", **{"tag:b": redirect(to=Odd())}), pytest.raises(SideEffectBlocked):
        send("Ada")


@pytest.mark.usefixtures("production")
def test_every_kind_of_effect_is_redirected() -> None:
    """Coroutines, generators, context managers, and a context manager as a decorator (once, not twice)."""

    @side_effect(name="x.coroutine")
    async def coroutine(to: str) -> str:
        return to

    @side_effect(name="x.generator")
    def generator(to: str) -> Iterator[str]:
        yield to

    @side_effect(name="x.stream")
    async def stream(to: str) -> AsyncIterator[str]:
        yield to

    seen: list[str] = []

    @side_effect(name="x.manager")
    @contextlib.contextmanager
    def manager(to: str) -> Generator[str]:
        seen.append(to)
        yield to

    @side_effect(name="x.async_manager")
    @contextlib.asynccontextmanager
    async def async_manager(to: str) -> AsyncGenerator[str, None]:
        yield to

    @manager("Ada")
    def decorated() -> None:
        pass

    async def all_async() -> list[str]:
        async with async_manager("Ada") as entered:
            return [await coroutine("Ada"), *[item async for item in stream("Ada")], entered]

    with policy(redirect(to=lambda arguments: arguments["to"] + "+"), "x.*"):
        assert asyncio.run(all_async()) == ["Ada+"] * 3
        assert list(generator("Ada")) == ["Ada+"]
        with manager("Ada") as entered:
            assert entered == "Ada+"
        decorated()
    assert seen[-2:] == ["Ada+", "Ada+"]


@pytest.mark.usefixtures("production")
def test_a_call_is_redirected_once_on_its_way_through_the_background() -> None:
    """Where it is enqueued; a worker's own policy redirects what came without."""
    send = sms(async_ok=True)
    shifted = redirect(to=lambda arguments: arguments["to"] + "+")
    with policy(shifted):
        assert send.enqueue("Ada").result(5)[0] == "Ada+"
        came = Parcel("7-abc-1", "sms.send", ("Ada",), {})
        assert run_parcel(came.to_data())[0] == "Ada+"
        moved = Parcel("7-abc-1", "sms.send", ("Ada",), {}, is_redirected=True)
        assert run_parcel(moved.to_data())[0] == "Ada"
        released: dict[str, Any] = {"number": "7-abc-1", "run_id": None, "origin": ""}
        given = (send._self_declared, send.__wrapped__, None, ("Ada",), {})
        assert run_released(*given, **released).call.asked == {
            "to": "Ada",
            "body": "hi",
            "rest": (),
            "urgent": False,
            "more": {},
        }
        assert run_released(*given, **released, is_redirected=True).call.asked is None


@pytest.mark.usefixtures("production")
def test_run_lists_give_what_a_redirect_made() -> None:
    """All by keyword; what takes an argument by position alone cannot be redirected there."""
    send = sms()

    @side_effect(name="sms.push")
    def push(to: str = "Ada", /) -> str:
        return to

    with policy(redirect(to="QA"), "sms.*"):
        assert run_side_effects("list", [(send, {"to": "Ada"})], swallow=False).results[0][0] == "QA"
        with pytest.raises(TypeError, match=r"a redirect of sms.push cannot work in a run list"):
            run_side_effects("list", [(push, {})], swallow=False)


@pytest.mark.usefixtures("production")
def test_overrides_speak_before_a_redirect() -> None:
    """They are the first row of the table."""
    send = sms()
    with policy(redirect(to="QA")):
        with force_run(send):
            assert send("Ada")[0] == "Ada"
        with record(send):
            assert send("Ada") is None


@pytest.mark.usefixtures("production")
def test_explain_says_that_it_redirects() -> None:
    """Without the values, which may be secret."""
    sms()
    with policy(redirect(to="+44 secret")):
        decision = explain("sms.send")
    assert str(decision) == (
        "EXECUTE (decided per call): POLICY['sms.send'] is redirect(to=...) "
        """[settings.SIDE_EFFECTS["POLICY"]['sms.send']]"""
    )


def test_what_makes_no_redirect() -> None:
    """Nothing to change, or a condition that is no function."""
    with pytest.raises(TypeError, match="needs the arguments that change"):
        redirect()
    with pytest.raises(TypeError, match="unless must be a function"):
        redirect(to="QA", unless=True)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


@pytest.mark.usefixtures("production")
def test_rules_with_redirects_are_not_read_again_at_each_call() -> None:
    """A value that were copied with the settings would never equal itself."""
    from sideeffects.project.live_settings import current_rules

    with policy(redirect(to="QA")):
        assert current_rules() is current_rules()


@pytest.mark.usefixtures("production")
def test_an_effect_may_fix_some_of_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """And say what else changes with one of them, unless the redirect does."""
    send = sms()
    limits = Limits(frozenset(("urgent",)), {"to": {"body": "emptied"}})
    monkeypatch.setitem(redirecting.limits, send.effect.dotted_path, limits)
    with policy(redirect(to="QA")):
        assert send("Ada")[:2] == ("QA", "emptied")
    with policy(redirect(to="QA", body="mine")):
        assert send("Ada")[:2] == ("QA", "mine")
    with policy(redirect(body="mine")):
        assert send("Ada")[:2] == ("Ada", "mine")
    with policy(redirect(urgent=True)), pytest.raises(SideEffectBlocked, match=r"'urgent' of sms.send cannot be"):
        send("Ada")


@pytest.mark.usefixtures("production")
def test_what_is_not_surely_the_same_is_changed() -> None:
    """Rows of Django are equal by their key, whatever address they have; some values do not compare at all."""

    class Odd(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            raise ValueError

        __hash__ = str.__hash__

    class Row:
        def __init__(self, address: str) -> None:
            self.address = address

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = object.__hash__

    send = sms()
    with policy(redirect(to=Odd("QA"))), capture() as calls:
        send(Odd("Ada"))
    assert calls.one(send).asked is not None
    for given, put in ((Row("Ada"), Row("QA")), ([Row("Ada")], [Row("QA")]), ({"x": [1]}, {"x": [True]})):
        with policy(redirect(to=put)), capture() as calls:
            send(given)
        assert calls.one(send).asked is not None
    with policy(redirect(to={"x": (1, ["QA"])})), capture() as calls:
        send({"x": (1, ["QA"])})
    assert calls.one(send).asked is None


@pytest.mark.usefixtures("production")
def test_functions_that_do_not_tell_their_parameters_are_asked_without_the_instance() -> None:
    """Those written in C, and objects that have no hash."""
    send = sms(returns=max)

    class Asked:
        __hash__ = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

        def __call__(self, effect: Any, arguments: Any, instance: Any) -> Any:
            return redirect(to=f"QA of {instance}")

    with policy(Asked()):
        assert send("Ada")[0] == "QA of None"
    with record(send):
        assert send("a", "b") == "b"


@pytest.mark.usefixtures("production")
def test_a_rule_that_asks_for_arguments_beside_a_redirect() -> None:
    """`explain` says of both what may come."""
    sms(tags=["a", "b"])
    with policy(redirect(to="QA"), "tag:a", **{"tag:b": lambda *_: "RECORD"}):
        assert explain("sms.send").mode is Mode.RAISE
    with policy(redirect(to="QA"), "tag:a", **{"tag:b": "RECORD"}):
        assert explain("sms.send").mode is Mode.RECORD
