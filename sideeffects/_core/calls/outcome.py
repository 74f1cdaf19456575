"""What came of a call, here and as another process wrote it down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sideeffects._core.values import describe


class Outcome(NamedTuple):
    """What came of a call: `result`, `error` (`None` when there was none) and `duration` in seconds."""

    result: Any
    error: BaseException | None
    duration: float


NO_RESULT = Outcome(None, None, 0.0)


class RemoteError(Exception):
    """Stands for an exception that was raised in another process: its type's name and its text."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(kind, text)
        self.kind = kind
        self.text = text

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}" if self.text else self.kind


def outcome_to_record(outcome: Outcome, scrubbed: Callable[[str], str]) -> dict[str, Any]:
    """An outcome as JSON-safe data; `scrubbed` takes the call's secrets out of the text of an exception."""
    error = outcome.error
    return {
        "result": describe.jsonable(outcome.result),
        "error": None if error is None else error_to_record(error, scrubbed),
        "duration": outcome.duration,
    }


def error_to_record(error: BaseException, scrubbed: Callable[[str], str]) -> list[str]:
    """What an exception is called and says; that of another process, what it was called and said there."""
    if isinstance(error, RemoteError):
        return [error.kind, scrubbed(error.text)]
    return [type(error).__name__, scrubbed(describe.text_of(error))]


def outcome_from_record(record: Mapping[str, Any]) -> Outcome:
    """The outcome that another process wrote down with `outcome_to_record`."""
    error = record["error"]
    return Outcome(record["result"], None if error is None else RemoteError(error[0], error[1]), record["duration"])
