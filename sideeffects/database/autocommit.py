"""Watching transactions by hand: `transaction.set_autocommit(False)`, `commit` and `rollback`.

Such a transaction begins with its first statement, not with the switch or with the commit before it: the driver is
asked whether it has.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

from sideeffects._core.state.open_transactions import Transaction, open_transactions
from sideeffects._core.values.callers import caller
from sideeffects.database.holding import is_in_transaction

_MARK: Final = "_side_effects_watched"


def watch(module: Any) -> None:
    """Watch the functions of `django.db.transaction`."""
    if not hasattr(module.set_autocommit, _MARK):
        module.set_autocommit = _switching(module.set_autocommit, module.get_connection)
        module.commit = _ending(module.commit, module.get_connection, is_rollback=False)
        module.rollback = _ending(module.rollback, module.get_connection, is_rollback=True)


def _switching(original: Callable[..., Any], connection_of: Callable[[Any], Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def set_autocommit(autocommit: bool, using: str | None = None) -> Any:
        result = original(autocommit, using)
        connection = connection_of(using)
        _close(connection)
        if not autocommit:
            is_begun = functools.partial(_is_begun, connection)
            _open(Transaction(connection, set_autocommit, *caller(1), None, is_begun))
        return result

    setattr(set_autocommit, _MARK, True)
    return set_autocommit


def _ending(
    original: Callable[..., Any], connection_of: Callable[[Any], Any], *, is_rollback: bool
) -> Callable[..., Any]:
    @functools.wraps(original)
    def end(using: str | None = None) -> Any:
        connection = connection_of(using)
        try:
            result = original(using)
        except BaseException:
            _renew(connection, is_rolled_back=True)
            raise
        _renew(connection, is_rolled_back=is_rollback)
        return result

    return end


def _open(transaction: Transaction) -> None:
    open_transactions.set((*open_transactions.get(), transaction))


def _close(connection: Any, *, is_rolled_back: bool = False) -> Transaction | None:
    """End the one that is open by hand, and take it out of this context. Returns it, open, for the next one."""
    known = open_transactions.get()
    found = next((one for one in known if one.is_begun is not None and one.connection is connection), None)
    if found is None:
        return None
    following = found.again()
    if is_rolled_back:
        found.roll_back()
    found.close()
    open_transactions.set(tuple(one for one in known if one is not found))
    return following


def _renew(connection: Any, *, is_rolled_back: bool) -> None:
    following = _close(connection, is_rolled_back=is_rolled_back)
    if following is not None:
        _open(following)


def _is_begun(connection: Any) -> bool:
    raw = connection.connection
    return raw is not None and is_in_transaction(raw)
