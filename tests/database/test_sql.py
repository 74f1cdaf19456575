"""What a statement of SQL is told to be."""

import pytest

from sideeffects.database.sql import (
    ends_transaction,
    irrevocable,
    is_plain,
    is_single_write,
    only_reads,
    statement_text,
    stays_with_session,
    writes,
)


@pytest.mark.parametrize(
    "sql",
    [
        "COMMIT",
        " /* now */ commit work;",
        "-- first\nROLLBACK",
        "INSERT INTO a VALUES (1); COMMIT",
        "BEGIN",
        "START TRANSACTION",
        "END",
        "abort",
        "PREPARE TRANSACTION 'x'",
        "ROLLBACK AND CHAIN",
        "SELECT E'\\''; COMMIT; --'",  # the backslash ends no string here
        "SELECT '\\'; COMMIT; --'",  # and here it does
        "SELECT $a$ $b$ $a$; COMMIT",
        "/*! COMMIT */",  # MySQL executes it
        "/*!50000 COMMIT */",
        "(COMMIT)",
    ],
)
def test_what_ends_a_transaction(sql: str) -> None:
    """Wherever it stands, and whichever way strings are read."""
    assert ends_transaction(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "SELECT 'a; COMMIT'",
        'SELECT "commit" FROM a',
        "SELECT commit FROM a",
        "SAVEPOINT a",
        "RELEASE SAVEPOINT a",
        "ROLLBACK TO SAVEPOINT a",
        "rollback work to a",
        "PREPARE a AS SELECT 1",
        "SELECT CASE WHEN 1 THEN 2 END",
        "-- commit\nSELECT 1",
        "DO $$ BEGIN PERFORM 1; END $$",
        "CREATE TABLE a (b int)",
    ],
)
def test_what_does_not(sql: str) -> None:
    """Savepoints, words in strings, names and comments."""
    assert not ends_transaction(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "commit",
        "Select SetVal('a', 1)",
        "SELECT \"setval\"('a', 1)",
        "COPY a TO PROGRAM 'cat'",
        "SELECT dblink_exec('a')",
        "SELECT lo_export(1, 'a')",
        "SELECT pg_terminate_backend(1)",
        "SELECT pg_advisory_lock(1)",
        "SELECT PG_TRY_ADVISORY_LOCK(1)",
        "PREPARE a AS SELECT 1",
    ],
)
def test_what_needs_a_closer_look_is_not_plain(sql: str) -> None:
    """Whatever matters to one of the questions is asked all of them."""
    assert ends_transaction(sql) or irrevocable(sql) or stays_with_session(sql)
    assert not is_plain(sql)


@pytest.mark.parametrize("sql", ["SELECT 1", "INSERT INTO committee (trend, beginner) VALUES (1, 2)", "SAVEPOINT a"])
def test_most_statements_are_plain(sql: str) -> None:
    """Words that only contain one of those which matter do not."""
    assert is_plain(sql)


@pytest.mark.parametrize(
    ("sql", "commits"),
    [
        ("CREATE TABLE a (b int)", True),
        ("alter table a add c int", True),
        ("TRUNCATE a", True),
        ("SELECT 1; DROP TABLE a", True),
        ("LOCK TABLES a WRITE", True),
        ("SET autocommit = 1", True),
        ("CREATE TEMPORARY TABLE a (b int)", False),
        ("INSERT INTO a VALUES ('DROP TABLE a')", False),
        ("SET NAMES utf8", False),
    ],
)
def test_what_ends_one_where_changing_tables_commits(sql: str, commits: bool) -> None:
    """On MySQL and Oracle."""
    assert ends_transaction(sql, ddl_commits=True) is commits


@pytest.mark.parametrize(
    ("sql", "is_write"),
    [
        ("SELECT 1", False),
        ("  (SELECT 1) UNION (SELECT 2)", False),
        ("WITH a AS (SELECT 1) SELECT * FROM a", False),
        ("WITH a AS (DELETE FROM b RETURNING *) SELECT * FROM a", True),
        ("SELECT * FROM a FOR UPDATE", False),
        ("SELECT * INTO b FROM a", True),
        ("SELECT replace('a', 'b', 'c')", False),
        ("PRAGMA table_info(a)", False),
        ("PRAGMA user_version = 3", True),
        ("UPDATE a SET b = 1", True),
        ("SELECT 1; DELETE FROM a", True),
        ("VACUUM", True),
        ("SELECT 'insert'", False),
    ],
)
def test_what_writes(sql: str, is_write: bool) -> None:
    """All that is not known to read."""
    assert writes(sql) is is_write


def test_statements_in_other_spellings() -> None:
    """Bytes, and objects that spell themselves for a connection."""

    class Spelled:
        def as_string(self, connection: object) -> str:
            return f"SELECT {connection}"

    assert statement_text("a", None) == "a"
    assert statement_text(b"a", None) == "a"
    assert statement_text(Spelled(), 7) == "SELECT 7"
    assert statement_text(7, None) == "7"


@pytest.mark.parametrize(
    ("sql", "is_harmless"),
    [
        ('SELECT COUNT(*) FROM "rows" WHERE ("rows"."id" IN (1, 2) AND UPPER("name") LIKE UPPER(%s))', True),
        ("(SELECT 1) UNION (SELECT 2)", True),
        ("SELECT 1 FOR UPDATE", True),
        ("SELECT add_row(1)", False),
        ('SELECT "add"(1)', False),
        ("SELECT 1; SELECT 2", False),
        ("SELECT *\nINTO copies FROM rows", False),
        ("WITH a AS (DELETE FROM rows) SELECT 1", False),
        ("INSERT INTO rows SELECT 1", False),
        ("SELECTED", False),
    ],
)
def test_what_certainly_leaves_nothing(sql: str, is_harmless: bool) -> None:
    """One SELECT without functions that may do anything."""
    assert only_reads(sql) is is_harmless


@pytest.mark.parametrize(
    ("sql", "is_single"),
    [
        ("INSERT INTO rows VALUES (1)", True),
        ("\n update rows\nSET a = 1 -- all", True),
        ("DELETE FROM rows;", False),
        ("DELETE FROM rows; SELECT 1", False),
        ("SELECT 1", False),
        ("INSERTED", False),
    ],
)
def test_what_is_one_write(sql: str, is_single: bool) -> None:
    """Behind which something can be put."""
    assert is_single_write(sql) is is_single
