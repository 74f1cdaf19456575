"""Probes on a real MariaDB, by PyMySQL and by mysqlclient where that is installed."""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.mariadb_server import ENDING, IRREVOCABLE, connect, mariadb_server
from tests.support.probe_project import ProbeProject
from tests.support.settling import settled

pytestmark = pytest.mark.processes

PROBES = '''
    import contextlib
    import json
    import threading
    import time

    import effects
    from django.db import connections, transaction
    from shop.models import Row
    from sideeffects.probes import SmokeTest

    ENDING, IRREVOCABLE = json.loads(STATEMENTS)
    held = threading.Event()


    class OnMariaDB(SmokeTest):
        def sql(self, *statements):
            with connections["other"].cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []

        @property
        def rows(self):
            return Row.objects.using("other")


    class First(OnMariaDB):
        def test_create(self):
            """Django asks the server for its version here, and would close the connection behind that."""
            self.rows.create(name="x")
            self.assertEqual(self.rows.count(), 1)


    class Rows(OnMariaDB):
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

        def test_commit_of_the_driver(self):
            self.rows.create(name="x")
            with contextlib.suppress(Exception):
                connections["other"].connection.commit()

        def test_commit_past_the_driver(self):
            self.rows.create(name="x")
            with contextlib.suppress(Exception):
                type(connections["other"].connection).commit(connections["other"].connection)

        def test_query_of_the_driver(self):
            self.rows.create(name="x")
            with contextlib.suppress(Exception):
                connections["other"].connection.query("COMMIT")

        def test_without_transactions(self):
            self.sql("INSERT INTO without_transactions VALUES (1)")

        def test_temporary(self):
            self.sql("CREATE TEMPORARY TABLE passing (id int)", "INSERT INTO passing VALUES (1)")
            self.assertEqual(self.sql("SELECT count(*) FROM passing")[0][0], 1)


    def ends(number, statement):
        def test(self):
            self.rows.create(name="x")
            for part in [statement] if "NOT ATOMIC" in statement else statement.split("; "):
                self.sql(part)

        return test


    def swallows(test):
        def swallowing(self):
            with contextlib.suppress(Exception):
                test(self)

        return swallowing


    tests = {f"test_{number}": ends(number, statement) for number, statement in enumerate(ENDING)}
    Ends = type("Ends", (OnMariaDB,), tests)
    Swallows = type("Swallows", (OnMariaDB,), {name: swallows(test) for name, test in tests.items()})
    Irrevocable = type("Irrevocable", (OnMariaDB,), {f"test_{n}": ends(n, one) for n, one in enumerate(IRREVOCABLE)})


    class Session(OnMariaDB):
        def test_a_sets(self):
            self.sql(
                "SET time_zone = '+05:00'", "SET @x = 5", "SET foreign_key_checks = 0", "SET sql_mode = ''",
                "SELECT GET_LOCK('job', 0)", "CREATE TEMPORARY TABLE kept (id int)", "PREPARE kept FROM 'SELECT 1'",
            )

        def test_b_sees_nothing(self):
            (seen,) = self.sql("SELECT @@time_zone = '+05:00', @x, @@foreign_key_checks, IS_FREE_LOCK('job')")
            self.assertEqual(seen, (0, None, 1, 1))
            self.assertNotEqual(self.sql("SELECT @@sql_mode"), (("",),))
            for statement in ("SELECT * FROM kept", "EXECUTE kept"):
                with self.assertRaises(Exception), transaction.atomic(using="other"):
                    self.sql(statement)


    class Reads(OnMariaDB):
        read_only = True

        def test_reads(self):
            self.assertEqual(self.rows.count(), 0)

        def test_writes(self):
            self.rows.create(name="x")

        def test_function_that_writes(self):
            self.sql("SELECT writes()")

        def test_table_without_transactions(self):
            self.sql("INSERT INTO without_transactions VALUES (1)")

        def test_writes_after_asking_for_it(self):
            with contextlib.suppress(Exception):
                self.sql("SET SESSION tx_read_only = 0")
            self.rows.create(name="x")


    class Deadlock(OnMariaDB):
        def test_swallowed(self):
            """The server rolls back the transaction that has written less, and the probe goes on."""
            self.rows.create(name="x")
            self.sql("UPDATE locked SET number = 2 WHERE id = 1")
            thread = threading.Thread(target=self.work_against_it)
            thread.start()
            held.wait(20)
            with contextlib.suppress(Exception):
                self.sql("UPDATE locked SET number = 2 WHERE id = 2")
            thread.join()
            self.fail("it goes on")

        def work_against_it(self):
            import MySQLdb

            with contextlib.closing(MySQLdb.connect(**connections["other"].get_connection_params())) as another:
                cursor = another.cursor()
                cursor.execute("UPDATE locked SET number = 3 WHERE id >= 2")
                held.set()
                with contextlib.suppress(Exception):
                    cursor.execute("UPDATE locked SET number = 3 WHERE id = 1")
                another.rollback()


    class Hangs(OnMariaDB):
        timeout = 1

        def test_asleep(self):
            self.sql("INSERT INTO held VALUES (1)", "SELECT SLEEP(30)")

        def test_holding_a_lock(self):
            self.sql("INSERT INTO held VALUES (2)")
            time.sleep(30)


    class IsFree(OnMariaDB):
        def test_free(self):
            self.sql("INSERT INTO held VALUES (1), (2)")
'''


