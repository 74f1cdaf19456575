"""Shared ledgers with several processes, on real servers: nothing is lost, whatever is written at once."""

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.mariadb_server import mariadb_server
from tests.support.memcached_server import memcached_server
from tests.support.postgres_server import postgres_server
from tests.support.projects import Project
from tests.support.redis_server import redis_server

pytestmark = pytest.mark.processes

#: What the programs here begin with: settings from the environment, and an effect that is recorded in production.
BEGIN = """
import json
import os
import sys
import time

import django
from django.conf import settings

given = json.loads(os.environ["GIVEN"])
settings.configure(
    USE_TZ=True, DATABASES=given["databases"], CACHES=given["caches"],
    SIDE_EFFECTS={"MODE": "RECORD", "LEDGER": given["ledger"]},
)
django.setup()
from django.core.cache import caches
from django.core.management import call_command
from django.db import connections, transaction

from sideeffects import force_run, run_side_effects, side_effect
from sideeffects.ledgers import shared_calls
from sideeffects.saferunner import assert_call_count, clear_run_cache, get_process_run

@side_effect(name="sms.send")
def send(process, number):
    raise SystemExit("it ran")

def in_processes(count, work):
    '''Fork, let all begin at once, and wait.'''
    connections.close_all()
    ready, go = os.pipe()
    children = []
    for process in range(count):
        child = os.fork()
        if not child:
            os.close(go)
            os.read(ready, 1)
            code = 1
            try:
                work(process)
                code = 0
            finally:
                sys.stderr.flush()
                os._exit(code)
        children.append(child)
    os.close(ready)
    os.close(go)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * count
"""

MANY = """
    if given["databases"]:
        call_command("createcachetable", verbosity=0)
    clear_run_cache()

    def write(process):
        # Half of them one by one, half of them in lists.
        for number in range(100):
            send(process, number)
        run_side_effects("shared", [(send, {"process": process, "number": n}) for n in range(100, 200)])

    started = time.perf_counter()
    in_processes(8, write)
    print(f"{time.perf_counter() - started:.2f} s", file=sys.stderr)
    calls = list(shared_calls())
    assert_call_count("shared", 800)
    assert shared_calls().dropped == 0
    in_order = all(
        [call.arguments["number"] for call in calls if call.arguments["process"] == process] == list(range(200))
        for process in range(8)
    )
    print(len(calls), len({(call.arguments["process"], call.arguments["number"]) for call in calls}), in_order)
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A folder for programs."""
    return Project(tmp_path)


