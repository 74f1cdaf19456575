"""PostgreSQL, by psycopg 3: one transaction around everything, which the server itself refuses to commit.

Three things keep the transaction from being kept, besides looking at statements:

- Two temporary tables, of which one empties itself at a commit and is referred to by another that does not. The server
  refuses that combination at COMMIT, and rolls back instead.
- Transactions that the driver may begin after ours has ended are read-only.
- `commit` and `rollback` of the driver's connection refuse.

Outside a transaction of the command's own, each statement is one: it must not see a failed one before it, and
constraints that wait for the commit are checked with it. Hence a savepoint that is renewed, and `SET CONSTRAINTS`.
Where it can, the statement takes the renewal along: a round trip to the server takes longer than what it does there.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sideeffects.database import libpq
from sideeffects.database.cursors import unwatched
from sideeffects.database.holding import Replaced
from sideeffects.dryrun.drivers import BASE, MARK, Given, Link, Look
from sideeffects.dryrun.escapes import HELD
from sideeffects.dryrun.postgresql_session import AdvisoryLocks, reset_of
from sideeffects.dryrun.psycopg_blocks import Blocks
from sideeffects.dryrun.refusals import DryRunRefused
from sideeffects.dryrun.schema import POSTGRESQL, Schema, emptied_by

#: The rows that the transaction has written so far, by table.
COUNTS: Final = """
    SELECT CASE WHEN schemaname = current_schema() THEN relname ELSE schemaname || '.' || relname END,
           n_tup_ins, n_tup_upd, n_tup_del
    FROM pg_stat_xact_user_tables
    WHERE n_tup_ins + n_tup_upd + n_tup_del > 0
"""
_IMMEDIATE: Final = """
    SELECT quote_ident(nspname) || '.' || quote_ident(conname)
    FROM pg_constraint JOIN pg_namespace ON pg_namespace.oid = connamespace
    WHERE condeferrable AND NOT condeferred AND conparentid = 0
