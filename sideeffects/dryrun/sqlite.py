"""SQLite: one transaction around everything, which the library itself is told to keep open.

SQLite asks an authorizer before it compiles a statement. This one refuses BEGIN, COMMIT and ROLLBACK, by whatever way
they come: statements, `commit()` of the driver's connection, scripts.
"""

from __future__ import annotations

from typing import Any, Final

from sideeffects.dryrun.links import Link, Look

#: SQLite's numbers for BEGIN, COMMIT and ROLLBACK, for ATTACH, for changing rows, and its two answers.
_TRANSACTION: Final = 22
_ATTACH: Final = 24
_CHANGES: Final = frozenset((9, 18, 23))
_ALLOW: Final = 0
_DENY: Final = 1


class SqliteLink(Link):
    """A connection of `sqlite3`."""

    _total = 0

    def begin(self) -> None:
        """Begin it, or make a savepoint in the one that there is."""
        if not self.terms.is_nested:
            self.run("BEGIN")
        self.run(f"SAVEPOINT {self.hold}")
        self._total = self.raw.total_changes
        self.raw.set_authorizer(self.authorize)

    def run(self, sql: str) -> None:
        """Execute a statement of our own."""
        self.raw.execute(sql)

    def count(self) -> None:
        """What the statements did not account for is unattributed."""
        if not self.raw.in_transaction:
            self.lost()
        self.terms.tally.set_total(self.raw.total_changes - self._total)

    def end(self) -> None:
        """Roll it back."""
        outer = self.terms.outer
        self.raw.set_authorizer(outer.authorize if isinstance(outer, SqliteLink) else None)
        if self.terms.is_nested:
            self.run(f"ROLLBACK TO SAVEPOINT {self.hold}")
            self.run(f"RELEASE SAVEPOINT {self.hold}")
        elif self.raw.in_transaction:
            self.run("ROLLBACK")

    @classmethod
    def is_inside(cls, raw: Any) -> bool:
        """Whether the driver's connection is in a transaction."""
        return bool(raw.in_transaction)

    def authorize(self, action: int, what: str | None, *_: object) -> int:
        """What SQLite asks before it compiles a statement."""
        if action == _TRANSACTION:
            self.terms.refusals.note(f"{what} past Django was refused (database {self._alias!r})")
            return _DENY
        if action == _ATTACH:
            self.terms.refusals.note(
                f"ATTACH {what!r} was refused: no rollback takes the file back, nor that it is attached (database "
                f"{self._alias!r})"
            )
            return _DENY
        if action in _CHANGES and not self.raw.in_transaction:  # a conflict has ended it: `INSERT OR ROLLBACK`
            self.lost()
            return _DENY
        return _ALLOW

    def guarded(self, cursor: Any, *, is_named: bool) -> Any:  # noqa: ARG002 - SQLite has no named cursors
        """A cursor of the same class, whose statements are looked at."""
        kind = type(cursor)
        cursor.__class__ = _classes.get(kind) or _guarded(getattr(kind, "unguarded", kind))
        cursor.link = self
        return cursor

    def before(self, query: Any) -> Look:
        """As for all, and the transaction is still there."""
        if not self.raw.in_transaction:
            self.lost()
        return super().before(query)

    def failed(self, seen: Look, error: Exception) -> None:
        """Note what cannot be done where it could be taken back, whoever swallows the error."""
        if "within a transaction" in str(error):
            self.terms.refusals.note(
                f"{seen.text.strip()[:200]!r} cannot run inside a transaction, so that no rollback could take it back "
                f"(database {self._alias!r})"
            )

    def after(self, seen: Look, count: int) -> None:
        """Count what a statement has written."""
        target = seen.target
        if target is not None:
            self.terms.tally.add(target[1], target[0], count)


_classes: Final[dict[type, type]] = {}


def _guarded(factory: Any) -> type:
    known = _classes.get(factory)
    if known is not None:
        return known

    class Guarded(factory):  # type: ignore[misc]
        unguarded = factory
        link: SqliteLink

        def execute(self, query: Any, params: Any = None) -> Any:
            seen = self.link.before(query)
            try:
                result = super().execute(query, params)
            except Exception as error:
                self.link.failed(seen, error)
                raise
            self.link.after(seen, self.rowcount)
            return result

        def executemany(self, query: Any, param_list: Any) -> Any:
            seen = self.link.before(query)
            try:
                result = super().executemany(query, param_list)
            except Exception as error:
                self.link.failed(seen, error)
                raise
            self.link.after(seen, self.rowcount)
            return result

    Guarded.__name__ = factory.__name__
    Guarded.__qualname__ = factory.__qualname__
    return _classes.setdefault(factory, Guarded)
