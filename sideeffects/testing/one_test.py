"""One running test: its calls, what its markers put into force, and what it has to answer for.

The pytest plugin and the unittest mixin both stand on this. It imports neither.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Mode
from sideeffects._core.calls.registry import EVERYTHING
from sideeffects._core.records.messages import line_of
from sideeffects._core.records.reading import Calls
from sideeffects._core.state.state import state
from sideeffects._core.state.switches import Restorer
from sideeffects._core.verbs.overrides import enter_rules
from sideeffects._core.verbs.stub_rules import asks_for_times, placed, unmet
from sideeffects.database import commits, on_commit
from sideeffects.errors import EffectInTransaction, SideEffectBlocked, SideEffectError, StubExhausted, StubMismatch
from sideeffects.guard import hook
from sideeffects.guard.at_test_end import MOST_SHOWN, passed, unnoticed
from sideeffects.guard.block import enter_guard
from sideeffects.testing import noticing
from sideeffects.testing.markers import Level


class WatchedTest:
    """One running test, from the beginning of its setup.

    What is set up for several tests happens to fall into one of them. That test steps aside for as long as it takes:
    the calls made meanwhile are not its own, and its markers do not hold for them.
    """

    # Most tests call nothing and have no marker: theirs costs one number.
    _stop: int | None = None
    _earlier: Sequence[tuple[int, int]] = ()
    _levels: Sequence[Level] = ()
    _restorers: Sequence[Restorer] = ()
    _is_over = False
    _asks_for_times = False
    _commits = False

    def __init__(self) -> None:
        self._start = state.ledger.end
        self._end_commits: Restorer = _nothing
        hook.refusals.clear()
        noticing.forget()

    # -- its calls

    @property
    def calls(self) -> Calls:
        """The test's calls, live."""
        return Calls(self.read)

    def read(self) -> tuple[Sequence[Call], int]:
        """The test's calls, and how many of them were dropped."""
        if self._stop is None:
            state.sync()
        if not self._earlier:
            return state.ledger.read(self._start, self._stop)
        parts = [state.ledger.read(start, stop) for start, stop in (*self._earlier, (self._start, self._stop))]
        return [call for calls, _ in parts for call in calls], sum(dropped for _, dropped in parts)

    # -- what is in force

    def enter(self, levels: Sequence[Level]) -> Sequence[Level]:
        """Put `levels` into force, the closest last, in place of what the test had. Returns those.

        Raises:
            UnknownSideEffect: one of them names no declared effect; then none is in force.
        """
        before = self._levels
        self._leave()
        try:
            for rules, origin, guard, _ in levels:
                self._restorers = [enter_rules(rules, origin), *self._restorers]
                if guard:
                    self._restorers = [enter_guard(guard), *self._restorers]
        except BaseException:
            self._leave()
            raise
        self._levels = levels
        self._asks_for_times = any(asks_for_times(one.rules) for one in levels)
        return before

    def unmet(self) -> str:
        """What stubs of the levels in force have answered more or fewer calls than they had to, in words."""
        if not self._asks_for_times:
            return ""
        return unmet(rule for one in self._levels for rule in placed(one.rules, one.origin))

    def count_anew(self) -> None:
        """Another test begins: stubs have their first answer again."""
        for rule in (rule for one in self._levels for rule in one.rules):
            if rule.stub is not None:
                rule.stub.answered.restart(state.ledger.end)

    def _leave(self) -> None:
        restorers, self._restorers, self._levels = self._restorers, (), ()
        for restore in restorers:
            restore()

    def step_aside(self, levels: Sequence[Level]) -> Callable[[], None]:
        """Let `levels` hold instead of the test's own, and count no calls. Returns the way back."""
        self.pause()
        before = self.enter(levels)

        def step_back() -> None:
            self.enter(() if self._is_over else before)
            self.go_on()

        return step_back

    def let_commit(self) -> None:
        """Let what waits for a commit happen in this test, from now until it ends."""
        self._commits = True
        self._end_commits()
        self._end_commits = commits.ask()

    def pause(self) -> None:
        """Count no calls, until it goes on. What several tests share has no commits."""
        state.sync()
        self._end_commits()
        if not self._is_over:
            self._earlier = [*self._earlier, (self._start, state.ledger.end)]

    def go_on(self) -> None:
        """Count calls again."""
        if not self._is_over:
            state.sync()
            self._start = state.ledger.end
            if self._commits:
                self.let_commit()

    def finish(self) -> None:
        """Nothing holds any more, and no later call is the test's."""
        if not self._is_over:
            self._is_over = True
            self._end_commits()
            self._stop = state.ledger.end
            if self._restorers:
                self._leave()

    # -- what it has to answer for

    def is_quiet(self) -> bool:
        """Whether nothing has been called since the test began."""
        if state.heard():
            state.sync()
        is_quiet = state.ledger.end == self._start and not self._earlier and not hook.refusals
        return is_quiet and not self._asks_for_times

    def complaints(self, files: Callable[[], Collection[str]]) -> str:
        """What is wrong with the calls so far, in words; empty when nothing is.

        Args:
            files: gives the source files whose frames are the test's own.
        """
        if self.is_quiet():
            return ""
        calls = self.read()[0]
        refusals = list(hook.refusals)
        hook.refusals.clear()
        return "\n\n".join(
            filter(None, (swallowed(calls, files), pending(calls), unnoticed(refusals, files), self.unmet()))
        )


