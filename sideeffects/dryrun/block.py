"""`dry_run`: run a block of code for real, keep nothing, and see what it would have done."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.known import check_known
from sideeffects._core.calls.registry import EVERYTHING, only_reads
from sideeffects._core.policy.levels import RAISE
from sideeffects._core.policy.override_entry import OverrideEntry, OverrideRule
from sideeffects._core.state import threads as _propagation
from sideeffects._core.state.open_transactions import open_transactions
from sideeffects._core.state.state import state
from sideeffects._core.state.switches import Restorer
from sideeffects._core.state.work_origin import Lineage, lineage
from sideeffects._core.verbs.overrides import rule_table
from sideeffects.database import atomic
from sideeffects.dryrun import escapes, membership, other_connections
from sideeffects.dryrun.connections import HeldConnection
from sideeffects.dryrun.database_files import Identities
from sideeffects.dryrun.membership import Holder
from sideeffects.dryrun.plan import Plan, PlanLedger
from sideeffects.dryrun.refusals import DryRunRefused
from sideeffects.guard import hook, levels

_serials: Final = itertools.count(1)


class dry_run:  # noqa: N801 - a verb, as `capture` and `record` are
    """Run the block for real and keep nothing: databases are rolled back, declared effects are written down.

    It applies to the context that enters it, its tasks and the threads that it starts. Other requests are not touched.

    Args:
        stub: answers that the block needs from effects: a mapping of effect, name or glob to a value, or to an
            exception to raise.
        max_calls: how many calls the plan keeps; by default what the settings say (`LEDGER`).
        told: a function that gets each call as it is held back, and each call that only reads as it is executed.

    Raises:
        DryRunRefused: on leaving, when something was refused and the block went on all the same.
        UnknownSideEffect: on entering, when a stub means no declared effect.

    Example:
        >>> with dry_run() as plan:
        ...     _ = send_sms("+44 20 7946 0000", body="Hello")
        >>> plan.count("sms.send")
        1
    """

    def __init__(
        self,
        *,
        stub: Mapping[Any, Any] | None = None,
        max_calls: int | None = None,
        told: Callable[[Call], object] | None = None,
    ) -> None:
        self._max_calls = max_calls
        self._told = told
        self._rules = tuple(rule_table((), (), (), dict(stub or {}), "dry_run"))
        self._runs: list[DryRun] = []

    def __enter__(self) -> Plan:
        frame = sys._getframe(1)  # noqa: SLF001 - the block's line, for explanations
        run = DryRun(self._rules, f"{frame.f_code.co_filename}:{frame.f_lineno}", self._max_calls, self._told)
        run.start()
        self._runs.append(run)
        return run.plan

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        run = self._runs.pop()
        run.stop(error)
        if error is None and run.plan.refusals:
            raise DryRunRefused(*run.plan.refusals)


class DryRun(Holder):
    """One time that a block is run dry.

    Args:
        rules: the stubs.
        origin: where it was asked for.
        max_calls: how many calls its plan keeps; `None` for what the settings say.
        told: told of each call.
    """

    def __init__(
        self,
        rules: Sequence[OverrideRule],
        origin: str,
        max_calls: int | None = None,
        told: Callable[[Call], object] | None = None,
    ) -> None:
        for rule in rules:
            check_known(rule.pattern)
        self._rules = rules
        self._origin = origin
        super().__init__()
        self._connections: tuple[HeldConnection, ...] = ()
        self._undo: list[Restorer] = []
        self._files = Identities()
        self._ledger = PlanLedger(state.rules_source().max_calls if max_calls is None else max_calls, told)
        self.plan = Plan(self._ledger, self.refusals, self.remarks, self.messages, membership.rules_for_real())
        self._guard = levels.Entry(RAISE, is_wall=True)
        self._guard.is_shown = True  # what it refuses is in the plan

    def start(self) -> None:
        """Begin."""
        from django.db import connections

        other_connections.install()
        escapes.install()
        hook.install()
        atomic.install()
        _propagation.install()
        held: dict[int, HeldConnection] = {}
        for alias in connections:
            connection = connections[alias]  # a mirror is the same one under another alias
            held.setdefault(id(connection), HeldConnection(connection, self, next(_serials)))
        entry = _HoldingBack(self, self._rules, self._origin)
        try:
            self._undo.append(state.overrides.enter(entry))
            self._undo.append(state.watch(self._ledger))
            self._undo.append(_on_its_own())
            self._undo.append(levels.enter(self._guard, context_only=True))
            for one in held.values():
                self._connections = (*self._connections, one)
                one.start()
            if membership.is_whole:
                membership.everywhere.append(self)
                self._undo.append(lambda: membership.everywhere.remove(self))
                self._undo.append(state.add_gate(self._take_stray))
        except BaseException:
            self.stop()
            raise

    def _take_stray(self, call: Call) -> None:
        """Calls of contexts that no dry run has reached: threads that were there before, and bare greenlets."""
        if not membership.is_reached():
            self._ledger.append(call)

    def stop(self, error: BaseException | None = None) -> None:
        """Roll everything back, and let go.

        Args:
            error: what has ended the block too early.
        """
        for connection in self._connections:
            try:
                connection.count()
            except Exception as problem:  # noqa: BLE001 - what cannot be counted is rolled back all the same
                self.refusals.note(f"what was written to the database {connection.alias!r} is unknown: {problem}")
        for connection in reversed(self._connections):
            connection.stop()
        for alias in self._files.replaced():
            self.refusals.doubt(
                f"the file of the database {alias!r} was replaced or deleted during the run, in a way that Python does "
                f"not report"
            )
        writes = [written for connection in self._connections for written in connection.tally.writes()]
        self.plan.close(writes, error)
        self._connections = ()  # what goes on in a copy of this context would not be rolled back
        while self._undo:
            self._undo.pop()()
        for found in self._guard.found:
            self.refusals.note_at(f"an undeclared call to the outside was refused: {found.what}", found.caller)

    def holds(self, connection: Any) -> bool:
        """Whether what is done on this connection is rolled back."""
        return any(held.is_of(connection) for held in self._connections)


class _HoldingBack(OverrideEntry):
    """What holds the effects of a dry run back. Those that only read are left to all others that have a say.

    Args:
        owner: the dry run.
        stubs: what effects return whose answer is needed.
        origin: where the dry run was asked for.
    """

    def __init__(self, owner: DryRun, stubs: Sequence[OverrideRule], origin: str) -> None:
        self._held_back = OverrideRule(EVERYTHING, Decision(Mode.RECORD, "a dry run executes nothing", origin))
        super().__init__((self._held_back, *stubs), origin, context_only=True, foremost=True, owner=owner)

    def find(self, name: str) -> OverrideRule | None:
        """The rule for an effect. A stub speaks for those that read, too; after the block nothing executes."""
        rule = super().find(name)
        return None if rule is self._held_back and not self.closed and only_reads(name) else rule


def _on_its_own() -> Restorer:
    """Neither an effect that executes above the dry run nor a transaction around it says anything of what is inside."""
    above, around = lineage.get(), open_transactions.get()
    lineage.set(Lineage("", above.place, above.guards))
    open_transactions.set(())

    def restore() -> None:
        lineage.set(above)
        open_transactions.set(around)

    return restore
