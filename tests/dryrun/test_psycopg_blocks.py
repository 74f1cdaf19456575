"""psycopg's own blocks around the ORM's work in a dry run: they are what they are for real."""

import contextlib
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, ProgrammingError

from sideeffects import dry_run
from sideeffects.dryrun import DryRunRefused
from tests.support.database import Database


@pytest.fixture
def raw(database: Database) -> Any:
    """The driver's connection, asked for when it is held."""
    if not database.is_postgres:
        pytest.skip("about psycopg")
    database.names()
    return database.connection.connection


def test_a_transaction_keeps_or_goes_back(database: Database, raw: Any) -> None:
    """Its rows are there behind it, unless it was left by an error, rolled back or made to."""
    with dry_run():
        database.insert("before")
        with raw.transaction():
            database.insert("inside")
        for error in (KeyError, psycopg.Rollback):
            with contextlib.suppress(KeyError), raw.transaction():
                database.insert("gone")
                raise error
        with raw.transaction(force_rollback=True):
            database.insert("gone")
        with contextlib.suppress(psycopg.Error), raw.transaction():
            database.insert("gone")
            raw.execute("SELECT 1 / 0")
        database.insert("behind")
        assert database.names() == ["kept", "before", "inside", "behind"]
    assert database.committed() == ["kept"]


def test_a_transaction_in_one_of_django(database: Database, raw: Any) -> None:
    """It is a savepoint there; and Django's cannot begin inside one of psycopg's, for real neither."""
    with dry_run():
        with database.atomic():
            with raw.transaction():
                database.insert("first")
            with contextlib.suppress(KeyError), raw.transaction():
                database.insert("gone")
                raise KeyError
            database.insert("second")
        with raw.transaction(), raw.transaction():
            database.insert("third")
        with (
            pytest.raises(ProgrammingError, match="can't change 'autocommit' now"),
            raw.transaction(),
            database.atomic(),
        ):
            database.insert("gone")
        assert database.names() == ["kept", "first", "second", "third"]
    assert database.committed() == ["kept"]


def test_constraints_are_checked_at_the_end_of_a_transaction(database: Database, raw: Any) -> None:
    """As a commit checks them."""
    with dry_run():
        with pytest.raises(psycopg.IntegrityError), raw.transaction():
            database.execute("INSERT INTO parts (row_id) VALUES (99)")
        with raw.transaction():
            database.execute("INSERT INTO parts (row_id) VALUES (98)")
            database.execute("INSERT INTO rows (id, name) VALUES (98, 'late')")
        with pytest.raises(IntegrityError):
            database.execute("INSERT INTO parts (row_id) VALUES (97)")
    assert database.committed() == ["kept"]


def test_pipelines(database: Database, raw: Any) -> None:
    """Inside and around transactions, and with an error in them."""
    with dry_run() as plan:
        with raw.pipeline():
            database.insert("piped")
            with database.atomic():
                database.insert("atomic")
            with contextlib.suppress(KeyError), database.atomic():
                database.insert("gone")
                raise KeyError
            with raw.transaction():
                database.insert("block")
            database.insert("end")
        with database.atomic(), raw.pipeline():
            database.insert("inside")
        with contextlib.suppress(psycopg.Error), raw.pipeline():
            raw.execute("SELECT 1 / 0")
            raw.execute("SELECT 2")
        database.insert("behind")
        assert database.names() == ["kept", "piped", "atomic", "block", "end", "inside", "behind"]
    assert plan.refusals == ()
    assert database.committed() == ["kept"]


@pytest.mark.parametrize(
    "name", ["close", "commit", "autocommit", "read_only", "set_autocommit", "tpc_begin", "isolation_level"]
)
def test_what_a_transaction_does_not_allow_is_refused_with_the_reason(database: Database, raw: Any, name: str) -> None:
    """Not by an error of the driver's that a real run would not have."""
    with pytest.raises(DryRunRefused, match="of the driver's connection is refused"), dry_run():
        if name in ("autocommit", "read_only", "isolation_level"):
            setattr(raw, name, None)
        else:
            getattr(raw, name)(*(["x"] if name == "tpc_begin" else [True] if "set" in name else []))
    assert database.committed() == ["kept"]
