"""What a dry run found: the effects that would have happened, the rows that were written, what was refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.row import Row
from sideeffects._core.policy.policy import decide, standing
from sideeffects._core.policy.rules import Rules
from sideeffects._core.records.ledger import Ledger
from sideeffects._core.records.reading import Calls
from sideeffects.dryrun.formats import as_text
from sideeffects.dryrun.plan_data import as_data, never_happens
from sideeffects.dryrun.publishing import Message, Messages
from sideeffects.dryrun.refusals import Notes, Refusals
from sideeffects.dryrun.row_counts import Writes
from sideeffects.dryrun.strands import Place, Strands


class PlanLedger(Ledger):
    """Counts each effect, however many calls it keeps; of those that only read it keeps no more.

    Args:
        bound: how many it keeps.
        told: told of each call, before it is answered.
    """

    def __init__(self, bound: int, told: Callable[[Call], object] | None = None) -> None:
        super().__init__(bound)
        self._told = told
        self.counts: Counter[str] = Counter()
        #: How often each effect was executed that only reads.
        self.reads: Counter[str] = Counter()
        self._strands = Strands()
        #: Where each call was made, also those that are no longer kept.
        self.places: list[Place] = []

    def append(self, call: Call | Row) -> None:
        """Write a call down, and count it."""
        if not self._is_closed:
            effect, mode = (call[0], call[1].mode) if isinstance(call, tuple) else (call.effect, call.mode)
            if self._told is not None:
                self._told(Call(call) if isinstance(call, tuple) else call)
            with self._lock:
                if mode is Mode.EXECUTE:  # it only reads
                    self.reads[effect.name] += 1
                    return
                self.counts[effect.name] += 1
                self.places.append(self._strands.here())
                super().append(call)


class Plan(Calls):
    """The calls that would have been executed, in order, with all that `Calls` has, and what else would have happened.

    It is live inside the block. What was written is known after it.

    Example:
        >>> with dry_run() as plan:
        ...     _ = charge(cents=990, token="tok_visa")
        >>> plan[0]
        <Call card.charge(cents=990, token=[redacted]) RECORD at ...>
    """

    def __init__(
        self, ledger: PlanLedger, refusals: Refusals, remarks: Notes, messages: Messages, rules: Rules
    ) -> None:
        super().__init__(lambda: ledger.read(0))
        self._ledger = ledger
        self._refusals = refusals
        self._remarks = remarks
        self._messages = messages
        self._rules = rules
        self._writes: tuple[Writes, ...] = ()
        self._error: BaseException | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the code ran to its end: nothing was refused, and it raised no error."""
        return self._error is None and not self._refusals.reasons

    @property
    def is_certain(self) -> bool:
        """Whether it is known that nothing was kept."""
        return self._refusals.is_certain

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each effect would have happened, by name; also of calls that are no longer kept.

        Calls that would have waited for a commit which never came do not count.
        """
        counts = self._ledger.counts - Counter(call.name for call in self._source()[0] if never_happens(call))
        return MappingProxyType(dict(sorted(counts.items())))

    def placed(self) -> Sequence[tuple[Call, Place]]:
        """The calls that are kept, each with where in the run it was made."""
        calls = list(self)
        places = self._ledger.places
        return list(zip(calls, places[len(places) - len(calls) :], strict=True))

    @property
    def writes(self) -> tuple[Writes, ...]:
        """The rows that were written, and rolled back, by database and table; empty inside the block."""
        return self._writes

    @property
    def reads(self) -> Mapping[str, int]:
        """How often each effect that only reads was executed, by name. These calls are not in the plan."""
        return MappingProxyType(dict(sorted(self._ledger.reads.items())))

    @property
    def messages(self) -> Sequence[Message]:
        """The messages that would have been published, such as Celery's tasks. What they set off is unknown."""
        return self._messages.all()

    @property
    def refusals(self) -> tuple[str, ...]:
        """What was refused, with where and why."""
        return self._refusals.reasons

    @property
    def remarks(self) -> tuple[str, ...]:
        """What may have gone differently from a real run, with where and why."""
        return self._remarks.reasons

    def for_real(self, call: Call) -> Decision:
        """What the settings (`POLICY`, `MODE`) decide of such a call outside of dry runs and test runs.

        Args:
            call: one of this plan.
        """
        arguments = {name: call.true_argument(name) for name in call.arguments}
        rules = standing(self._rules, call.effect, False, None)
        decision = decide(call.effect, MappingProxyType(arguments), (), rules, call.instance).decision
        return Decision(decision.mode, call.scrubbed(decision.reason), decision.origin)

    def close(self, writes: Sequence[Writes], error: BaseException | None) -> None:
        """Note what was written, and what has ended the code too early."""
        self._writes = tuple(writes)
        self._error = error

    def __str__(self) -> str:
        return as_text(as_data(self))
