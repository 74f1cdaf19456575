"""One override, as it stands in a context, and the lines that it is made of."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sideeffects._core.calls.decision import Decision
from sideeffects._core.calls.registry import EVERYTHING, is_glob, matches


class Count:
    """How many calls a stub has answered since it was put into force, in this process.

    Attributes:
        value: the number.
        since: the position in the ledger after which it was put into force.
    """

    __slots__ = ("_lock", "since", "value")

    def __init__(self, since: int = 0) -> None:
        self._lock = threading.Lock()
        self.restart(since)

    def restart(self, since: int) -> None:
        """Count from 0 again."""
        self.value = 0
        self.since = since

    def add(self) -> int:
        """Count one call. Returns its number, from 1 on."""
        with self._lock:
            self.value += 1
            return self.value


class Stub(NamedTuple):
    """What a recorded call returns or raises.

    Attributes:
        answered: how many calls it has answered.
        returns: a value, or a callable that is given the call's arguments.
        raises: an exception, or its class.
        at_commit: whether a call that would execute when the transaction commits has its answer only then.
        in_turn: instead of both: one answer for each call; exceptions are raised.
        times: how many calls it has to answer.
        origin: where it was put into force.
    """

    answered: Count
    returns: Any = None
    raises: BaseException | type[BaseException] | None = None
    at_commit: bool = False
    in_turn: Sequence[Any] | None = None
    times: int | None = None
    origin: str = ""


class OverrideRule(NamedTuple):
    """One line of an override: the effects that a pattern means get this decision, and perhaps a stub."""

    pattern: str
    decision: Decision
    stub: Stub | None = None


class OverrideEntry:
    """One open (or outlived) override, as it stands in a context.

    Attributes:
        rules: what it says.
        origin: `file:line` where it was entered.
        context_only: never seen from other contexts, in a test run either.
        outermost: looked at after all others (markers).
        foremost: looked at before all others, those entered inside it too (discovery).
        token: what `contextvars` gave for entering it; tells the context that entered it from copies of that.
        closed: its block has been left.
        ended: it was left by another context than the one that entered it: it is over for work started inside, too.
        signs: where forked children see that it is open.
        parent: the process that this one was forked from inside the block, 0 if it was not.
        owner: what entered it, for those who look for theirs (the worker's side of Celery).
    """

    __slots__ = (
        "__weakref__",
        "_found",
        "closed",
        "context_only",
        "ended",
        "foremost",
        "origin",
        "outermost",
        "owner",
        "parent",
        "rules",
        "signs",
        "token",
    )

    def __init__(
        self,
        rules: tuple[OverrideRule, ...],
        origin: str = "",
        *,
        context_only: bool = False,
        outermost: bool = False,
        foremost: bool = False,
        owner: object = None,
    ) -> None:
        self.rules = rules
        self.origin = origin
        self.context_only = context_only
        self.outermost = outermost
        self.foremost = foremost
        self.owner = owner
        self.token: contextvars.Token[Any] | None = None
        self.closed = False
        self.ended = False
        self.signs: tuple[Any, ...] = ()
        self.parent = 0
        self._found: dict[str, OverrideRule | None] = {}

    def find(self, name: str) -> OverrideRule | None:
        """The rule for an effect: the exact name, else the longest glob; ties go to the stricter."""
        try:
            return self._found[name]
        except KeyError:
            found = self._found[name] = _best(rule for rule in self.rules if matches(rule.pattern, name))
            return found


def _best(rules: Iterable[OverrideRule]) -> OverrideRule | None:
    return max(rules, key=lambda rule: (specificity(rule.pattern), rule.decision.mode), default=None)


def specificity(pattern: str) -> tuple[bool, int]:
    """Exact names before globs, longer globs before shorter ones, `__all__` last."""
    return (not is_glob(pattern), 0 if pattern == EVERYTHING else len(pattern))
