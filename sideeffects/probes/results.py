"""What came of probes: frozen values, which reports read."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Mode
from sideeffects._core.values.describe import describe


class ProbeOutcome(enum.StrEnum):
    """What came of one probe.

    Example:
        >>> [outcome.value for outcome in ProbeOutcome]
        ['passed', 'failed', 'errored', 'skipped']
    """

    PASSED = "passed"
    FAILED = "failed"
    ERRORED = "errored"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class ProbeEffect:
    """One call of a declared effect by a probe.

    Attributes:
        name: the effect's name.
        arguments: JSON-safe and redacted.
        mode: what was decided: `RECORD` where it was held back, `EXECUTE` where the probe forced it, `RAISE` where the
            call was refused.
        reason: why.
        caller: `file:line`.
        text: the call in one line, redacted.
        is_held_back: whether it was held back: it was recorded, or waits for a commit, which a probe never makes.

    Example:
        >>> with capture() as calls:
        ...     _ = send_sms("+44", body="Hello")
        >>> ProbeEffect.of(calls[0]).text
        "sms.send(to='+44', body='Hello')"
    """

    name: str
    arguments: Mapping[str, Any]
    mode: Mode
    reason: str
    caller: str
    text: str
    is_held_back: bool

    @classmethod
    def of(cls, call: Call) -> ProbeEffect:
        """What is kept of a call."""
        shown = ", ".join(f"{name}={describe(value)}" for name, value in call.arguments.items())
        data = call.as_data()
        text = f"{call.name}({shown})"
        waits = call.mode is Mode.EXECUTE and call.effect.on_commit is not False and call.outcome is None
        reason = "it waits for a commit, and a probe makes none" if waits else call.reason
        is_held_back = waits or call.mode is Mode.RECORD
        return cls(call.name, data["arguments"], call.mode, reason, call.caller, text, is_held_back)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One probe.

    Attributes:
        id: `module.Class.method`.
        app: the label of its app.
        module: its module.
        class_name: its class, empty for a module that could not be imported.
        method: its method, empty for what is not a test (`setUpClass`, a module).
        outcome: what came of it.
        message: in one line; empty when it passed.
        traceback: with the tracebacks of all that went wrong.
        duration: seconds.
        effects: the declared effects that it called.
        tags: its tags.

    Example:
        >>> probe = ProbeResult("shop.probes.Orders.paid", "shop", "shop.probes", "Orders", "paid", ProbeOutcome.PASSED)
        >>> probe.is_bad
        False
    """

    id: str
    app: str
    module: str
    class_name: str
    method: str
    outcome: ProbeOutcome
    message: str = ""
    traceback: str = ""
    duration: float = 0.0
    effects: tuple[ProbeEffect, ...] = ()
    tags: tuple[str, ...] = ()

    @property
    def is_bad(self) -> bool:
        """Whether it failed or errored."""
        return self.outcome in (ProbeOutcome.FAILED, ProbeOutcome.ERRORED)

    @property
    def line(self) -> str:
        """What is wrong, in one line, as django-smoketest says it."""
        return f"{self.id} {self.outcome}: {self.message}" if self.message else f"{self.id} {self.outcome}"

    @property
    def held_back(self) -> tuple[ProbeEffect, ...]:
        """The effects that were not executed, and would have been outside of a probe."""
        return tuple(effect for effect in self.effects if effect.is_held_back)

    @property
    def executed(self) -> tuple[ProbeEffect, ...]:
        """The effects that the probe forced."""
        return tuple(effect for effect in self.effects if effect.mode is Mode.EXECUTE and not effect.is_held_back)

    @property
    def refused(self) -> tuple[ProbeEffect, ...]:
        """The effects that raised instead of being executed, as inside `forbid(...)`."""
        return tuple(effect for effect in self.effects if effect.mode is Mode.RAISE)


@dataclass(frozen=True, slots=True)
class Results:
    """One run of probes.

    Attributes:
        probes: each with what came of it, in the order in which they were found.
        started: when (UTC).
        duration: seconds.
        notes: what else is to be said of the run, a sentence each.
        is_whole: whether all that was selected was run: no Ctrl-C, and no failure with `failfast`.
        has_details: whether messages, tracebacks and effects are there, as far as there were any.

    Example:
        >>> probe = ProbeResult("shop.probes.Orders.paid", "shop", "shop.probes", "Orders", "paid", ProbeOutcome.FAILED)
        >>> results = Results((probe,), started=datetime.datetime.now(datetime.UTC), duration=0.1)
        >>> len(results.having(ProbeOutcome.FAILED))
        1
    """

    probes: tuple[ProbeResult, ...]
    started: datetime.datetime
    duration: float
    notes: tuple[str, ...] = ()
    is_whole: bool = True
    has_details: bool = True

    def having(self, *outcomes: ProbeOutcome) -> tuple[ProbeResult, ...]:
        """The probes with one of these outcomes."""
        return tuple(probe for probe in self.probes if probe.outcome in outcomes)

    @property
    def passed(self) -> bool:
        """Whether nothing failed or errored."""
        return not any(probe.is_bad for probe in self.probes)

    @property
    def status(self) -> str:
        """`PASS` or `FAIL`."""
        return "PASS" if self.passed else "FAIL"

    @property
    def classes(self) -> int:
        """How many classes had a probe that was run."""
        return len({(probe.module, probe.class_name) for probe in self.probes if probe.class_name})

    @property
    def run(self) -> int:
        """How many were run: all but the skipped ones and what is no test."""
        return sum(1 for probe in self.probes if probe.method and probe.outcome is not ProbeOutcome.SKIPPED)

    def count(self, outcome: ProbeOutcome) -> int:
        """How many have this outcome. Fixtures and modules are no tests, and count only when they went wrong."""
        return sum(1 for probe in self.probes if probe.outcome is outcome and (probe.method or probe.is_bad))

    def without_details(self) -> Results:
        """A copy for readers who may know only whether all is well: no message, no traceback, no effect."""
        return replace(
            self,
            probes=tuple(replace(probe, message="", traceback="", effects=()) for probe in self.probes),
            notes=(),
            has_details=False,
        )
