"""Fault sweeps as a call: which calls fail, how, and what the report says of it."""

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from sideeffects import (
    Calls,
    SideEffectBlocked,
    capture,
    forbid,
    force_run,
    run_side_effects,
    side_effect,
    stub,
)
from sideeffects.errors import UnknownSideEffect
from sideeffects.testing import (
    FaultSweepError,
    FaultSweepFailed,
    NotRepeatable,
    ScenarioFails,
    SideEffectFault,
    UnknownFaultCell,
    current_fault,
    fault_sweep,
    isolated_registry,
)


class CardDeclined(Exception):
    pass


class Shop:
    """A shop without a database: what has really been done is in `done`."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.orders: list[str] = []
        self.runs = 0
        shop = self

        @side_effect(name="card.charge", raises=(CardDeclined,), returns={"id": "recorded"})
        def charge(cents):
            shop.done.append("charge")
            return {"id": "real"}

        @side_effect(name="sms.send", raises=(OSError, ValueError), async_ok=True)
        def send(to):
            shop.done.append("send")

        @side_effect(name="stock.reserve")
        def reserve(item):
            shop.done.append("reserve")

        @side_effect(name="card.refund")
        def refund(receipt):
            shop.done.append("refund")

        self.charge, self.send, self.reserve, self.refund = charge, send, reserve, refund

    def set_up(self) -> None:
        self.runs += 1
        self.orders.clear()

    def place(self) -> None:
        """An order whose second effect, when it fails, leaves the first one's trace."""
        receipt = self.charge(100)["id"]
        self.reserve("book")
        self.orders.append(receipt)


@pytest.fixture
def shop() -> Iterator[Shop]:
    with isolated_registry():
        yield Shop()


def charged(calls: Calls) -> int:
    """How many charges went through."""
    return sum(call.outcome is not None and call.outcome.error is None for call in calls.named("card.charge"))


def statuses(report: Any) -> dict[str, str]:
    return {result.name: result.status for result in report.cells}


def test_each_call_fails_with_each_exception_before_and_after(shop: Shop) -> None:
    """One run to see the calls, and one for each cell; no more."""

    def scenario() -> None:
        shop.charge(1)
        shop.send("ann")
        shop.send("ben")

    report = fault_sweep(scenario, setup=shop.set_up)

    assert list(statuses(report)) == [
        f"{call}:{exception}:{point}"
        for call, exceptions in [
            ("card.charge#1", ["CardDeclined"]),
            ("sms.send#1", ["OSError", "ValueError"]),
            ("sms.send#2", ["OSError", "ValueError"]),
        ]
        for exception in exceptions
        for point in ("before", "after")
    ]
    assert set(statuses(report).values()) == {"passed"}
    assert shop.runs == report.runs == len(report.cells) + 1
    assert shop.done == []


def test_an_order_whose_second_effect_fails_leaves_the_trace_of_the_first(shop: Shop) -> None:
    """The invariant finds it, at both points, and the message is the report."""

    def who_was_charged_has_an_order(calls: Calls) -> None:
        assert charged(calls) == len(shop.orders)

    with pytest.raises(FaultSweepFailed) as failed:
        fault_sweep(shop.place, setup=shop.set_up, invariants=who_was_charged_has_an_order)

    report = failed.value.report
    assert [result.name for result in report.failed] == [
        "card.charge#1:CardDeclined:after",
        "stock.reserve#1:SideEffectFault:before",
        "stock.reserve#1:SideEffectFault:after",
    ]
    text = str(failed.value)
    assert text.startswith("fault sweep of Shop.place: 4 cells, 1 passed, 3 failed; 5 runs\n")
    assert re.search(r"^effect +exception +before +after$", text, flags=re.MULTILINE)
    assert re.search(r"^card\.charge#1 +CardDeclined +passed +FAILED$", text, flags=re.MULTILINE)
    assert re.search(r"^stock\.reserve#1 +SideEffectFault +FAILED +FAILED$", text, flags=re.MULTILINE)
    assert "raised by the invariant who_was_charged_has_an_order" in text
    assert "card.charge#1:CardDeclined:after" in text.rpartition("run one of them again:")[2]
    assert all(isinstance(result.error, AssertionError) for result in report.failed)


