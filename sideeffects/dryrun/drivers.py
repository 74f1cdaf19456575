"""What is below Django on a held connection: the driver's connection, in one transaction that is rolled back.

What the command believes to be a transaction of its own is a savepoint in it. That is made with the first statement,
so that an empty transaction costs nothing.
"""

from __future__ import annotations

import functools
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from sideeffects.database import sql as statements
from sideeffects.database.cursors import WatchedClasses, unwatched
from sideeffects.dryrun.refusals import Notes, Refusals
from sideeffects.dryrun.row_counts import RowTally

#: The savepoints of the command's own transaction, and of its last statement outside one.
BASE: Final = "side_effects_dry_run"
MARK: Final = "side_effects_statement"


class Given(NamedTuple):
    """What a link is given.

    Attributes:
        connection: Django's wrapper.
        refusals: where to write down what is refused.
        remarks: where to write down what went otherwise than it would have.
        tally: what is written, by table.
        serial: a number that no other dry run of this process has.
        is_nested: whether the connection is in somebody's transaction already.
        outer: the link of the dry run around this one, if there is one.
    """

    connection: Any
    refusals: Refusals
    remarks: Notes
    tally: RowTally
    serial: int
    is_nested: bool
    outer: Link | None


class Link(ABC):
    """The driver's connection.

    Attributes:
        is_wanted: whether for Django a transaction is open.
        is_over: whether the transaction around everything has ended, against our will.
        ends_session: whether the connection is closed at the end, since the session has been changed.
    """

    def __init__(self, given: Given) -> None:
        self.given = given
        self.raw: Any = given.connection.connection
        self.is_wanted = False
        self.is_over = self.ends_session = False
        self.base = BASE
        self.has_base = False
        self.hold = f"side_effects_{given.serial}"
        self.classes = WatchedClasses(self)

    # -- the transaction around everything

    @abstractmethod
    def begin(self) -> None:
        """Begin it."""

    @abstractmethod
    def count(self) -> None:
        """Find out what was written."""

    @abstractmethod
    def end(self) -> None:
        """Roll it back."""

    def maker(self) -> Callable[[], Any] | None:
        """What makes such cursors at once; `None` where Django's way to them has to be gone."""
        return None

    @abstractmethod
    def run(self, sql: str) -> None:
        """Execute a statement of our own."""

    # -- the command's own transactions

    def want_transaction(self) -> None:
        """For Django a transaction begins."""
        self.is_wanted = True

    def begin_own(self) -> None:
        """It really does, with its first statement."""
        self.run(f"SAVEPOINT {self.base}")
        self.has_base = True

    def commit(self) -> None:
        """For Django it commits."""
        if self.has_base:
            self.run(f"RELEASE SAVEPOINT {self.base}")
            self.has_base = False

    def rollback(self) -> None:
        """For Django it rolls back."""
        if self.has_base:
            self.run(f"ROLLBACK TO SAVEPOINT {self.base}")
            self.run(f"RELEASE SAVEPOINT {self.base}")
            self.has_base = False

    # -- statements

    def watched(self, cursor: Any) -> Any:
        """The same cursor, whose statements are looked at."""
        if getattr(cursor, "watcher", None) is not self:
            cursor.__class__ = self.classes[unwatched(type(cursor), Link)]
        return cursor

    @abstractmethod
    def before(self, method: str, query: Any, cursor: Any, options: Mapping[str, Any]) -> tuple[Any, Any]:
        """As a `Watcher`."""

    @abstractmethod
    def after(self, seen: Any, cursor: Any) -> None:
        """As a `Watcher`."""

    @abstractmethod
    def failed(self, seen: Any, cursor: Any, error: BaseException) -> None:
        """As a `Watcher`."""

    def look(self, query: Any) -> Look:
        """Look at a statement before it is sent.

        Raises:
            DryRunRefused: it would end the transaction, or could not be taken back.
        """
        text = query if type(query) is str else statements.statement_text(query, self.raw)
        seen = _look(text) if len(text) < _LONG else look(text)
        self._check(text, seen.reason)
        return seen

    def _check(self, text: str, reason: str) -> None:
        """A statement is sent, unless there is a reason against it; the command's own transaction begins with it."""
        if self.is_over:
            self.given.refusals.refuse(
                f"the database {self._alias!r} can no longer be used: the transaction of the dry run has ended"
            )
        if reason:
            self.given.refusals.refuse(f"{text.strip()[:_SHOWN]!r} {reason} (database {self._alias!r})")
        if self.is_wanted and not self.has_base:
            self.begin_own()

    @property
    def _alias(self) -> str:
        alias: str = self.given.connection.alias
        return alias

    @property
    def may_be_kept(self) -> bool:
        """Whether somebody may have committed what was written, when the transaction was ended against our will."""
        return True

    def lost(self) -> None:
        """Note that the transaction around everything has ended."""
        if not self.is_over:
            self.is_over = True
            fate = "It may have been kept" if self.may_be_kept else "It was rolled back"
            tell = self.given.refusals.doubt if self.may_be_kept else self.given.refusals.note
            tell(
                f"the transaction on the database {self._alias!r} was ended without Django. {fate}, and what came "
                f"after it is unknown: do without COMMIT and ROLLBACK on the driver's connection"
            )


class Look(NamedTuple):
    """What is seen of a statement.

    Attributes:
        text: itself.
        reason: why it is refused; empty when it is not.
        target: what it does to which table, where its first words tell.
        only_reads: whether it certainly leaves nothing behind.
        writes: whether it is none of those whose words only read.
        is_single: whether it is one INSERT, UPDATE or DELETE, and nothing else.
    """

    text: str
    reason: str
    target: tuple[str, str] | None
    only_reads: bool
    writes: bool
    is_single: bool


def look(text: str) -> Look:
    """Look at a statement."""
    return Look(
        text,
        _reason_against(text),
        statements.target_of(text),
        statements.only_reads(text),
        statements.writes(text),
        statements.is_single_write(text),
    )


def _reason_against(text: str) -> str:
    if statements.ends_transaction(text):
        return "begins or ends a transaction, and a dry run keeps all in one: use transaction.atomic()"
    if _DISCARDS.match(text):
        return "drops the temporary tables that make the server refuse a commit in a dry run"
    return statements.irrevocable(text)


#: As PostgreSQL has it; `DISCARD ALL` it refuses itself inside a transaction.
_DISCARDS: Final = re.compile(r"\s*discard\s+temp", re.IGNORECASE)


#: Texts up to this length are looked at once: a command repeats itself.
_LONG: Final = 32768
_SHOWN: Final = 200
_look: Final = functools.lru_cache(256)(look)


def look_again(text: str) -> Look:
    """Look at a statement that may have been seen before."""
    return _look(text) if len(text) < _LONG else look(text)
