"""Overrides and captures go with work that is handed to threads, executors and tasks; where they don't, is shown too.

All of it outside a test run, where a context sees nothing but its own: in a test run every thread sees what is open.
"""

import _thread
import asyncio
import contextvars
import gc
import multiprocessing
import multiprocessing.pool
import queue
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from sideeffects import capture, forbid, force_run, record, side_effect
from sideeffects._core.state import threads
from sideeffects._core.state.scope import EMPTY, scope
from sideeffects._core.state.state import state
from sideeffects._core.state.work_origin import watching
from sideeffects.testing import isolated_registry

Effect = Callable[..., str]


@pytest.fixture
def send(production: None) -> Iterator[Effect]:
    """An effect that says what became of it."""
    with isolated_registry():

        @side_effect(name="sms.send", returns="recorded")
        def send(to: str = "") -> str:
            return "executed"

        yield send


def in_thread(work: Callable[[], Any]) -> Any:
    """Through a new thread."""
    done = queue.SimpleQueue[Any]()
    thread = threading.Thread(target=lambda: done.put(work()))
    thread.start()
    thread.join(30)
    return done.get(timeout=30)


def in_subclass_of_thread(work: Callable[[], Any]) -> Any:
    """Through a thread whose `run` is its own."""
    done = queue.SimpleQueue[Any]()

    class Own(threading.Thread):
        def run(self) -> None:
            done.put(work())

    thread = Own()
    thread.start()
    thread.join(30)
    return done.get(timeout=30)


def in_raw_thread(work: Callable[[], Any]) -> Any:
    """Through a thread without an object."""
    done = queue.SimpleQueue[Any]()
    _thread.start_new_thread(lambda put: put(work()), (done.put,))
    return done.get(timeout=30)


def in_raw_thread_by_its_old_name(work: Callable[[], Any]) -> Any:
    """Through the alias, with keyword arguments for the function."""
    done = queue.SimpleQueue[Any]()
    _thread.start_new(lambda *, put: put(work()), (), {"put": done.put})
    return done.get(timeout=30)


def in_callback_of_a_future(work: Callable[[], Any]) -> Any:
    """Through what is called when a job of a pool is done, in its thread."""
    done, go = queue.SimpleQueue[Any](), threading.Event()

    def report(future: Future[Any]) -> None:
        done.put((future, work()))

    with ThreadPoolExecutor(1) as pool:
        future = contextvars.Context().run(pool.submit, go.wait, 30)
        future.add_done_callback(report)
        go.set()
        given, result = done.get(timeout=30)
        assert given is future
        return result


def in_callback_of_a_done_future(work: Callable[[], Any]) -> Any:
    """Through what is called at once, since the job is done."""
    done, future = queue.SimpleQueue[Any](), Future[None]()
    future.set_result(None)
    future.add_done_callback(lambda _: done.put(work()))
    return done.get(timeout=30)


def in_timer(work: Callable[[], Any]) -> Any:
    """Through a timer."""
    done = queue.SimpleQueue[Any]()
    threading.Timer(0, lambda: done.put(work())).start()
    return done.get(timeout=30)


def in_nested_threads(work: Callable[[], Any]) -> Any:
    """Through a thread that starts a thread."""
    return in_thread(lambda: in_thread(work))


def in_new_pool(work: Callable[[], Any]) -> Any:
    """Through a pool that is made inside the block."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result(30)


def in_map_of_pool(work: Callable[[], Any]) -> Any:
    """Through `map` of a pool."""
    with ThreadPoolExecutor(2) as pool:
        (result,) = set(pool.map(lambda _: work(), range(4)))
        return result


def in_to_thread(work: Callable[[], Any]) -> Any:
    """Through `asyncio.to_thread`."""
    return asyncio.run(asyncio.to_thread(work))


def in_run_in_executor(work: Callable[[], Any]) -> Any:
    """Through a loop's executor."""

    async def main() -> Any:
        return await asyncio.get_running_loop().run_in_executor(None, work)

    return asyncio.run(main())


def in_task(work: Callable[[], Any]) -> Any:
    """Through a task."""

    async def job() -> Any:
        return work()

    async def main() -> Any:
        return await asyncio.create_task(job())

    return asyncio.run(main())


