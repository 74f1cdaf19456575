"""Telling those who observe. Whatever they raise, or change of the call, the effect's answer stays what it was."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import logging
from collections.abc import Generator, Sequence
from typing import Any, Final

from sideeffects._core.calls.call import Call
from sideeffects._core.state.state import Observer

logger: Final = logging.getLogger("sideeffects")

_is_notifying: Final[contextvars.ContextVar[bool]] = contextvars.ContextVar("sideeffects_notifying", default=False)


def notify(call: Call, observers: Sequence[Observer]) -> None:
    """Observers are told of each call, but not of those that observers make."""
    if _is_notifying.get():
        return
    token = _is_notifying.set(True)
    error = None if call.outcome is None else call.outcome.error
    try:
        for observer in observers:
            with _kept(error), swallowed("an observer failed on %s", call):
                observer(call)
    finally:
        _is_notifying.reset(token)


@contextlib.contextmanager
def swallowed(message: str, call: Call) -> Generator[None]:
    """Log what is raised inside, which is no reason for the effect's answer not to arrive.

    `pytest.fail`, `CancelledError` and `SystemExit` as well, which are no `Exception`; but not what a signal brings,
    such as Ctrl-C: that is meant for the program.
    """
    try:
        yield
    except BaseException as error:
        if comes_from_signal(error):
            raise
        with contextlib.suppress(Exception):
            logger.exception(message, call.name)


@contextlib.contextmanager
def _kept(error: BaseException | None) -> Generator[None]:
    """The error that the caller gets, as it was before somebody raised it again, or from another."""
    if error is None:
        yield
        return
    before = error.__traceback__, error.__cause__, error.__context__, error.__suppress_context__, error.args
    try:
        yield
    finally:
        error.__traceback__, error.__cause__, error.__context__, error.__suppress_context__, error.args = before


def comes_from_signal(error: BaseException) -> bool:
    """Whether a signal's handler has raised it, rather than the code that it has interrupted."""
    import dis
    import signal

    handlers = {_code_of(signal.getsignal(number)) for number in signal.valid_signals()}
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if code in handlers:
            return True
        if step.tb_next is None:
            # Python's own handler of Ctrl-C has no frame: the line that it came upon has raised nothing.
            return type(error) is KeyboardInterrupt and dis.opname[code.co_code[step.tb_lasti]] != "RAISE_VARARGS"
        step = step.tb_next
    return False


def _code_of(handler: Any) -> Any:
    while isinstance(handler, functools.partial):
        handler = handler.func
    function = getattr(handler, "__func__", handler)
    return getattr(function, "__code__", None)
