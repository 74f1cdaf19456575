"""What Django's caches can be relied on for, and how each kind is written so that nothing is lost unnoticed."""

from __future__ import annotations

import asyncio
import datetime
import math
import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from sideeffects._core.state.state import state
from sideeffects._core.values import clock

R = TypeVar("R")

#: What all our keys begin with.
PREFIX: Final = "sideeffects"

#: The backends that keep what they are given and let one `add` win, by the module and name of the class.
_RELIABLE: Final = frozenset(
    (
        "django.core.cache.backends.locmem.LocMemCache",
        "django.core.cache.backends.memcached.BaseMemcachedCache",
        "django.core.cache.backends.redis.RedisCache",
    )
)
_REDIS: Final = "django.core.cache.backends.redis.RedisCache"
_DATABASE: Final = "django.core.cache.backends.db.DatabaseCache"
_LOCAL_MEMORY: Final = "django.core.cache.backends.locmem.LocMemCache"

#: How often what ought to be there is asked for, and the seconds in between: replicas come later.
TRIES: Final = 4
PAUSE: Final = 0.02
#: Seconds for which the value is kept that shows whether a cache is there.
_ALIVE_SECONDS: Final = 60

#: Why the others of Django's own cannot be used.
_UNRELIABLE: Final = {
    "django.core.cache.backends.dummy.DummyCache": "DummyCache keeps nothing",
    "django.core.cache.backends.filebased.FileBasedCache": (
        "FileBasedCache cannot append without losing records: its add() lets several processes win"
    ),
}
_INSTEAD: Final = "use Redis, Memcached or a database cache, or {'BACKEND': 'file', 'PATH': ...} on one machine"


def medium_of(cache: Any, *, is_trusted: bool) -> Medium | str:
    """How to write a cache; or, in words, why it cannot be relied on."""
    kinds = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(cache).__mro__]
    for kind in kinds:
        if kind in _UNRELIABLE:
            return f"{_UNRELIABLE[kind]}; {_INSTEAD}"
    if _DATABASE in kinds:
        return DatabaseMedium(cache)
    if is_trusted or not _RELIABLE.isdisjoint(kinds):
        is_local = _LOCAL_MEMORY in kinds
        return Medium(cache, is_local=is_local, raises=is_local or _REDIS in kinds)
    return (
        f"{kinds[0]} is not known to append without losing records; if its add() lets one caller win, say so: "
        f"SIDE_EFFECTS['LEDGER']['ATOMIC_ADD'] = True. Otherwise {_INSTEAD}"
    )


class Medium:
    """A cache, written through Django's own interface.

    Args:
        cache: the cache of this thread.
        is_local: whether it is in this process's memory.
        raises: whether reading raises where the cache does not answer.
    """

    def __init__(self, cache: Any, *, is_local: bool = False, raises: bool = True) -> None:
        self.cache = cache
        self._raises = raises
        self._is_local = is_local
        #: Seconds between two looks whether a stream can still be found. In local memory a look also keeps it there.
        self.look_every = 0.0 if is_local else 5.0
        #: Whether what was written may be taken back by the caller's rollback.
        self.may_roll_back = False
        self.caution = (
            "LocMemCache is the memory of one process: other processes neither see its calls nor add to them"
            if is_local
            else ""
        )

    def aside(self, work: Callable[[], R]) -> R:
        """Do work that may neither join the caller's transaction nor be refused inside its event loop."""
        return work()

    def get(self, keys: list[str]) -> dict[str, str]:
        """The values of those that are there."""
        found: dict[str, str] = self.cache.get_many(keys)
        return found

    def check_answers(self) -> None:
        """See that the cache is there: some clients swallow errors, and say that what they could not read is not there.

        Raises:
            OSError: it does not answer.
        """
        if self._raises:
            return
        key = f"{PREFIX}.alive"
        refused = self.cache.set_many({key: "1"}, _ALIVE_SECONDS)
        client = getattr(self.cache, "_cache", None)  # pymemcache asks the others for what it cannot get from one
        away = [*getattr(client, "_failed_clients", ()), *getattr(client, "_dead_clients", ())]
        for _ in range(0 if refused or away else TRIES):
            if self.cache.get_many([key]):
                return
            time.sleep(PAUSE)
        raise OSError(f"{', '.join(map(str, away)) or 'the cache'} does not answer")

    def claim(self, key: str, value: str, seconds: int) -> bool:
        """Put a value where none is; of several callers one wins."""
        return bool(self.cache.add(key, value, self._timeout(seconds)))

    def put(self, items: dict[str, str], seconds: int) -> None:
        """Put values, those of the last key last.

        Raises:
            OSError: they were not taken.
        """
        from django.core.cache.backends.memcached import BaseMemcachedCache

        # Memcached stores keys one by one, in an order of its own, and says of each whether it did.
        is_memcached = isinstance(self.cache, BaseMemcachedCache)
        for step in [{key: value} for key, value in items.items()] if is_memcached else [items]:
            if self.cache.set_many(step, self._timeout(seconds)):
                raise OSError(
                    "the server did not take the record (Memcached takes values of at most a megabyte, and none while "
                    "it is down)"
                )

    def _timeout(self, seconds: int) -> int | None:
        """Local memory expires by the clock of this process, which a test may have frozen."""
        return None if self._is_local and state.test_run.is_on() else seconds

    def remove(self, keys: list[str]) -> None:
        """Remove these keys."""
        self.cache.delete_many(keys)

    def prune(self) -> None:
        """Remove what has expired, where nobody else does."""