def _nothing() -> None: ...


def swallowed(calls: Iterable[Call], files: Callable[[], Collection[str]]) -> str:
    """Refused calls that the test neither saw nor read, in words. Each is complained about once.

    The exception of a refused call carries the frames that it went through. One of the test's own means that the test
    saw it. What was refused in a child process cannot have come here: such a call has to be read.
    """
    refused = [call for call in calls if _is_refused(call) and not call.is_read]
    if not refused:
        return ""
    own = files()
    unseen = [call for call in refused if not _reached(call, own)]
    for call in refused:
        call.mark_read()
    blocked = [call for call in unseen if call.mode is Mode.RAISE]
    errors = [call.outcome.error for call in unseen if call.outcome is not None and call.mode is not Mode.RAISE]
    in_transactions = [error for error in errors if isinstance(error, EffectInTransaction)]
    mismatched = [error for error in errors if isinstance(error, StubMismatch)]
    exhausted = [error for error in errors if isinstance(error, StubExhausted)]
    told = (
        _told_of_blocked(blocked),
        _told_of_hazards(in_transactions),
        _told_of_answers(mismatched, ("an answer was", "answers were"), "of another type than annotated"),
        _told_of_answers(exhausted, ("a stub was", "stubs were"), "asked more often than it has answers"),
    )
    return "\n\n".join(filter(None, told))


def _is_refused(call: Call) -> bool:
    """Whether it was refused by its mode, or for the transaction around it (`TRANSACTIONS`)."""
    error = call.outcome.error if call.outcome is not None else None
    return call.mode is Mode.RAISE or (
        isinstance(error, EffectInTransaction | StubMismatch | StubExhausted) and error.name == call.name
    )


def _told_of_hazards(unseen: Sequence[EffectInTransaction]) -> str:
    if not unseen:
        return ""
    what = "a side effect was" if len(unseen) == 1 else f"{len(unseen)} side effects were"
    return "\n".join(
        [
            f"{what} refused inside an open transaction, and the test did not notice: the exception was swallowed.",
            *(f"  {number}. {error}" for number, error in enumerate(unseen[:MOST_SHOWN], 1)),
            f'If the test expects this, let it read the call: side_effects.assert_called("{unseen[0].name}"),',
            "or let EffectInTransaction reach it: pytest.raises, assertRaises.",
        ]
    )


def _told_of_answers(unseen: Sequence[SideEffectError], one_or_more: tuple[str, str], why: str) -> str:
    if not unseen:
        return ""
    what = one_or_more[0] if len(unseen) == 1 else f"{len(unseen)} {one_or_more[1]}"
    return "\n".join(
        [
            f"{what} {why}, and the test did not notice: the exception was swallowed.",
            *(f"  {number}. {error}" for number, error in enumerate(unseen[:MOST_SHOWN], 1)),
        ]
    )


def _told_of_blocked(unseen: Sequence[Call]) -> str:
    if not unseen:
        return ""
    name = unseen[0].name
    what = "a side effect was" if len(unseen) == 1 else f"{len(unseen)} side effects were"
    lines = [
        f"{what} refused, and the test did not notice: the exception was swallowed on the way to it.",
        *_listed(unseen),
        f'If the test expects this, let it read the call: side_effects.assert_called("{name}"),',
        "or let SideEffectBlocked reach it: pytest.raises, assertRaises.",
        f'If the call is fine, write it down instead: record("{name}"), or execute it: force_run("{name}").',
    ]
    return "\n".join(lines)


def pending(calls: Iterable[Call]) -> str:
    """Forced calls that wait for a commit that will not come, in words."""
    waiting = {id(call) for call in on_commit.pending()}
    if not waiting:
        return ""
    forced = [call for call in calls if id(call) in waiting and not _is_blanket(call)]
    if not forced:
        return ""
    what = "a forced side effect still waits" if len(forced) == 1 else f"{len(forced)} forced side effects still wait"
    lines = [
        f"{what} for the commit, which the test's transaction will never see: nothing was executed.",
        *_listed(forced),
        "Let the commit happen: with self.captureOnCommitCallbacks(execute=True): ...",
        "(with pytest-django: django_capture_on_commit_callbacks(execute=True)),",
        "or use a TransactionTestCase (with pytest-django: django_db(transaction=True)).",
    ]
    return "\n".join(lines)


def _is_blanket(call: Call) -> bool:
    """Settings that force everything, while a suite adopts the library, name no effect: none is missed."""
    return call.decision.origin.startswith("settings.") and repr(EVERYTHING) in call.reason


def _listed(calls: Sequence[Call]) -> list[str]:
    shown = [f"  {number}. {line_of(call)}\n     {call.reason}" for number, call in enumerate(calls[:MOST_SHOWN], 1)]
    return shown if len(calls) <= MOST_SHOWN else [*shown, f"  … and {len(calls) - MOST_SHOWN} more"]


def _reached(call: Call, files: Collection[str]) -> bool:
    error = call.outcome.error if call.outcome is not None else None
    if not isinstance(error, SideEffectBlocked | EffectInTransaction | StubMismatch | StubExhausted):
        return False
    return passed(error, files) or noticing.is_noticed(call, error, files)


noticing.install()
