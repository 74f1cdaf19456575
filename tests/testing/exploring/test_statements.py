"""What a statement touches: never less than it does."""

import pytest

from sideeffects.testing.exploring.catalog import Catalog, Table
from sideeffects.testing.exploring.footprints import ALL, Access, Footprint, matters
from sideeffects.testing.exploring.statements import Statement, Transaction, looked_at, shape_of

CATALOG = Catalog(
    "postgresql",
    "here",
    {
        "app_order": Table('"app_order"', cascades={"app_line"}),
        "app_line": Table('"app_line"', parents={"app_order"}),
        "app_log": Table('"app_log"'),
    },
    {"app_view", "do_something"},
)
R, S, L, P = Access


def seen(sql: str, *, inside: bool = False, level: str = "read committed", vendor: str = "postgresql") -> Statement:
    catalog = Catalog(vendor, CATALOG.place, CATALOG.tables, CATALOG.opaque)
    return looked_at(sql, catalog, Transaction(level), is_inside=inside)


def shown(footprint: Footprint) -> set[tuple[str, Access]]:
    return {(resource.name, access) for resource, access in footprint if resource.kind == "table"}


@pytest.mark.parametrize(
    ("sql", "outside", "inside"),
    [
        ('SELECT "app_order"."id" FROM "app_order"', {("app_order", R)}, {("app_order", R)}),
        ("SELECT 1", set(), set()),
        ('SELECT * FROM "app_log" FOR UPDATE', {("app_log", L)}, {("app_log", L)}),
        ("SELECT x FROM app_log FOR NO KEY UPDATE", {("app_log", L)}, {("app_log", L)}),
        ('UPDATE "app_log" SET "n" = %s', {("app_log", P)}, {("app_log", L)}),
        (
            'INSERT INTO "app_line" ("n") VALUES (%s) RETURNING "app_line"."id"',
            {("app_line", P), ("app_order", S)},
            {("app_line", L), ("app_order", S)},
        ),
        (  # its lines go with it
            "DELETE FROM app_order WHERE id IN (SELECT n FROM app_log)",
            {("app_log", R), ("app_order", P), ("app_line", P)},
            {("app_log", R), ("app_order", L), ("app_line", L)},
        ),
        (
            "WITH gone AS (DELETE FROM app_log RETURNING n) SELECT * FROM gone",
            {("app_log", P)},
            {("app_log", L)},
        ),
        (
            'INSERT INTO "app_log" ("n") VALUES (%s) ON CONFLICT ("n") DO UPDATE SET "n" = 1',
            {("app_log", P)},
            {("app_log", L)},
        ),
        ("SELECT n FROM \"it's\", app_log WHERE x = 'y'", {("app_log", R)}, {("app_log", R)}),
        ("DECLARE x CURSOR FOR SELECT 1", set(), set()),
        ("DECLARE x CURSOR FOR SELECT * FROM app_log", {(ALL, P)}, {(ALL, P)}),
        ("FETCH x", {(ALL, P)}, {(ALL, P)}),
        ("EXPLAIN ANALYZE UPDATE app_log SET n = 1", {(ALL, P)}, {(ALL, P)}),
        ("INSERT INTO of_nobody SELECT * FROM app_log", {(ALL, P)}, {(ALL, P)}),
        ("SELECT 'app_order' AS word -- app_log", set(), set()),
        ("SELECT * FROM app_view", {(ALL, P)}, {(ALL, P)}),
        ("SELECT do_something()", {(ALL, P)}, {(ALL, P)}),
        ("SELECT nextval('x')", {(ALL, P)}, {(ALL, P)}),
        ("CALL anything()", {(ALL, P)}, {(ALL, P)}),
        ("SELECT 1; DELETE FROM app_log", {(ALL, P)}, {(ALL, P)}),
        ("TRUNCATE app_log", {(ALL, P)}, {(ALL, P)}),
        ('SAVEPOINT "s1_x1"', set(), set()),
    ],
)
def test_what_is_touched(sql: str, outside: set[tuple[str, Access]], inside: set[tuple[str, Access]]) -> None:
    """Names of tables, what refers to them and what goes with them; and all where nobody can tell."""
    assert shown(seen(sql).footprint) == outside
    assert shown(seen(sql, inside=True).footprint) == inside


def test_what_is_written() -> None:
    """Cascades too; `None` where it may be anything."""
    assert seen('DELETE FROM "app_order"').written == {"app_order", "app_line"}
    assert seen('SELECT * FROM "app_order" FOR UPDATE').written == set()
    assert seen("SELECT do_something()").written is None
    assert seen("CREATE TABLE x (n int)").changes_schema
    assert seen("  alter table app_log add x int").changes_schema


def test_isolation_levels() -> None:
    """From REPEATABLE READ on, the first statement sees all tables as they are then."""
    assert (ALL, R) in shown(seen("SELECT 1 FROM app_log", inside=True, level="repeatable read").footprint)
    assert (ALL, R) not in shown(seen("SELECT 1 FROM app_log", level="repeatable read").footprint)
    assert shown(seen("SELECT 1 FROM app_log", inside=True, level="serializable").footprint) == {(ALL, P)}
    assert shown(seen("UPDATE app_log SET n = 1", inside=True, vendor="sqlite").footprint) == {(ALL, P)}
    uncommitted = seen("SELECT 1 FROM app_log", level="read uncommitted", vendor="mysql")
    assert matters(uncommitted.footprint, seen("UPDATE app_log SET n = 1", inside=True).footprint)


def test_mysql() -> None:
    """Locking reads of MySQL see what is there now; it locks what it reads for writing, and has comments that act."""
    assert not seen("UPDATE app_log SET n = 1", inside=True, level="repeatable read", vendor="mysql").takes_snapshot
    assert seen("SELECT 1 FROM app_log", inside=True, level="repeatable read", vendor="mysql").takes_snapshot
    copying = seen("INSERT INTO app_line SELECT 1 FROM app_log", inside=True, vendor="mysql")
    assert ("app_log", S) in shown(copying.footprint)
    both = seen("UPDATE app_line JOIN app_log SET app_log.n = 1", inside=True, vendor="mysql")
    assert both.written == {"app_line", "app_log"}
    for sql in ("SELECT 1 /*!50000 FROM app_log */", "SELECT 1 # it's\n FROM app_log"):
        assert shown(seen(sql, vendor="mysql").footprint) == {(ALL, P)}


def test_what_matters_to_what() -> None:
    """Readers to nobody but what is published; locks to locks; shares to locks; the end of it to all of them."""
    read, write = seen("SELECT 1 FROM app_log").footprint, seen("UPDATE app_log SET n = 1", inside=True).footprint
    line = seen("INSERT INTO app_line (n) VALUES (1)", inside=True).footprint
    order = seen("SELECT id FROM app_order FOR UPDATE", inside=True).footprint
    transaction = Transaction("read committed", touched=set(write))
    end = transaction.footprint_of_end(CATALOG)
    assert not matters(read, read)
    assert not matters(read, write)
    assert matters(write, write)
    assert matters(read, end)
    assert matters(end, write)
    assert matters(line, order)
    assert not matters(write, line)
    assert matters(read, seen("CALL anything()").footprint)
    assert not Transaction("read committed").footprint_of_end(CATALOG)


def test_shapes() -> None:
    """The same code gives the same, whatever the values are."""
    assert shape_of("SELECT 'a', 12") == shape_of("SELECT 'it''s',  3.5")
    assert shape_of('SAVEPOINT "s140_x3"') == shape_of('SAVEPOINT "s7_x1"')
    assert shape_of("SELECT a") != shape_of("SELECT b")
