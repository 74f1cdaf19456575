"""Holding one of Django's connections, so that what is done on it can be rolled back: for probes and for dry runs.

Methods are replaced on the connection alone, never on its class; what Django keeps of a transaction is put aside. What
takes their place differs: for a probe Django is inside a transaction that never commits, for a dry run its commits are
savepoints.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from typing import Any, Final

from sideeffects.database import libpq

_MISSING: Final = object()
#: What Django keeps of a transaction on a connection. Not `autocommit`, which is how the driver's connection is set.
_STATE: Final = (
    "in_atomic_block",
    "savepoint_ids",
    "atomic_blocks",
    "needs_rollback",
    "rollback_exc",
    "run_on_commit",
    "run_commit_hooks_on_set_autocommit_on",
    "commit_on_exit",
)


class Replaced:
    """Attributes of one object, in the place of those of its class.

    Nothing is done to an object that takes no attributes: drivers written in C have none.

    Args:
        target: the object.
        attributes: what it has once they are `put`.

    Attributes:
        originals: what it had when this was made.
    """

    def __init__(self, target: Any, attributes: Mapping[str, Any]) -> None:
        self._own: dict[str, Any] = getattr(target, "__dict__", {})
        self._attributes = attributes
        self.originals = {name: getattr(target, name) for name in attributes}
        self._before = {name: self._own.get(name, _MISSING) for name in attributes}

    def put(self) -> None:
        """Replace them, whatever stands there now."""
        self._own.update(self._attributes)

    def take_away(self) -> None:
        """Let the object have what it had."""
        for name, value in self._before.items():
            self._own.pop(name, None)
            if value is not _MISSING:
                self._own[name] = value

    @contextlib.contextmanager
    def lifted(self) -> Generator[None]:
        """Inside the block the object has what it had."""
        replaced = {name: self._own[name] for name in self._attributes if name in self._own}
        self.take_away()
        try:
            yield
        finally:
            self._own.update(replaced)

    def owner_of(self, name: str) -> object:
        """Whose method had replaced an attribute before this; `None` if nobody's had."""
        return getattr(self._before[name], "__self__", None)


class TransactionState:
    """What Django keeps of a transaction on a connection, as it was when this was made."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        values = {name: getattr(connection, name) for name in _STATE}
        self._values = {name: list(value) if isinstance(value, list) else value for name, value in values.items()}

    def restore(self, *, needs_rollback: bool = False) -> None:
        """Put it back.

        Args:
            needs_rollback: whether the transaction must not be committed any more.
        """
        vars(self._connection).update(self._values)
        if needs_rollback:
            self._connection.needs_rollback = True


def set_fresh(connection: Any, *, in_atomic_block: bool = False) -> None:
    """Have Django think that no transaction was ever open on it; or that one is, which it has not begun itself."""
    connection.in_atomic_block = in_atomic_block
    connection.savepoint_ids = []
    connection.atomic_blocks = []
    connection.needs_rollback = False
    connection.rollback_exc = None
    connection.run_on_commit = []
    connection.run_commit_hooks_on_set_autocommit_on = False
    connection.commit_on_exit = True


def is_in_transaction(raw: Any) -> bool:
    """Whether a driver's connection is in a transaction; taken for granted of drivers that do not say."""
    if libpq.is_psycopg(raw):
        return bool(raw.pgconn.transaction_status != libpq.IDLE)
    return bool(getattr(raw, "in_transaction", True))
