"""`enqueue`: a call that is decided now and runs in the background."""

from __future__ import annotations

import contextvars
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

from sideeffects._calls import Mode
from sideeffects._declared import Declared
from sideeffects._handles import Handle
from sideeffects._plugs import plugs
from sideeffects._runtime import alias_of, answer, begin, execute
from sideeffects._shapes import answer_async, execute_async
from sideeffects.errors import AsyncNotAllowed


def enqueue(
    declared: Declared, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Handle:
    """Decide a call now and, if it executes, run it in the background.

    Args and raises: as `perform`.

    Returns:
        a handle with `id`, `name` and `result(timeout)`.

    Raises:
        AsyncNotAllowed: the effect was not declared with `async_ok=True`.
    """
    __tracebackhide__ = True
    effect = declared.effect
    if not effect.async_ok:
        raise AsyncNotAllowed(effect.name)
    frame = sys._getframe(2)  # noqa: SLF001 - as in `perform`
    call, mode, stub = begin(declared, instance, args, kwargs, frame.f_code, frame.f_lasti, True)
    number = f"{id(args):x}-{time.monotonic_ns():x}" if call is None else call.id
    is_coroutine = effect.kind == "coroutine function"
    if mode is not Mode.EXECUTE:
        try:
            if is_coroutine:
                result = _to_end(answer_async(declared, call, stub, args, kwargs))
            else:
                result = answer(declared, call, stub, args, kwargs)
        except Exception as error:  # noqa: BLE001 - a stub's exception arrives where that of the real call would
            return Handle.failed(number, effect.name, error)
        return Handle.finished(number, effect.name, None if effect.on_commit is not False else result)
    engine = plugs.engine()
    handle = Handle.waiting(number, effect.name)

    def work() -> Any:
        if is_coroutine:
            return _to_end(execute_async(call, wrapped, args, kwargs))
        return wrapped(*args, **kwargs) if call is None else execute(call, wrapped, args, kwargs)

    if effect.on_commit is False:
        engine.submit(handle, work)
    else:
        plugs.deferral.run(alias_of(declared), call, lambda: engine.submit(handle, work))
    return handle


def _to_end(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end: here, or in a thread of its own when a loop runs in this one.

    Not in a `ThreadPoolExecutor`: what waits for its turn runs while the process ends, when none can be imported.
    """
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    handed: Future[Any] = Future()

    def run() -> None:
        try:
            handed.set_result(asyncio.run(coroutine))
        except BaseException as error:  # noqa: BLE001 - it goes on to where it is waited for
            handed.set_exception(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,))
    thread.start()
    thread.join()
    return handed.result()
