"""Effects inside open transactions: what is done cannot be undone when the transaction rolls back.

Found where a call is decided, and only while the application has a transaction open. Findings are kept where the
guard's are, so that one baseline accepts both.
"""

from __future__ import annotations

import logging
from typing import Final

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Mode
from sideeffects._core.policy.levels import OFF, RAISE, WARN
from sideeffects._core.policy.rules import Rules
from sideeffects._core.state.open_transactions import Transaction, Transactions, hands_over_at_once, innermost
from sideeffects._core.state.user_line import here
from sideeffects._core.values.whose_code import OWN, kind_of
from sideeffects.errors import EffectInTransaction
from sideeffects.guard import call_sites, hook
from sideeffects.guard.findings import HAZARD, Finding, books

logger: Final = logging.getLogger("sideeffects")

#: Call call_sites that were logged outside a test run, each once.
_logged: Final[set[tuple[object, ...]]] = set()
_MOST_LOGGED: Final = 1000


def place(call: Call, rules: Rules, is_test_run: bool) -> EffectInTransaction | None:
    """Note in which transactions a call is made.

    Returns:
        the refusal, where such calls are refused.
    """
    found = innermost()
    if not found:
        return None
    call.take_transaction(Transactions(found))
    level = rules.transactions or (WARN if is_test_run else OFF)
    effect = call.effect
    if (
        level == OFF
        or call.mode in (Mode.HOLD, Mode.RAISE)  # nothing happens; what is held rolls back as well
        or (call.is_async and not hands_over_at_once.get())  # it is handed over when the transaction commits
        or effect.on_commit is not False
        or effect.in_transaction
    ):
        return None
    return _found(call, found[-1].outermost, level, is_test_run)


def _found(call: Call, around: Transaction, level: str, is_test_run: bool) -> EffectInTransaction | None:
    file, function, key = call.site
    line = int(call.caller.rpartition(":")[2])
    # A package has called it, for the user's code: `async_to_sync`, a pool, a task.
    own = None if kind_of(file) == OWN else here()
    if own is not None:
        file, function, line = own[0].co_filename, own[0].co_qualname, own[1]
        key = (own[0], line)
    key = (level, HAZARD, *key, call.name)

    def finding() -> Finding:
        return Finding(
            kind=HAZARD,
            file=call_sites.shown_path(file),
            line=line,
            function=function,
            module="",
            what=call.name,
            event=HAZARD,
            detail=f"{call_sites.shown_path(around.file)}:{around.line} in {around.function}",
            test=call_sites.running_test(),
            is_refused=level == RAISE,
        )

    if not is_test_run:
        return _outside_tests(finding(), key, level)
    noted, is_counted = books.open[-1].see(key, HAZARD, finding)
    if is_counted:
        hook.listeners.tell(noted.finding)
    if level == RAISE and not hook.listeners.is_accepted(noted.finding):
        return _refusal(noted.finding)
    return None


def _outside_tests(found: Finding, key: tuple[object, ...], level: str) -> EffectInTransaction | None:
    refusal = _refusal(found)
    if level == RAISE:
        return refusal
    if key not in _logged and len(_logged) < _MOST_LOGGED:
        _logged.add(key)
        logger.warning("%s", refusal)
    return None


def _refusal(found: Finding) -> EffectInTransaction:
    return EffectInTransaction(found.what, found.caller, found.detail, is_refused=found.is_refused)
