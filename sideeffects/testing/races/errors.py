"""What goes wrong in a race: refusals before it starts, and what came of a racer instead of a result."""

from __future__ import annotations

import importlib
import traceback as tracebacks
from types import TracebackType
from typing import Any, NoReturn

from sideeffects._core.values.describe import text_of
from sideeffects.errors import RaceError, SideEffectError


class CannotTravel(RaceError, TypeError):
    """A function, an argument, a setting or a result that neither pickle nor cloudpickle takes to another process."""


class TerminatedProcessError(SideEffectError):
    """A racer that ended without a result: it was killed at its timeout, crashed, or left by `os._exit`.

    Args:
        message: what happened, with where the racer stood if that is known.
        code: its exit code; `None` when a signal ended it, or it was never ended (threads cannot be).
        signal: the number of the signal that ended it; `None` when none did.
        stack: where its threads stood, as `faulthandler` writes it; empty when nobody could tell.
    """

    def __init__(self, message: str, code: int | None = None, signal: int | None = None, stack: str = "") -> None:
        super().__init__(message, code, signal, stack)
        self.message = message
        self.code = code
        self.signal = signal
        self.stack = stack

    def __str__(self) -> str:
        return f"{self.message}\n{self.stack.rstrip()}" if self.stack else self.message


class WrappedError(Exception):
    """Stands in the results for a racer that raised, or that ended without a result.

    Args:
        error: what it raised.
        traceback: where; by default that of the exception itself.
        stdout: what the racer had printed (its end, where that is long); empty for threads, whose output is the test's.
        stderr: as `stdout`.
        racer: its index.

    Example:
        >>> result = Race(using="threads").call_concurrently(2, send_sms)
        >>> result[0]
        WrappedError(TypeError...)
    """

    def __init__(
        self,
        error: BaseException,
        traceback: TracebackType | None = None,
        *,
        stdout: str = "",
        stderr: str = "",
        racer: int | None = None,
    ) -> None:
        super().__init__(_shown(error))
        self.error = error
        self.traceback = traceback if traceback is not None else error.__traceback__
        self.stdout = stdout
        self.stderr = stderr
        self.racer = racer

    def __str__(self) -> str:
        who = "" if self.racer is None else f"racer {self.racer}: "
        shown = [who + "".join(tracebacks.format_exception(type(self.error), self.error, self.traceback)).rstrip()]
        shown += [
            f"--- its {name} ---\n{text.rstrip()}"
            for name, text in (("stdout", self.stdout), ("stderr", self.stderr))
            if text.strip()
        ]
        return "\n".join(shown)

    def __repr__(self) -> str:
        return f"WrappedError({_shown(self.error)})"

    def __reduce__(self) -> tuple[Any, ...]:
        # The traceback stays behind: it is plain Python's, which does not travel.
        return _rebuilt, (self.error, self.stdout, self.stderr, self.racer)

    def reraise(self) -> NoReturn:
        """Raise the racer's exception here, with its own traceback."""
        raise self.error.with_traceback(self.traceback)

    def print_tb(self) -> None:
        """Print the racer's traceback to stderr."""
        tracebacks.print_tb(self.traceback)

    def debug(self) -> None:
        """Look around where it was raised, in `ipdb` if that is installed, else in `pdb`. Frames have no variables."""
        try:
            debugger: Any = importlib.import_module("ipdb")
        except ImportError:
            debugger = importlib.import_module("pdb")
        debugger.post_mortem(self.traceback)


def _shown(error: BaseException) -> str:
    try:
        return repr(error)
    except Exception:  # noqa: BLE001 - its `__repr__` is its own
        return f"{type(error).__qualname__}: {text_of(error)}"


def _rebuilt(error: BaseException, stdout: str, stderr: str, racer: int | None) -> WrappedError:
    return WrappedError(error, stdout=stdout, stderr=stderr, racer=racer)
