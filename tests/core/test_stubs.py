"""`stub(in_turn=..., times=...)`: one answer for each call, and how many calls there have to be."""

import contextlib
import pickle
import threading
import unittest
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from sideeffects import StubExhausted, capture, force_run, record, side_effect, stub
from sideeffects._core.state.state import state
from sideeffects._core.verbs.overrides import enter_rules, rule_table
from sideeffects.testing import fault_sweep, isolated_registry


@pytest.fixture
def shop() -> Iterator[SimpleNamespace]:
    """Some effects. Called, they return `executed` or `recorded`."""
    with isolated_registry():

        @side_effect(name="sms.send", returns="recorded")
        def send(to: str = "") -> Any:
            return "executed"

        @side_effect(name="sms.bulk")
        def bulk() -> Any:
            return "executed"

        @side_effect(name="mail.fetch")
        async def fetch() -> Any:
            return "executed"

        yield SimpleNamespace(send=send, bulk=bulk, fetch=fetch)


@pytest.fixture(params=["test run", "production"])
def anywhere(request: pytest.FixtureRequest) -> None:
    """In a test run, and outside of one."""
    if request.param == "production":
        request.getfixturevalue("production")


@pytest.mark.parametrize("given", [{}, {"returns": 1, "raises": OSError}, {"returns": 1, "in_turn": [1]}])
def test_a_stub_takes_exactly_one_kind_of_answer(given: Any) -> None:
    """None, or two of them, is a `TypeError`."""
    with pytest.raises(TypeError, match=r"one of returns=\.\.\., raises=\.\.\. and in_turn"):
        stub("sms.send", **given)


@pytest.mark.parametrize("in_turn", [[], "ab", {"a": 1}, 3])
def test_answers_in_turn_are_a_list_of_some(in_turn: Any) -> None:
    """A list that was computed empty, or a string, is a mistake."""
    with pytest.raises(TypeError, match="in_turn takes a list with one answer for each call"):
        stub("sms.send", in_turn=in_turn)


@pytest.mark.parametrize("times", [-1, True, "2", 1.0])
def test_times_is_a_number_of_calls(times: Any) -> None:
    """Not a truth value, not a text."""
    with pytest.raises(TypeError, match="times is a number of calls"):
        stub("sms.send", returns=1, times=times)


def test_more_calls_than_answers_can_never_be() -> None:
    """It is said where the stub is written, rather than by each run."""
    with pytest.raises(ValueError, match=r"has to answer 3 calls \(times\), and has 2 answers \(in_turn\)"):
        stub("sms.send", in_turn=[1, 2], times=3)


def test_each_call_has_its_own_answer(shop: Any, anywhere: None) -> None:
    """Values, functions of the arguments, exceptions and their classes, one after the other."""
    with stub("sms.send", in_turn=["a", lambda to: f"to {to}", OSError("down"), KeyError, None]):
        assert shop.send() == "a"
        assert shop.send("Ada") == "to Ada"
        with pytest.raises(OSError, match="down"):
            shop.send()
        with pytest.raises(KeyError):
            shop.send()
        assert shop.send() is None


def test_a_call_past_the_last_answer_is_an_error(shop: Any, anywhere: None) -> None:
    """The message names the effect, the number of answers, and where the stub was entered; the call has the error."""
    with capture() as calls, stub("sms.send", in_turn=["only"]):
        shop.send()
        with pytest.raises(StubExhausted) as caught:
            shop.send()
    assert str(caught.value).startswith("the stub of side effect 'sms.send' has 1 answer (entered at ")
    assert "test_stubs.py:" in str(caught.value)
    assert "and this is call 2. Nothing was executed." in str(caught.value)
    assert calls[1].outcome.error is caught.value
    assert "2 answers, and" in str(StubExhausted("sms.send", 2, 3))
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.name, again.answers, again.number) == ("sms.send", 1, 2)


async def test_asynchronous_effects_are_answered_in_turn(shop: Any) -> None:
    """The answers come as the coroutines are awaited, and may be coroutines themselves."""

    async def later() -> str:
        return "later"

    with stub("mail.fetch", in_turn=["now", later, OSError], times=3):
        assert [await shop.fetch(), await shop.fetch()] == ["now", "later"]
        with pytest.raises(OSError):  # noqa: PT011 - the stub's
            await shop.fetch()


def test_answers_begin_again_each_time_that_the_block_is_entered(shop: Any) -> None:
    """An override may be used again, and nested in itself."""
    answers = stub("sms.send", in_turn=["first", "second"])
    with answers:
        assert shop.send() == "first"
        with answers:
            assert shop.send() == "first"
        assert shop.send() == "second"
    with answers:
        assert shop.send() == "first"


def test_one_stub_of_a_glob_answers_all_that_it_means(shop: Any) -> None:
    """In the order in which they are called."""
    with stub("sms.*", in_turn=["first", "second"], times=2):
        assert (shop.send(), shop.bulk()) == ("first", "second")


