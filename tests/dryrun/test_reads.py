"""`reads=True`: what only reads executes in dry runs and probes, and its answer is used."""

import asyncio
import contextvars
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest

from sideeffects import Mode, SideEffectBlocked, capture, dry_run, explain, forbid, record, side_effect, stub
from sideeffects.dryrun.membership import whole_process
from sideeffects.probes import SmokeTest
from sideeffects.probes.case import specs_of
from sideeffects.probes.running import ProbeRunner
from sideeffects.probes.specs import FoundProbes
from sideeffects.testing import guard
from tests.dryrun.effects import executed


@pytest.fixture
def rate() -> Any:
    @side_effect(name="rates.get", reads=True, returns=1)
    def rate(code: str) -> int:
        """Ask for a rate."""
        executed.append(code)
        return 7

    return rate


def test_a_dry_run_uses_its_answer(production: None, rate: Any, send: Any) -> None:
    """It is no call of the plan, and is counted apart; all else is held back."""

    @side_effect(name="rates.wait", reads=True)
    async def waited() -> int:
        """Ask, asynchronously."""
        return rate("awaited")

    with dry_run() as plan:
        send(str(rate("EUR")))
        assert asyncio.run(waited()) == 7
        with ThreadPoolExecutor() as pool:
            assert pool.submit(rate, "pool").result() == 7
    assert executed == ["EUR", "awaited", "pool"]
    assert [call.arguments["to"] for call in plan] == ["7"]
    assert plan.counts == {"sms.send": 1}
    assert plan.reads == {"rates.get": 3, "rates.wait": 1}
    assert "Effects that only read, and were executed:\n  rates.get   3\n" in str(plan)


def test_the_ordinary_table_has_its_say(production: None, rate: Any) -> None:
    """A stub of the dry run, a `forbid`, a `record` and a stub inside it or around it."""
    with dry_run(stub={"rates.*": 3}) as plan:
        assert rate("stubbed") == 3
    assert plan.counts == {"rates.get": 1}
    with dry_run():
        with forbid("rates.get"), pytest.raises(SideEffectBlocked):
            rate("forbidden")
        with record("rates.get"):
            assert rate("recorded") == 1
        with stub("rates.get", returns=5):
            assert rate("stubbed") == 5
    with forbid(), dry_run(), pytest.raises(SideEffectBlocked):
        rate("forbidden around it")
    assert executed == []


def test_in_a_test_run_it_is_recorded_like_any_other(rate: Any) -> None:
    """A dry run in a test executes nothing."""
    with dry_run() as plan:
        assert rate("EUR") == 1
    assert plan.counts == {"rates.get": 1}
    assert executed == []


def test_work_that_outlives_a_dry_run_executes_nothing(production: None, rate: Any) -> None:
    """A copy of the context keeps RECORD."""
    with dry_run():
        context = contextvars.copy_context()
    assert context.run(rate, "late") == 1
    assert executed == []


def test_where_all_of_a_process_is_a_dry_run(production: None, rate: Any, send: Any) -> None:
    """Threads that were there before may read, and a policy counts."""
    go, done = threading.Event(), threading.Event()

    def work() -> None:
        go.wait(30)
        send("before")
        rate("before")
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    with whole_process(until_its_end=False), dry_run():
        go.set()
        assert done.wait(30)
        assert rate("inside") == 7
        assert explain("sms.send").mode is Mode.RECORD
    thread.join()
    assert executed == ["before", "inside"]


def test_the_guard_covers_what_it_does(production: None) -> None:
    """It may reach outside in a dry run, where nothing else may."""
    with socket.create_server(("127.0.0.1", 0)) as server, guard("off"):
        address = server.getsockname()

        @side_effect(name="rates.get", reads=True)
        def rate() -> str:
            """Ask a server."""
            with socket.create_connection(address, 10) as connection:
                return str(connection.getpeername()[0])

        with dry_run() as plan:
            assert rate() == "127.0.0.1"
        assert plan.is_complete


# -- probes

seen: list[object] = []


class Asking(SmokeTest):
    """Reads, and sends."""

    __test__ = False  # pytest does not run it by itself

    def test_asks(self) -> None:
        """Calls both."""
        seen.append(_effects["rate"]("EUR"))
        seen.append(_effects["send"]("+1"))


class OnlyReading(Asking):
    """Says that it only reads."""

    only_reads: ClassVar[bool] = True


class Recording(OnlyReading):
    """What holds back is not strict enough for it."""

    def test_asks(self) -> None:
        """Tries to."""
        with record("sms.send"):
            super().test_asks()


_effects: dict[str, Any] = {}


@pytest.fixture
def _probed(rate: Any, send: Any) -> Iterator[None]:
    seen.clear()
    _effects.update(rate=rate, send=send)
    yield
    _effects.clear()


@pytest.mark.usefixtures("_probed")
def test_a_probe_uses_its_answer(production: None, django_db_blocker: Any) -> None:
    """What does more than read is held back."""
    with django_db_blocker.unblock():
        results = ProbeRunner(parallel=1).run(FoundProbes(tuple(specs_of(Asking, "", ""))))
    assert [result.message for result in results.probes] == [""]
    assert seen == [7, None]
    assert executed == ["EUR"]


@pytest.mark.usefixtures("_probed")
@pytest.mark.parametrize("case", [OnlyReading, Recording])
def test_a_probe_may_say_that_it_only_reads(production: None, django_db_blocker: Any, case: Any) -> None:
    """Anything else is refused then, whatever is entered inside it."""
    with django_db_blocker.unblock():
        results = ProbeRunner(parallel=1).run(FoundProbes(tuple(specs_of(case, "", ""))))
    (result,) = results.probes
    assert "the probe says that it only reads" in result.message
    assert seen == [7]
    assert executed == ["EUR"]


@pytest.mark.usefixtures("_probed")
def test_a_probe_in_a_test_run_executes_nothing(django_db_blocker: Any) -> None:
    """It names nothing for a test."""
    with django_db_blocker.unblock(), capture() as calls:
        ProbeRunner(parallel=1).run(FoundProbes(tuple(specs_of(Asking, "", ""))))
    assert executed == []
    assert calls.count("rates.get") == 1
