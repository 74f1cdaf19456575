"""`capture` and `observe`: seeing calls as they are made, here and outside a test run (laws 6 and 7)."""

import asyncio
import functools
import gc
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sideeffects import Call, Mode, SideEffectBlocked, capture, forbid, force_run, observe, record, side_effect, stub
from sideeffects._core.state.state import state

pytestmark = pytest.mark.usefixtures("own_registry")

ROOT = Path(__file__).parents[2]


@pytest.fixture
def send() -> Any:
    @side_effect(name="send", sensitive=["token"])
    def send(to: Any, token: str = "") -> str:
        return f"sent to {to}"

    return send


def recipients(calls: Any) -> list[Any]:
    return [call.arguments["to"] for call in calls]


# -- capture


def test_a_capture_of_a_test_run_sees_the_whole_process(send: Any) -> None:
    """Threads that were running before, pools, tasks: wherever a call is made."""
    go, done = threading.Event(), threading.Event()

    def work() -> None:
        go.wait(60)
        send("thread")
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    with capture() as calls:
        go.set()
        done.wait(60)
        thread.join()
        send("here")
    assert sorted(recipients(calls)) == ["here", "thread"]


def test_a_capture_in_production_sees_its_own_context_only(send: Any, production: None) -> None:
    """Other requests are never seen: threads that were running before, and contexts of their own."""
    go, done = threading.Event(), threading.Event()

    def work() -> None:
        go.wait(60)
        send("another request")
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    with capture() as calls:
        go.set()
        done.wait(60)
        thread.join()
        send("here")
    assert recipients(calls) == ["here"]


def test_a_capture_in_production_follows_the_work_that_is_handed_on(send: Any, production: None) -> None:
    """Threads and executors that are given work inside the block, older pools included, and tasks."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(send, "warm up").result()
        with capture() as calls:
            thread = threading.Thread(target=send, args=("thread",))
            thread.start()
            thread.join()
            pool.submit(send, "old pool").result()

            async def tasks() -> None:
                await asyncio.create_task(asyncio.to_thread(send, "to_thread"))
                await asyncio.get_running_loop().run_in_executor(None, send, "executor")

            asyncio.run(tasks())
        pool.submit(send, "afterwards").result()
    assert recipients(calls) == ["thread", "old pool", "to_thread", "executor"]


def test_captures_in_production_nest_and_keep_what_they_saw(send: Any, production: None) -> None:
    """Each sees its block; executing calls are seen too; leaving in any order is fine."""
    send("before")
    with capture() as outer:
        send("first")
        with capture() as inner, record("send"):
            send("second")
        send("third")
    send("after")
    assert recipients(outer) == ["first", "second", "third"]
    assert recipients(inner) == ["second"]
    assert [call.mode for call in outer] == [Mode.EXECUTE, Mode.RECORD, Mode.EXECUTE]
    assert outer[0].outcome.result == "sent to first"  # type: ignore[union-attr]


def test_a_capture_is_left_after_exceptions(send: Any, production: None) -> None:
    """Nothing is captured after the block, however it ended."""
    with pytest.raises(RuntimeError), capture() as calls:
        raise RuntimeError
    send("after")
    assert len(calls) == 0


def test_a_capture_in_production_is_bounded(send: Any, production: None) -> None:
    """A long-running one does not fill the memory; it counts what it dropped."""
    from django.test import override_settings

    with override_settings(SIDE_EFFECTS={"LEDGER": {"MAX_CALLS": 3}}), capture() as calls:
        for number in range(10):
            send(number)
    assert recipients(calls) == [7, 8, 9]
    assert calls.dropped == 7


def test_nothing_accumulates_in_production(send: Any, production: None) -> None:
    """Without captures, arguments are not kept, whether a call executes, is recorded or refused (law 7)."""

    class Large: ...

    before = state.ledger.end
    references = []
    for override in (force_run("send"), record("send"), forbid("send")):
        with override:
            argument = Large()
            references.append(weakref.ref(argument))
            try:
                send(argument)
            except SideEffectBlocked as blocked:
                blocked.__traceback__ = None
            del argument
    gc.collect()
    assert [reference() for reference in references] == [None] * 3
    assert state.ledger.end == before


# -- the log


def test_recorded_and_refused_calls_are_logged_in_production(
    send: Any, production: None, caplog: pytest.LogCaptureFixture
) -> None:
    """At INFO, on the logger `sideeffects`, redacted; executing calls are not."""
    with caplog.at_level(logging.INFO, logger="sideeffects"):
        send("ann", token="s3cret")
        with record("send"):
            send("ben", token="s3cret")
        with forbid("send"), pytest.raises(SideEffectBlocked):
            send({"password": "s3cret"})
    assert [(entry.name, entry.levelname) for entry in caplog.records] == [("sideeffects", "INFO")] * 2
    recorded, refused = [entry.getMessage() for entry in caplog.records]
    assert recorded.startswith("recorded <Call send(to='ben', token=[redacted]) RECORD at ")
    assert ": RECORD: recorded by record(" in recorded
    assert refused.startswith("refused <Call send(to={'password': [redacted]}, token=[redacted]) RAISE at ")


def test_a_test_run_does_not_log_calls(send: Any, caplog: pytest.LogCaptureFixture) -> None:
    """They are in the ledger, and the test's report stays short."""
    with caplog.at_level(logging.DEBUG):
        send("ann")
    assert caplog.records == []