def test_threads_take_one_answer_each(shop: Any) -> None:
    """None is given twice, and none is left out."""
    taken: list[int] = []

    def work() -> None:
        for _ in range(50):
            taken.append(shop.send())  # noqa: PERF401 - each call on its own

    with stub("sms.send", in_turn=list(range(200)), times=200):
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(taken) == list(range(200))


# -- times


@pytest.mark.parametrize(("times", "made"), [(0, 0), (1, 1), (3, 3)])
def test_the_right_number_of_calls_passes(shop: Any, anywhere: None, times: int, made: int) -> None:
    """Counting only those that the stub has answered."""
    with stub("sms.send", returns="x", times=times):
        for _ in range(made):
            shop.send()
        with record("sms.send"):
            shop.send()


@pytest.mark.parametrize(
    ("times", "made", "was"), [(0, 1, "0 calls"), (1, 0, "1 call"), (1, 2, "1 call"), (3, 2, "3 calls")]
)
def test_another_number_of_calls_fails_where_the_block_is_left(
    shop: Any, anywhere: None, times: int, made: int, was: str
) -> None:
    """The message says how many there were to be, how many there were and, in a test run, which."""
    with pytest.raises(AssertionError) as caught, stub("sms.send", returns="x", times=times):
        for number in range(made):
            shop.send(f"to {number}")
    first, *listed = str(caught.value).splitlines()
    assert first.startswith(
        f'stub("sms.send", times={times}) had to answer {was}, and has answered {made} (entered at '
    )
    if state.test_run.is_on():
        assert len(listed) == made
        assert all(f"to='to {number}'" in line for number, line in enumerate(listed))
    else:
        assert listed == []


def test_a_block_that_fails_is_not_asked_for_its_calls(shop: Any) -> None:
    """Its own exception goes on."""
    block = stub("sms.send", returns="x", times=1)
    with pytest.raises(ZeroDivisionError), block:
        1 / 0  # noqa: B018 - the error is the point
    decorated = block(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        decorated()


async def test_decorators_and_asynchronous_blocks_are_asked(shop: Any) -> None:
    """A function, an `async def` and an `async with` like a block."""

    @stub("sms.send", returns="x", times=1)
    def once(number: int) -> None:
        for _ in range(number):
            shop.send()

    @stub("mail.fetch", returns="x", times=1)
    async def once_later(number: int) -> None:
        if number > 1:
            raise LookupError
        for _ in range(number):
            await shop.fetch()

    once(1)
    with pytest.raises(AssertionError, match="has answered 2"):
        once(2)
    await once_later(1)
    with pytest.raises(AssertionError, match="has answered 0"):
        await once_later(0)
    with pytest.raises(LookupError):
        await once_later(2)
    with pytest.raises(AssertionError, match="has answered 0"):
        async with stub("sms.send", returns="x", times=1):
            pass


def test_a_class_is_asked_when_it_is_torn_down(shop: Any) -> None:
    """A decorator above a `TestCase` counts the calls of all its tests."""

    @stub("sms.send", in_turn=["first", "second"], times=2)
    class Case(unittest.TestCase):
        def test_one(self) -> None:
            shop.send()

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Case).run(result)
    [(_, told)] = result.errors
    assert "had to answer 2 calls, and has answered 1" in told


def test_many_answered_calls_are_not_all_listed(shop: Any) -> None:
    """Twenty are enough to see what they are."""
    with pytest.raises(AssertionError) as caught, stub("sms.send", returns="x", times=1):
        for _ in range(30):
            shop.send()
    assert len(str(caught.value).splitlines()) == 21


# -- markers and class attributes


def test_a_table_takes_a_list_of_stubs(shop: Any) -> None:
    """As markers and class attributes spell it; they are counted apart from the block's own use."""
    given = [stub("sms.send", in_turn=["first", "second"]), stub("sms.bulk", raises=KeyError)]
    restore = enter_rules(rule_table([], [], [], given, "a marker"), "tests.py:1")
    with given[0]:
        assert shop.send() == "first"
    assert shop.send() == "first"
    with pytest.raises(KeyError):
        shop.bulk()
    restore()


def test_a_table_takes_no_other_overrides(shop: Any) -> None:
    """`force_run(...)` among the stubs is a mistake."""
    with pytest.raises(TypeError, match=r"or a list of stub\(\.\.\.\)"):
        rule_table([], [], [], [force_run("sms.send")], "a marker")


# -- fault sweeps


def test_a_sweep_loses_the_answer_that_was_in_turn(shop: Any) -> None:
    """What is lost has been taken: the next call has the next answer."""
    answers: list[list[object]] = []

    def scenario() -> None:
        seen: list[object] = []
        answers.append(seen)
        with stub("sms.send", in_turn=["first", "second"]):
            for _ in range(2):
                with contextlib.suppress(Exception):
                    seen.append(shop.send())

    fault_sweep(scenario)
    assert answers == [["first", "second"], ["first"], ["second"], ["first"], ["first"]], answers