def test_before_nothing_is_done_and_after_it_is(shop: Shop) -> None:
    """Also of an effect that the test has named: a fault before keeps it from executing."""
    seen: dict[str | None, list[str]] = {}

    def note(fault: str | None) -> None:
        seen[fault] = [*shop.done]
        shop.done.clear()

    def scenario() -> None:
        shop.charge(1)

    with force_run("card.charge"):
        fault_sweep(scenario, invariants=note)

    assert seen == {
        None: ["charge"],
        "card.charge#1:CardDeclined:before": [],
        "card.charge#1:CardDeclined:after": ["charge"],
    }


@pytest.mark.parametrize("point", ["before", "after"])
def test_what_is_written_down(shop: Shop, point: str) -> None:
    """Before: recorded, with the error. After: done, with the result that nobody got."""
    outcomes: list[Any] = []

    def note(calls: Calls, fault: str | None) -> None:
        if fault:
            call = calls.one("card.charge")
            outcomes.append((call.mode.name, call.outcome, call.reason))

    with force_run("card.charge"):
        fault_sweep(lambda: shop.charge(1), invariants=note, points=point)

    [(mode, outcome, reason)] = outcomes
    if point == "before":
        assert (mode, type(outcome.error)) == ("RECORD", CardDeclined)
        assert "fault_sweep" in reason
    else:
        assert (mode, outcome.error, outcome.result) == ("EXECUTE", None, {"id": "real"})


def test_a_refused_call_stays_refused(shop: Shop) -> None:
    """A sweep never loosens a decision, and what was refused is no cell."""
    seen: list[int] = []

    def scenario() -> None:
        shop.send("ann")
        with forbid("card.charge"), pytest.raises(Exception, match="refused"):
            shop.charge(1)

    report = fault_sweep(scenario, invariants=lambda calls: seen.append(len(calls)))

    assert {result.cell[0].effect for result in report.cells} == {"sms.send"}
    assert shop.done == []


def test_a_call_that_is_refused_when_it_is_to_fail_stays_refused(shop: Shop) -> None:
    """What comes later in a run may be decided otherwise than in the first one."""
    refused: list[str | None] = []

    def scenario() -> None:
        shop.send("ann")
        with forbid("card.charge") if current_fault() else contextlib.nullcontext():
            try:
                shop.charge(1)
            except SideEffectBlocked:
                refused.append(current_fault())

    report = fault_sweep(scenario, points="before")

    assert [(result.cell[0].effect, result.status) for result in report.cells] == [
        ("sms.send", "passed"),
        ("sms.send", "passed"),
        ("card.charge", "not reached"),
    ]
    assert refused == ["card.charge#1:CardDeclined:before"]


def test_the_fault_itself_may_come_out_and_others_may_not(shop: Shop) -> None:
    """Code may fail when an effect does, with what the effect raised; anything else is unexpected, unless expected."""

    def scenario() -> None:
        try:
            shop.charge(1)
        except CardDeclined as error:
            raise LookupError("no order") from error

    report = fault_sweep(scenario, check=False)

    assert set(statuses(report).values()) == {"failed"}
    assert report.failed[0].detail.startswith("LookupError: no order")
    assert "test_fault_sweeps.py:" in report.failed[0].detail
    assert fault_sweep(scenario, expected=LookupError).failed == []


def test_an_expected_exception_is_not_expected_without_a_fault(shop: Shop) -> None:
    """`expected` is about runs in which an effect has failed."""
    with pytest.raises(ScenarioFails):
        fault_sweep(_raising(shop, LookupError()), expected=LookupError)


def _raising(shop: Shop, error: Exception) -> Callable[[], None]:
    def scenario() -> None:
        shop.charge(1)
        raise error

    return scenario


