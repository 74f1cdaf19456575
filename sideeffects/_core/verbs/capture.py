"""`capture` and `observe`: seeing calls as they are made."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from sideeffects._core.calls.call import Call
from sideeffects._core.records.ledger import Ledger
from sideeffects._core.records.reading import Calls
from sideeffects._core.state import threads
from sideeffects._core.state.state import Observer, state


class Window:
    """A stretch of the process's ledger: what a test run has written since the window was opened."""

    def __init__(self) -> None:
        state.sync()
        self._start = state.ledger.end
        self._stop: int | None = None

    def close(self) -> None:
        """Let it show no later calls."""
        state.sync()
        self._stop = state.ledger.end

    def read(self) -> tuple[Sequence[Call], int]:
        """The calls in it, and how many were dropped."""
        if self._stop is None:
            state.sync()
        return state.ledger.read(self._start, self._stop)


@contextmanager
def capture() -> Generator[Calls]:
    """See the calls that are decided inside the block.

    In a test run: all of the process and of its children. Otherwise: those of this context (its tasks, and threads
    and executors that it hands work to), which makes it safe on a live system.

    Yields:
        a live `Calls`; it keeps what it has seen after the block.

    Example:
        >>> with capture() as calls:
        ...     _ = send_sms("+44 20 7946 0000", body="Hello")
        >>> calls.one("sms.send").arguments["to"]
        '+44 20 7946 0000'
    """
    if state.test_run.is_on(state.rules_source()):
        window = Window()
        try:
            yield Calls(window.read)
        finally:
            window.close()
        return
    threads.install()
    ledger = Ledger(state.rules_source().max_calls)
    stop = state.watch(ledger)
    try:
        yield Calls(lambda: ledger.read(0))
    finally:
        stop()


def observe(function: Observer) -> Callable[[], None]:
    """Call `function` with each finished `Call` of this process.

    It never changes a decision or a result: what it raises is logged and swallowed. Calls that it makes itself are
    not shown to it.

    Args:
        function: takes a `Call`.

    Returns:
        a function that removes it; you may call it more than once.

    Example:
        >>> seen = []
        >>> remove = observe(lambda call: seen.append(call.name))
        >>> _ = send_sms("+44 20 7946 0000", body="Hello")
        >>> remove()
        >>> seen
        ['sms.send']
    """
    return state.add_observer(function)
