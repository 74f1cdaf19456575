"""Modules that are imported to find their effects do nothing, whatever they try; what they tried is named."""

import sqlite3
from pathlib import Path

import pytest

from tests.support.listed_project import listed_project, write_settings
from tests.support.projects import Project

pytestmark = pytest.mark.processes

DATABASES = """
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
"""
#: Each line on its own, as code that swallows errors would have it.
EAGER = """
    import os
    import socket
    import sqlite3
    import subprocess
    import sys
    import threading
    import urllib.request
    from pathlib import Path

    from django.db import connection, transaction

    import effects
    from sideeffects import side_effect

    HERE = Path(__file__).resolve().parent.parent


    @side_effect(name="shop.eager")
    def eager():
        "Send."


    def write(cursor=None):
        (cursor or connection.cursor()).execute("INSERT INTO shop_row (name) VALUES ('eager')")


    def in_block():
        with transaction.atomic():
            write()


    def in_thread():
        thread = threading.Thread(target=attempt, args=[write])
        thread.start()
        thread.join()


    def past_the_wrapper():
        connection.ensure_connection()
        connection.connection.execute("INSERT INTO shop_row (name) VALUES ('eager')")


    def past_django():
        with sqlite3.connect(HERE / "db.sqlite3") as other:
            other.execute("INSERT INTO shop_row (name) VALUES ('eager')")


    def reach():
        urllib.request.urlopen("http://192.0.2.1/", timeout=1)


    def start():
        subprocess.run([sys.executable, "-c", f"open({str(HERE / 'executed')!r}, 'a').write('child')"])


    def attempt(what):
        try:
            what()
        except Exception as error:
            print(what.__name__, type(error).__name__)
        else:
            print(what.__name__, "done")


    connection.cursor().execute("SELECT name FROM shop_row")
    for what in (write, in_block, in_thread, past_the_wrapper, past_django, reach, start):
        attempt(what)
    effects.attempt("importing")
    effects.send.enqueue("importing in the background")
"""
IN_TRANSACTION = """
    import os

    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    django.setup()

    from django.core.management import call_command
    from django.db import connection, transaction

    with transaction.atomic():
        connection.cursor().execute("INSERT INTO shop_row (name) VALUES ('mine')")
        call_command("side_effects", "shop.*", stdout=open(os.devnull, "w"))
        connection.cursor().execute("INSERT INTO shop_row (name) VALUES ('mine too')")
        transaction.on_commit(lambda: print("committed"))
"""
#: What would disturb a transaction that is open.
DISTURBING = """
    from django.db import DatabaseError, connection, connections, transaction

    from sideeffects import side_effect


    @side_effect(name="shop.disturbing")
    def disturb():
        "Send."


    transaction.on_commit(lambda: print("too early"))
    for statement in ("SELECT * FROM nothing_of_that_name", "INSERT INTO shop_row (name) VALUES ('eager')", "ROLLBACK"):
        try:
            with transaction.atomic(savepoint=False):
                connection.cursor().execute(statement)
        except Exception:
            pass
    connection.rollback()
    connection.commit()
    connection.close()
    connections.close_all()
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with a database that has one table."""
    project = listed_project(tmp_path)
    write_settings(project, DATABASES)
    with sqlite3.connect(tmp_path / "db.sqlite3") as database:
        database.execute("CREATE TABLE shop_row (name TEXT)")
    database.close()
    return project


def rows(project: Project) -> list[str]:
    """What is in the table."""
    with sqlite3.connect(project.root / "db.sqlite3") as database:
        found = [name for (name,) in database.execute("SELECT name FROM shop_row ORDER BY rowid")]
    database.close()
    return found