@pytest.mark.parametrize("is_async", [False, True])
def test_all_that_is_wrong_is_told(shop: Shop, is_async: bool) -> None:
    """Broken invariants beside an exception that the scenario did not survive, each of them."""

    def scenario() -> None:
        shop.orders.append("paid")
        try:
            shop.charge(1)
        except CardDeclined as error:
            raise KeyError("order_id") from error

    async def asynchronous() -> None:
        scenario()

    def no_order_without_a_charge(fault: str | None) -> None:
        assert not fault, "a paid order without a charge"

    def nothing_is_left(fault: str | None) -> bool:
        return not fault

    with pytest.raises(FaultSweepFailed) as failed:
        fault_sweep(
            asynchronous if is_async else scenario,
            invariants=[no_order_without_a_charge, nothing_is_left],
            points="before",
        )
    text = str(failed.value)
    told = ("KeyError: 'order_id'", "a paid order without a charge", "the invariant nothing_is_left does not hold")
    assert sorted(map(text.index, told)) == list(map(text.index, told))
    assert isinstance(failed.value.report.failed[0].error, KeyError)


def test_swallowing_is_no_way_around_an_invariant(shop: Shop) -> None:
    """Invariants are checked whether or not the fault came out; returning `False` breaks them too."""

    def scenario() -> None:
        try:
            shop.charge(1)
        except CardDeclined:
            shop.orders.append("free of charge")

    report = fault_sweep(scenario, setup=shop.set_up, invariants=lambda: not shop.orders, check=False)

    assert statuses(report) == dict.fromkeys(
        ["card.charge#1:CardDeclined:before", "card.charge#1:CardDeclined:after"], "failed"
    )
    assert "does not hold" in report.failed[0].detail


def test_an_effect_that_declares_nothing_fails_with_a_fault_of_its_own(shop: Shop) -> None:
    """`SideEffectFault` says which effect, at which point, and what to declare."""
    caught: list[SideEffectFault] = []

    def scenario() -> None:
        try:
            shop.reserve("book")
        except SideEffectFault as error:
            caught.append(error)

    fault_sweep(scenario)

    assert [(error.name, error.point) for error in caught] == [("stock.reserve", "before"), ("stock.reserve", "after")]
    assert "raises=" in str(caught[0])


def test_exceptions_by_hand(shop: Shop) -> None:
    """For all effects, or for some; the closest name wins, and those not mentioned fail as they declare."""

    def scenario() -> None:
        shop.charge(1)
        shop.send("ann")

    def exceptions(raises: Any) -> list[str]:
        return [result.cell[0].exception for result in fault_sweep(scenario, raises=raises, points=["before"]).cells]

    assert exceptions([TimeoutError]) == ["TimeoutError", "TimeoutError"]
    assert exceptions({shop.send: TimeoutError}) == ["CardDeclined", "TimeoutError"]
    slow = [TimeoutError("slow"), TimeoutError("slower")]
    assert exceptions({"__all__": KeyError, "*": IndexError, "sms.*": slow}) == [
        "IndexError",
        "TimeoutError~1",
        "TimeoutError~2",
    ]
    with pytest.raises(UnknownSideEffect, match=r"sms\.send"):
        exceptions({"sms.sent": OSError})
    with pytest.raises(TypeError, match="exceptions and their classes"):
        exceptions(["OSError"])


def test_only_some_effects(shop: Shop) -> None:
    """By effect, name or glob, one or several; one that is not called is said."""

    def scenario() -> None:
        shop.charge(1)
        shop.send("ann")

    for effects in (shop.charge, "card.*", ["card.charge"]):
        assert {result.cell[0].effect for result in fault_sweep(scenario, effects=effects).cells} == {"card.charge"}
    with pytest.raises(FaultSweepError, match=r"calls card\.charge, sms\.send, and this sweep lets none"):
        fault_sweep(scenario, effects="stock.*")
    with pytest.raises(UnknownSideEffect):
        fault_sweep(scenario, effects="stocks.*")


