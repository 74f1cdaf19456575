"""Dry runs on SQLite: what it is kept from, and what it counts."""

import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from sqlite3 import connect
from typing import Any

import pytest
from django.db import DatabaseError, connections

from sideeffects import dry_run
from sideeffects.dryrun import DryRunRefused, Writes
from tests.support.database import Database

on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@on_sqlite
def test_threads_do_not_write_past_django(database: Database, tmp_path: Path) -> None:
    """On SQLite's own connection, also what they have sent before; whoever has the thread after the block may."""
    insert = "INSERT INTO rows (name) VALUES ('past')"

    def send(statement: str) -> None:
        connections["dry"].connection.execute(statement)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(database.execute, "DELETE FROM rows").result()
        pool.submit(send, insert).result()
        pool.submit(database.execute, "UPDATE rows SET name = 'kept'").result()
        for statement in (
            insert,
            "CREATE TABLE past (id int)",
            "DROP TABLE rows",
            "ALTER TABLE rows RENAME TO past",
            "PRAGMA User_Version = 7",
            "VACUUM",
            f"ATTACH '{tmp_path}/past' AS past",
        ):
            with pytest.raises(DryRunRefused, match=r"without Django.* in another thread"), dry_run():
                assert pool.submit(database.names).result() == ["kept"]
                with pytest.raises(sqlite3.DatabaseError):
                    pool.submit(send, statement).result()
                pool.submit(send, "SELECT name FROM rows").result()
        assert database.execute("PRAGMA user_version") == [(0,)]
        assert database.committed() == ["kept"]
        pool.submit(send, insert).result()
        pool.submit(connections.close_all).result()
    assert database.committed() == ["kept", "past"]


@on_sqlite
def test_sqlite_files_of_django_are_not_opened_past_it(database: Database, tmp_path: Path) -> None:
    """By their names or as URIs, and by what somebody has taken hold of before. Other files are nobody's business."""
    name = database.given["NAME"]
    with dry_run():
        sqlite3.connect(tmp_path / "other.sqlite3").close()
        sqlite3.connect(":memory:").close()
    for given in (name, f"file:{name}?mode=rwc"):
        with pytest.raises(DryRunRefused, match="without Django"), dry_run():
            sqlite3.connect(given, uri=True)
    for take_hold in (connect, sqlite3.Connection):
        with pytest.raises(DryRunRefused, match="without Django"), dry_run():
            take_hold(name)
        take_hold(name).close()
    assert database.committed() == ["kept"]


@on_sqlite
def test_what_sqlite_cannot_take_back_is_refused(database: Database, tmp_path: Path) -> None:
    """Also where the block swallows SQLite's own error, and after a conflict that has ended the transaction."""
    other = tmp_path / "other.sqlite3"
    for statement, reason in ((f"ATTACH '{other}' AS o", "no rollback takes back the file"), ("VACUUM", "inside a tr")):
        with pytest.raises(DryRunRefused, match=reason), dry_run(), contextlib.suppress(DatabaseError):
            database.execute(statement)
    assert not other.exists()
    with pytest.raises(DryRunRefused, match="ended without Django"), dry_run():
        raw = connections["dry"].connection
        with pytest.raises(sqlite3.IntegrityError):
            raw.execute("INSERT OR ROLLBACK INTO rows (name) VALUES ('kept')")
        with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
            raw.execute("INSERT INTO rows (name) VALUES ('two')")
    assert database.committed() == ["kept"]


@pytest.mark.parametrize("journal", ["wal", "delete", "memory"])
@pytest.mark.parametrize("is_atomic", [False, True])
def test_sqlite_takes_no_backup_from_elsewhere(
    production: None, tmp_path: Path, django_db_blocker: Any, journal: str, is_atomic: bool
) -> None:
    """Which would replace the file at once; also as the first that happens, and in a transaction of somebody else's."""
    name = ":memory:" if journal == "memory" else str(tmp_path / "dry.sqlite3")
    source = sqlite3.connect(":memory:")
    source.executescript("CREATE TABLE rows (id int, name text); INSERT INTO rows VALUES (1, 'from elsewhere')")
    with django_db_blocker.unblock():
        database = Database({"ENGINE": "django.db.backends.sqlite3", "NAME": name})
        try:
            database.execute(f"PRAGMA journal_mode = {journal}")
            database.insert("kept")
            with database.atomic() if is_atomic else contextlib.nullcontext():
                with dry_run():
                    with pytest.raises(sqlite3.OperationalError, match="in use"):
                        source.backup(database.connection.connection)
                    with dry_run(), pytest.raises(sqlite3.OperationalError, match="in use"):
                        source.backup(database.connection.connection)
                assert database.names() == ["kept"]
            database.connection.close()
            with dry_run():
                database.connection.ensure_connection()
                with pytest.raises(sqlite3.OperationalError, match="in use"):
                    source.backup(database.connection.connection)
            assert journal == "memory" or database.committed() == ["kept"]
        finally:
            raw = database.connection.connection
            database.forget()
            if raw is not None:  # Django leaves open what is in memory
                raw.close()
            source.close()


@on_sqlite
def test_what_triggers_write_on_sqlite_is_unattributed(database: Database) -> None:
    """It is counted by the driver, and no statement says where it went."""
    database.execute("CREATE TRIGGER t AFTER INSERT ON rows BEGIN INSERT INTO parts (row_id) VALUES (new.id); END")
    with dry_run() as plan:
        database.insert("one")
    assert plan.writes == (Writes("dry", "rows", inserted=1), Writes("dry", "", unattributed=1))
    assert "(table not known)  1 unattributed" in str(plan)