DRIVERS = ["pymysql", *(["mysqlclient"] if importlib.util.find_spec("MySQLdb") else [])]
TABLES = [
    "CREATE TABLE without_transactions (id int) ENGINE=MyISAM",
    "CREATE TABLE held (id int PRIMARY KEY)",
    "CREATE TABLE locked (id int PRIMARY KEY, number int)",
    "INSERT INTO locked SELECT seq, 1 FROM seq_1_to_50",
    "CREATE PROCEDURE commits() COMMIT",
    "CREATE FUNCTION writes() RETURNS int BEGIN INSERT INTO shop_row (name) VALUES ('x'); RETURN 1; END",
]


class Ran:
    """All of these, run once by one thread, and what they left."""

    def __init__(self, root: Path, database: dict[str, Any], driver: str) -> None:
        project = ProbeProject(root, database)
        project.environment |= {"MYSQL_DRIVER": driver, "DOWN": ""}
        statements = json.dumps([ENDING, IRREVOCABLE])
        project.write("shop/probes.py", PROBES.replace("STATEMENTS", repr(statements)))
        for alias in ("default", "other"):
            project.manage("migrate", "--verbosity=0", f"--database={alias}")
        with connect(database) as connection, connection.cursor() as cursor:
            for statement in TABLES:
                cursor.execute(statement)
            self.probes: dict[str, Any] = project.probe("--parallel", "1", code=1)["by_name"]
            tables = ("shop_row", "held", "without_transactions")
            self.left = {table: _count(cursor, f"SELECT count(*) FROM {table}") for table in tables}
            sessions = "SELECT count(*) FROM information_schema.processlist WHERE db = database()"
            self.sessions = settled(lambda: _count(cursor, sessions), 1)

    def of(self, name: str) -> tuple[str, str]:
        """The outcome and the message of a probe."""
        return self.probes[name]["outcome"], self.probes[name]["message"]


def _count(cursor: Any, query: str) -> int:
    cursor.execute(query)
    return int(cursor.fetchone()[0])


@pytest.fixture(scope="module", params=DRIVERS)
def ran(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Ran]:
    """By each driver."""
    with mariadb_server() as database:
        yield Ran(tmp_path_factory.mktemp("project"), database, request.param)


def test_nothing_stays(ran: Ran) -> None:
    """No row but that in the table without transactions, and no session."""
    assert ran.left == {"shop_row": 0, "held": 0, "without_transactions": 1}
    assert ran.sessions == 1, "there is another one than the test's own"


@pytest.mark.parametrize(
    "name",
    [
        "First.test_create",
        "Rows.test_async",
        "Rows.test_blocks",
        "Rows.test_temporary",
        "Session.test_a_sets",
        "Session.test_b_sees_nothing",
        "Reads.test_reads",
        "IsFree.test_free",
    ],
)
def test_what_is_allowed_passes(ran: Ran, name: str) -> None:
    """What a probe sets for its session is not seen by the next one, and what one that hung has locked is free."""
    assert ran.of(name) == ("passed", "")


@pytest.mark.parametrize("number", range(len(ENDING)), ids=list(map(ascii, ENDING)))
def test_what_ends_a_transaction_is_refused(ran: Ran, number: int) -> None:
    """In every spelling, out of procedures and variables too, and also where the probe swallows the refusal."""
    for kind in ("Ends", "Swallows"):
        outcome, message = ran.of(f"{kind}.test_{number}")
        assert (outcome, "can neither commit nor end its transaction" in message) == ("errored", True), message
        assert kind == "Ends" or "probes.py:" in message


@pytest.mark.parametrize("name", ["commit_of_the_driver", "commit_past_the_driver", "query_of_the_driver"])
def test_the_driver_is_refused_too(ran: Ran, name: str) -> None:
    """Whatever of it the probe calls."""
    outcome, _ = ran.of(f"Rows.test_{name}")
    assert outcome == ("passed" if name == "commit_past_the_driver" else "errored")


def test_what_no_rollback_takes_back_is_refused_or_said(ran: Ran) -> None:
    """Settings of the server are refused; of tables without transactions the server tells when it rolls back."""
    for number in range(len(IRREVOCABLE)):
        outcome, message = ran.of(f"Irrevocable.test_{number}")
        assert (outcome, "a probe leaves nothing behind" in message) == ("errored", True), message
    outcome, message = ran.of("Rows.test_without_transactions")
    assert (outcome, "a table that knows no transactions" in message) == ("errored", True), message


@pytest.mark.parametrize(
    "name", ["writes", "function_that_writes", "table_without_transactions", "writes_after_asking_for_it"]
)
def test_reading_only_is_meant(ran: Ran, name: str) -> None:
    """The server refuses what writes, by whatever way."""
    outcome, message = ran.of(f"Reads.test_{name}")
    assert (outcome, "READ ONLY transaction" in message) == ("errored", True), message


def test_a_transaction_that_the_server_has_ended_is_an_error(ran: Ran) -> None:
    """Also where the probe swallows the deadlock."""
    outcome, message = ran.of("Deadlock.test_swallowed")
    assert outcome == "errored"
    assert "the transaction of this probe on the database 'other' has ended before the probe did" in message


def test_what_hangs_ends_on_the_server(ran: Ran) -> None:
    """A statement that runs, and a session that only holds locks."""
    for name in ("asleep", "holding_a_lock"):
        assert ran.of(f"Hangs.test_{name}") == ("errored", "it took longer than its timeout of 1 s")