class DatabaseMedium(Medium):
    """A database cache, written by statements of our own into Django's table.

    `DatabaseCache` swallows errors, counts its rows at each write and throws some away when there are too many. Rows
    written here are plain texts under our own keys, and expire with the others when Django culls the table.

    In a transaction of the caller's, and in an event loop, a thread with a connection of its own does the work: what is
    written stays when that transaction rolls back. SQLite has one writer, which is the caller's transaction, so there
    records are part of it.
    """

    def __init__(self, cache: Any) -> None:
        super().__init__(cache)
        from django.db import router

        self._alias: str = router.db_for_write(cache.cache_model_class)
        self.may_roll_back = self._connection.vendor == "sqlite"
        self.look_every = 0.0 if self.may_roll_back else 5.0
        if self.may_roll_back:
            self.caution = (
                "on SQLite the records of a database cache are part of the caller's transaction: if that rolls back, "
                "as in a TestCase, its records are gone"
            )

    @property
    def _connection(self) -> Any:
        from django.db import connections

        return connections[self._alias]

    def aside(self, work: Callable[[], R]) -> R:
        """Do work in a thread of its own where this one's connection will not do."""
        if _runs_a_loop() or (not self.may_roll_back and _is_in_transaction(self._connection)):
            return self._apart(work)
        return work()

    def _apart(self, work: Callable[[], R]) -> R:
        done: list[R] = []
        failed: list[BaseException] = []

        def run() -> None:
            try:
                done.append(work())
            except BaseException as error:  # noqa: BLE001 - it goes on to where it is waited for
                failed.append(error)
            finally:
                self._connection.close()  # this thread's

        thread = threading.Thread(target=run, name="sideeffects-ledger", daemon=True)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return done[0]

    def get(self, keys: list[str]) -> dict[str, str]:
        """The values of those that are there, expired or not: readers know by themselves what has expired."""
        named = {self.cache.make_and_validate_key(key): key for key in keys}
        if not named:
            return {}
        select = self._sql("SELECT {key}, {value} FROM {table} WHERE {key} IN ({marks})", len(named))
        with self._cursor() as cursor:
            cursor.execute(select, [*named])
            return {named[key]: value for key, value in cursor.fetchall()}

    def claim(self, key: str, value: str, seconds: int) -> bool:
        """Put a value where none is; the primary key lets one win."""
        from django.db import IntegrityError, transaction

        try:
            with transaction.atomic(using=self._alias), self._cursor() as cursor:
                self._insert(cursor, key, value, self._expiry(seconds))
        except IntegrityError:
            return False
        return True

    def put(self, items: dict[str, str], seconds: int) -> None:
        """Put values, all or none."""
        from django.db import transaction

        expires = self._expiry(seconds)
        with transaction.atomic(using=self._alias), self._cursor() as cursor:
            for key, value in items.items():
                name = self.cache.make_and_validate_key(key)
                changes = self._sql("UPDATE {table} SET {value} = %s, {expires} = %s WHERE {key} = %s")
                cursor.execute(changes, [value, expires, name])
                if not cursor.rowcount:
                    self._insert(cursor, key, value, expires)

    def remove(self, keys: list[str]) -> None:
        """Remove these keys."""
        if keys:
            named = [self.cache.make_and_validate_key(key) for key in keys]
            with self._cursor() as cursor:
                cursor.execute(self._sql("DELETE FROM {table} WHERE {key} IN ({marks})", len(named)), named)

    def prune(self) -> None:
        """Remove our rows that have expired: Django removes such rows only when there are too many of all."""
        ours = self.cache.make_key(f"{PREFIX}.") + "%"
        delete = self._sql("DELETE FROM {table} WHERE {key} LIKE %s AND {expires} < %s")
        with self._cursor() as cursor:
            cursor.execute(delete, [ours, self._expiry(0)])

    def _insert(self, cursor: Any, key: str, value: str, expires: Any) -> None:
        name = self.cache.make_and_validate_key(key)
        insert = self._sql("INSERT INTO {table} ({key}, {value}, {expires}) VALUES (%s, %s, %s)")
        cursor.execute(insert, [name, value, expires])

    def _cursor(self) -> Any:
        return self._connection.cursor()

    def _sql(self, statement: str, marks: int = 0) -> str:
        quote = self._connection.ops.quote_name
        return statement.format(
            table=quote(self.cache._table),  # noqa: SLF001 - `createcachetable` takes it from there, too
            key=quote("cache_key"),
            value=quote("value"),
            expires=quote("expires"),
            marks=", ".join(["%s"] * marks),
        )

    def _expiry(self, seconds: int) -> Any:
        from django.conf import settings

        zone = datetime.UTC if settings.USE_TZ else None
        at = datetime.datetime.fromtimestamp(math.ceil(clock.now()) + seconds, zone)
        return self._connection.ops.adapt_datetimefield_value(at)


def is_forbidden(error: BaseException) -> bool:
    """Whether the running test is one that may not use databases: pytest-django and `SimpleTestCase` say so."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    module = "" if step is None else str(step.tb_frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] == "pytest_django" or type(error).__name__ == "DatabaseOperationForbidden"


def _is_in_transaction(connection: Any) -> bool:
    return bool(connection.in_atomic_block or not connection.get_autocommit())


def _runs_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