def test_nothing_is_written_executed_or_reached(project: Project) -> None:
    """By Django's cursor, in blocks, in threads, past Django; reading goes on. Each attempt is named with its line."""
    project.write("shop/eager.py", EAGER)

    run = project.run("manage.py", "side_effects", "--format", "json")

    assert '"shop.eager"' in run.stdout
    assert rows(project) == []
    assert not project.executed
    assert project.attempted == {"importing": 1}
    said = dict(line.split() for line in run.stderr.splitlines() if len(line.split()) == 2)
    assert said.pop("in_thread") == "done"  # what it calls is not
    assert set(said.values()) <= {"RefusedWhileLooking", "UndeclaredSideEffect", "DatabaseError"}, said
    for line, what in (
        (24, "used a database (INSERT INTO shop_row"),
        (24, "used a database (the database 'default' was used in another thread"),
        (40, "used a database (the table shop_row was written"),
        (44, f"used a database (the database '{project.root}/db.sqlite3' was opened without Django"),
        (49, "reached outside (urllib.request.urlopen"),
        (53, "reached outside (subprocess.run"),
    ):
        lines = [one for one in run.stderr.splitlines() if f"shop.eager {what}" in one]
        assert any(f"shop/eager.py:{line})" in one for one in lines), (line, lines)
    assert "shop.eager called the side effect shop.send" in run.stderr


def test_connections_of_drivers_are_refused(project: Project) -> None:
    """Those whose driver connects in C as well, before anything is connected to; by whatever name it is called."""
    project.write(
        "shop/drivers.py",
        """
        import psycopg2
        import pymysql

        from sideeffects import side_effect
        from sideeffects.errors import SideEffectError


        @side_effect(name="shop.drivers")
        def send():
            "Send."


        for connect in (psycopg2.connect, pymysql.connect, pymysql.Connection):
            try:
                connect(host="127.0.0.1", port=1)
            except SideEffectError:
                pass
        """,
    )
    run = project.run("manage.py", "side_effects", "shop.drivers")
    told = [
        line for line in run.stderr.splitlines() if "was opened without Django" in line and "shop/drivers.py:15" in line
    ]
    assert sum("a connection of psycopg2 " in line for line in told) == 1
    assert sum("a connection of pymysql.connections " in line for line in told) == 2


def test_attempts_are_problems_and_warnings(project: Project) -> None:
    """`--check` has a line for each, and `check --deploy` a warning."""
    project.write("shop/eager.py", "from sideeffects import side_effect\n@side_effect\ndef f(): 'F.'\n\nf()\n")

    run = project.run("manage.py", "side_effects", "--check", "shop.eager.*", code=1)
    assert "shop.eager called the side effect shop.eager.f while it was imported" in run.stdout
    assert "shop/eager.py:5" in run.stdout

    run = project.run("manage.py", "check", "--deploy", "--tag", "sideeffects")
    assert "sideeffects.W005" in run.stderr


@pytest.mark.parametrize("module", [DISTURBING, EAGER], ids=["disturbing", "writing"])
def test_an_open_transaction_notices_nothing(project: Project, module: str) -> None:
    """Whatever the module does to the connection, what was begun before goes on and is committed."""
    project.write("shop/disturbing.py", module)

    printed = project.program(IN_TRANSACTION)

    assert printed.splitlines()[-1] == "committed"
    assert rows(project) == ["mine", "mine too"]
    assert not project.executed


def test_afterwards_all_is_as_before(project: Project) -> None:
    """The connection is the same, writes are written, effects execute, and the outside is reached."""
    project.write("shop/eager.py", EAGER)
    printed = project.program(
        """
        import os
        import subprocess
        import sys

        import django

        os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
        django.setup()

        from django.db import connection, connections
        import effects
        from sideeffects.project.discovery import finding

        before = connections["default"]
        finding.discover()
        assert connections["default"] is before
        connection.cursor().execute("INSERT INTO shop_row (name) VALUES ('mine')")
        effects.attempt("afterwards")
        subprocess.run([sys.executable, "-c", "print('reached')"], check=True)
        """
    )

    assert printed.splitlines()[-1] == "reached"
    assert rows(project) == ["mine"]
    assert project.executed == {"afterwards": 1}