def test_an_exception_that_wants_arguments_has_to_be_given(shop: Shop) -> None:
    """Nobody can guess them; an instance by hand is raised as it is."""

    class Refused(Exception):
        def __init__(self, code: int, reason: str) -> None:
            super().__init__(code, reason)

    with pytest.raises(FaultSweepError, match=r"raises=\{'card.charge': \[Refused\(\.\.\.\)\]\}"):
        fault_sweep(lambda: shop.charge(1), raises=Refused)
    Refused.__eq__ = lambda one, other: one is other  # as a dataclass has it: no hash any more
    Refused.__hash__ = None
    given = Refused(402, "no funds")
    caught: list[Exception] = []

    def scenario() -> None:
        try:
            shop.charge(1)
        except Refused as error:
            caught.append(error)

    fault_sweep(scenario, raises=given)
    assert caught == [given, given]


def test_pairs_of_faults(shop: Shop) -> None:
    """The second call is one that is made once the first has failed: what is to make up for it, for one."""

    def scenario() -> None:
        receipt = shop.charge(1)["id"]
        try:
            shop.reserve("book")
        except SideEffectFault:
            shop.refund(receipt)
            return
        shop.orders.append(receipt)

    def money_back_or_an_order(calls: Calls) -> None:
        refunds = [call for call in calls.named("card.refund") if call.outcome and not call.outcome.error]
        assert charged(calls) == len(shop.orders) + len(refunds)

    options: Any = {"setup": shop.set_up, "invariants": money_back_or_an_order, "effects": ["stock.*", "card.refund"]}
    assert fault_sweep(scenario, **options).failed == []
    report = fault_sweep(scenario, **options, depth=2, check=False)

    name = "stock.reserve#1:SideEffectFault:{}+card.refund#1:SideEffectFault:{}".format
    assert [result.name for result in report.failed] == [name("before", "before"), name("after", "before")]
    assert report.runs == 1 + 2 + 4
    assert re.search(r"^stock\.reserve#1:SideEffectFault:before +1 +1 +0$", str(report), flags=re.MULTILINE)
    again = fault_sweep(scenario, **options, cells=name("before", "before"), check=False)
    assert (statuses(again), again.runs) == ({name("before", "before"): "failed"}, 2)


def test_the_second_of_a_pair_that_is_not_reached(shop: Shop) -> None:
    """A call that is not made once the first has failed needs no run; it is counted."""

    def scenario() -> None:
        shop.charge(1)
        shop.reserve("book")

    report = fault_sweep(scenario, depth=2)

    assert report.runs == 1 + 4
    assert [result.name for result in report.not_reached] == [
        f"card.charge#1:CardDeclined:{first}+stock.reserve#1:SideEffectFault:{second}"
        for first in ("before", "after")
        for second in ("before", "after")
    ]
    assert report.as_data()["cells"][1]["status"] == "not reached"


def test_one_cell_is_run_again_by_its_name(shop: Shop) -> None:
    """Two runs: one to see that there is such a call."""
    report = fault_sweep(shop.place, setup=shop.set_up, cells=["stock.reserve#1:SideEffectFault:after"])

    assert statuses(report) == {"stock.reserve#1:SideEffectFault:after": "passed"}
    assert shop.runs == 2


@pytest.mark.parametrize(
    "cell",
    [
        "stock.reserve#2:SideEffectFault:after",
        "stock.reserve#1:SideEffectFault:later",
        "card.charge#1:CardDeclined:before+stock.reserv#1:SideEffectFault:after",
        "nonsense",
    ],
)
def test_an_unknown_cell(shop: Shop, cell: str) -> None:
    """The error names those that look like it, or all."""
    with pytest.raises(UnknownFaultCell, match=r"stock\.reserve#1:SideEffectFault:after|has no cell.*It has") as error:
        fault_sweep(shop.place, cells=cell)
    assert cell in str(error.value)


def test_a_scenario_that_fails_without_any_fault(shop: Shop) -> None:
    """Its own exception is the cause, and nothing further is run."""
    with pytest.raises(ScenarioFails, match=r"fails although no effect does.*KeyError") as error:
        fault_sweep(_raising(shop, KeyError("lost")), setup=shop.set_up)
    assert isinstance(error.value.__cause__, KeyError)
    assert shop.runs == 1
    with pytest.raises(ScenarioFails, match="does not hold"):
        fault_sweep(shop.place, invariants=lambda: False)