"""
#: PostgreSQL's code of what cannot run inside a transaction.
_NEEDS_NONE: Final = "25001"


class PostgresLink(Link):
    """A connection of psycopg 3."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self._own: Any = None
        self._has_mark = False
        self._is_marked = False
        self._is_writable = True
        self._counts_itself = True
        self._checks_constraints = True
        self._defer: list[str] = []
        self._counted: dict[str, tuple[int, ...]] = {}
        self._locks: AdvisoryLocks | None = None
        self._kept: dict[str, Any] = {}
        self._replaced: Replaced | None = None
        self._blocks = Blocks(self)
        self._schema = Schema(self._ask, POSTGRESQL, given.tally, given.remarks)

    # -- the transaction around everything

    def begin(self) -> None:
        """Begin it, or make a savepoint in the one that there is.

        Raises:
            DryRunRefused: the driver is not psycopg 3, or the server cannot be made to refuse the commit.
        """
        raw, given = self.raw, self.given
        if not libpq.is_psycopg(raw):
            given.refusals.refuse(
                f"the database {self._alias!r} is reached by psycopg2; dry runs on PostgreSQL need psycopg 3"
            )
        setattr(raw, HELD, getattr(raw, HELD, 0) + 1)
        # Not a cursor that a dry run around this one watches.
        self._own = unwatched(raw.cursor_factory, Link)(raw)
        if not given.is_nested:
            self._begin_outermost()
        try:
            self.run(f"SAVEPOINT {self.hold}")
            if self._is_writable:
                self._lay_mine()
            self._begin_constraints()
            self._own.execute("SELECT current_setting('track_counts')")
            self._counts_itself = self._own.fetchone()[0] == "on"
            self._counted = self._counts()
            self._locks = AdvisoryLocks(self._own)
        except BaseException:
            self._let_go()
            setattr(raw, HELD, getattr(raw, HELD) - 1)
            raise
        factories = {name: self.classes[unwatched(getattr(raw, name), Link)] for name in _FACTORIES}
        refusals = {name: self._refusal(what) for name, what in _REFUSED.items() if hasattr(raw, name)}
        self._replaced = Replaced(raw, {**factories, **refusals, **self._blocks.methods()})
        self._replaced.put()

    def _begin_outermost(self) -> None:
        raw = self.raw
        self._kept = {"autocommit": raw.autocommit, "read_only": raw.read_only}
        raw.autocommit = True
        self._own.execute("SELECT current_setting('transaction_read_only')")
        self._is_writable = self._own.fetchone()[0] == "off"
        raw.autocommit = False
        raw.read_only = True
        if self._is_writable:
            self.run("SET TRANSACTION READ WRITE")

    def _lay_mine(self) -> None:
        name = f"{self.hold}_commit"
        try:
            self.run(
                f"CREATE TEMPORARY TABLE {name} (id int PRIMARY KEY) ON COMMIT DELETE ROWS; "
                f"CREATE TEMPORARY TABLE {name}_refused (id int REFERENCES {name})"
            )
        except Exception as error:
            reason = self.given.refusals.note(
                f"the database {self._alias!r} could not be made to refuse a commit ({error!s:.200}): a dry run needs "
                f"a role that may make temporary tables"
            )
            raise DryRunRefused(reason) from error

    def _begin_constraints(self) -> None:
        self._own.execute(_IMMEDIATE)
        immediate = ", ".join(name for (name,) in self._own.fetchall())
        self._defer = ["SET CONSTRAINTS ALL DEFERRED"]
        if immediate:
            self._defer.append(f"SET CONSTRAINTS {immediate} IMMEDIATE")
        if self.given.is_nested:
            # What the surrounding transaction still owes is its own business.
            self.run(f"SAVEPOINT {MARK}")
            try:
                self.run("SET CONSTRAINTS ALL IMMEDIATE")
            except self._errors():
                self.run(f"ROLLBACK TO SAVEPOINT {MARK}")
                self._checks_constraints, self._defer = False, []
            self.run(f"RELEASE SAVEPOINT {MARK}")
        else:
            self.run("SET CONSTRAINTS ALL IMMEDIATE")

    def _errors(self) -> type[Exception]:
        errors: type[Exception] = self.given.connection.Database.Error
        return errors

    def run(self, sql: str) -> None:
        """Execute a statement of our own."""
        self._own.execute(sql)

    def _ask(self, sql: str) -> list[tuple[Any, ...]]:
        self._own.execute(sql)
        rows: list[tuple[Any, ...]] = self._own.fetchall()
        return rows

    def count(self) -> None:
        """What the server has counted since the beginning, of all that was attempted."""
        status = self.raw.pgconn.transaction_status
        if status == libpq.INERROR:
            with contextlib.suppress(self._errors()):
                self.run(f"ROLLBACK TO SAVEPOINT {BASE if self.has_base else MARK}")
        if not self._is_still_ours():
            self.lost()
            return
        for table, counts in self._counts().items():
            before = self._counted.get(table, (0, 0, 0))
            for kind, now, then in zip(("inserted", "updated", "deleted"), counts, before, strict=True):
                self.given.tally.add(table, kind, now - then)
        self._schema.compare()

    def _is_still_ours(self) -> bool:
        """Whether the transaction is the one that we began: our table is in it, and in no other."""
        status = self.raw.pgconn.transaction_status
        if self.raw.closed or status != libpq.INTRANS:
            return False
        if not self._is_writable:
            return True
        self._own.execute(f"SELECT to_regclass('pg_temp.{self.hold}_commit') IS NOT NULL")
        return bool(self._own.fetchone()[0])

    def _counts(self) -> dict[str, tuple[int, ...]]:
        self._own.execute(COUNTS)
        return {table: tuple(counts) for table, *counts in self._own.fetchall()}

    def end(self) -> None:
        """Roll it back, and give the driver's connection back as it was."""
        raw = self.raw
        if self._replaced is not None:
            self._replaced.take_away()
        try:
            self._let_go()
            self._unlock()
        finally:
            setattr(raw, HELD, getattr(raw, HELD) - 1)

    def _let_go(self) -> None:
        raw = self.raw
        if self.given.is_nested:
            self.run(f"ROLLBACK TO SAVEPOINT {self.hold}")
            self._count_lost()
            self.run(f"RELEASE SAVEPOINT {self.hold}")
        else:
            raw.rollback()
            self._count_lost()
            raw.rollback()
        for name, value in self._kept.items():
            setattr(raw, name, value)

    def _count_lost(self) -> None:
        with contextlib.suppress(self._errors()):
            self._schema.count_lost()
        if self.given.is_nested and self.raw.pgconn.transaction_status == libpq.INERROR:
            self.run(f"ROLLBACK TO SAVEPOINT {self.hold}")

    def _unlock(self) -> None:
        """Give back the advisory locks that were taken, which are no part of a transaction."""
        try:
            if self._locks is not None and self._locks.give_back():
                self.given.refusals.note(
                    f"an advisory lock of the database {self._alias!r} was released, which no rollback takes back"
                )
        finally:
            if not self.given.is_nested and self.raw.pgconn.transaction_status != libpq.IDLE:
                self.raw.rollback()

    def _refusal(self, what: str) -> Callable[..., None]:
        def refuse(*_: object, **__: object) -> None:
            self.given.refusals.refuse(
                f"{what} of the driver's connection is refused inside the transaction that the dry run of the database "
                f"{self._alias!r} is in: use transaction.atomic()"
            )

        return refuse

    # -- the command's own transactions

    def begin_own(self) -> None:
        """Begin it, with constraints as at the beginning of a transaction."""
        forget = [f"RELEASE SAVEPOINT {MARK}"] if self._has_mark else []
        self._has_mark = self._is_marked = False
        statements = [*forget, f"SAVEPOINT {BASE}", *self._defer]
        for one in statements if self.raw.pgconn.pipeline_status else ["; ".join(statements)]:
            self.run(one)
        self.has_base = True

    def want_transaction(self) -> None:
        """As psycopg has it.

        Raises:
            ProgrammingError: a block of the driver's own is open.
        """
        if self._blocks.transactions:
            raise self.given.connection.Database.ProgrammingError(
                "can't change 'autocommit' now: a transaction() block of psycopg is open"
            )
        super().want_transaction()

    def commit(self) -> None:
        """Check what a commit checks."""
        if self.has_base and self._checks_constraints:
            self.run("SET CONSTRAINTS ALL IMMEDIATE")
        super().commit()
        if self._blocks.pipelines:  # what follows in it is behind that commit
            self.begin_own()

    def rollback(self) -> None:
        """Go back; what follows in a pipeline is behind that."""
        super().rollback()
        if self._blocks.pipelines:
            self.begin_own()

    # -- statements

    def instead_of(self, query: Any) -> Any:
        """What to execute in the place of a statement: itself, unless Django sets a sequence by it."""
        reset = reset_of(query)
        if reset is None:
            return query
        self.given.remarks.note(
            f"the sequence of {reset.column} was not set, since no rollback would take that back: rows that are added "
            f"after it in this run may meet keys that are taken (database {self._alias!r})"
        )
        return reset.instead

    def before(self, method: str, query: Any, cursor: Any, options: Mapping[str, Any]) -> tuple[Any, _Sent]:
        """As for all; outside a transaction of the command's own, there is a savepoint to go back to."""
        if method == "execute":
            query = self.instead_of(query)
        if self.raw.pgconn.transaction_status == libpq.IDLE:
            self.lost()
        seen = self.look(query)
        if not self.has_base:
            self._mark()
            self._is_marked = seen.only_reads  # the savepoint is still good after it
        emptied = self._look_at_tables(seen) if not seen.is_single and not seen.only_reads else []
        tail = self._tail_of(seen, query, cursor) if method == "execute" and not options else ""
        return (query + tail if tail else query), _Sent(seen, tail, emptied)

    def _look_at_tables(self, seen: Look) -> list[tuple[Any, ...]]:
        """What it empties; and the catalog is read, if it may change that."""
        if self.raw.pgconn.transaction_status == libpq.INERROR or _OWN_SAVEPOINT.match(seen.text):
            return []
        self._schema.look(seen.text, may_call=seen.target is None)
        is_truncate = seen.target is not None and seen.target[0] == "truncated"
        return self._ask(emptied_by(seen.text)) if is_truncate else []

    def _tail_of(self, seen: Look, query: Any, cursor: Any) -> str:
        """What a statement takes along, so that there is a savepoint behind it; empty where it cannot.

        If it fails, the server executes nothing of this, and the savepoint before it is there to go back to.
        """
        if self.has_base or not seen.is_single or type(query) is not str or self.raw.pgconn.pipeline_status:
            return ""
        return _TAIL if hasattr(cursor, "mogrify") else ""  # those that put the parameters in themselves

    def failed(self, seen: _Sent, cursor: Any, error: BaseException) -> None:
        """Go on as after a failed statement outside a transaction: without it, the server would take no other one."""
        if seen.tail:
            _forget(cursor, seen.tail)
        if getattr(error, "sqlstate", None) == _NEEDS_NONE:
            self.given.refusals.note(
                f"{seen.look.text.strip()[:200]!r} cannot run inside a transaction, so that no rollback could take it "
                f"back (database {self._alias!r})"
            )
        status = self.raw.pgconn.transaction_status
        if status == libpq.IDLE:
            self.lost()
        elif status == libpq.INERROR and not self.has_base:
            self.run(f"ROLLBACK TO SAVEPOINT {MARK}")
            self._is_marked = True

    def after(self, seen: _Sent, cursor: Any) -> None:
        """Note what the server does not count, and whether there is a savepoint to go back to behind the statement."""
        if seen.tail:
            del cursor._results[1:]  # noqa: SLF001 - the result of the tail
            _forget(cursor, seen.tail)
            self._is_marked = True
        elif hasattr(cursor, "scrollable"):  # a cursor of the server's, which would be gone if one went back over it
            self._is_marked = False
        target = seen.look.target
        if seen.emptied:
            self._schema.empty(seen.emptied)
        elif target is not None and not self._counts_itself:
            self.given.tally.add(target[1], target[0], cursor.rowcount)

    def _mark(self) -> None:
        """A savepoint before a statement outside a transaction, unless there is one."""
        if not self._is_marked:
            # Past cursors, which would take as long as the server does.
            if self.raw.pgconn.exec_(_RENEW if self._has_mark else _FIRST).status != libpq.COMMAND_OK:
                self.lost()
                self.given.refusals.refuse(f"the database {self._alias!r} can no longer be used")
            self._has_mark = True


