"""What `.enqueue(...)` gives back."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, Protocol

from sideeffects.errors import SideEffectError


class Answering(Protocol):
    """What gives a result in the end."""

    def done(self) -> bool:
        """Whether the result, or an error, is there."""
        ...

    def result(self, timeout: float | None = None) -> Any:
        """The result, waited for; or the error, raised."""


class Handle:
    """An enqueued call.

    Attributes:
        id: unique among all processes.
        name: the effect's name.
    """

    __slots__ = ("_future", "_own", "id", "is_held", "name")

    def __init__(self, number: str, name: str, future: Future[Any]) -> None:
        self.id = number
        self.name = name
        self._own = future
        self._future: Answering = future
        #: Whether it still waits for the surrounding transaction to commit.
        self.is_held = False

    @classmethod
    def finished(cls, number: str, name: str, result: Any) -> Handle:
        """A handle of a call that was answered instead of run."""
        future: Future[Any] = Future()
        future.set_result(result)
        return cls(number, name, future)

    @classmethod
    def failed(cls, number: str, name: str, error: BaseException) -> Handle:
        """A handle of a call that was answered with an exception instead of run."""
        future: Future[Any] = Future()
        future.set_exception(error)
        return cls(number, name, future)

    @classmethod
    def waiting(cls, number: str, name: str) -> Handle:
        """A handle of a call that is still to run."""
        return cls(number, name, Future())

    @property
    def future(self) -> Future[Any]:
        """The future behind it, for engines."""
        return self._own

    def follow(self, future: Answering) -> None:
        """Take what this gives for the result, from now on: for engines whose workers are other processes."""
        self._future = future

    def done(self) -> bool:
        """Whether the call has finished, with a result or an error."""
        return self._future.done()

    def result(self, timeout: float | None = None) -> Any:
        """The result; waits for it.

        Args:
            timeout: seconds to wait at most; `None` waits as long as it takes.

        Raises:
            SideEffectError: it has not been handed over, since the surrounding transaction has not committed.
            TimeoutError: it was not there in time.
            BaseException: what the call raised.
        """
        if self.is_held:
            raise SideEffectError(
                f"side effect {self.name!r} has been enqueued inside a transaction and is handed over when that "
                f"commits; waiting for it here would never end. In a TestCase let the commit happen: "
                f"with self.captureOnCommitCallbacks(execute=True): ..."
            )
        return self._future.result(timeout)

    def __repr__(self) -> str:
        return f"<Handle of {self.name}: {'done' if self.done() else 'waiting'}>"