def test_a_scenario_that_is_not_repeatable(shop: Shop) -> None:
    """It calls something else before the fault, or no longer what was to fail."""

    def more_and_more() -> None:
        shop.runs += 1
        for _ in range(shop.runs):
            shop.send("ann")
        shop.charge(1)

    differs = r"first sms\.send#1, card\.charge#1; then sms\.send#1, sms\.send#2"
    with pytest.raises(NotRepeatable, match=differs) as error:
        fault_sweep(more_and_more, effects="card.*")
    assert "setup=" in str(error.value)

    def once() -> None:
        if not shop.orders:
            shop.orders.append("once")
            shop.charge(1)

    with pytest.raises(NotRepeatable, match="then none"):
        fault_sweep(once)


def test_a_sweep_of_nothing_says_so(shop: Shop) -> None:
    """Nothing that could fail is no success."""
    with pytest.raises(FaultSweepError, match="calls no side effect"):
        fault_sweep(lambda: None)
    with stub("card.charge", raises=CardDeclined()), pytest.raises(FaultSweepError, match=r"no call of .* has failed"):
        fault_sweep(_catching(shop), points="after")


def _catching(shop: Shop) -> Callable[[], None]:
    def scenario() -> None:
        with pytest.raises(CardDeclined):
            shop.charge(1)

    return scenario


def test_sweeps_are_not_nested(shop: Shop) -> None:
    """The inner one would see the faults of the outer one."""
    with pytest.raises(FaultSweepError, match="runs already"):
        fault_sweep(lambda: fault_sweep(shop.place))


def test_invariants_may_ask_for_what_the_setup_returns(shop: Shop) -> None:
    """By name. What nobody has is an error before anything fails."""

    def scenario(basket: list[str]) -> None:
        basket.append("book")
        shop.charge(1)

    seen: list[int] = []

    def check(basket: list[str], *, size: int = 1) -> None:
        seen.append(len(basket))
        assert len(basket) == size

    fault_sweep(scenario, setup=lambda: {"basket": []}, invariants=[check])
    assert seen == [1, 1, 1]
    with pytest.raises(FaultSweepError, match=r"asks for 'order'.*basket, calls, fault"):
        fault_sweep(scenario, setup=lambda: {"basket": []}, invariants=lambda order: order)
    with pytest.raises(FaultSweepError, match="asks for 'order'"):
        fault_sweep(shop.place, invariants=lambda order: order)


def test_effects_in_the_background_fail_there(shop: Shop) -> None:
    """What is enqueued does not fail where it is enqueued: its handle does."""
    errors: list[str] = []

    def scenario() -> None:
        handle = shop.send.enqueue("ann")
        try:
            handle.result(10)
        except (OSError, ValueError) as error:
            errors.append(type(error).__name__)

    fault_sweep(scenario)
    with force_run("sms.send"):
        fault_sweep(scenario)

    assert errors == ["OSError", "OSError", "ValueError", "ValueError"] * 2
    assert shop.done == ["send"] * 3  # the first run, and two that lost the answer


def test_a_run_list_swallows_faults_as_it_swallows_errors(shop: Shop) -> None:
    """And what it returns tells of them."""
    seen: list[int] = []

    def scenario() -> None:
        result = run_side_effects("placed", [(shop.charge, {"cents": 1}), (shop.reserve, {"item": "x"})], swallow=True)
        seen.append(len(result.errors))

    fault_sweep(scenario)

    assert seen == [0, 1, 1, 1, 1]


