"""What PostgreSQL is told of a probe: when to stop, for whom, and how isolated it is."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.pooler import Pooler, pooler
from tests.support.probe_project import ProbeProject
from tests.support.web_servers import served

pytestmark = pytest.mark.processes

PROBES = """
    import json

    from django.db import connections

    import effects
    from sideeffects.probes import SmokeTest


    class Seeing(SmokeTest):
        def setUp(self):
            with connections["other"].cursor() as cursor:
                cursor.execute(
                    "SELECT 1000 * extract(epoch FROM current_setting('statement_timeout')::interval)::float,"
                    " current_setting('transaction_isolation'),"
                    " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), pg_backend_pid()"
                )
                effects.note("seen", json.dumps([self._testMethodName, *cursor.fetchone()]))

        def run_sql(self, sql):
            with connections["other"].cursor() as cursor:
                cursor.execute(sql)


    class A_Long(Seeing):
        def test_a(self):
            pass

        def test_b(self):
            self.run_sql("SET statement_timeout = 77")

        def test_c(self):
            pass


    class B_Short(Seeing):
        timeout = 2

        def test_d(self):
            pass


    class C_Long(Seeing):
        def test_e(self):
            pass


    class D_Ending(Seeing):
        def test_f(self):
            connections["other"].connection.pgconn.exec_(b"SET statement_timeout = 77; COMMIT")


    class E_Block(Seeing):
        left_open = []

        def test_g(self):
            block = connections["other"].connection.transaction()
            block.__enter__()
            self.left_open.append(block)


    class F_Locking(Seeing):
        def test_h(self):
            self.run_sql("SELECT pg_advisory_lock(4711)")


    class G_Long(Seeing):
        def test_i(self):
            self.run_sql("PREPARE one AS SELECT 1")


    class H_Endless(Seeing):
        timeout = float("inf")

        def test_j(self):
            self.run_sql("PREPARE one AS SELECT pg_advisory_xact_lock(1)")
"""
POOLING = """
    from django.db.backends.postgresql import base


    class DatabaseWrapper(base.DatabaseWrapper):
        def _close(self):
            super()._close()  # a package would keep it
"""


class Seen:
    """What the probes of a run saw, one after the other in one thread."""

    def __init__(self, root: Path, database: dict[str, Any]) -> None:
        project = ProbeProject(root, database)
        project.write("shop/probes.py", PROBES)
        project.write("pooling/__init__.py", "")
        project.write("pooling/base.py", POOLING)
        self.report = project.probe("--parallel", "1", code=1)
        self._seen = [json.loads(line) for line in (root / "seen").read_text().splitlines()]
        assert [name for name, *_ in self._seen] == [f"test_{letter}" for letter in "abcdefghij"]

    @property
    def limits(self) -> str:
        """The statement timeout of each: long, short, endless, or that of the server."""
        known = {"long": (29_000, 33_001), "short": (1_500, 2_200), "endless": (1e9, 2e9)}
        return " ".join(
            next((name for name, (least, most) in known.items() if least < limit <= most), f"{limit:g}")
            for _, limit, *_ in self._seen
        )

    @property
    def isolations(self) -> set[str]:
        return {isolation for _, _, isolation, *_ in self._seen}

    @property
    def locks(self) -> int:
        """How many advisory locks others held at the start of a probe."""
        return sum(locks for *_, locks, _ in self._seen)

    @property
    def sessions(self) -> list[int]:
        """The session of each, as numbers from 0."""
        numbers = [number for *_, number in self._seen]
        return [list(dict.fromkeys(numbers)).index(number) for number in numbers]


@pytest.fixture
def direct(postgres: dict[str, Any]) -> Iterator[Pooler]:
    with pooler(postgres, gives_numbers=False) as made:
        yield made


def told(made: Pooler) -> list[str]:
    """What the server was told of timeouts, without numbers."""
    found = [re.findall(r"SET (?:LOCAL )?statement_timeout = \d{3,}", statement) for statement in made.statements]
    return [re.sub(r" = \d+", "", one) for each in found for one in each]


def test_the_server_ends_what_takes_longer_than_the_probe_may(tmp_path: Path, direct: Pooler) -> None:
    """A session of the probes' own is told only when that changes; what a probe sets is undone with it."""
    seen = Seen(tmp_path, direct.described)
    assert seen.limits == "long long long short long long long long long endless"
    # A session is used no more when a probe has committed in it, or has left something with it: a block of the driver's
    # that is open, a lock, a prepared statement.
    assert seen.sessions == [0, 0, 0, 0, 0, 0, 1, 2, 3, 4]
    assert told(direct) == ["SET statement_timeout"] * 7
    assert [probe["id"] for probe in seen.report["probes"] if "has ended before the probe did" in probe["message"]] == [
        "shop.probes.D_Ending.test_f"
    ]