def test_nothing_is_printed_without_a_logging_configuration() -> None:
    """A program that has configured none stays silent when calls are recorded or refused."""
    source = """
        from sideeffects import SideEffectBlocked, forbid, record, side_effect

        @side_effect(name="send")
        def send(): ...

        with record():
            send()
        with forbid():
            try:
                send()
            except SideEffectBlocked:
                pass
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTEST_VERSION", "SIDE_EFFECTS_TEST_RUN", "SIDE_EFFECTS_JOURNAL")
    }
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@pytest.mark.parametrize("mode", ["recorded", "refused"])
def test_a_log_filter_that_raises_changes_nothing(
    mode: str, send: Any, production: None, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the decision nor the result (law 6)."""

    def explode(entry: logging.LogRecord) -> bool:
        if entry.levelno == logging.INFO:
            raise RuntimeError("a broken filter")
        return True

    logger = logging.getLogger("sideeffects")
    logger.addFilter(explode)
    try:
        with caplog.at_level(logging.INFO, logger="sideeffects"):
            if mode == "recorded":
                with stub("send", returns="stubbed"):
                    assert send("ann") == "stubbed"
            else:
                with forbid("send"), pytest.raises(SideEffectBlocked):
                    send("ann")
    finally:
        logger.removeFilter(explode)
    assert "could not log a call of send" in caplog.text


# -- observe


@pytest.fixture
def seen() -> Iterator[list[Call]]:
    """The finished calls that an observer was told of."""
    calls: list[Call] = []
    remove = observe(calls.append)
    yield calls
    remove()


def test_observers_see_each_finished_call(send: Any, seen: list[Call]) -> None:
    """Recorded, executed, refused and failing ones, with their outcomes."""
    send("recorded")
    with force_run("send"):
        send("executed")
    with forbid("send"), pytest.raises(SideEffectBlocked):
        send("refused")
    with stub("send", raises=ConnectionError), pytest.raises(ConnectionError):
        send("failing")
    assert recipients(seen) == ["recorded", "executed", "refused", "failing"]
    assert [call.mode for call in seen] == [Mode.RECORD, Mode.EXECUTE, Mode.RAISE, Mode.RECORD]
    outcomes = [call.outcome for call in seen]
    assert [outcome and outcome.result for outcome in outcomes] == [None, "sent to executed", None, None]
    assert [type(outcome and outcome.error) for outcome in outcomes] == [
        type(None),
        type(None),
        SideEffectBlocked,
        ConnectionError,
    ]


def test_observers_see_executing_calls_in_production(send: Any, production: None) -> None:
    """As long as they observe, and also effects that had been executing directly."""
    for _ in range(3):
        send("before")
    seen: list[Call] = []
    remove = observe(seen.append)
    send("during")
    remove()
    send("after")
    assert recipients(seen) == ["during"]


