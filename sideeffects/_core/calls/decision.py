"""What happens to a call, and why."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Mode(enum.Enum):
    """What happens to a call, in order of strictness: `EXECUTE` < `HOLD` < `RECORD` < `RAISE`.

    Example:
        >>> sorted([Mode.RAISE, Mode.EXECUTE, Mode.RECORD, Mode.HOLD])[0]
        <Mode.EXECUTE: 'execute'>
        >>> Mode("record") is Mode.RECORD
        True
    """

    EXECUTE = "execute"
    HOLD = "hold"
    RECORD = "record"
    RAISE = "raise"

    @classmethod
    def _missing_(cls, value: object) -> Mode | None:
        if type(value) is str:
            return cls.__members__.get(value.upper())
        return None

    def __lt__(self, other: object) -> bool:
        if type(other) is not Mode:
            return NotImplemented
        return _STRICTNESS[self] < _STRICTNESS[other]

    def __le__(self, other: object) -> bool:
        return self is other or self < other

    def __gt__(self, other: object) -> bool:
        if type(other) is not Mode:
            return NotImplemented
        return _STRICTNESS[self] > _STRICTNESS[other]

    def __ge__(self, other: object) -> bool:
        return self is other or self > other


_STRICTNESS = {Mode.EXECUTE: 0, Mode.HOLD: 1, Mode.RECORD: 2, Mode.RAISE: 3}


@dataclass(frozen=True, slots=True)
class Decision:
    """A mode plus the reason for it.

    Attributes:
        mode: what happens to the call. Where a rule depends on the call's arguments and there are none (`explain`),
            the strictest mode that it might give.
        reason: why, in words, naming the override or setting that decided.
        origin: where that stands: `file:line` of the override, or the settings key.
        conditional: whether the rule decides anew for each call, from its arguments.

    Example:
        >>> decision = explain("sms.send")
        >>> decision.mode, decision.reason
        (<Mode.RECORD: 'record'>, 'a test run executes nothing that no test names')
    """

    mode: Mode
    reason: str
    origin: str = ""
    conditional: bool = False

    def __str__(self) -> str:
        where = f" [{self.origin}]" if self.origin else ""
        per_call = " (decided per call)" if self.conditional else ""
        return f"{self.mode.name}{per_call}: {self.reason}{where}"
