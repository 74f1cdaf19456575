"""MySQL and MariaDB, by mysqlclient or PyMySQL: one transaction around everything, which the server keeps open.

It is a global one (`XA START`), as that of a probe: inside it the server itself refuses commits and whatever commits by
itself, out of procedures and prepared statements too. Where the connection is in somebody's transaction already, there
can be no global one: only the words of statements are looked at, and the savepoint from the beginning tells at the end
whether it is still the same transaction.

Outside a transaction of the command's own, each statement is one: what fails undoes itself alone, and no constraint
waits for a commit. What belongs to the session and not to a transaction goes with the session, which ends.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

from sideeffects.database import mysql
from sideeffects.database.holding import Replaced
from sideeffects.database.sql import statement_text, target_of, writes
from sideeffects.dryrun.drivers import BASE, Given, Link, Look

#: Tables that know no transactions (MyISAM, Aria, MEMORY), of the connection's own database.
_UNSAFE: Final = """
    SELECT table_name FROM information_schema.tables NATURAL JOIN information_schema.engines
    WHERE table_schema = database() AND transactions <> 'YES'
"""
_SHOWN: Final = 200


class MySQLLink(Link):
    """A connection of mysqlclient or PyMySQL: every statement, by whatever cursor, goes through its `query`."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        # The server knows one savepoint of each name: a dry run inside this one has others.
        self.base = f"{BASE}_{given.serial}"
        self._global = ""
        self._unsafe: frozenset[str] = frozenset()
        self._may_have_temporary = False
        self._replaced: Replaced | None = None

    # -- the transaction around everything

    def begin(self) -> None:
        """Begin it, or make a savepoint in the one that there is.

        Raises:
            DryRunRefused: the server knows no global transactions.
        """
        if not self.given.is_nested:
            name = f"{self.hold}_{secrets.token_hex(8)}"
            try:
                self.run(f"XA START '{name}'")
            except self.given.connection.Database.Error as error:
                self.given.refusals.refuse(
                    f"the database {self._alias!r} could not be made to refuse a commit ({error!s:.200}): a dry run "
                    f"needs a server that knows XA START, and no transaction that was begun without Django"
                )
            self._global = name
        self.run(f"SAVEPOINT {self.hold}")
        self._unsafe = frozenset(str(name).lower() for (name,) in self._ask(_UNSAFE))
        refusals = {name: self._refusal(name) for name in _REFUSED if hasattr(self.raw, name)}
        self._replaced = Replaced(self.raw, {**refusals, "query": self._query})
        self._replaced.put()

    def run(self, sql: str) -> None:
        """Execute a statement of our own."""
        self._ask(sql)

    def _ask(self, sql: str) -> list[tuple[Any, ...]]:
        lifted = contextlib.nullcontext() if self._replaced is None else self._replaced.lifted()
        with lifted, contextlib.closing(type(self.raw).cursor(self.raw)) as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def count(self) -> None:
        """The statements have been counted. The savepoint goes with its transaction, also by a deadlock."""
        try:
            self.run(f"ROLLBACK TO SAVEPOINT {self.hold}")
        except Exception:  # noqa: BLE001 - it is gone, or its session is
            self.lost()

    def end(self) -> None:
        """Roll it back, and ask what that does not take back."""
        if self._replaced is not None:
            self._replaced.take_away()
            self._replaced = None
        if self._global:
            with contextlib.suppress(Exception):  # after a deadlock, it has come to its end
                self.run(f"XA END '{self._global}'")
            self.run(f"XA ROLLBACK '{self._global}'")
        else:
            self.run(f"ROLLBACK TO SAVEPOINT {self.hold}")
        kept = any(number == mysql.NOT_ROLLED_BACK for _, number, _ in self._ask("SHOW WARNINGS"))
        if kept and not self._may_have_temporary:
            self.given.refusals.doubt(
                f"a table without transactions (MyISAM, Aria) was written on the database {self._alias!r}, and that "
                f"stays written"
            )
        if not self._global:
            self.run(f"RELEASE SAVEPOINT {self.hold}")

    @property
    def may_be_kept(self) -> bool:
        """The server commits no global transaction; it may have lost it."""
        return not self._global

    def _refusal(self, name: str) -> Callable[..., None]:
        def refuse(*_: object, **__: object) -> None:
            self.given.refusals.refuse(
                f"{name}() of the driver's connection is refused inside the transaction that the dry run of the "
                f"database {self._alias!r} is in: use transaction.atomic()"
            )

        return refuse

    # -- statements

    def watched(self, cursor: Any) -> Any:
        """The cursor as it is: its statements are seen below it."""
        return cursor

    def _query(self, sql: Any, *args: Any, **options: Any) -> Any:
        _, seen = self.before("query", sql, None, options)
        try:
            result = type(self.raw).query(self.raw, sql, *args, **options)
        except Exception as error:
            self.failed(seen, None, error)
            raise
        self.after(seen, None)
        return result

    def look(self, query: Any) -> Look:
        """Look at a statement, as MySQL understands it.

        Raises:
            DryRunRefused: it would end the transaction, or could not be taken back.
        """
        text = statement_text(query, self.raw)
        reason, target = _reason_against(text), target_of(text)
        if not reason and target is not None and target[1].rpartition(".")[2].lower() in self._unsafe:
            reason = "writes to a table that knows no transactions (MyISAM, Aria), which no rollback takes back"
        self._check(text, reason)
        if mysql.may_make_temporary_tables(text):
            self._may_have_temporary = True
        if mysql.changes_session(text):
            self._note_session(text)
        return Look(text, "", target, only_reads=False, writes=writes(text), is_single=False)

    def _note_session(self, text: str) -> None:
        if not self.given.is_nested:
            self.ends_session = True
        else:
            self.given.remarks.note(
                f"{text.strip()[:_SHOWN]!r} may have changed the session, which no rollback takes back: the "
                f"transaction around the dry run goes on in that session (database {self._alias!r})"
            )

    def before(self, method: str, query: Any, cursor: Any, options: Mapping[str, Any]) -> tuple[Any, Look]:  # noqa: ARG002 - as others do
        """As for all."""
        return query, self.look(query)

    def after(self, seen: Look, cursor: Any) -> None:  # noqa: ARG002 - as others do
        """Count what it has written, as the server says."""
        if seen.target is not None:
            self.given.tally.add(seen.target[1], seen.target[0], int(self.raw.affected_rows()))

    def failed(self, seen: Look, cursor: Any, error: BaseException) -> None:  # noqa: ARG002 - as others do
        """Refuse what the server has refused because it would have ended the transaction."""
        if self._global and error.args[:1] == (mysql.REFUSED_IN_GLOBAL,) and "ACTIVE" in str(error):
            self.given.refusals.refuse(f"{seen.text.strip()[:_SHOWN]!r} {_ENDS} (database {self._alias!r})")


_ENDS: Final = (
    "begins or ends a transaction, or commits by itself, and a dry run keeps all in one: use transaction.atomic()"
)
#: Methods of the drivers' connections that no command may call.
_REFUSED: Final = ("commit", "rollback", "autocommit", "begin", "change_user", "close")


def _reason_against(text: str) -> str:
    return _ENDS if mysql.ends_transaction(text) else mysql.irrevocable(text)