def test_an_observer_that_fails_changes_nothing(send: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What it raises is logged and swallowed; the other observers are told, and the result arrives (law 6)."""
    seen: list[Call] = []

    def broken(call: Call) -> None:
        raise RuntimeError("a broken observer")

    removers = [observe(broken), observe(seen.append)]
    try:
        with force_run("send"):
            assert send("ann") == "sent to ann"
        assert send("ben") is None
        with forbid("send"), pytest.raises(SideEffectBlocked):
            send("cay")
    finally:
        for remove in removers:
            remove()
    assert len(seen) == 3
    assert caplog.text.count("an observer failed on send") == 3
    assert "a broken observer" in caplog.text


@pytest.mark.parametrize(
    "raised", [pytest.fail.Exception, pytest.skip.Exception, asyncio.CancelledError, SystemExit, KeyboardInterrupt]
)
def test_what_an_observer_raises_never_takes_the_result_away(send: Any, raised: type[BaseException]) -> None:
    """Neither what is no `Exception`."""

    def fail(call: Call) -> None:
        raise raised("observed")

    remove = observe(fail)
    try:
        with force_run(send), capture() as calls:
            assert send("ann") == "sent to ann"
    finally:
        remove()
    assert calls[0].outcome is not None
    assert calls[0].outcome.error is None


@pytest.mark.parametrize("handler", [None, "of their own"])
def test_ctrl_c_in_an_observer_is_for_the_program(send: Any, handler: str | None) -> None:
    """A signal comes upon whatever runs. It is not the observer's, and is not swallowed."""

    def stop(*_: object) -> None:
        raise SystemExit(handler)

    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, functools.partial(stop) if handler else signal.default_int_handler)
    remove = observe(lambda call: signal.raise_signal(signal.SIGINT))
    try:
        with force_run(send), pytest.raises(SystemExit if handler else KeyboardInterrupt):
            send("ann")
    finally:
        remove()
        signal.signal(signal.SIGINT, before)


def test_an_observer_changes_nothing_of_the_error_that_the_caller_gets() -> None:
    """Neither by raising it again, nor from another, nor by what it does to its arguments."""

    def change(call: Call) -> None:
        error = call.outcome and call.outcome.error
        assert error is not None
        error.args = ("changed",)
        raise error from OSError("observed")

    pay: Callable[[], None] = side_effect(name="card.charge")(lambda: {}["token"])
    remove = observe(change)
    try:
        with force_run(pay), pytest.raises(KeyError) as caught:
            pay()
    finally:
        remove()
    assert caught.value.args == ("token",)
    assert caught.value.__cause__ is None
    assert [entry.name for entry in caught.traceback][-1] == "<lambda>"


def test_a_logger_that_fails_on_a_failing_observer_changes_nothing_either(send: Any) -> None:
    """Even the report of the failure may fail."""

    def explode(entry: logging.LogRecord) -> bool:
        raise RuntimeError("a broken filter")

    def broken(call: Call) -> None:
        raise RuntimeError("a broken observer")

    logger = logging.getLogger("sideeffects")
    logger.addFilter(explode)
    remove = observe(broken)
    try:
        with force_run("send"):
            assert send("ann") == "sent to ann"
    finally:
        remove()
        logger.removeFilter(explode)


def test_removing_is_for_one_registration_and_may_be_repeated(send: Any) -> None:
    """The same function observes twice, and each remover takes one away, once."""
    seen: list[Call] = []
    first, second = observe(seen.append), observe(seen.append)
    send("twice")
    first()
    first()
    send("once")
    second()
    send("never")
    assert recipients(seen) == ["twice", "twice", "once"]


def test_calls_that_observers_make_are_not_shown_to_observers(send: Any) -> None:
    """They are decided and written down, but do not go round in circles."""
    seen: list[Any] = []

    def calling(call: Call) -> None:
        seen.append(call.arguments["to"])
        send("from the observer")

    remove = observe(calling)
    try:
        with capture() as calls:
            send("ann")
            send("ben")
    finally:
        remove()
    assert seen == ["ann", "ben"]
    assert recipients(calls) == ["ann", "from the observer", "ben", "from the observer"]


def test_an_observer_may_remove_itself(send: Any) -> None:
    """While it is being told."""
    seen: list[Call] = []

    def once(call: Call) -> None:
        seen.append(call)
        remove()

    remove = observe(once)
    send("ann")
    send("ben")
    assert recipients(seen) == ["ann"]
