"""Probes on a real PostgreSQL by psycopg2, in an environment that has no psycopg 3."""

from typing import Any

import psycopg
import pytest

from tests.support.probe_project import ProbeProject
from tests.support.settling import settled

pytest.importorskip("psycopg2", reason="psycopg2 has no wheel for this Python")
pytestmark = pytest.mark.processes

PROBES = """
    import contextlib
    import time

    from django.db import connections, transaction
    from shop.models import Row
    from sideeffects.probes import SmokeTest


    class OnPostgreSQL(SmokeTest):
        @property
        def rows(self):
            return Row.objects.using("other")

        @property
        def raw(self):
            connections["other"].ensure_connection()
            return connections["other"].connection

        def sql(self, statement):
            with connections["other"].cursor() as cursor:
                cursor.execute(statement)


    class Allowed(OnPostgreSQL):
        def test_blocks(self):
            with transaction.atomic(using="other"):
                self.rows.create(name="a")
                with contextlib.suppress(ZeroDivisionError), transaction.atomic(using="other"):
                    self.rows.create(name="b")
                    1 / 0
            self.assertEqual(self.rows.count(), 1)

        async def test_async(self):
            await self.rows.acreate(name="x")
            self.assertEqual(await self.rows.acount(), 1)

        def test_schema(self):
            self.sql("CREATE TABLE passing (id int)")

        def test_iterator(self):
            self.rows.create(name="x")
            self.assertEqual(len(list(self.rows.iterator())), 1)


    class Commits(OnPostgreSQL):
        def test_method(self):
            self.rows.create(name="x")
            with contextlib.suppress(Exception):
                self.raw.commit()

        def test_block(self):
            with contextlib.suppress(Exception), self.raw:
                self.rows.create(name="x")

        def test_statement(self):
            self.rows.create(name="x")
            with contextlib.suppress(Exception):
                self.raw.cursor().execute("COMMIT")

        def test_autocommit(self):
            self.rows.create(name="x")
            self.raw.autocommit = True


    class Unseen(OnPostgreSQL):
        def test_rollback(self):
            type(self.raw).rollback(self.raw)


    class Irrevocable(OnPostgreSQL):
        def test_setval(self):
            self.sql("SELECT setval('counting', 500)")


    class Session(OnPostgreSQL):
        def test_a_locks(self):
            self.sql("SELECT pg_advisory_lock(7)")
            self.sql("SET search_path = nowhere")

        def test_b_is_free(self):
            self.sql("SELECT 1 / count(*) FROM (SELECT 1) AS one WHERE pg_try_advisory_lock(7)")


    class Reads(OnPostgreSQL):
        read_only = True

        def test_function(self):
            self.sql("SELECT writes()")

        def test_writes_after_asking_for_it(self):
            with contextlib.suppress(Exception), transaction.atomic(using="other"):
                self.sql("SET TRANSACTION READ WRITE")
            self.rows.create(name="x")


    class Hangs(OnPostgreSQL):
        timeout = 1

        def test_asleep(self):
            self.rows.create(name="x")
            self.sql("SELECT pg_sleep(60)")
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, postgres: dict[str, Any]) -> dict[str, Any]:
    """All of these, run once by one thread, and what they left."""
    project = ProbeProject(tmp_path_factory.mktemp("project"), postgres)
    project.write("psycopg.py", 'raise ImportError("there is none")')
    project.write("shop/probes.py", PROBES)
    for alias in ("default", "other"):
        project.manage("migrate", "--verbosity=0", f"--database={alias}")
    given = {key: postgres[name] for key, name in (("user", "USER"), ("password", "PASSWORD"), ("host", "HOST"))}
    with psycopg.connect(dbname=postgres["NAME"], port=postgres["PORT"] or None, autocommit=True, **given) as server:
        server.execute("CREATE SEQUENCE counting")
        server.execute(
            "CREATE FUNCTION writes() RETURNS int LANGUAGE sql AS "
            "$$ INSERT INTO shop_row (name) VALUES ('x'); SELECT 1 $$"
        )
        ran = project.probe("--parallel", "1", code=1)["by_name"]
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        ran["sessions"] = settled(lambda: server.execute(query, [postgres["NAME"]]).fetchone(), (0,))
        ran["rows"] = server.execute("SELECT count(*) FROM shop_row").fetchone()
        server.execute("DROP SEQUENCE counting; DROP FUNCTION writes()")
    return ran


def test_nothing_stays(ran: dict[str, Any]) -> None:
    """No row, and no session: the statement of the probe that hangs has ended on the server."""
    assert (ran["rows"], ran["sessions"]) == ((0,), (0,))
    assert ran["Hangs.test_asleep"]["message"] == "it took longer than its timeout of 1 s"


@pytest.mark.parametrize(
    "name",
    [*(f"Allowed.test_{name}" for name in ("blocks", "async", "schema", "iterator")), "Session.test_b_is_free"],
)
def test_what_is_allowed_passes(ran: dict[str, Any], name: str) -> None:
    """What a probe has left with its session is not seen by the next one."""
    assert (ran[name]["outcome"], ran[name]["message"]) == ("passed", "")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Commits.test_method", "this one tried to: commit() of the driver's connection"),
        ("Commits.test_block", "this one tried to: commit() of the driver's connection"),
        ("Commits.test_statement", "this one tried to: COMMIT"),
        ("Commits.test_autocommit", "cannot be used inside a transaction"),
        ("Unseen.test_rollback", "has ended before the probe did"),
        ("Irrevocable.test_setval", "sets a sequence, which no rollback takes back"),
        ("Reads.test_function", "read-only transaction"),
        ("Reads.test_writes_after_asking_for_it", "read-only transaction"),
    ],
)
def test_what_is_not_allowed_is_an_error(ran: dict[str, Any], name: str, said: str) -> None:
    """By the driver's methods and by what the server refuses, as with psycopg 3."""
    assert (ran[name]["outcome"], said in ran[name]["message"]) == ("errored", True), ran[name]["message"]