@pytest.fixture(scope="module")
def redis() -> Iterator[dict[str, Any]]:
    """The settings of a cache on Redis."""
    with redis_server() as url:
        yield {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": url}


@pytest.fixture(scope="module")
def postgres() -> Iterator[dict[str, Any]]:
    """The settings of a database on PostgreSQL."""
    with postgres_server() as database:
        yield database


def database_cache(max_entries: int = 100_000) -> dict[str, Any]:
    """The settings of a cache in the database."""
    return {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "cache_table",
        "OPTIONS": {"MAX_ENTRIES": max_entries},
    }


def run(project: Project, program: str, cache: Any = None, database: Any = None, ledger: Any = None) -> str:
    """What a program prints, with these settings."""
    given = {
        "databases": {"default": database} if database else {},
        "caches": {"default": cache or {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
        "ledger": ledger or {"BACKEND": "cache", "ALIAS": "default"},
    }
    source = BEGIN + textwrap.dedent(program)
    return project.program(source, environment={"GIVEN": json.dumps(given)}).strip()


# -- eight processes, two hundred records each


def test_redis_keeps_all_records_of_eight_processes(project: Project, redis: Any) -> None:
    """Each once, and those of each process in order."""
    assert run(project, MANY, redis) == "1600 1600 True"


def test_the_database_cache_on_postgresql_keeps_all_records_of_eight_processes(project: Project, postgres: Any) -> None:
    """Each once, and those of each process in order."""
    assert run(project, MANY, database_cache(), postgres) == "1600 1600 True"


def test_the_database_cache_on_mariadb_keeps_all_records(project: Project) -> None:
    """Each once, and those of each process in order; they outlive a rollback of the caller's."""
    with mariadb_server() as given:
        mariadb = {**given, "ENGINE": "tests.support.pymysql_backend"}
        assert run(project, MANY, database_cache(), mariadb) == "1600 1600 True"
        assert run(project, TRANSACTIONS, database_cache(), mariadb).splitlines() == AFTER_TRANSACTIONS


def test_a_file_keeps_all_records_of_eight_processes(project: Project, tmp_path: Path) -> None:
    """Each once, and those of each process in order."""
    ledger = {"BACKEND": "file", "PATH": str(tmp_path / "ledger.jsonl")}
    assert run(project, MANY, ledger=ledger) == "1600 1600 True"


def test_memcached_keeps_all_records_of_eight_processes(project: Project) -> None:
    """By Django's backend and a real client; the server is the real one where a variable names it."""
    with memcached_server() as where:
        cache = {"BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache", "LOCATION": where}
        assert run(project, MANY, cache) == "1600 1600 True"
        program = """
            from sideeffects.errors import LedgerError

            clear_run_cache()
            with force_run(send):
                try:
                    send("x" * 2_000_000, 0)
                except LedgerError as error:
                    print(error)
            print(len(shared_calls()))
        """
        said, count = run(project, program, cache).splitlines()
        assert "could not be written" in said
        assert "too large" in said
        assert count == "0"


def test_a_memcached_that_is_down_is_an_error_each_time(project: Project) -> None:
    """Its client raises once, and then says for a while that nothing is there."""
    with memcached_server() as where:
        pass
    program = """
        from sideeffects.errors import LedgerError

        for read in (shared_calls, lambda: get_process_run("r"), clear_run_cache, lambda: send("", 0)) * 2:
            try:
                print(len(read()))
            except LedgerError as error:
                print("refused" if "could not be" in str(error) else error)
    """
    cache = {"BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache", "LOCATION": where}
    assert run(project, program, cache).split() == ["refused"] * 8


# -- transactions


#: What the program below prints where records outlive a rollback.
AFTER_TRANSACTIONS = ["[0, 10, 11, 12, 1]", "[0, 10, 11, 12, 1, 2, 3, 4, 5]", "6", "[] kept"]
TRANSACTIONS = """
    import asyncio

    if not given["databases"]["default"]["NAME"].startswith("sideeffects"):
        call_command("migrate", verbosity=0)
    call_command("createcachetable", verbosity=0)
    clear_run_cache()

    class Stop(Exception):
        pass

    def rolled_back(number):
        try:
            with transaction.atomic():
                run_side_effects("r", [(send, {"process": 0, "number": number})])
                try:
                    with transaction.atomic():
                        send(0, number + 1)
                        raise Stop
                except Stop:
                    pass
                send(0, number + 2)
                raise Stop
        except Stop:
            pass

    def numbers():
        calls = shared_calls()
        assert calls.dropped == 0, calls.dropped
        return [call.arguments["number"] for call in calls]

    send(0, 0)
    rolled_back(10)
    send(0, 1)
    print(numbers())
    with transaction.atomic():
        send(0, 2)
        try:
            with transaction.atomic():
                send(0, 3)
                raise Stop
        except Stop:
            pass
        send(0, 4)
    send(0, 5)
    print(numbers())

    async def in_a_loop():
        send(0, 6)

    asyncio.run(in_a_loop())
    print(numbers()[-1])
    caches["default"].set("mine", "kept")
    clear_run_cache()
    print(numbers(), caches["default"].get("mine"))
"""


def test_records_outlive_a_rollback_on_postgresql(project: Project, postgres: Any) -> None:
    """The effect would have, too."""
    assert run(project, TRANSACTIONS, database_cache(), postgres).splitlines() == AFTER_TRANSACTIONS


def test_records_go_with_the_transaction_on_sqlite(project: Project, tmp_path: Path) -> None:
    """As the limits say; and those that stay are not taken for evicted ones."""
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "db")}
    assert run(project, TRANSACTIONS, database_cache(), database).splitlines() == [
        "[0, 1]",
        "[0, 1, 2, 4, 5]",
        "6",
        "[] kept",
    ]


def test_records_that_django_culls_are_missed(project: Project, postgres: Any) -> None:
    """Django throws away the rows of lowest key when there are too many, ours among them."""
    program = """
        call_command("createcachetable", verbosity=0)
        clear_run_cache()
        for number in range(30):
            send(0, number)
        for number in range(10):
            caches["default"].set(f"zz{number}", number)
        try:
            shared_calls().assert_called(send, times=30)
        except AssertionError as error:
            print("dropped" in str(error))
        try:
            assert_call_count("none", 0)
        except AssertionError as error:
            print("MAX_ENTRIES" in str(error))
    """
    assert run(project, program, database_cache(20), postgres).split() == ["True", "True"]


# -- a test and its server


def test_a_test_sees_what_a_running_server_records(project: Project, redis: Any) -> None:
    """One that was started before the test run, and reports to nobody."""
    program = """
        import subprocess

        if "SERVER" in os.environ:
            for line in sys.stdin:
                send("a server", line.strip())
                print("done", flush=True)
            raise SystemExit

        server = subprocess.Popen(
            [sys.executable, __file__], env=os.environ | {"SERVER": "1"}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

        def ask(what):
            server.stdin.write(f"{what}\\n".encode())
            server.stdin.flush()
            server.stdout.readline()

        from sideeffects import capture
        from sideeffects._core.state.state import state

        ask("before the test run")
        state.test_run.latch("for this test")
        ask("before the block")
        with capture() as calls:
            ask("in the block")
            send("here", 1)
            calls.assert_called(send, process="a server", number="in the block", times=1)
            print(len(calls))
        server.stdin.close()
        server.wait()
        print(len(shared_calls()))
    """
    assert run(project, program, redis | {"KEY_PREFIX": "seen"}).split() == ["2", "4"]


def test_an_unreachable_server_executes_nothing(project: Project, tmp_path: Path) -> None:
    """The call raises, with the reason."""
    program = """
        from sideeffects.errors import LedgerError

        with force_run(send):
            try:
                send(0, 0)
            except LedgerError as error:
                print(error)
    """
    nowhere = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": f"unix://{tmp_path}/none"}
    said = run(project, program, nowhere)
    assert said.startswith("SIDE_EFFECTS[\"LEDGER\"] (the cache 'default'): could not be written: ConnectionError: ")