def test_all_shapes(shop: Shop) -> None:
    """Coroutines, generators and context managers fail as functions do, and nothing of them executes."""
    from contextlib import contextmanager

    @side_effect(name="a.coroutine")
    async def coroutine() -> None:
        shop.done.append("coroutine")

    @side_effect(name="a.generator", returns=[1])
    def generator() -> Iterator[int]:
        shop.done.append("generator")
        yield 2

    @side_effect(name="async.generator", returns=[1])
    async def async_generator() -> Any:
        shop.done.append("async generator")
        yield 2

    @side_effect(name="a.manager")
    @contextmanager
    def manager() -> Iterator[None]:
        shop.done.append("manager")
        yield

    reached: list[str] = []

    async def scenario() -> None:
        await coroutine()
        reached.append("coroutine")
        assert list(generator()) == [1]
        reached.append("generator")
        assert [item async for item in async_generator()] == [1]
        reached.append("async generator")
        with manager():
            pass
        reached.append("manager")

    report = fault_sweep(scenario)

    assert (len(report.passed), report.runs) == (8, 9)
    assert shop.done == []
    assert [reached.count(name) for name in ("coroutine", "generator", "async generator", "manager")] == [7, 5, 3, 1]


def test_executing_shapes_lose_their_answer(shop: Shop) -> None:
    """They run to their end first."""

    @side_effect(name="a.coroutine")
    async def coroutine() -> None:
        await asyncio.sleep(0)
        shop.done.append("coroutine")

    @side_effect(name="a.generator")
    def generator() -> Iterator[int]:
        yield 1
        shop.done.append("generator")

    got: list[int] = []

    async def scenario() -> None:
        await coroutine()
        got.append(sum(generator()))

    with force_run("a.*"):
        fault_sweep(scenario, points="after")

    assert shop.done == ["coroutine", "generator", "coroutine", "coroutine", "generator"]
    assert got == [1]  # a list that is not complete is no list


def test_faults_that_come_out_together(shop: Shop) -> None:
    """A group of nothing but faults is expected; one with anything else is not."""

    def grouped(*others: Exception) -> Callable[[], None]:
        def scenario() -> None:
            errors: list[Exception] = []
            try:
                shop.charge(1)
            except CardDeclined as error:
                errors = [error, *others]
            if errors:
                raise ExceptionGroup("several", errors)

        return scenario

    assert fault_sweep(grouped()).failed == []
    assert len(fault_sweep(grouped(KeyError()), check=False).failed) == 2


def test_nothing_is_left_in_force(shop: Shop) -> None:
    """Neither a fault nor a view on calls, whatever came out of the sweep."""
    from sideeffects._core.state.state import state

    for scenario in (shop.place, _raising(shop, KeyError())):
        with contextlib.suppress(ScenarioFails, FaultSweepFailed):
            fault_sweep(scenario)
        assert state.faults is None
    with capture() as calls:
        shop.charge(1)
    assert [call.outcome for call in calls] == [(({"id": "recorded"}), None, 0.0)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 3}, "depth is 1 or 2"),
        ({"points": "during"}, "'before', 'after' or both"),
        ({"points": []}, "'before', 'after' or both"),
        ({"expected": ["LookupError"]}, "exception classes"),
        ({"invariants": ["nothing"]}, "invariants are functions"),
        ({"raises": "OSError"}, "not 'OSError'"),
    ],
)
def test_options_are_checked(shop: Shop, options: dict[str, Any], message: str) -> None:
    """Before anything runs."""
    with pytest.raises((TypeError, ValueError), match=message):
        fault_sweep(shop.place, setup=shop.set_up, **options)
    assert shop.runs == 0


def test_what_is_no_function_is_refused() -> None:
    """Rather than called, and its failure taken for the scenario's."""
    scenario: Any = "place"
    with pytest.raises(TypeError, match="runs a function, not 'place'"):
        fault_sweep(scenario)


def test_asynchronous_invariants_need_an_asynchronous_scenario_or_a_loop_of_their_own(shop: Shop) -> None:
    """As a call, both are run to their end."""
    seen: list[int] = []

    async def check(calls: Calls) -> None:
        await asyncio.sleep(0)
        seen.append(len(calls))

    fault_sweep(shop.place, invariants=check)

    assert seen == [2, 1, 1, 2, 2]


def test_setup_that_returns_something_else(shop: Shop) -> None:
    """Arguments have names."""
    given: Any = SimpleNamespace
    with pytest.raises(FaultSweepError, match="a mapping of arguments, or None"):
        fault_sweep(shop.place, setup=given)
