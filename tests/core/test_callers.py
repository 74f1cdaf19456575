"""Who calls: the code, and the place in it."""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import functools
import sched
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.dispatch import Signal

from sideeffects import capture, side_effect
from sideeffects._core.state.user_line import places_above
from sideeffects._core.state.work_origin import Watching, watching
from sideeffects._core.values.callers import NOBODY, caller, caller_outside
from sideeffects.testing import isolated_registry


@pytest.fixture(autouse=True)
def own_registry() -> Iterator[None]:
    """Effects of one test are unknown to the next."""
    with isolated_registry():
        yield


def test_the_caller_is_the_code_that_many_calls_above() -> None:
    """Counted from whoever asks."""

    def asks(depth: int) -> Any:
        return caller(depth)

    here = sys._getframe().f_code
    asked = asks(0)[0], asks(1)[0]
    assert asked == (asks.__code__, here)


def test_above_the_first_frame_is_nobody() -> None:
    """Python may be entered by a raw thread or a greenlet, with no frame beneath."""
    assert caller(sys.getrecursionlimit()) == (NOBODY, 0)


def test_the_caller_outside_is_the_innermost_one_of_another_module() -> None:
    """Libraries that only hand a call on are passed over; with nothing else beneath, the outermost code stands."""
    seen: list[str] = []

    def is_between(module: str) -> bool:
        seen.append(module)
        return len(seen) < 3

    namespace: dict[str, Any] = {"__name__": "library", "ask": lambda: caller_outside(is_between)}
    exec("def hand_on(): return ask()", namespace)
    assert namespace["hand_on"]()[0] is sys._getframe().f_code
    assert seen == [__name__, "library", __name__]
    outermost = sys._getframe()
    while outermost.f_back is not None:
        outermost = outermost.f_back
    assert caller_outside(lambda _: True)[0] is outermost.f_code


def signalled(send: Callable[..., Any]) -> None:
    """As a receiver."""
    signal = Signal()
    signal.connect(send, weak=False)
    signal.send(sender=None)


def scheduled(send: Callable[..., Any]) -> None:
    """By the standard library's scheduler."""
    scheduler = sched.scheduler()
    scheduler.enter(0, 1, send)
    scheduler.run()


def exiting(send: Callable[..., Any]) -> None:
    """As a callback of a stack."""
    with contextlib.ExitStack() as stack:
        stack.callback(send)


def threaded(send: Callable[..., Any], kind: Callable[..., threading.Thread] = threading.Thread) -> None:
    """As the target of a thread."""
    thread = kind(target=send)
    thread.start()
    thread.join()


def pooled(send: Callable[..., Any]) -> None:
    """As jobs of an executor."""
    with ThreadPoolExecutor() as pool:
        pool.submit(send).result()
        list(pool.map(send, [1]))


def mapped(send: Callable[..., Any]) -> None:
    """As jobs of a pool of threads."""
    with ThreadPool(1) as pool:
        pool.map(send, [1])


def done(send: Callable[..., Any]) -> None:
    """As the callback of a future."""
    future: Future[int] = Future()
    future.add_done_callback(send)
    future.set_result(1)


async def by_asgiref(send: Callable[..., Any]) -> None:
    """In asgiref's threads."""
    await sync_to_async(send)()
    await sync_to_async(send, thread_sensitive=False)()


async def to_thread(send: Callable[..., Any]) -> None:
    """In the loop's executor."""
    await asyncio.to_thread(send)
    await asyncio.get_running_loop().run_in_executor(None, functools.partial(send, 1))


async def soon(send: Callable[..., Any]) -> None:
    """As a callback of the loop."""
    asyncio.get_running_loop().call_soon(send)
    await asyncio.sleep(0)


PLAIN = (signalled, scheduled, exiting, threaded, pooled, mapped, done)
LATER = (by_asgiref, to_thread, soon)


@pytest.mark.parametrize("has_guard", [True, False])
@pytest.mark.parametrize("way", [*PLAIN, *LATER])
def test_the_caller_is_the_users_line(
    way: Callable[..., Any], has_guard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where frameworks, threads, executors and loops call what they were handed, with the guard and without."""
    monkeypatch.setattr(watching, "is_on", watching.is_on and has_guard)

    @side_effect(name="send")
    def send(*_: object, **__: object) -> None: ...

    with capture() as calls:
        run = way(send)
        if isinstance(run, Coroutine):
            asyncio.run(run)
    assert calls
    assert {Path(call.caller.rpartition(":")[0]).name for call in calls} == {Path(__file__).name}


def test_a_coroutine_that_is_handed_on_has_the_users_line() -> None:
    """The bridge of asgiref calls it, or the loop has it awaited; what the test itself awaits has the line of that."""

    @side_effect(name="send")
    async def send() -> None: ...

    async def both() -> None:
        await asyncio.gather(send(), asyncio.create_task(send()))

    with capture() as calls:
        async_to_sync(send)()
        asyncio.run(both())
    last = sys._getframe().f_lineno - 1
    lines = [int(call.caller.rpartition(":")[2]) for call in calls]
    assert lines == [last - 1, *[both.__code__.co_firstlineno + 1] * 2]


def test_without_any_line_of_the_users_the_caller_is_who_calls() -> None:
    """A raw thread has no Python code above the effect, and nobody has noted where it was started."""

    @side_effect(name="send")
    def send() -> None: ...

    with capture() as calls:
        _thread.start_new_thread(send, ())
        calls.wait_for("send")
    assert calls[0].caller.startswith(NOBODY.co_filename)


def test_a_task_has_the_line_that_made_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where somebody keeps that, it says more than what runs the loop."""
    code = test_a_task_has_the_line_that_made_it.__code__
    last = max(line for _, _, line in code.co_lines() if line is not None)
    made_at = (code, last, __name__, None, "")
    monkeypatch.setattr(watching, "of_task", lambda: made_at)

    @side_effect(name="send")
    def send() -> None: ...

    with capture() as calls:
        asyncio.run(soon(send))
    assert calls[0].caller == f"{__file__}:{last}"
    monkeypatch.setattr(watching, "of_task", Watching().of_task)
    with capture() as calls:
        asyncio.run(soon(send))
    assert calls[0].caller != f"{__file__}:{last}"


def test_above_a_package_is_the_user() -> None:
    """Both are found: the user's line, and that of the package which called."""
    namespace: dict[str, Any] = {"__name__": "library", "frame": sys._getframe}
    package = "/anywhere/site-packages/library/calling.py"
    exec(compile("def hand_on(): return frame()", package, "exec"), namespace)
    own, installed = places_above(namespace["hand_on"]())
    assert own is not None
    assert installed is not None
    assert (own[0], own[3]) == (sys._getframe().f_code, namespace["hand_on"].__code__)
    assert (installed[0].co_filename, installed[2]) == (package, "library")
