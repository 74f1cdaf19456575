"""All that stands while a race is explored: racers, hooks, and connections of the explorer's own."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Sequence
from typing import Any, Final, Self

from sideeffects.database.sql import statement_text
from sideeffects.errors import RaceError
from sideeffects.testing.exploring import effects, isolation
from sideeffects.testing.exploring.caches import CacheHooks
from sideeffects.testing.exploring.catalog import VENDORS, Catalog, read
from sideeffects.testing.exploring.connections import Watch, refuse_schema_changes
from sideeffects.testing.exploring.orders import Order, Runner
from sideeffects.testing.exploring.racer import Racer
from sideeffects.testing.exploring.statements import Transaction, looked_at
from sideeffects.testing.exploring.taking_back import Keeper


class Exploration:
    """Racers that can be run again and again.

    Args:
        count: how many.
        aliases: the databases that they use; `None` without Django.
        level: the isolation level; `None` for that of the database.
        timeout: seconds that one order may take.
        close: closes the connections of a racer's thread.
    """

    def __init__(
        self, count: int, aliases: Sequence[str] | None, level: str | None, timeout: float, close: Callable[[], None]
    ) -> None:
        self._count: Final = count
        self._aliases: Final = aliases
        self._level: Final = level
        self._timeout: Final = timeout
        self._close: Final = close
        self._open: Final = contextlib.ExitStack()
        self._keepers: Final[dict[str, Keeper]] = {}
        self._catalogs: Final[dict[str, Catalog]] = {}
        self.racers: list[Racer] = []

    def __enter__(self) -> Self:
        try:
            self._begin()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _begin(self) -> None:
        levels: dict[str, str] = {}
        if self._aliases is not None:
            from django.db import connections

            for alias in self._aliases:
                connection = connections[alias]
                self._look_at(alias, connection)
                levels[alias] = isolation.current(connection)
                self._open.enter_context(connection.execute_wrapper(_Noting(self._keepers, self._catalogs[alias])))
            self._open.enter_context(Watch(self._catalogs, self._level, levels))
        self._caches = CacheHooks()
        self._open.callback(self._caches.remove)
        self._runner = Runner(self.racers, self._keepers, self._timeout)
        for index in range(self._count):
            racer = Racer(index, self._close)
            self.racers.append(racer)
            self._open.callback(racer.end)
            racer.start(contextvars.copy_context(), self._connect)
        for racer in self.racers:
            racer.arrived.acquire()
            if racer.error is not None:
                raise racer.error

    def _look_at(self, alias: str, connection: Any) -> None:
        if connection.vendor not in VENDORS:
            raise RaceError(
                f"the database {alias!r} is {connection.display_name}: races are explored on PostgreSQL, MariaDB, "
                f"MySQL and SQLite"
            )
        if self._level is not None:
            isolation.refuse_unknown(self._level, alias, connection.vendor)
        catalog = self._catalogs[alias] = read(connection)
        if catalog.place not in self._keepers:
            keeper = Keeper(alias, connection.copy(), catalog)
            self._keepers[catalog.place] = keeper
            self._open.callback(keeper.close)

    def _connect(self) -> None:
        if self._aliases:
            from django.db import connections

            for alias in self._aliases:
                connections[alias].ensure_connection()

    def run(self, functions: Sequence[Callable[[], Any]], plan: Sequence[int]) -> Order:
        """Run one order of the racers' calls.

        Args:
            functions: what each racer calls.
            plan: whose steps come first.
        """

        def start(racer: Racer) -> None:
            # A context of its own, made here: it sees what is in force where the race is called.
            context = contextvars.copy_context()
            context.run(effects.enter, racer)
            racer.start(context, functions[racer.index])

        return self._runner.run(start, plan)

    def sessions_of(self, index: int) -> list[tuple[str, int]]:
        """The sessions of a racer on servers that would not notice if it were gone, by alias."""
        found = ((hooked.connection, hooked.session) for hooked in self.racers[index].connections)
        return [(one.alias, number) for one, number in found if number is not None and one.vendor == "postgresql"]

    def refuse_open_transactions(self) -> None:
        """Refuse a `setup` that racers cannot see the rows of.

        Raises:
            RaceError: it has left a transaction open.
        """
        if self._aliases:
            from django.db import connections

            for alias in self._aliases:
                if connections[alias].in_atomic_block or not connections[alias].get_autocommit():
                    raise RaceError(
                        f"setup has left a transaction open on the database {alias!r}: racers would not see its rows. "
                        f"End it before setup returns"
                    )

    def take_back(self) -> None:
        """Take back what was written since the last time."""
        for keeper in self._keepers.values():
            keeper.take_back()
        self._caches.take_back()


class _Noting:
    """Notes what `setup`, and `check`, write: it is taken back as well."""

    def __init__(self, keepers: dict[str, Keeper], catalog: Catalog) -> None:
        self._keepers = keepers
        self._catalog = catalog

    def __call__(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        text = statement_text(sql, context["connection"].connection)
        seen = looked_at(text, self._catalog, Transaction("read committed"), is_inside=True)
        refuse_schema_changes(text, seen)
        if seen.written != frozenset():
            self._keepers[self._catalog.place].before_writing(seen.written)
        return execute(sql, params, many, context)
