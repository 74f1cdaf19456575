"""Races under every runner and start method, in projects of their own: what really executes is seen from outside."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.projects import Project, clean_environment

pytestmark = pytest.mark.processes


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A shop with one model, on an SQLite file; its view charges twice when two requests come at once."""
    project = Project(tmp_path)
    project.write(
        "config.py",
        """
        import json
        import os
        import pathlib
        import sys
        import uuid

        SECRET_KEY = str(uuid.uuid4())
        USE_TZ = True
        INSTALLED_APPS = ["shop"]
        ROOT_URLCONF = "shop.urls"
        MIDDLEWARE = []
        HERE = pathlib.Path(__file__).parent
        DATABASES = {
            alias: {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(HERE / f"{alias}.sqlite3"),
                "TEST": {"NAME": str(HERE / f"test_{alias}.sqlite3")},
                "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
            }
            for alias in ("default", "other")
        }
        if "POSTGRES" in os.environ:
            given = json.loads(os.environ["POSTGRES"])
            DATABASES = {alias: {**given, "NAME": given["NAME"] + alias} for alias in DATABASES}
        # As many projects do. A fork server of races is neither.
        if "test" not in sys.argv and "pytest" not in sys.modules:
            LIVE = True
            MEDIA_URL = "https://live.example/"
            DATABASES["live"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(HERE / "live.sqlite3")}
        """,
    )
    project.write("shop/__init__.py", "")
    project.write(
        "shop/models.py",
        """
        from django.db import models


        class Order(models.Model):
            paid = models.BooleanField(default=False)
        """,
    )
    project.write(
        "shop/urls.py",
        """
        import effects
        from django.db import transaction
        from django.http import HttpResponse
        from django.urls import path
        from shop.models import Order


        def pay(request, number):
            with transaction.atomic():
                order = Order.objects.select_for_update().get(pk=number)
                if order.paid:
                    return HttpResponse("paid already")
                effects.send("pay")
                order.paid = True
                order.save()
            return HttpResponse("paid")


        urlpatterns = [path("pay/<int:number>/", pay)]
        """,
    )
    project.write(
        "racing.py",
        """
        import contextlib
        import os
        import socket

        from django.conf import settings
        from django.db import connections
        from django.test import Client


        def pay(number):
            return Client().post(f"/pay/{number}/").content.decode()


        def names():
            return {alias: str(connections[alias].settings_dict["NAME"]) for alias in connections}


        def read():
            names = ("SECRET_KEY", "LIVE", "MEDIA_URL")
            return [getattr(settings, name, None) for name in names], sorted(connections)


        def reach_outside():
            # Datagrams: connecting sends nothing.
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outside, contextlib.suppress(OSError):
                outside.connect(("192.0.2.1", 9))
            return True


        def count(alias):
            from shop.models import Order

            return Order.objects.using(alias).count()
        """,
    )
    project.write(
        "test_racing.py",
        """
        from django.db import connections
        from django.test import TestCase, TransactionTestCase
        from racing import count, names, pay, read
        from shop.models import Order
        from sideeffects.testing import RaceError, SideEffectsMixin, call_concurrently


        class Paying(SideEffectsMixin, TransactionTestCase):
            databases = {"default", "other"}

            def test_once(self):
                order = Order.objects.create()
                results = call_concurrently(4, pay, number=order.pk)
                self.assertEqual(sorted(results), ["paid"] + ["paid already"] * 3, results.errors)
                self.side_effects.assert_called("shop.send", times=1)

            def test_all_aliases(self):
                Order.objects.using("other").create()
                self.assertEqual(call_concurrently(2, names), [names()] * 2)
                self.assertTrue(all("test_" in name for name in names().values()))
                self.assertEqual(call_concurrently(2, count, alias="other"), [1, 1])


        class PayingAgain(Paying):
            pass


        class OneDatabase(TransactionTestCase):
            def test_the_other_is_refused(self):
                error = call_concurrently(1, count, alias="other").errors[0]
                self.assertIn("may not use the database 'other'", str(error))
                self.assertEqual(call_concurrently(2, read), [read()] * 2)


        class Refused(TestCase):
            def test_transaction(self):
                with self.assertRaisesRegex(RaceError, "use TransactionTestCase"):
                    call_concurrently(2, pay, number=1)
        """,
    )
    project.write(
        "test_with_pytest.py",
        """
        import pytest
        from racing import count, names, pay, reach_outside, read
        from shop.models import Order
        from sideeffects.testing import RaceError, guard


        @pytest.mark.django_db(transaction=True)
        @pytest.mark.parametrize("number", range(3))
        def test_once(race, side_effects, number):
            order = Order.objects.create()
            results = race(4, pay, number=order.pk)
            assert sorted(results) == ["paid"] + ["paid already"] * 3, results.errors
            side_effects.assert_called("shop.send", times=1)


        @pytest.mark.django_db(transaction=True)
        def test_names(race):
            assert race.configured(timeout=20)(2, names) == [names()] * 2


        @pytest.mark.django_db
        def test_transaction(race):
            with pytest.raises(RaceError, match="transaction=True"):
                race(2, pay, number=1)


        def test_the_guard(race):
            for level in ("off", "raise", "off"):
                with guard(level):
                    result = race(1, reach_outside)
                assert result == [True] if level == "off" else "192.0.2.1" in str(result.errors[0])


        def test_without_a_database(race):
            assert "no database access" in str(race(1, count, alias="default").errors[0])
            assert race(2, read) == [read()] * 2
        """,
    )
    for name in ("manage.py", "run.py"):
        project.write(
            name,
            """
            import multiprocessing
            import os
            import sys

            if __name__ == "__main__":
                os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config")
                if "START_METHOD" in os.environ:
                    multiprocessing.set_start_method(os.environ["START_METHOD"])
                from django.core.management import execute_from_command_line

                execute_from_command_line(sys.argv)
            """,
        )
    return project


