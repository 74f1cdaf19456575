"""The application's transactions that a context is in, and what became of those that calls were made in.

What opens and closes them says so (`database/atomic.py`, `database/autocommit.py`); nothing here knows a database. The
transactions in which a test is wrapped are not among them.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from types import CodeType
from typing import Final

from sideeffects._core.values.callers import line_of

COMMITTED: Final = "committed"
ROLLED_BACK: Final = "rolled back"
PENDING: Final = "pending"


class Transaction:
    """One transaction, or a part of one that may be rolled back by itself.

    Args:
        connection: the connection that it is of.
        owner: the block that opened it.
        code: the code that opened it.
        instruction: the offset in that code, -1 for the code's first line (a decorated function).
        parent: the transaction that this is a part of.
        is_begun: tells whether it has really begun; `None` for one that begins when it is opened.
    """

    __slots__ = ("_code", "_fate", "_instruction", "connection", "is_begun", "is_open", "owner", "parent")

    def __init__(
        self,
        connection: object,
        owner: object,
        code: CodeType,
        instruction: int,
        parent: Transaction | None,
        is_begun: Callable[[], bool] | None = None,
    ) -> None:
        self.connection: object = connection
        self.owner: object = owner
        self._code = code
        self._instruction = instruction
        self.parent = parent
        self.is_begun = is_begun
        self.is_open = True
        self._fate = ""

    @property
    def file(self) -> str:
        """The file in which it was opened."""
        return self._code.co_filename

    @property
    def line(self) -> int:
        """The line at which it was opened; of a decorated function, the first."""
        return line_of(self._code, self._instruction)

    @property
    def function(self) -> str:
        """The function that opened it."""
        return self._code.co_qualname

    @property
    def outermost(self) -> Transaction:
        """What must commit for anything in it to stay."""
        found = self
        while found.parent is not None:
            found = found.parent
        return found

    @property
    def fate(self) -> str:
        """What has become of it: a part that was not rolled back shares that of the whole."""
        if self._fate:
            return self._fate
        if self.is_open:
            return PENDING
        return COMMITTED if self.parent is None else self.parent.fate

    def again(self) -> Transaction:
        """The one that follows it, opened by the same code."""
        return Transaction(self.connection, self.owner, self._code, self._instruction, self.parent, self.is_begun)

    def close(self) -> None:
        """It is left. What becomes of it is settled when the whole of it is."""
        self.is_open = False
        self.connection = self.owner = None

    def roll_back(self) -> None:
        """It has been rolled back."""
        self._fate = ROLLED_BACK


#: Those that this context is in, outermost first, of all databases.
open_transactions: Final[contextvars.ContextVar[tuple[Transaction, ...]]] = contextvars.ContextVar(
    "sideeffects_transactions", default=()
)


def innermost() -> tuple[Transaction, ...]:
    """The innermost open transaction of each connection that this context is in."""
    found = {
        id(one.connection): one
        for one in open_transactions.get()
        if one.is_open and (not one.is_begun or one.is_begun())
    }
    return tuple(found.values())


class Transactions:
    """Those that a call was made in, one for each connection.

    Args:
        members: at least one.
    """

    __slots__ = ("_members",)

    def __init__(self, members: tuple[Transaction, ...]) -> None:
        self._members = members

    @property
    def fate(self) -> str:
        """What became of them together: one that was rolled back decides, then one that is open."""
        fates = {transaction.fate for transaction in self._members}
        return next(fate for fate in (ROLLED_BACK, PENDING, COMMITTED) if fate in fates)


#: Whether a call is handed over now, instead of when the transaction commits.
hands_over_at_once: Final[contextvars.ContextVar[bool]] = contextvars.ContextVar(
    "sideeffects_hands_over_at_once", default=False
)
