"""Dry runs on PostgreSQL: what it is kept from, and what it counts."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.management.color import no_style
from django.db import DatabaseError, IntegrityError, connections, models

from sideeffects import dry_run
from sideeffects.dryrun import DryRunRefused, Writes
from tests.support.database import Database

pytestmark = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


def test_postgresql_itself_refuses_the_commit(database: Database) -> None:
    """Where nothing of ours sees the statement, and what the driver begins next is read-only."""
    import psycopg

    with pytest.raises(DryRunRefused, match="ended without Django"), dry_run():
        database.insert("one")
        raw = connections["dry"].connection
        with pytest.raises(psycopg.errors.FeatureNotSupported):
            psycopg.Cursor(raw).execute("COMMIT")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            psycopg.Cursor(raw).execute("INSERT INTO rows (name) VALUES ('two')")
    assert database.committed() == ["kept"]


def test_what_no_rollback_takes_back_is_refused(database: Database) -> None:
    """Statements that act outside the transaction."""
    for statement, reason in (
        ("SELECT setval('rows_id_seq', 99)", "sets a sequence"),
        ("""SELECT "setval"('rows_id_seq', 99)""", "sets a sequence"),
        ("DO $$ BEGIN PERFORM setval('rows_id_seq', 99); END $$", "sets a sequence"),
        ("DO $$ BEGIN PERFORM 1; /* */ PERFORM setval /* */ ('rows_id_seq', 99); END $$", "sets a sequence"),
        ("SELECT pg_catalog . setval /* */ -- more\n ('rows_id_seq', 99)", "sets a sequence"),
        (r"SELECT E'it\'s', setval('rows_id_seq', 99)", "sets a sequence"),
        ("""SELECT U&"set\\0076al"('rows_id_seq', 99)""", "Unicode escapes"),
        ("COPY rows TO E'/nowhere/at/all'", "writes a file"),
        ("SELECT pg_create_physical_replication_slot('dry')", "acts outside"),
        ("SELECT pg_stat_reset()", "acts outside"),
        ("SELECT pg_stat_reset_single_table_counters('rows'::regclass)", "acts outside"),
        ("DISCARD TEMP", "refuse a commit"),
        ("COPY rows TO PROGRAM 'cat'", "runs a program"),
        ("SELECT pg_reload_conf()", "acts outside"),
        ("VACUUM rows", "cannot run inside a transaction"),
        ("CREATE INDEX CONCURRENTLY i ON rows (name)", "cannot run inside a transaction"),
    ):
        with pytest.raises(DryRunRefused, match=reason), dry_run(), contextlib.suppress(DatabaseError):
            database.execute(statement)
    assert database.execute("SELECT nextval('rows_id_seq')") == [(2,)]


class Row(models.Model):
    """The table `rows`."""

    name = models.CharField(max_length=40)

    class Meta:
        app_label, db_table, managed = "dry_runs", "rows", False

    def __str__(self) -> str:
        return self.name


def test_sequences_that_django_sets_are_left_alone(database: Database) -> None:
    """As `loaddata` does at its end: the answer is the same, the plan says it, and nobody's sequence is touched."""
    (reset,) = database.connection.ops.sequence_reset_sql(no_style(), [Row])
    state = "SELECT last_value, is_called FROM rows_id_seq"
    before = database.execute(state)
    with dry_run() as plan:
        database.execute("INSERT INTO rows (id, name) VALUES (7, 'seven')")
        assert database.execute(reset) == [(7,)]
        with database.atomic():
            database.execute("DELETE FROM rows")
            assert database.execute(reset) == [(1,)]
        assert database.execute(state) == before
    assert database.execute(state) == before == [(1, True)]
    (remark,) = {remark.partition(" (")[0] for remark in plan.remarks}
    assert remark == (
        "the sequence of rows.id was not set, since no rollback would take that back: rows that are added after it in "
        "this run may meet keys that are taken"
    )
    for other in (
        reset + reset,
        reset.replace("1)", "nextval('rows_id_seq'))", 1),
        reset.replace('FROM "rows"', 'FROM "parts"'),
        reset.replace("'id'", "'i''d'"),
        reset.removesuffix(";") + " WHERE setval('rows_id_seq', 9) > 0;",
    ):
        with pytest.raises(DryRunRefused, match="sets a sequence"), dry_run():
            database.execute(other)
    with pytest.raises(DryRunRefused, match="sets a sequence"), dry_run(), database.connection.cursor() as cursor:
        cursor.executemany(reset, [()])
    assert database.execute(state) == before