class _Sent(NamedTuple):
    """A statement that was sent.

    Attributes:
        look: what was seen of it.
        tail: what it took along.
        emptied: the tables that it empties.
    """

    look: Look
    tail: str
    emptied: Sequence[tuple[Any, ...]]


#: What Django sends for savepoints, and often.
_OWN_SAVEPOINT: Final = re.compile(r"\s*(?:savepoint|release|rollback|set|show|fetch|close|declare)\b", re.IGNORECASE)


def _forget(cursor: Any, tail: str) -> None:
    """Django shows it as the last query."""
    query = cursor._query  # noqa: SLF001 - psycopg has no other way to it
    if query is not None:
        query.query = query.query.removesuffix(tail.encode())


_FIRST: Final = f"SAVEPOINT {MARK}".encode()
_RENEW: Final = f"RELEASE SAVEPOINT {MARK}; SAVEPOINT {MARK}".encode()
#: On a line of its own: the statement may end with a comment.
_TAIL: Final = f"\n;RELEASE SAVEPOINT {MARK}; SAVEPOINT {MARK}"
_FACTORIES: Final = ("cursor_factory", "server_cursor_factory")
#: Methods of psycopg's connection that no command may call, with what they are. Properties come to the setters.
_REFUSED: Final = {
    **{name: f"{name}()" for name in ("commit", "rollback", "close", "tpc_begin", "tpc_recover")},
    **{
        f"{prefix}{name}": f"setting {name}"
        for name in ("autocommit", "isolation_level", "read_only", "deferrable")
        for prefix in ("set_", "_set_")
    },
}
