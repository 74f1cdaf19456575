"""The databases of the test, in its racers; and what cannot work, refused before anything starts.

A racer opens connections of its own to the very databases that the test uses at that moment, whatever suffix they got,
and may use those that the test may use: where pytest-django or a `SimpleTestCase` refuses, racers are refused as well.
"""

from __future__ import annotations

import contextlib
import pickle
import sys
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from sideeffects._core.values import clock
from sideeffects.database import mysql
from sideeffects.errors import RaceError
from sideeffects.testing.races.errors import CannotTravel
from sideeffects.testing.races.messages import packed


class Databases:
    """What racers get to know of the databases.

    Attributes:
        settings: each alias's settings, key by key, pickled; what cannot travel is missing.
        refused: aliases that racers may not use, with the reason.
        opened: aliases to which racers connect before the start.
    """

    def __init__(self, settings: dict[str, dict[str, bytes]], refused: dict[str, str], opened: list[str]) -> None:
        self.settings = settings
        self.refused = refused
        self.opened = opened


def looked_at(wanted: Collection[str] | None, *, in_threads: bool) -> Databases:
    """The databases as they are now.

    Args:
        wanted: the aliases that racers use; `None` for those that the test may use.
        in_threads: whether racers are threads of this process.

    Raises:
        RaceError: racers could not see what the test sees.
    """
    from django.db import connections

    unknown = sorted(set(wanted or ()) - set(connections))
    if unknown:
        raise RaceError(f"there is no database {unknown[0]!r}; the aliases are {', '.join(sorted(connections))}")
    there = {connection.alias: connection for connection in connections.all(initialized_only=True)}
    refused: dict[str, str] = {}
    opened: list[str] = []
    for alias in connections:
        reason = _refusal(alias, there.get(alias))
        if reason is None and wanted is not None and alias not in wanted:
            reason = f"it is not among the databases of this race: Race(databases={sorted(wanted)!r})"
        if reason is not None:
            if alias in (wanted or ()):
                raise RaceError(f"racers cannot use the database {alias!r}, because the test may not: {reason}")
            refused[alias] = reason
            continue
        connection = there.get(alias) or connections[alias]
        _refuse_memory(alias, connection, in_threads)
        _refuse_transaction(alias, connection)
        if alias in (wanted or ()) or connection.connection is not None:
            opened.append(alias)
    settings = {} if in_threads else {alias: _settings(alias, there.get(alias)) for alias in connections}
    return Databases(settings, refused, opened)


def explored(wanted: Collection[str] | None) -> list[str]:
    """The aliases that racers of an explored race use: those that were named, or all that the test may use.

    Raises:
        RaceError: racers could not see what the test sees, or could not be made to wait for each other.
    """
    from django.db import connections

    looked = looked_at(wanted, in_threads=True)
    aliases = [alias for alias in connections if alias not in looked.refused]
    for alias in aliases:
        _refuse_memory(alias, connections[alias], in_threads=False)
    return aliases


def _refusal(alias: str, connection: Any) -> str | None:
    """Why the test may not use a database, in the words of who refuses it; `None` when it may."""
    from django.db.backends.base.base import BaseDatabaseWrapper

    if alias in _refused:  # this is a racer, that races
        return _refused[alias]
    ensure = BaseDatabaseWrapper.ensure_connection
    if "Blocker" in getattr(ensure, "__qualname__", "") and ensure.__module__.startswith("pytest_django"):
        return "this test has no database access: mark it with @pytest.mark.django_db(transaction=True)"
    failure = None if connection is None else vars(connection).get("connect")
    if type(failure).__name__ == "_DatabaseFailure":
        return str(getattr(failure, "message", "the test case does not allow it"))
    return None


def _refuse_memory(alias: str, connection: Any, in_threads: bool) -> None:
    if connection.vendor != "sqlite" or not connection.is_in_memory_db():
        return
    name = str(connection.settings_dict["NAME"])
    if in_threads and "mode=memory" in name and "cache=shared" in name:
        return
    raise RaceError(
        f"the database {alias!r} is an in-memory SQLite ({name}), which no other "
        f"{'thread' if in_threads else 'process'} can see: each racer would get an empty one. Give the tests a file: "
        f'DATABASES[{alias!r}]["TEST"] = {{"NAME": BASE_DIR / "test_{alias}.sqlite3"}} in the settings '
        f"(or Race(databases=[...]) without {alias!r}, where racers do not use it)"
    )


def _refuse_transaction(alias: str, connection: Any) -> None:
    open_by_hand = connection.connection is not None and not connection.autocommit
    if connection.in_atomic_block or open_by_hand:
        raise RaceError(
            f"a transaction is open on the database {alias!r}: racers have connections of their own and would not see "
            f"its rows, nor could the test see theirs before it ends. With Django's TestCase, use TransactionTestCase "
            f"instead; with pytest, @pytest.mark.django_db(transaction=True) or the fixture transactional_db; "
            f"inside atomic(), start the race after the block"
        )


def _settings(alias: str, connection: Any) -> dict[str, bytes]:
    """The settings of one alias, without what cannot travel: the racers' own settings have that."""
    from django.db import connections

    values = connections.settings[alias] if connection is None else connection.settings_dict
    found: dict[str, bytes] = {}
    for key, value in values.items():
        with contextlib.suppress(CannotTravel):
            found[key] = packed(value, f"DATABASES[{alias!r}][{key!r}]")
    return found


