"""A Django project with probes, whose effects leave a trace when they really execute, on SQLite and PostgreSQL."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.projects import Project, clean_environment
from tests.support.settling import settled

PROBES = '''
    import threading
    import time
    import unittest

    from django.db import close_old_connections, connections, transaction

    import effects
    from shop.models import Row
    from sideeffects import force_run
    from sideeffects.probes import Probe, SmokeTest


    def on(alias):
        """Probes of one database."""

        class OnDatabase(SmokeTest):
            tags = ["databases", alias]

            def rows(self):
                return Row.objects.using(alias)

            def connection(self):
                return connections[alias]

            def test_rows_and_blocks(self):
                self.rows().create(name="plain")
                with transaction.atomic(using=alias):
                    self.rows().create(name="in a block")
                with transaction.atomic(using=alias, durable=True):
                    self.rows().create(name="in a durable block")
                with self.assertRaises(ZeroDivisionError), transaction.atomic(using=alias):
                    self.rows().create(name="rolled back")
                    1 / 0
                self.assertEqual(self.rows().count(), 3)

            def test_block_without_savepoint_first(self):
                with transaction.atomic(using=alias, savepoint=False):
                    self.rows().create(name="x")
                with transaction.atomic(using=alias):
                    self.assertEqual(self.rows().count(), 1)

            def test_on_commit(self):
                transaction.on_commit(lambda: effects.note("attempted", "on_commit"), using=alias)
                self.rows().create(name="x")
                transaction.on_commit(lambda: effects.note("attempted", "on_commit"), using=alias)

            def test_commit(self):
                self.rows().create(name="x")
                transaction.commit(using=alias)

            def test_commit_swallowed(self):
                self.rows().create(name="x")
                try:
                    transaction.commit(using=alias)
                except Exception:
                    pass

            def test_autocommit(self):
                self.rows().create(name="x")
                transaction.set_autocommit(True, using=alias)

            def test_rollback(self):
                transaction.rollback(using=alias)

            def test_commit_in_sql(self):
                self.rows().create(name="x")
                with self.connection().cursor() as cursor:
                    cursor.execute("/* ; */ commit")

            def test_commit_of_the_driver(self):
                self.rows().create(name="x")
                try:
                    self.connection().connection.commit()
                except Exception:
                    pass

            def test_closed(self):
                self.rows().create(name="x")
                self.connection().close()

            def test_close_old_connections(self):
                close_old_connections()
                self.rows().create(name="x")
                close_old_connections()
                with self.connection().temporary_connection() as cursor:
                    cursor.execute("SELECT 1")
                self.assertEqual(self.rows().count(), 1)

            def test_temporary_connection_first(self):
                with self.connection().temporary_connection() as cursor:
                    cursor.execute("SELECT 1")
                self.rows().create(name="x")

            def test_error_of_the_database(self):
                with self.connection().cursor() as cursor:
                    cursor.execute("SELECT nonsense FROM nowhere")

            async def test_async(self):
                await self.rows().acreate(name="x")
                self.assertEqual(await self.rows().acount(), 1)

            def test_thread(self):
                errors = []

                def work():
                    try:
                        self.rows().create(name="x")
                    except Exception as error:
                        errors.append(error)
                    finally:
                        self.connection().close()

                thread = threading.Thread(target=work)
                thread.start()
                thread.join()
                raise errors[0]

        class ReadOnly(Probe):
            read_only = True
            tags = ["databases", alias]

            def test_read(self):
                self.assertEqual(Row.objects.using(alias).count(), 0)

            def test_write(self):
                Row.objects.using(alias).create(name="x")

            def test_write_after_reading(self):
                Row.objects.using(alias).count()
                with connections[alias].cursor() as cursor:
                    cursor.execute("/* select */ delete from shop_row")

        class Hangs(Probe):
            timeout = 0.4
            force_run = ["shop.send"]
            tags = ["hanging", alias]

            def test_asleep(self):
                Row.objects.using(alias).create(name="x")
                time.sleep(1.5)
                effects.attempt(f"late, {alias}")
                try:
                    Row.objects.using(alias).create(name="x")
                finally:
                    effects.note("attempted", f"it is over, {alias}")

        for case in (OnDatabase, ReadOnly, Hangs):
            case.__qualname__ = case.__name__ = f"{case.__name__}_{alias}"
            yield case


    for case in [case for alias in ("default", "other") for case in on(alias)]:
        globals()[case.__name__] = case
    del case


    class InTheServer(SmokeTest):
        """A query that hangs in PostgreSQL."""

        timeout = 0.5
        tags = ["hanging"]

        def test_query(self):
            with connections["other"].cursor() as cursor:
                cursor.execute("SELECT pg_sleep(20)")


    class Down(SmokeTest):
        def test_down(self):
            connections["down"].cursor()

        def test_not_needed(self):
            pass


    class OneDatabase(SmokeTest):
        databases = ["default"]

        def test_its_own(self):
            Row.objects.using("default").count()

        def test_another(self):
            Row.objects.using("other").count()


    class Effects(SmokeTest):
        def test_held_back(self):
            effects.attempt("held back")
            effects.confirm("held back, on commit")
            effects.send.enqueue("held back, in the background").result(timeout=5)

        def test_forced_inside(self):
            with force_run("shop.send"):
                effects.attempt("forced inside")
            effects.attempt("after that")

        async def test_async(self):
            await effects.ring("asynchronously")

        def test_thread(self):
            thread = threading.Thread(target=effects.attempt, args=["a thread"])
            thread.start()
            thread.join()


    class Forced(SmokeTest):
        force_run = [effects.send]

        def test_forced(self):
            effects.attempt("forced")
            effects.confirm("not forced")


    class ForcedUnknown(SmokeTest):
        force_run = ["shop.sent"]

        def test_unknown(self):
            effects.attempt("unknown")


    class Assertions(SmokeTest):
        tags = ["assertions"]

        def test_passes(self):
            self.assertEqual(1, 1)

        def test_fails(self):
            self.assertEqual(1, 2, "one is not two")

        def test_fails_plainly(self):
            self.assertEqual(1, 2)

        def test_errors(self):
            raise ValueError("two\\nlines")

        def test_parts(self):
            for number in range(4):
                with self.subTest(number=number):
                    self.assertNotIn(number, (1, 3))

        @unittest.skip("not today")
        def test_skipped(self):
            raise AssertionError

        @unittest.expectedFailure
        def test_expected(self):
            self.fail()

        def test_cleanups(self):
            self.addCleanup(effects.note, "attempted", "a cleanup")


    class Fixtures(SmokeTest):
        @classmethod
        def setUpClass(cls):
            super().setUpClass()
            effects.attempt("setUpClass")
            Row.objects.create(name="x")
            cls.ready = True

        @classmethod
        def tearDownClass(cls):
            effects.note("attempted", "tearDownClass")
            super().tearDownClass()

        def test_one(self):
            self.assertTrue(self.ready)
            self.assertEqual(Row.objects.count(), 0)

        def test_two(self):
            self.assertTrue(self.ready)


    class BadFixture(SmokeTest):
        @classmethod
        def setUpClass(cls):
            raise OSError("no fixture")

        def test_never(self):
            effects.note("attempted", "never")


    class Plain(unittest.TestCase):
        def test_plain(self):
            Row.objects.create(name="x")
            effects.attempt("a plain test case")
'''

MANAGE = """
    import os
    import sys

    if __name__ == "__main__":
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config")
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
"""

CONFIG = """
    import json
    import os

    if os.environ.get("MYSQL_DRIVER") == "pymysql":
        import pymysql

        pymysql.version_info = (2, 2, 8, "final", 0)  # that of mysqlclient, for which Django asks
        pymysql.install_as_MySQLdb()

    HERE = os.path.dirname(os.path.abspath(__file__))
    SECRET_KEY = "no secret"
    USE_TZ = True
    ALLOWED_HOSTS = ["*"]
    DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
    INSTALLED_APPS = [
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "shop",
        "sideeffects",
        *json.loads(os.environ.get("MORE_APPS", "[]")),
    ]
    MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]
    ROOT_URLCONF = "urls"
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(HERE, "db.sqlite3")}}
    if "OTHER" in os.environ:
        DATABASES["other"] = json.loads(os.environ["OTHER"])
        if os.environ.get("DOWN", "1"):
            DATABASES["down"] = {**DATABASES["other"], "HOST": "127.0.0.1", "PORT": "1"}
    SIDE_EFFECTS = {"PROBES": json.loads(os.environ.get("PROBES", "{}"))}
    globals().update(json.loads(os.environ.get("MORE_SETTINGS", "{}")))