def in_callback(work: Callable[[], Any]) -> Any:
    """Through a callback of the loop."""

    async def main() -> Any:
        done = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(lambda: done.set_result(work()))
        return await done

    return asyncio.run(main())


def in_sync_to_async(work: Callable[[], Any]) -> Any:
    """Through asgiref's thread for synchronous code, from its loop for asynchronous code."""
    return async_to_sync(sync_to_async(work))()


def in_own_sync_thread(work: Callable[[], Any]) -> Any:
    """Through asgiref's pool."""
    return async_to_sync(sync_to_async(work, thread_sensitive=False))()


def in_async_from_thread(work: Callable[[], Any]) -> Any:
    """Through asynchronous code called from synchronous code in a thread."""

    async def job() -> Any:
        return work()

    return in_thread(async_to_sync(job))


WAYS = pytest.mark.parametrize(
    "way",
    [
        in_thread,
        in_subclass_of_thread,
        in_raw_thread,
        in_raw_thread_by_its_old_name,
        in_callback_of_a_future,
        in_callback_of_a_done_future,
        in_timer,
        in_nested_threads,
        in_new_pool,
        in_map_of_pool,
        in_to_thread,
        in_run_in_executor,
        in_task,
        in_callback,
        in_sync_to_async,
        in_own_sync_thread,
        in_async_from_thread,
    ],
    ids=lambda way: way.__name__,
)


@WAYS
def test_work_handed_on_inside_a_block_sees_it(send: Effect, way: Any) -> None:
    """An override holds for work handed on inside its block, and for none that is handed on before or after."""
    assert way(send) == "executed"
    with record("sms.send"):
        assert way(send) == "recorded"
        with force_run("sms.send"):
            assert way(send) == "executed"
    assert way(send) == "executed"


@WAYS
def test_captures_see_work_handed_on_inside_them(send: Effect, way: Any) -> None:
    """A capture sees the calls of work handed on inside it, and none from beside it or from afterwards."""
    with capture() as calls:
        way(send)
        contextvars.Context().run(send)
    way(send)
    assert {call.mode.value for call in calls} == {"execute"}
    assert len(calls) == (4 if way is in_map_of_pool else 1)


@pytest.mark.parametrize(
    "way", [in_thread, in_timer, in_new_pool, in_to_thread, in_run_in_executor, in_task, in_callback]
)
def test_what_work_enters_stays_with_it(send: Effect, way: Any) -> None:
    """An override that handed-on work leaves open does not hold for the one that handed it on."""
    held = forbid("sms.send")
    with record("sms.send"):
        way(held.__enter__)
        try:
            assert send() == "recorded"
        finally:
            held.__exit__(None, None, None)
    assert send() == "executed"


def test_a_pool_older_than_the_block_sees_it_for_the_work_handed_on_inside(send: Effect) -> None:
    """A pool's threads see an override for the jobs that were submitted inside its block, and for no others."""
    with ThreadPoolExecutor(1) as pool:
        worker = pool.submit(threading.get_ident).result(30)
        with record("sms.send"):
            inside = pool.submit(send)
        after = pool.submit(send)
        assert (inside.result(30), after.result(30)) == ("recorded", "executed")
        assert pool.submit(threading.get_ident).result(30) == worker


def test_a_worker_started_inside_a_block_does_not_keep_it(send: Effect) -> None:
    """A pool made inside a block starts its thread there; later jobs do not see the override."""
    with ThreadPoolExecutor(1) as pool:
        with record("sms.send"):
            inside = pool.submit(send)
        assert (inside.result(30), pool.submit(send).result(30)) == ("recorded", "executed")
        assert pool.submit(scope.get).result(30) is EMPTY


def test_jobs_of_two_blocks_in_one_pool_keep_to_their_own(send: Effect) -> None:
    """Jobs in one queue each see the block that they were submitted in, whatever the worker ran before."""
    with ThreadPoolExecutor(1) as pool:
        fates = []
        for _ in range(3):
            with record("sms.send"):
                fates.append(pool.submit(send))
            with capture() as calls:
                fates.append(pool.submit(send))
                fates[-1].result(30)
            assert len(calls) == 1
            fates.append(pool.submit(send))
        assert [future.result(30) for future in fates] == ["recorded", "executed", "executed"] * 3