# -- in the fork server's children


def apply(databases: Databases) -> None:
    """Let connections that are opened from now on be those of the test."""
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        del connections[connection.alias]
    for alias in connections.settings.keys() - databases.settings.keys():
        del connections.settings[alias]
    for alias, settings in databases.settings.items():
        connections.settings.setdefault(alias, {}).update(_loaded(settings))
    if databases.refused:
        refuse(databases.refused)


def warm_up(databases: Databases) -> None:
    """In the fork server: connect once to each database, and close.

    What drivers and Django make at the first connection of a process, forks then have already.
    """
    from django.db import connections
    from django.db.utils import load_backend

    for alias in databases.opened:
        with contextlib.suppress(Exception):  # racers that need it will see what is wrong with it
            settings = {**connections.settings.get(alias, {}), **_loaded(databases.settings[alias])}
            engine = settings["ENGINE"]
            if (alias, engine) not in _warm:
                _warm.add((alias, engine))
                connection = load_backend(engine).DatabaseWrapper(settings, alias)
                try:
                    connection.ensure_connection()
                finally:
                    connection.close()


_warm: Final[set[tuple[str, str]]] = set()


def _loaded(settings: dict[str, bytes]) -> dict[str, Any]:
    return {key: pickle.loads(data) for key, data in settings.items()}  # noqa: S301 - from our own test process


#: What a racer may not use, with the reason.
_refused: Final[dict[str, str]] = {}


def refuse(refused: dict[str, str]) -> None:
    """Let every connection to these aliases fail, in any thread of this process, and in races that it holds."""
    from django.db.backends.base.base import BaseDatabaseWrapper

    _refused.update(refused)
    original = BaseDatabaseWrapper.connect

    def connect(self: Any) -> None:
        reason = _refused.get(self.alias)
        if reason is not None:
            raise RuntimeError(f"this racer may not use the database {self.alias!r}: {reason}")
        original(self)

    setattr(BaseDatabaseWrapper, "connect", connect)  # noqa: B010 - a method, for the checkers


def open_all(aliases: Sequence[str]) -> None:
    """Connect, so that connecting is no part of the race."""
    if aliases:
        from django.db import connections

        for alias in aliases:
            connections[alias].ensure_connection()


def close_all() -> None:
    """Close this thread's connections."""
    if "django.db" in sys.modules:
        from django.db import connections
        from django.db.backends.base.base import BaseDatabaseWrapper

        connections.close_all()
        for connection in connections.all(initialized_only=True):
            # Django keeps those to an SQLite in memory, which lives on in the test's.
            if connection.connection is not None and not connection.allow_thread_sharing:
                BaseDatabaseWrapper.close(connection)


def report_sessions(tell: Callable[[tuple[str, int]], object]) -> None:
    """Tell of each session that this process opens on a server that would not notice if the process were killed."""
    from django.db.backends.signals import connection_created

    def created(connection: Any, **_: Any) -> None:
        number = session_of(connection)
        if number is not None:
            tell((connection.alias, number))

    connection_created.connect(created, weak=False, dispatch_uid="sideeffects.races")


def session_of(connection: Any) -> int | None:
    """The number of the session behind a connection to PostgreSQL, MariaDB or MySQL; `None` for other databases."""
    raw = connection.connection
    if connection.vendor == "mysql":
        return mysql.thread_of(raw)
    if connection.vendor != "postgresql":
        return None
    info = getattr(raw, "info", None)
    number = getattr(info, "backend_pid", None)
    if number is None:
        number = raw.get_backend_pid()
    return int(number)


#: How long a session that was told to end is waited for, in seconds.
_SECONDS: Final = 5.0


def end_sessions(sessions: Collection[tuple[str, int]]) -> None:
    """End sessions whose racers were killed: a server that waits for a lock or sleeps does not notice by itself.

    It would keep its locks, and the test database could not be dropped.
    """
    if not sessions:
        return
    from django.db import connections

    for alias in {alias for alias, _ in sessions}:
        numbers = [number for other, number in sessions if other == alias]
        end = _end_on_mysql if connections[alias].vendor == "mysql" else _end_on_postgresql
        with contextlib.suppress(Exception), connections[alias].cursor() as cursor:
            deadline = clock.monotonic() + _SECONDS
            while end(cursor, numbers) and clock.monotonic() < deadline:
                time.sleep(0.005)
    close_all()


def _end_on_postgresql(cursor: Any, numbers: list[int]) -> bool:
    """Tell them to end; whether one is still there."""
    cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = ANY(%s)", [numbers])
    return bool(cursor.fetchall())


def _end_on_mysql(cursor: Any, numbers: list[int]) -> bool:
    """As above."""
    marks = ", ".join(["%s"] * len(numbers))
    cursor.execute(f"SELECT id FROM information_schema.processlist WHERE id IN ({marks})", numbers)  # noqa: S608 - marks
    there = [int(number) for (number,) in cursor.fetchall()]
    for number in there:
        with contextlib.suppress(Exception):  # it has just gone
            cursor.execute(f"KILL {number}")
    return bool(there)
