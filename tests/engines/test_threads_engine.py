"""The embedded engine: what is enqueued runs in its threads, and is waited for at exit."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from sideeffects import Call, Mode, SideEffectBlocked, capture, forbid, force_run, observe, record, side_effect, stub
from sideeffects._core.calls.handle import Handle
from sideeffects._core.calls.parcel import Parcel
from sideeffects._core.state import extension_points
from sideeffects._core.state.state import state
from sideeffects.engines import threads

pytestmark = pytest.mark.usefixtures("own_registry")


def test_an_enqueued_call_runs_in_another_thread_in_production(production: None) -> None:
    """The caller goes on; the handle gets the result."""
    release = threading.Event()

    @side_effect(name="send", async_ok=True)
    def send(to: str) -> tuple[str, str]:
        release.wait(60)
        return to, threading.current_thread().name

    handle = send.enqueue("ann")
    assert not handle.done()
    release.set()
    to, thread = handle.result(60)
    assert to == "ann"
    assert thread.startswith("sideeffects-")
    assert handle.name == "send"


def test_a_call_that_fails_in_the_background_is_logged_and_kept(
    production: None, caplog: pytest.LogCaptureFixture
) -> None:
    """Its exception is in the log, at the handle, and in the outcome of the one call; it is not tried again."""
    attempts = []

    @side_effect(name="send", async_ok=True)
    def send() -> None:
        attempts.append("send")
        raise ConnectionError("no network")

    with capture() as calls:
        handle = send.enqueue()
        with pytest.raises(ConnectionError, match="no network"):
            handle.result(60)
    call = calls.one("send")
    assert (call.id, call.is_async, call.mode) == (handle.id, True, Mode.EXECUTE)
    assert isinstance(call.outcome.error, ConnectionError)  # type: ignore[union-attr]
    assert f"side effect send ({handle.id}) failed in the background" in caplog.text
    assert attempts == ["send"]


def test_who_reports_errors_hears_of_those_in_the_background(production: None, request: pytest.FixtureRequest) -> None:
    """Nobody may ever ask the handle. Written down or not, the call is told, and without its secrets."""
    told: list[tuple[str, Call]] = []
    stop = extension_points.errors.add(lambda error, call: told.append((str(error), call)))
    request.addfinalizer(stop)

    @side_effect(name="send", async_ok=True)
    def send(to: str, *, token: str) -> None:
        raise ConnectionError(f"no network for {to}")

    for number, block in enumerate([contextlib.nullcontext(), capture()]):
        with block, pytest.raises(ConnectionError):
            send.enqueue("ann", token="s3cret").result(60)
        message, call = told[number]
        assert message == "no network for ann"
        assert (call.name, call.is_async, call.mode) == ("send", True, Mode.EXECUTE)
        assert call.arguments == {"to": "ann", "token": "[redacted]"}
    assert len(told) == 2


def test_a_forced_call_runs_in_the_background_of_a_test_run() -> None:
    """The worker adds its outcome to the call that was written at `.enqueue`."""

    @side_effect(name="send", async_ok=True)
    def send(to: str) -> str:
        return f"sent to {to}"

    with capture() as calls, force_run("send"):
        assert send.enqueue("ann").result(60) == "sent to ann"
    assert calls.one("send").outcome.result == "sent to ann"  # type: ignore[union-attr]


def test_what_an_enqueued_call_calls_is_decided_in_the_scope_that_enqueued_it(production: None) -> None:
    """Overrides and captures of the context are carried into the worker, and end with the call."""
    seen = []

    @side_effect(name="inner", async_ok=True)
    def inner() -> None:
        seen.append("inner")

    @side_effect(name="outer", async_ok=True)
    def outer() -> None:
        seen.append("outer")
        inner()

    with record("inner"), capture() as calls:
        outer.enqueue().result(60)
    assert [(call.name, call.mode) for call in calls] == [("outer", Mode.EXECUTE), ("inner", Mode.RECORD)]
    assert seen == ["outer"]
    for _ in range(threads.WORKERS):
        outer.enqueue().result(60)
    assert seen == ["outer"] + ["outer", "inner"] * threads.WORKERS
    assert len(calls) == 2


def test_refusals_are_raised_at_enqueue_and_stubs_answer_at_the_handle() -> None:
    """The decision is taken at `.enqueue`; what a stub raises arrives where the real exception would."""

    @side_effect(name="send", async_ok=True)
    def send() -> None:
        raise AssertionError

    with forbid("send"), pytest.raises(SideEffectBlocked):
        send.enqueue()
    with stub("send", raises=ConnectionError("stubbed")):
        handle = send.enqueue()
    with pytest.raises(ConnectionError, match="stubbed"):
        handle.result()


async def test_coroutine_functions_run_in_the_background() -> None:
    """They run to their end in a loop of their own, also when the caller has one running."""

    @side_effect(name="send", async_ok=True)
    async def send(to: str) -> str:
        await asyncio.sleep(0)
        return f"sent to {to}"

    async def later(to: str) -> str:
        return f"stubbed {to}"

    with force_run("send"):
        assert await asyncio.to_thread(send.enqueue("ann").result, 60) == "sent to ann"
    with stub("send", returns=later):
        assert send.enqueue("ben").result() == "stubbed ben"
        assert await asyncio.to_thread(lambda: send.enqueue("cay").result()) == "stubbed cay"
    with stub("send", raises=ConnectionError("stubbed")), pytest.raises(ConnectionError, match="stubbed"):
        send.enqueue("dan").result()
    assert send.enqueue("eve").result() is None


def test_at_most_so_many_threads_run_at_once_and_in_order(production: None) -> None:
    """More calls than workers wait their turn, in the order in which they came."""
    running, most, order = [], [], []
    lock = threading.Lock()

    @side_effect(name="work", async_ok=True)
    def work(number: int) -> None:
        with lock:
            running.append(number)
            order.append(number)
            most.append(len(running))
        time.sleep(0.01)
        with lock:
            running.remove(number)

    handles = [work.enqueue(number) for number in range(20)]
    for handle in handles:
        handle.result(60)
    assert max(most) <= threads.WORKERS
    assert sorted(order) == list(range(20))
    assert all(abs(place - number) < threads.WORKERS for place, number in enumerate(order))


def test_observers_see_an_enqueued_call_when_it_has_finished(production: None) -> None:
    """They are told once, with the outcome."""
    seen = []

    @side_effect(name="send", async_ok=True)
    def send() -> int:
        return 7

    remove = observe(lambda call: seen.append((call.name, call.outcome.result)))  # type: ignore[union-attr]
    try:
        send.enqueue().result(60)
        for _ in range(6000):
            if seen:
                break
            time.sleep(0.01)
    finally:
        remove()
    assert seen == [("send", 7)]


def parcel_of(handle: Handle) -> Parcel:
    """The call behind a handle, as it would travel."""
    return Parcel(handle.id, handle.name, (), {})


def test_drain_waits_and_names_what_it_gave_up(caplog: pytest.LogCaptureFixture) -> None:
    """What is not finished in time is logged and returned; after that nothing is taken over any more."""
    engine = threads.ThreadEngine()
    release = threading.Event()
    quick, slow = Handle.waiting("1", "quick"), Handle.waiting("2", "slow")
    engine.submit(parcel_of(quick), quick, lambda: None)
    engine.submit(parcel_of(slow), slow, lambda: release.wait(60))
    quick.result(60)
    with caplog.at_level(logging.ERROR):
        assert engine.drain(0.05) == [slow]
    assert "side effect slow (2) was enqueued but not finished at exit" in caplog.text
    late = Handle.waiting("3", "late")
    with pytest.raises(RuntimeError, match="'late' cannot be enqueued any more: the process is ending"):
        engine.submit(parcel_of(late), late, lambda: None)
    release.set()
    slow.result(60)
    assert engine.drain() == []


def run(source: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A program of its own, outside any test run."""
    root = str(Path(threads.__file__).parents[2])
    variables = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTEST_VERSION", "SIDE_EFFECTS_TEST_RUN", "SIDE_EFFECTS_JOURNAL")
    }
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**variables, "PYTHONPATH": root, **environment},
    )