@pytest.mark.parametrize(
    ("options", "start_method"),
    [([], "spawn"), ([], "forkserver"), (["--parallel", "2"], "fork")],
    ids=["spawn", "forkserver", "parallel"],
)
def test_under_djangos_runner(project: Project, options: list[str], start_method: str) -> None:
    """Each worker races on its own databases; a `TestCase` is refused; nothing executes, and nothing is left open."""
    ran = project.run("manage.py", "test", *options, environment={"START_METHOD": start_method})
    assert "Ran 6 tests" in ran.stderr
    assert "OK" in ran.stderr
    assert not project.executed
    assert not list(project.root.glob("test_*.sqlite3"))
    assert not (project.root / "default.sqlite3").exists()


def test_in_workers_that_were_spawned(project: Project, postgres: dict[str, Any]) -> None:
    """On PostgreSQL, since Django gives these a copy of an SQLite in memory. All test databases could be dropped."""
    environment = {"START_METHOD": "spawn", "POSTGRES": json.dumps(postgres)}
    ran = project.run("manage.py", "test", "--parallel", "2", environment=environment)
    assert "Ran 6 tests" in ran.stderr
    assert "OK" in ran.stderr
    assert not project.executed


def test_under_pytest_from_another_folder(project: Project, tmp_path: Path) -> None:
    """The project is on `sys.path` and nowhere else, without its `manage.py`."""
    for name in ("manage.py", "run.py"):
        (project.root / name).unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = clean_environment()
    plugins = ("-p", "sideeffects", "-p", "django", "-p", "xdist")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, "-p", "no:cacheprovider", "-n", "2", project.root],
        cwd=elsewhere,
        env={
            **environment,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "DJANGO_SETTINGS_MODULE": "config",
            "PYTHONPATH": f"{project.root}{os.pathsep}{environment['PYTHONPATH']}",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "13 passed" in ran.stdout
    assert not project.executed


OLD_TESTS = """
    # Tests as one wrote them for django-concurrent-test-helper, with other imports.
    import os
    import time
    import types

    import pytest
    from racing import count
    from shop.models import Order
    from sideeffects.testing import (
        SUBPROCESS_TIMEOUT,
        TerminatedProcessError,
        WrappedError,
        call_concurrently,
        make_concurrent_calls,
        override_environment,
    )


    def is_success(result):
        return result is True and not isinstance(result, Exception)


    def pay(number):
        order = Order.objects.get(pk=number)
        if order.paid:
            return False
        time.sleep(0.2)
        order.paid = True
        order.save()
        return True


    def fail(text):
        raise LookupError(text)


    @pytest.mark.django_db(transaction=True)
    def test_a_race_shows():
        order = Order.objects.create()
        results = call_concurrently(3, pay, number=order.pk)
        assert len(list(filter(is_success, results))) > 1


    @pytest.mark.django_db(transaction=True)
    def test_different_calls():
        results = make_concurrent_calls((count, {"alias": "default"}), (fail, {"text": "wtf"}), ("racing:names", {}))
        assert results[0] == 0
        assert set(results[2]) == {"default", "other"}
        errors = [result for result in results if isinstance(result, Exception)]
        assert [(type(error), type(error.error)) for error in errors] == [(WrappedError, LookupError)]
        assert errors[0].error.args == ("wtf",)
        assert isinstance(errors[0].traceback, types.TracebackType)


    def test_time_is_up():
        (result,) = make_concurrent_calls((wait, {}))
        assert isinstance(result, WrappedError)
        assert isinstance(result.error, TerminatedProcessError)


    def wait():
        time.sleep(SUBPROCESS_TIMEOUT + 5)


    def test_the_environment():
        with override_environment(MINE="so special"):
            assert call_concurrently(1, os.getenv, key="MINE") == ["so special"]
        assert os.getenv("MINE") is None
"""


@pytest.mark.once
def test_tests_of_old_pass(project: Project) -> None:
    """Those of django-concurrent-test-helper, whatever they were written for."""
    project.write("test_old.py", OLD_TESTS)
    environment = {"DJANGO_SETTINGS_MODULE": "config", "DJANGO_CONCURRENT_TESTS_TIMEOUT": "1.5"}
    ran = project.pytest("test_old.py", plugins=("sideeffects", "django"), environment=environment)
    assert "4 passed" in ran.stdout


def test_in_a_script_without_a_runner(project: Project) -> None:
    """With settings that have no module; a race makes it a test run, and functions of `__main__` travel."""
    printed = project.program(
        """
        import effects
        from django.conf import settings

        settings.configure(SECRET_KEY="x", MINE=[1, 2], DATABASES={})
        import django

        django.setup()
        from sideeffects.testing import call_concurrently


        def send():
            effects.send("script")
            return settings.MINE


        if __name__ == "__main__":
            result = call_concurrently(3, send)
            print(result, result.calls.count("shop.send"))
        """
    )
    assert printed == "[[1, 2], [1, 2], [1, 2]] 3\n"
    assert not project.executed


def test_without_django(project: Project) -> None:
    """A race needs none."""
    printed = project.program(
        """
        import sys
        import effects
        from sideeffects.testing import call_concurrently

        print(sum(len(call_concurrently(2, effects.send, place="here").successes) for _ in range(2)))
        print("django" in sys.modules)
        """
    )
    assert printed == "4\nFalse\n"
    assert not project.executed


def test_what_a_test_declares_is_declared_in_racers(project: Project) -> None:
    """Or else the function of the library would run for real."""
    project.write("library.py", "import effects\n\n\ndef post(place):\n    effects.note('executed', place)\n")
    printed = project.program(
        """
        from sideeffects import declare, force_run
        from sideeffects.testing import call_concurrently

        print(call_concurrently(1, "library:post", place="before"))
        declare("library:post", name="library.post", returns="held back")
        import library
        print(call_concurrently(2, "library:post", place="after"))
        with force_run("library.post"):
            call_concurrently(1, "library:post", place="forced")
        """
    )
    assert printed == "[None]\n['held back', 'held back']\n"
    assert project.executed == {"before": 1, "forced": 1}


def test_settings_that_fail_are_told(project: Project) -> None:
    """The fork server has a traceback for it."""
    project.write(
        "broken.py", "import os\nSECRET_KEY = 'x'\nif os.environ.get('BREAK'):\n    raise OSError('no disk')\n"
    )
    printed = project.program(
        """
        import os
        import django

        os.environ["DJANGO_SETTINGS_MODULE"] = "broken"
        django.setup()
        from sideeffects.testing import RaceError, call_concurrently

        os.environ["BREAK"] = "1"
        try:
            call_concurrently(1, str)
        except RaceError as error:
            print(error)
        """
    )
    assert "the fork server of the races could not load the project" in printed
    assert "OSError: no disk" in printed


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda ending: ending.name)
def test_all_of_it_ends_with_the_test_process(project: Project, ending: signal.Signals) -> None:
    """Killed in the middle of a race, it leaves neither the fork server nor racers."""
    project.write(
        "waiting.py", "import time, effects\n\n\ndef wait():\n    effects.note('here', 'x')\n    time.sleep(600)\n"
    )
    project.write(
        "program.py", "from sideeffects.testing import call_concurrently\ncall_concurrently(2, 'waiting:wait')\n"
    )
    environment = clean_environment() | {"MARK": str(project.root)}
    command = [sys.executable, "program.py"]
    process = subprocess.Popen(command, cwd=project.root, env=environment, stderr=subprocess.DEVNULL)
    here = project.root / "here"
    _until(lambda: here.exists() and here.read_text() == "x\nx\n")
    assert len(_marked(project.root)) == 5  # itself, the server, the leader, two racers
    process.send_signal(ending)
    process.wait(30)
    if ending != signal.SIGKILL:
        assert not _marked(project.root)  # whoever ended it may drop the database now
    _until(lambda: not _marked(project.root))


def _until(condition: object) -> None:
    deadline = time.monotonic() + 30
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _marked(root: Path) -> list[int]:
    """The processes with this folder in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if f"MARK={root}".encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found
