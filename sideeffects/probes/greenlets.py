"""Probes in a process whose threads are greenlets, as in gevent's workers of gunicorn: all in one real thread."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import Any, cast

from asgiref.current_thread_executor import CurrentThreadExecutor
from asgiref.sync import AsyncToSync


def threads_are_greenlets() -> bool:
    """Whether gevent or eventlet stands for `threading`: their threads have neither a processor's time nor a loop."""
    return _is_gevents() or _is_eventlets()


def _is_gevents() -> bool:
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def _is_eventlets() -> bool:
    patcher: Any = sys.modules.get("eventlet.patcher")
    return patcher is not None and bool(patcher.is_monkey_patched("thread"))


def run_beside(main: Callable[[], Coroutine[Any, Any, object]]) -> object:
    """Run a coroutine in a real thread. What it does with databases comes back to this greenlet.

    In the thread of the greenlets its event loop would be that of all of them: Django refuses live requests their
    queries while a loop runs in their thread.

    Raises:
        RuntimeError: only gevent hands work to real threads and back.
    """
    if not _is_gevents():
        raise RuntimeError(
            "an async probe cannot run where eventlet replaces threading: its event loop would be that of all "
            "requests. Make it a plain def, or run it by manage.py probe"
        )
    # What Django hands to "the thread that called async_to_sync" is handed to this one.
    queries = CurrentThreadExecutor(None)

    async def with_queries() -> object:
        loop = asyncio.get_running_loop()
        AsyncToSync.loop_thread_executors[loop] = queries
        try:
            return await main()
        finally:
            del AsyncToSync.loop_thread_executors[loop]

    def run() -> tuple[object, BaseException | None]:
        try:
            return asyncio.run(with_queries()), None
        except BaseException as error:  # noqa: BLE001 - gevent prints what is raised there
            return None, error

    pool: Any = import_module("gevent.threadpool").ThreadPoolExecutor(1)
    try:
        running = pool.submit(contextvars.copy_context().run, run)
        queries.run_until_future(running)
        result, error = running.result()
    finally:
        pool.shutdown(wait=False)
    if error is not None:
        raise error
    return cast(object, result)