def test_a_process_finishes_what_it_enqueued_before_it_exits() -> None:
    """Calls that still wait at the end of the program are run."""
    ran = run("""
        import time
        from sideeffects import side_effect

        @side_effect(name="send", async_ok=True)
        def send(number):
            time.sleep(0.05)  # so that the program has ended before the last one has its turn
            print(f"sent {number}\\n", end="", flush=True)

        @side_effect(name="later", async_ok=True)
        async def later():
            import asyncio

            await asyncio.sleep(0.02)
            print("later\\n", end="", flush=True)

        for number in range(10):
            send.enqueue(number)
        later.enqueue()
    """)
    assert ran.returncode == 0, ran.stderr
    assert sorted(ran.stdout.split("\n")) == sorted(["", "later", *(f"sent {number}" for number in range(10))])


def test_a_call_that_hangs_does_not_keep_the_process_alive() -> None:
    """At exit the engine waits for a bounded time, and the log names the call that it gave up."""
    started = time.monotonic()
    ran = run("""
        import threading
        from sideeffects import side_effect
        from sideeffects.engines import threads

        threads.ThreadEngine.drain.__defaults__ = (0.5,)

        @side_effect(name="hang", async_ok=True)
        def hang():
            threading.Event().wait(100)

        hang.enqueue()
    """)
    assert time.monotonic() - started < 60
    assert ran.returncode == 0
    assert "side effect hang" in ran.stderr
    assert "was enqueued but not finished at exit" in ran.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_process_loses_what_its_threads_have_not_done() -> None:
    """At most once: what was running and what was waiting is in no other place."""
    ran = run("""
        import os, signal
        from sideeffects import side_effect

        @side_effect(name="send", async_ok=True)
        def send(number):
            print("sent", number, flush=True)
            if number == 1:
                os.kill(os.getpid(), signal.SIGKILL)

        send.enqueue(0).result(30)
        send.enqueue(1).result(30)
        print("not reached")
    """)
    assert (ran.returncode, ran.stdout) == (-signal.SIGKILL, "sent 0\nsent 1\n"), ran.stderr