def test_a_job_that_fails_gives_the_worker_its_context_back(send: Effect) -> None:
    """After a job that raised, or left an override open, the next job of the worker is free of it."""

    def fail() -> None:
        record("sms.send").__enter__()
        raise ValueError

    with ThreadPoolExecutor(1) as pool:
        with record("sms.send"):
            failed = pool.submit(fail)
        assert isinstance(failed.exception(30), ValueError)
        assert pool.submit(send).result(30) == "executed"
    for entry in state.overrides.entries:
        state.overrides.discard(entry)


def test_arguments_and_results_pass(send: Effect) -> None:
    """`submit` passes positional and keyword arguments, results and errors, also those named like its own."""

    def job(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    with ThreadPoolExecutor(1) as pool, record("sms.send"):
        assert pool.submit(job, 1, fn=2, self=3).result(30) == ((1,), {"fn": 2, "self": 3})
        with pytest.raises(TypeError):
            pool.submit()  # type: ignore[call-arg]


def test_a_raw_thread_refuses_what_cannot_be_called(send: Effect) -> None:
    """At once, as without a block, and not in the thread; no arguments are as wrong as ever."""
    with record("sms.send"):
        with pytest.raises(TypeError, match="callable"):
            _thread.start_new_thread(None, ())  # type: ignore[call-overload]
        with pytest.raises(TypeError):
            _thread.start_new_thread()  # type: ignore[call-overload]


@pytest.mark.skipif(sys.version_info < (3, 13), reason="threads that can be joined came with Python 3.13")
def test_raw_threads_that_can_be_joined_see_it(send: Effect) -> None:
    """With the function by its place, and by its name."""
    done = queue.SimpleQueue[Any]()
    start: Any = vars(_thread)["start_joinable_thread"]
    with record("sms.send"):
        start(lambda: done.put(send())).join()
        start(daemon=False, function=lambda: done.put(send())).join()
    assert (done.get(timeout=30), done.get(timeout=30)) == ("recorded", "recorded")


def test_threads_with_an_object_are_not_carried_twice(send: Effect) -> None:
    """`threading` has hold of the function below it from its import, which stays as it was."""
    with record("sms.send"):
        assert hasattr(_thread.start_new_thread, "__wrapped__")
        below = "_start_joinable_thread" if sys.version_info >= (3, 13) else "_start_new_thread"
        assert not hasattr(vars(threading)[below], "__wrapped__")


def test_a_thread_cannot_be_started_twice(send: Effect) -> None:
    """The error of `Thread.start` passes, and leaves the thread as it was."""
    with record("sms.send"):
        thread = threading.Thread(target=send)
        thread.start()
        thread.join(30)
        with pytest.raises(RuntimeError, match="once"):
            thread.start()
    assert "run" not in vars(thread)


def test_a_run_that_was_set_on_the_thread_stays_set(send: Effect) -> None:
    """A `run` that somebody put on the thread object itself is run, and is there afterwards."""
    seen = []
    thread = threading.Thread()
    own = thread.run = lambda: seen.append(send())  # type: ignore[method-assign]
    with record("sms.send"):
        thread.start()
    thread.join(30)
    assert seen == ["recorded"]
    assert thread.run is own


def test_a_finished_thread_does_not_keep_the_scope(send: Effect) -> None:
    """A thread object that is kept after its end keeps no override alive, without any help of the collector."""
    gc.disable()
    try:
        with record("sms.send"):
            (entry,) = scope.get().entries
            watched = weakref.ref(entry)
            del entry
            thread = threading.Thread(target=send)
            thread.start()
            thread.join(30)
        assert watched() is None
    finally:
        gc.enable()


def test_work_handed_on_while_nothing_is_in_force_is_handed_on_as_it_is(
    send: Effect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Executors stay patched for good: then they submit the very function that they were given."""
    monkeypatch.setattr(watching, "is_on", False)
    with record("sms.send"), ThreadPoolExecutor(1) as pool:
        inside = pool.submit(sys._getframe).result()
        outside = contextvars.Context().run(pool.submit, sys._getframe).result()
    assert inside.f_code.co_filename == threads.__file__  # who has called the function that was handed on
    assert outside.f_code.co_filename != threads.__file__


def test_patching_happens_once(send: Effect) -> None:
    """`Thread.start` and `ThreadPoolExecutor.submit` are patched once, however many blocks are entered."""
    with record("sms.send"):
        first = threading.Thread.start, ThreadPoolExecutor.submit, _thread.start_new_thread
    with capture(), record("sms.send"):
        assert (threading.Thread.start, ThreadPoolExecutor.submit, _thread.start_new_thread) == first
    assert first[0].__name__ == "start"
    assert not hasattr(first[0].__wrapped__, "__wrapped__")  # type: ignore[attr-defined]


def test_two_threads_that_enter_the_first_block_patch_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that has waited while another one patched does not patch again."""

    class Lock:
        def __enter__(self) -> None:
            threads._patched.append(True)  # the other one was faster

        def __exit__(self, *_: object) -> None: ...

    before = threading.Thread.start, ThreadPoolExecutor.submit
    monkeypatch.setattr(threads, "_patched", [])
    monkeypatch.setattr(state, "lock", Lock())
    threads.install()
    assert (threading.Thread.start, ThreadPoolExecutor.submit) == before


UNTOUCHED = """
import _thread, threading, concurrent.futures
start, submit = threading.Thread.start, concurrent.futures.ThreadPoolExecutor.submit
raw = _thread.start_new_thread
from sideeffects import record, side_effect
@side_effect(name="sms.send")
def send(): pass
send()
assert (threading.Thread.start, concurrent.futures.ThreadPoolExecutor.submit) == (start, submit)
assert _thread.start_new_thread is raw
with record(): pass
assert _thread.start_new_thread is not raw and _thread.start_new is not raw
assert threading.Thread.start is not start and concurrent.futures.ThreadPoolExecutor.submit is not submit
"""


def test_nothing_is_patched_before_it_is_needed(production: None) -> None:
    """A process without overrides and captures has the threads of the standard library."""
    run = subprocess.run([sys.executable, "-c", UNTOUCHED], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


# -- limits, which `docs/limits.md` names


def test_limit_a_queue_worker_of_your_own_sees_nothing(send: Effect) -> None:
    """Limit: a thread that takes work from a queue runs it in its own context, not in that of the one who put it."""
    jobs, done = queue.SimpleQueue[Any](), queue.SimpleQueue[str]()
    thread = threading.Thread(target=lambda: [done.put(job()) for job in iter(jobs.get, None)])
    thread.start()
    with record("sms.send"):
        jobs.put(send)
        assert done.get(timeout=30) == "executed"
    jobs.put(None)
    thread.join(30)


def _fate_in_child(effect: str) -> str:
    from sideeffects._core.calls.registry import function_of

    return function_of(effect)()


def test_limit_a_process_that_was_there_before_sees_nothing(send: Effect) -> None:
    """Limit: a process that was there before the block does not hear of it; a forked one takes the block with it."""
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, mp_context=fork) as older:
        assert older.submit(_fate_in_child, "sms.send").result(30) == "executed"
        with record("sms.send"):
            assert older.submit(_fate_in_child, "sms.send").result(30) == "executed"
            with ProcessPoolExecutor(1, mp_context=fork) as newer:
                assert newer.submit(_fate_in_child, "sms.send").result(30) == "recorded"


def test_limit_a_thread_pool_of_multiprocessing_keeps_the_block_it_was_made_in(send: Effect) -> None:
    """Limit: the threads of `multiprocessing.pool.ThreadPool` live in the context in which the pool was made."""
    with multiprocessing.pool.ThreadPool(1) as older, record("sms.send"):
        assert older.apply_async(send).get(30) == "executed"
        newer = multiprocessing.pool.ThreadPool(1)
        assert newer.apply_async(send).get(30) == "recorded"
    assert newer.apply_async(send).get(30) == "recorded"  # RECORD outlives its block
    newer.terminate()
    newer.join()
