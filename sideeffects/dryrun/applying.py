"""Running a command for real, once, along a plan.

With one transaction around all, Django believes that of a test: `atomic(durable=True)` is allowed inside. Callbacks
after a commit run when that transaction has committed, after a rehearsal that is a dry run: a difference is found while
rows can still be rolled back. Closing connections waits until then as well.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import Any, NamedTuple, cast

from django.db import DatabaseError, connections, transaction

from sideeffects._core.calls.call import Call
from sideeffects._core.policy.override_entry import OverrideEntry
from sideeffects._core.state import threads
from sideeffects._core.state.state import state
from sideeffects.database.holding import Replaced
from sideeffects.database.on_commit import Deferred
from sideeffects.dryrun.block import DryRun
from sideeffects.dryrun.gate import Gate
from sideeffects.dryrun.planned_calls import PlannedCall
from sideeffects.dryrun.refusals import DryRunRefused
from sideeffects.dryrun.row_counts import Writes, what_of
from sideeffects.dryrun.rows_for_real import RowWatch
from sideeffects.dryrun.saved_plan import SavedPlan
from sideeffects.dryrun.strands import after_commit_of, marking_hooks
from sideeffects.errors import PlanChanged
from sideeffects.guard import hook


class Applied(NamedTuple):
    """What came of a plan.

    Attributes:
        code: the command's exit code.
        error: what it raised, other than to end with an exit code.
        changed: why it was stopped; `None` if it was not.
        calls: the calls of the plan that came, in order.
        missing: those that did not.
        writes: the rows that were written.
        rolled_back: the databases of which nothing is kept.
    """

    code: int
    error: BaseException | None
    changed: PlanChanged | None
    calls: Sequence[Call]
    missing: Sequence[PlannedCall]
    writes: Sequence[Writes]
    rolled_back: Sequence[str]


class _TakeBack(Exception):
    """The command did not end as planned: what it has written is taken back."""


class Applying:
    """One time that a plan is applied.

    Args:
        saved: the plan.
        is_atomic: whether all rows are in one transaction on each database, which is rolled back if the plan changes.
        is_whole: whether this process does nothing else.
        passed: told of each call that may happen, and how many these are by now.
    """

    def __init__(
        self, saved: SavedPlan, *, is_atomic: bool, is_whole: bool, passed: Callable[[int, Call], None]
    ) -> None:
        self._saved = saved
        self._is_atomic = is_atomic
        self._gate = Gate(saved, self, is_whole=is_whole, keeps_order=not is_atomic, passed=passed)
        self._watches: list[RowWatch] = []
        self._rolled_back = list(_aliases()) if is_atomic else []

    def run(self, command: Callable[[], int]) -> Applied:
        """Run the command.

        Args:
            command: runs it, and returns its exit code.
        """
        code, error = 1, None
        try:
            with self._watched(), ExitStack() as stack:
                counted = [stack.enter_context(self._around(alias)) for alias in _aliases()]
                code = command()
                self._check_end(code)
                for count in counted:
                    count()
                self._rehearse()
                self._check_end(code)
        except _TakeBack:
            pass
        except BaseException as raised:  # noqa: BLE001 - it is raised again, after what is to be said
            error, code = raised, 1
        gate = self._gate
        writes = [row for watch in self._watches for row in watch.writes()]
        return Applied(code, error, gate.changed, gate.calls, gate.missing(), writes, self._rolled_back)

    def _rehearse(self) -> None:
        """Run dry what waits for the commit: if the plan has changed there, all can still be taken back.

        Raises:
            DryRunRefused: something cannot be run dry.
        """
        waiting: list[Any] = [
            (alias, callback, is_robust)
            for alias in reversed(_aliases())
            for _, callback, is_robust in cast(Any, connections[alias]).run_on_commit
            if not isinstance(callback, Deferred)  # an effect, which was held against the plan when it was called
        ]
        if not waiting:
            return
        run = DryRun((), "dry_run --apply")
        with self._gate.rehearsing(run):
            run.start()
            try:
                for alias, callback, is_robust in waiting:
                    with after_commit_of(alias), suppress(Exception) if is_robust else nullcontext():
                        callback()
            finally:
                run.stop()
        if run.plan.refusals:
            raise DryRunRefused(*run.plan.refusals)

    def _check_end(self, code: int) -> None:
        if code != self._saved.exit_code or self._gate.changed is not None:
            raise _TakeBack

    @contextmanager
    def _watched(self) -> Generator[None]:
        """Calls are held against the plan, and jobs that are handed to threads carry what they descend from."""
        threads.install()
        hook.install()
        mark = OverrideEntry((), "dry_run --apply", context_only=True, owner=self)
        with ExitStack() as stack:
            stack.callback(state.overrides.enter(mark))
            stack.callback(state.add_gate(self._gate))
            yield

    @contextmanager
    def _around(self, alias: str) -> Generator[Callable[[], None]]:
        """One transaction on a database, if there is to be one; its rows are counted."""
        connection: Any = connections[alias]
        watch = RowWatch(connection)
        self._watches.append(watch)
        if not self._is_atomic:
            with watch.of_statements():
                yield _nothing
            return
        try:
            connection.ensure_connection()
        except DatabaseError as error:
            self._rolled_back.remove(alias)
            with _not_there(connection, error):
                yield _nothing
            return
        close, run_hooks = connection.close, connection.run_and_clear_commit_hooks

        def closing() -> None:
            if len(connection.atomic_blocks) != 1:  # inside a block of the command's own
                close()

        def committed() -> None:
            if self._gate.is_rehearsing or alias not in self._rolled_back:  # a commit inside a callback
                run_hooks()
                return
            self._rolled_back.remove(alias)
            with watch.of_statements():
                run_hooks()

        block: Any = transaction.atomic(using=alias)
        block._from_testcase = True  # noqa: SLF001 - Django's own way to allow durable=True in it
        hooks = marking_hooks(connection, committed, connection.on_commit)
        replaced = Replaced(connection, {**hooks, "close": closing})
        replaced.put()
        try:
            with block, watch.of_transaction() as count:
                yield count
        finally:
            replaced.take_away()


def _nothing() -> None: ...


@contextmanager
def _not_there(connection: Any, error: DatabaseError) -> Generator[None]:
    """Nothing is done on a database that cannot be reached: were it there later, its rows would be in no block."""

    def connect() -> None:
        raise error

    replaced = Replaced(connection, {"connect": connect})
    replaced.put()
    try:
        yield
    finally:
        replaced.take_away()


def _aliases() -> Sequence[str]:
    """The databases, the default one last: it is the first to be committed."""
    kinds = {id(connections[alias]): alias for alias in reversed(list(connections))}
    return [alias for alias in kinds.values() if connections[alias].vendor != "unknown"]


def side_by_side(saved: SavedPlan, applied: Applied) -> tuple[list[list[str]], list[list[str]]]:
    """Plan and reality.

    Returns:
        for each effect its name, how often it was planned, and how often it came; for each table the database, the
        table, what was planned to be written, and what was.
    """
    planned = Counter(effect["name"] for effect in saved.data["effects"])
    came = Counter(call.name for call in applied.calls)
    effects = [[name, str(planned[name]), str(came[name])] for name in sorted({*planned, *came})]
    tables: dict[tuple[str, str], list[str]] = {}
    for row in saved.data["writes"]:
        tables.setdefault((row["database"], row["table"]), ["-", "-"])[0] = what_of(row)
    for written in applied.writes:
        tables.setdefault((written.database, written.table), ["-", "-"])[1] = what_of(dataclasses.asdict(written))
    return effects, [[*table, *said] for table, said in sorted(tables.items())]