"""

URLS = """
    import time

    from django.db import connections
    from django.http import HttpResponse
    from django.urls import include, path

    import effects
    from shop.models import Row


    def send(request):
        effects.attempt("a request")
        return HttpResponse("sent")


    def rows(request):
        return HttpResponse(Row.objects.count())


    for view in (send, rows):
        view.login_required = False

    urlpatterns = [path("probe/", include("sideeffects.probes.urls")), path("send/", send), path("rows/", rows)]
"""


class ProbeProject(Project):
    """The project, in a folder of its own.

    Args:
        root: an empty folder.
        other: a second database, as an entry of `DATABASES`.
    """

    def __init__(self, root: Path, other: dict[str, Any] | None = None) -> None:
        super().__init__(root)
        self.environment = {"OTHER": json.dumps(other)} if other else {}
        self.write("config.py", CONFIG)
        self.write("urls.py", URLS)
        self.write("manage.py", MANAGE)
        self.write("shop/__init__.py", "")
        self.write(
            "shop/models.py",
            """
            from django.db import models


            class Row(models.Model):
                name = models.CharField(max_length=50)
            """,
        )
        self.write("shop/migrations/__init__.py", "")
        self.write(
            "shop/migrations/0001_initial.py",
            """
            from django.db import migrations, models


            class Migration(migrations.Migration):
                initial = True
                operations = [
                    migrations.CreateModel(
                        "Row",
                        [
                            ("id", models.BigAutoField(primary_key=True)),
                            ("name", models.CharField(max_length=50)),
                        ],
                    )
                ]
            """,
        )

    def manage(self, *arguments: str, code: int | None = 0, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run `manage.py`, outside any test run."""
        return self.run("manage.py", *arguments, environment={**self.environment, **environment}, code=code)

    def probe(self, *arguments: str, code: int | None = 0, **environment: str) -> dict[str, Any]:
        """Run `manage.py probe --format json`.

        Returns:
            the report, with the probes by the last two parts of their ids.
        """
        done = self.manage("probe", "--format", "json", *arguments, code=code, **environment)
        report: dict[str, Any] = json.loads(done.stdout)
        report["by_name"] = {".".join(probe["id"].split(".")[-2:]): probe for probe in report["probes"]}
        return report

    def started(self, *command: str, stderr: int = subprocess.PIPE, **environment: str) -> "subprocess.Popen[str]":
        """A process of the project that goes on running."""
        return subprocess.Popen(
            [sys.executable, "-u", *command],
            cwd=self.root,
            env={**clean_environment(), **self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=os.name == "posix",
        )


class ProbeRun:
    """One run of all probes, with what it left behind."""

    def __init__(self, project: ProbeProject, postgres: dict[str, Any], *arguments: str) -> None:
        import psycopg

        self.report = project.probe(*arguments, code=1)
        self.seconds = 0.0
        self.probes: dict[str, Any] = self.report["by_name"]
        self.attempted, self.executed = project.attempted, project.executed
        with sqlite3.connect(project.root / "db.sqlite3") as connection:
            self.left = [connection.execute("SELECT count(*) FROM shop_row").fetchone()[0]]
        connection.close()
        with psycopg.connect(
            dbname=postgres["NAME"],
            user=postgres["USER"],
            password=postgres["PASSWORD"],
            host=postgres["HOST"],
            port=postgres["PORT"] or None,
            autocommit=True,  # what pg_stat_activity tells stays the same in a transaction
        ) as other:
            self.left += other.execute("SELECT count(*) FROM shop_row").fetchone() or ()
            queries = "SELECT query FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
            self.sessions = settled(lambda: other.execute(queries, [postgres["NAME"]]).fetchall(), [])

    def outcome(self, name: str) -> str:
        return str(self.probes[name]["outcome"])

    def message(self, name: str) -> str:
        return str(self.probes[name]["message"])
