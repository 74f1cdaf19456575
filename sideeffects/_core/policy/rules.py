"""What the settings say about decisions, checked; `sideeffects.settings` makes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sideeffects._core.calls.decision import Mode
from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.policy.budget import Budget
from sideeffects._core.policy.levels import OFF
from sideeffects._core.policy.redirect import Redirect
from sideeffects._core.records.ledger import SharedLedger

#: Given the effect and the arguments; and what a method was called on, where its third parameter is named `instance`.
PolicyFunction = Callable[..., object]


class Rule(NamedTuple):
    """One entry of `POLICY`: what to do with the effects that a pattern means."""

    pattern: str
    verdict: Mode | Redirect | Budget | PolicyFunction
    origin: str


class GuardRules(NamedTuple):
    """What `SIDE_EFFECTS["GUARD"]` says.

    Attributes:
        level: `off`, `warn` or `raise`; empty where the settings say nothing.
        hosts: names, addresses and networks that may be reached.
        processes: programs that may be started.
        ignore: call sites that are not looked at.
        baseline: the file of the findings that are accepted.
    """

    level: str = ""
    hosts: tuple[str, ...] = ()
    processes: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    baseline: str = ""


NO_GUARD_RULES: Final = GuardRules()


class OutboxRules(NamedTuple):
    """What `SIDE_EFFECTS["OUTBOX"]` says.

    Attributes:
        database: the alias of the database that has held calls and pauses.
        cache: the alias of the cache that counts for budgets.
        refresh: within how many seconds all processes follow a pause.
    """

    database: str = "default"
    cache: str = "default"
    refresh: float = 2.0


NO_OUTBOX_RULES: Final = OutboxRules()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Rules:
    """Everything that settings say about decisions, checked."""

    mode: Mode | None = None
    policy: tuple[Rule, ...] = ()
    force_run: tuple[str, ...] = ()
    force_run_legacy: frozenset[str] = frozenset()
    test_run: bool = False
    sensitive: frozenset[str] = frozenset()
    max_calls: int = 10_000
    #: What runs the background: the name of an engine, or the dotted path of one.
    engine: str = "threads"
    #: Whether Sentry hears of errors (`USE_SENTRY`, `SAFERUNNER_USE_SENTRY`), so that run lists go on after one.
    use_sentry: bool = False
    #: Where calls are written for other processes as well; `None` when they stay in memory.
    shared: SharedLedger | None = None
    #: What the guard does about calls to the outside that no effect covers.
    guard: GuardRules = NO_GUARD_RULES
    #: Where held calls, pauses and budgets are kept.
    outbox: OutboxRules = NO_OUTBOX_RULES
    #: What is done about effects inside open transactions; empty when the settings do not say.
    transactions: str = ""
    #: Holds what a stub gives in a test run against the effect's annotation; `None` where that is not asked for.
    check_answer: Callable[[SideEffect, Any], None] | None = None
    #: Whether tests that are rolled back have commits.
    test_commits: bool = False
    #: Whether nothing executes outside a test run but what only reads.
    holds_back: bool = False
    #: Whether these can only change with a notice (so that the fast switch may rely on them).
    settled: bool = False

    @property
    def watches_transactions(self) -> bool:
        """Whether a call outside a test run may be of interest because of the transaction that it is made in."""
        return self.transactions not in ("", OFF)