ONE_AFTER_THE_OTHER = """
    import psycopg
    from django.db import connections

    import effects
    from sideeffects.probes import SmokeTest
    from shop.models import Row

    pids = []
    others = []


    class InTurns(SmokeTest):
        def past_django(self, sql):
            return others[0].execute(sql).fetchone()[0]

        def test_a_writes_and_locks(self):
            parameters = connections["other"].get_connection_params()
            parameters.pop("cursor_factory", None)
            others.append(psycopg.connect(**parameters, autocommit=True))
            Row.objects.using("other").create(name="x")
            with connections["other"].cursor() as cursor:
                # Removing their files, the server takes a while to roll back.
                cursor.execute(
                    "DO $$ BEGIN FOR i IN 1..500 LOOP EXECUTE format('CREATE TABLE t%s (i serial)', i);"
                    " END LOOP; END $$"
                )
                cursor.execute("LOCK TABLE shop_row IN ACCESS EXCLUSIVE MODE")
                cursor.execute("SELECT pg_backend_pid()")
                pids.append(cursor.fetchone()[0])

        def test_b_finds_nothing_locked_before_it_uses_the_session(self):
            with others[0].transaction():
                others[0].execute("LOCK TABLE shop_row IN ACCESS EXCLUSIVE MODE NOWAIT")
                self.assertEqual(self.past_django("SELECT count(*) FROM shop_row"), 0)
            with connections["other"].cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                self.assertEqual(cursor.fetchone()[0], pids[0])

        def test_c_survives_the_end_of_the_session(self):
            self.assertTrue(self.past_django(f"SELECT pg_terminate_backend({pids[0]}, 5000)"))
            self.assertEqual(Row.objects.using("other").count(), 0)
"""


def test_who_comes_next_waits_for_no_rollback(tmp_path: Path, postgres: dict[str, Any]) -> None:
    """It is asked for when a probe is over, and has been answered when the next one begins; the session is kept."""
    project = ProbeProject(tmp_path, postgres)
    project.manage("migrate", "--database=other", "--verbosity=0")
    project.write("shop/probes.py", ONE_AFTER_THE_OTHER)
    report = project.probe("--parallel", "1")
    assert [probe["outcome"] for probe in report["probes"]] == ["passed"] * 3, report["probes"]


@pytest.mark.parametrize("kind", ["pooler", "Django's pool", "package"])
def test_a_session_that_others_use_is_told_for_a_transaction_only(
    tmp_path: Path, postgres: dict[str, Any], kind: str
) -> None:
    """Poolers tell clients numbers of their own; Django's pool, and packages that keep connections, are known."""
    with pooler(postgres, gives_numbers=kind == "pooler") as made:
        described = made.described
        if kind == "Django's pool":
            described["OPTIONS"]["pool"] = {"min_size": 1, "max_size": 1}
        if kind == "package":
            described["ENGINE"] = "pooling"
        seen = Seen(tmp_path, described)
        assert seen.limits == "long long long short long long long long long endless"
        assert seen.locks == 0
        assert told(made) == ["SET LOCAL statement_timeout"] * 10


def test_a_stricter_limit_and_an_isolation_of_the_settings_hold(tmp_path: Path, direct: Pooler) -> None:
    """Probes meet the database as the application does."""
    described = direct.described
    described["OPTIONS"] |= {"options": "-c statement_timeout=5s", "isolation_level": 4}
    seen = Seen(tmp_path, described)
    assert seen.limits == "5000 5000 5000 short 5000 5000 5000 5000 5000 5000"
    assert seen.isolations == {"serializable"}


