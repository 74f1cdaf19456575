"""What a plan says of tables as wholes: created, changed, dropped and emptied ones, however that was done."""

from typing import Any

import pytest
from django.core.management.color import no_style

from sideeffects import dry_run
from sideeffects.dryrun import Plan
from sideeffects.dryrun.formats import as_markdown
from sideeffects.dryrun.plan_data import as_data
from tests.support.database import Database

FUNCTION = "CREATE FUNCTION drop_parts() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DROP TABLE parts; END $$"


def changes(plan: Plan) -> dict[str, tuple[str, int | None]]:
    """What was done to each table, and how many rows it had."""
    return {row.table: (row.change or row.truncated * "emptied", row.rows) for row in plan.writes}


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("DROP TABLE rows CASCADE", {"rows": ("dropped", 2), "parts": ("altered", None)}),
        ("ALTER TABLE rows RENAME COLUMN name TO title", {"rows": ("altered", None)}),
        ("ALTER TABLE rows ADD COLUMN more int", {"rows": ("altered", None)}),
        ("CREATE TABLE extra AS SELECT * FROM rows", {"extra": ("created", 2)}),
        ("/* extra */ CREATE TABLE extra (id int)", {"extra": ("created", 0)}),
        ("CREATE INDEX by_name ON rows (name)", {"rows": ("altered", None)}),
        ("CREATE VIEW seen AS SELECT name FROM rows", {"seen": ("created", 2)}),
        ("CREATE TEMPORARY TABLE passing (id int)", {}),
        ("ALTER TABLE parts RENAME TO pieces", {"parts": ("renamed to pieces", None)}),
        ("TRUNCATE rows CASCADE", {"rows": ("emptied", 2), "parts": ("emptied", 0)}),
        (
            'TRUNCATE TABLE ONLY public."parts", rows RESTART IDENTITY',
            {"rows": ("emptied", 2), "parts": ("emptied", 0)},
        ),
        ("DO $$ BEGIN DROP TABLE parts; END $$", {"parts": ("dropped", 0)}),
        ("SELECT drop_parts()", {"parts": ("dropped", 0)}),
        ("SELECT * INTO extra FROM rows", {"extra": ("created", 2)}),
    ],
)
def test_what_is_done_to_tables(database: Database, statement: str, expected: dict[str, Any]) -> None:
    """With the rows that are lost or made; after the block all is as it was."""
    if not database.is_postgres:
        if any(word in statement for word in ("TRUNCATE", "DO ", "drop_parts", "INTO")):
            pytest.skip("about PostgreSQL")
        statement = statement.removesuffix(" CASCADE")
        if "DROP TABLE" in statement:
            expected = {"rows": ("dropped", 2)}
        if "RENAME TO" in statement:
            expected = {"parts": ("dropped", 0), "pieces": ("created", 0)}
    database.insert("second")
    if "drop_parts" in statement:
        database.execute(FUNCTION)
    try:
        with dry_run() as plan:
            database.execute(statement)
    finally:
        if "drop_parts" in statement:
            database.execute("DROP FUNCTION drop_parts()")
    found = {table: what for table, what in changes(plan).items() if any(what)}
    assert found == expected
    assert database.committed() == ["kept", "second"]
    for table in expected:
        assert table in str(plan)
        assert table in as_markdown(as_data(plan))
    assert {row["table"] for row in as_data(plan)["writes"]} >= set(expected)


def test_the_plan_says_it_in_words(database: Database) -> None:
    """What was done first, the lost rows last."""
    with dry_run() as plan:
        database.insert("gone")
        database.execute("DROP TABLE parts")
        database.execute("CREATE TABLE extra AS SELECT * FROM rows")
    lines = [" ".join(line.split()) for line in str(plan).splitlines()]
    assert "dry parts dropped, it had 0 rows" in lines
    assert any(line.startswith("dry extra created,") and line.endswith("it had 2 rows") for line in lines)


def test_flush_names_every_table(database: Database) -> None:
    """As Django's command sends it."""
    database.execute("INSERT INTO parts (row_id) VALUES (1)")
    statements = database.connection.ops.sql_flush(no_style(), ["rows", "parts"], allow_cascade=True)
    with dry_run() as plan:
        database.connection.ops.execute_sql_flush(statements)
    assert {row.table for row in plan.writes if row.truncated or row.deleted} == {"rows", "parts"}
    database.execute("DELETE FROM parts")


def test_inside_a_transaction_rows_are_counted_too(database: Database) -> None:
    """Those of the transaction around the block."""
    with database.atomic():
        database.insert("around")
        with dry_run() as plan:
            database.execute("DROP TABLE parts")
            database.execute("ALTER TABLE rows RENAME TO lines")
        assert changes(plan)["parts"] == ("dropped", 0)
        assert database.names() == ["kept", "around"]


def test_what_is_no_table_is_said_by_its_words(database: Database) -> None:
    """Without what may be secret in it."""
    if not database.is_postgres:
        pytest.skip("about PostgreSQL")
    with dry_run() as plan:
        database.execute("CREATE ROLE shop_reader LOGIN PASSWORD 'hunter2'")
        database.execute("GRANT SELECT ON rows TO shop_reader")
    assert "hunter2" not in str(plan)
    assert any("CREATE ROLE shop_reader LOGIN PASSWORD' was executed, and rolled back" in one for one in plan.remarks)
    assert any("GRANT SELECT ON rows" in one for one in plan.remarks)