def test_arguments_and_results_do_not_travel(production: None) -> None:
    """Whatever they are: the worker has the very objects."""
    lock = threading.Lock()

    @side_effect(name="work", async_ok=True)
    def work(given: object, *, named: object) -> tuple[object, object]:
        return given, named

    given, named = work.enqueue(lock, named=work).result(60)
    assert given is lock
    assert named is work


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_child_has_an_engine_of_its_own() -> None:
    """The child runs what it enqueues, and does not wait for what its parent did."""
    ran = run("""
        import os, sys, threading
        from sideeffects import side_effect

        release = threading.Event()

        @side_effect(name="send", async_ok=True)
        def send(who):
            if who == "parent":
                release.wait(60)
            return os.getpid()

        handle = send.enqueue("parent")
        child = os.fork()
        if child == 0:
            assert send.enqueue("child").result(30) == os.getpid()
            sys.exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        release.set()
        assert handle.result(30) == os.getpid()
        print("child", status)
    """)
    assert ran.stdout == "child 0\n", ran.stderr
    assert "not finished" not in ran.stderr


def test_a_worker_does_not_keep_the_block_that_it_was_started_in(production: None) -> None:
    """Threads outlive blocks; what they kept of one would go on slowing down all effects."""
    engine = threads.ThreadEngine()
    handles = [Handle.waiting(str(number), "send") for number in range(threads.WORKERS)]
    with capture() as calls, record():
        for handle in handles:
            engine.submit(parcel_of(handle), handle, lambda: None)
        for handle in handles:
            handle.result(60)
    assert engine.drain() == []
    del calls
    for _ in range(100):
        gc.collect()
        if not state.switches.reasons:
            break
        time.sleep(0.05)
    assert not state.switches.reasons