WEB = """
    import time

    import effects
    from django.db import connection
    from shop.models import Row
    from sideeffects.probes import SmokeTest


    class Orders(SmokeTest):
        tags = ["quick"]

        def test_order(self):
            effects.note("attempted", "a run")
            Row.objects.create(name="x")
            effects.attempt("an order")
            time.sleep(0.3)
            self.assertEqual(Row.objects.count(), 1)

        async def test_async_order(self):
            await Row.objects.acreate(name="x")
            self.assertEqual(await Row.objects.acount(), 1)


    class Hangs(SmokeTest):
        timeout = 0.4

        def test_locks(self):
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE shop_row IN ACCESS EXCLUSIVE MODE")
                cursor.execute("SELECT pg_sleep(30)")
"""


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_behind_the_view(tmp_path: Path, postgres: dict[str, Any], kind: str) -> None:
    """A burst is one run, whose rows nobody else sees; what a probe locks that hangs is free at its timeout."""
    project = ProbeProject(tmp_path)
    project.write("shop/probes.py", WEB)
    database = {**postgres, "ATOMIC_REQUESTS": True, "CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
    more = json.dumps({"DATABASES": {"default": database}})
    project.manage("migrate", "--verbosity=0", MORE_SETTINGS=more)
    bearer = {"Authorization": "Bearer t0ken"}
    with (
        served(project, kind, PROBES=json.dumps({"TOKEN": "t0ken"}), MORE_SETTINGS=more) as server,
        ThreadPoolExecutor(120) as pool,
    ):
        burst = [pool.submit(server.ask, "probe/?tag=quick", **bearer) for _ in range(100)]
        others = [pool.submit(server.ask, "rows/") for _ in range(20)]
        assert {answer.result().status for answer in burst} == {200}
        assert {answer.result().text for answer in others} == {"0"}
        assert (project.attempted["a run"], dict(project.executed)) == (1, {})
        assert "its timeout of 0.4 s" in server.ask("probe/?label=shop.Hangs", **bearer).text
        assert server.ask("rows/").text == "0"


IN_A_TEST = """
    from django.db import connection
    from django.test import TestCase

    from shop.models import Row
    from sideeffects.probes import ProbeRunner, SmokeTest
    from sideeffects.probes.case import specs_of
    from sideeffects.probes.specs import FoundProbes


    def probes():
        class Reading(SmokeTest):
            read_only = True

            def test_1_reads(self):
                self.assertEqual(Row.objects.count(), 1)

            def test_2_writes(self):
                Row.objects.create(name="written")

            def test_3_wants_to_write(self):
                with connection.cursor() as cursor:
                    cursor.execute("SET TRANSACTION READ WRITE")

        class Writing(SmokeTest):
            def test_4_writes(self):
                Row.objects.create(name="written")
                self.assertEqual(Row.objects.count(), 2)

        return FoundProbes((*specs_of(Reading, "", ""), *specs_of(Writing, "", "")))


    class InATest(TestCase):
        def test_it(self):
            Row.objects.create(name="before")
            results = ProbeRunner().run(probes())
            self.assertEqual(
                [probe.outcome for probe in results.probes], ["passed", "errored", "errored", "passed"], results.probes
            )
            self.assertIn("read-only transaction", results.probes[1].message)
            Row.objects.create(name="after")
            self.assertEqual(Row.objects.count(), 2)
            with connection.cursor() as cursor:
                cursor.execute("SHOW statement_timeout")
                self.assertEqual(cursor.fetchone(), ("0",))
"""


def test_inside_a_test_case(tmp_path: Path, postgres: dict[str, Any]) -> None:
    """Read-only probes are so in a savepoint as well, and the test's own connection is left as it was."""
    project = ProbeProject(tmp_path)
    project.write("shop/tests.py", IN_A_TEST)
    more = json.dumps({"DATABASES": {"default": postgres}})
    assert "Ran 1 test" in project.manage("test", "shop", MORE_SETTINGS=more).stderr