def test_advisory_locks_are_given_back(database: Database) -> None:
    """They are no part of the transaction; those that were there before stay, and their loss is told."""
    held = "SELECT COALESCE(SUM(objid::int), 0) FROM pg_locks WHERE locktype = 'advisory'"
    database.execute("SELECT pg_advisory_lock(1)")
    with dry_run():
        for lock in ("pg_advisory_lock(2)", "pg_advisory_lock(2)", "pg_advisory_lock_shared(-4, 8)"):
            database.execute(f"SELECT {lock}")
        database.execute("SELECT pg_advisory_lock(-16)")
    assert database.execute(held) == [(1,)]
    with pytest.raises(DryRunRefused, match="advisory lock"), dry_run():
        database.execute("SELECT pg_advisory_unlock_all()")
    with database.atomic():
        with dry_run():
            database.execute("SELECT pg_advisory_lock(2)")
        assert database.execute(held) == [(0,)]


def test_rows_that_are_copied(database: Database) -> None:
    """Psycopg's own ways of writing and reading go through the same gate."""
    import psycopg

    with dry_run() as plan, connections["dry"].cursor() as cursor:
        with cursor.copy("COPY rows (name) FROM STDIN") as copy:
            copy.write_row(["copied"])
        with pytest.raises(psycopg.errors.UniqueViolation), cursor.copy("COPY rows (name) FROM STDIN") as copy:
            copy.write_row(["copied"])
        assert [name for (name,) in cursor.stream("SELECT name FROM rows ORDER BY id")] == ["kept", "copied"]
        with pytest.raises(IntegrityError):
            cursor.executemany("INSERT INTO rows (name) VALUES (%s)", [("new",), ("copied",)])
        database.insert("after all")
        assert database.names() == ["kept", "copied", "after all"]
    assert plan.writes[0].table == "rows"
    program = "COPY rows TO PROGRAM 'cat'"
    refused = pytest.raises(DryRunRefused, match="runs a program")
    with refused, dry_run(), connections["dry"].cursor() as cursor, cursor.copy(program):
        pass


def test_a_role_that_may_not_write(database: Database) -> None:
    """Where the server lets it only read, there is nothing to refuse, and nothing is made in the database."""
    database.execute("SET default_transaction_read_only = on")
    with dry_run() as plan:
        assert database.names() == ["kept"]
        with pytest.raises(DatabaseError, match="read-only"):
            database.insert("one")
        assert database.names() == ["kept"]
    assert not plan.writes
    database.execute("SET default_transaction_read_only = off")


def test_a_role_without_temporary_tables_is_refused(database: Database) -> None:
    """The server could not be made to refuse a commit."""
    database.execute("DROP ROLE IF EXISTS modest")
    database.execute("CREATE ROLE modest")
    name = database.given["NAME"]
    database.execute(f'REVOKE TEMPORARY ON DATABASE "{name}" FROM PUBLIC')
    database.execute("SET ROLE modest")
    try:
        with pytest.raises(DryRunRefused, match="may make temporary tables"), dry_run():
            pytest.fail("it has begun")
    finally:
        database.execute("RESET ROLE")
        database.execute(f'GRANT TEMPORARY ON DATABASE "{name}" TO PUBLIC')
        database.execute("DROP ROLE modest")


def test_where_the_server_does_not_count_the_statements_do(database: Database) -> None:
    """With `track_counts` off, by table as far as statements tell."""
    database.execute("SET track_counts = off")
    with dry_run() as plan:
        database.insert("one")
        database.execute("UPDATE rows SET name = name || '!'")
    database.execute("RESET track_counts")
    assert plan.writes == (Writes("dry", "rows", inserted=1, updated=2),)


@pytest.mark.parametrize("is_open", [False, True])
def test_django_s_pool(database: Database, is_open: bool) -> None:
    """Its connections are opened by threads of its own; they are good for others afterwards."""
    pytest.importorskip("psycopg_pool")
    settings = connections[database.alias].settings_dict
    connections[database.alias].close()
    settings["OPTIONS"] = {**settings["OPTIONS"], "pool": {"min_size": 1, "max_size": 2, "timeout": 5}}
    try:
        if is_open:
            database.names()
        with dry_run() as plan:
            database.insert("one")
            connections[database.alias].close()
            with database.atomic():
                database.insert("two")
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(database.names).result() == ["kept"]
                pool.submit(connections.close_all).result()
        assert plan.writes == (Writes("dry", "rows", inserted=2),)
        assert database.committed() == database.names() == ["kept"]
    finally:
        connections[database.alias].close_pool()
        del settings["OPTIONS"]["pool"]
