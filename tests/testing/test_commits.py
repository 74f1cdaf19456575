"""Commits in tests that are rolled back: Django's `TestCase`, by both runners, and pytest-django's tests."""

import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db.transaction import atomic, on_commit

from sideeffects import SideEffectError
from sideeffects.testing import commits
from tests.support.projects import clean_environment

pytestmark = pytest.mark.processes

FILES = {
    "app.py": """
        from sideeffects import side_effect

        SENT = []

        @side_effect(name="mail.confirm", on_commit=True)
        def confirm(to):
            SENT.append(to)

        @side_effect(name="sms.send")
        def send(to):
            SENT.append(to)
    """,
    "settings.py": """
        import os

        SECRET_KEY = "x"
        INSTALLED_APPS = ["sideeffects", "django.contrib.contenttypes", "django.contrib.auth"]
        DATABASES = {
            alias: {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"} for alias in ("default", "other")
        }
        DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
        USE_TZ = True
        SIDE_EFFECTS = {"TEST_COMMITS": os.environ.get("TEST_COMMITS") == "1"}
    """,
    "manage.py": """
        import os, sys

        if __name__ == "__main__":
            os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
            from django.core.management import execute_from_command_line

            execute_from_command_line(sys.argv)
    """,
    "pytest.ini": """
        [pytest]
        DJANGO_SETTINGS_MODULE = settings
        python_files = test_*.py
        addopts = -p no:cacheprovider -p sideeffects.pytest_plugin
        asyncio_mode = auto
    """,
}
CASES = """
    import app
    from django.contrib.auth.models import Group
    from django.db import connections, transaction
    from django.db.transaction import atomic, on_commit
    from django.test import TestCase, TransactionTestCase
    from sideeffects import capture, force_run
    from sideeffects.testing import commits

    class Base(TestCase):
        databases = {"default", "other"}

        def setUp(self):
            self.log = []
            self.add = self.log.append
            app.SENT.clear()

    class InShared(Base):
        shared = []
        side_effects_commits = True

        @classmethod
        def setUpTestData(cls):
            cls.shared.clear()
            with atomic():
                on_commit(lambda: cls.shared.append("never"))

        def test_what_is_set_up_for_the_class_does_not_commit(self):
            with atomic():
                on_commit(lambda: self.add("own"))
            self.assertEqual((self.shared, self.log), ([], ["own"]))

    class Commits(Base):
        side_effects_commits = True

        def test_at_the_end_of_the_outermost_block(self):
            with atomic():
                with atomic():
                    on_commit(lambda: self.add("inner"))
                on_commit(lambda: self.add("outer"))
                self.assertEqual(self.log, [])
            self.assertEqual(self.log, ["inner", "outer"])

        def test_at_once_outside_of_any(self):
            on_commit(lambda: self.add("at once"))
            self.assertEqual(self.log, ["at once"])

        def test_never_after_a_rollback(self):
            for options in ({}, {"savepoint": False}):
                with self.assertRaises(LookupError), atomic():
                    with atomic(**options):
                        on_commit(lambda: self.add("never"))
                        raise LookupError
            with atomic():
                transaction.set_rollback(True)
                on_commit(lambda: self.add("never"))
            self.assertEqual(self.log, [])
            with atomic():
                on_commit(lambda: self.add("later"))
            self.assertEqual(self.log, ["later"])

        def test_an_outermost_block_without_a_savepoint_drops_its_own(self):
            with self.assertRaises(LookupError), atomic(savepoint=False):
                on_commit(lambda: self.add("never"))
                raise LookupError
            transaction.set_rollback(False)
            with atomic():
                pass
            self.assertEqual(self.log, [])

        def test_a_savepoint_that_is_rolled_back_takes_its_own(self):
            with atomic():
                on_commit(lambda: self.add("kept"))
                try:
                    with atomic():
                        on_commit(lambda: self.add("dropped"))
                        raise LookupError
                except LookupError:
                    pass
            self.assertEqual(self.log, ["kept"])

        def test_each_database_has_its_own_commits(self):
            with atomic(using="other"):
                with atomic():
                    on_commit(lambda: self.add("default"))
                    on_commit(lambda: self.add("other"), using="other")
                self.assertEqual(self.log, ["default"])
            self.assertEqual(self.log, ["default", "other"])

        def test_callbacks_that_fail(self):
            def fail():
                raise LookupError("lost")

            with self.assertLogs("django.db.backends.base", "ERROR") as logged, atomic():
                on_commit(fail, robust=True)
                on_commit(lambda: self.add("after"))
            self.assertEqual(self.log, ["after"])
            self.assertIn("fail", logged.output[0])
            with self.assertRaises(LookupError), atomic():
                on_commit(fail)
                on_commit(lambda: self.add("never"))
            self.assertEqual(self.log, ["after"])
            with self.assertRaises(TypeError):
                on_commit(None)

        def test_callbacks_may_open_blocks_and_wait_for_their_commits(self):
            def callback():
                on_commit(lambda: self.add("nested"))
                with atomic(durable=True):
                    on_commit(lambda: self.add("nested in a block"))
                self.add("callback")

            with atomic():
                on_commit(callback)
            self.assertEqual(self.log, ["nested", "nested in a block", "callback"])

        def test_what_is_captured_is_left_to_who_captures(self):
            with self.captureOnCommitCallbacks() as callbacks, atomic():
                on_commit(lambda: self.add("captured"))
            self.assertEqual((len(callbacks), self.log), (1, []))
            with atomic():
                with self.captureOnCommitCallbacks(execute=True):
                    on_commit(lambda: self.add("executed"))
                on_commit(lambda: self.add("by the commit"))
                on_commit(lambda: self.add("other"), using="other")
            self.assertEqual(self.log, ["executed", "other", "by the commit"])
            with atomic():
                on_commit(lambda: self.add("again"))
            self.assertEqual(self.log[3:], ["again"])

        def test_rows_stay_in_the_test(self):
            with atomic():
                on_commit(lambda: self.add(Group.objects.count()))
                Group.objects.create(name="admins")
            self.assertEqual(self.log, [1])

        def test_effects_on_commit(self):
            with capture() as calls:
                with atomic():
                    app.confirm("ann")
                with force_run("mail.confirm"):
                    with atomic():
                        app.confirm("ben")
                        self.assertEqual(app.SENT, [])
                    app.confirm("cay")
                with atomic():
                    on_commit(lambda: app.send("dan"))
            self.assertEqual(app.SENT, ["ben", "cay"])
            calls.assert_called("sms.send", times=1)
            self.assertEqual([call.transaction for call in calls], ["committed", "committed", None, None])

        async def test_asynchronous(self):
            from asgiref.sync import sync_to_async

            def work():
                with atomic():
                    on_commit(lambda: self.add("done"))

            await sync_to_async(work)()
            self.assertEqual(self.log, ["done"])

        def test_rows_of_the_tests_before_are_gone(self):
            self.assertEqual(Group.objects.count(), 0)

    class Not(Base):
        side_effects_commits = False

        def test_plain(self):
            with atomic():
                on_commit(lambda: self.add("never"))
            self.assertEqual(self.log, [])

        def test_a_block(self):
            with commits():
                with atomic():
                    on_commit(lambda: self.add("done"))
            with atomic():
                on_commit(lambda: self.add("never"))
            self.assertEqual(self.log, ["done"])

        @commits()
        def test_a_decorated_test(self):
            with atomic():
                on_commit(lambda: self.add("done"))
            self.assertEqual(self.log, ["done"])

        @commits()
        async def test_a_decorated_asynchronous_test(self):
            from asgiref.sync import sync_to_async

            def work():
                with atomic():
                    on_commit(lambda: self.add("done"))

            await sync_to_async(work)()
            self.assertEqual(self.log, ["done"])

    @commits()
    class Decorated(Base):
        def test_it(self):
            with atomic():
                on_commit(lambda: self.add("done"))
            self.assertEqual(self.log, ["done"])

    class BySettings(Base):
        def test_it(self):
            with atomic():
                on_commit(lambda: self.add("done"))
            self.assertEqual(self.log, ["done"] if __import__("os").environ.get("TEST_COMMITS") == "1" else [])
"""
WRONG = """
    from django.test import SimpleTestCase, TestCase, TransactionTestCase
    from sideeffects.testing import commits

    class Real(TransactionTestCase):
        side_effects_commits = True

        def test_never_runs(self):
            print("RAN")

    class Simple(SimpleTestCase):
        side_effects_commits = True

        def test_never_runs(self):
            print("RAN")

    class Inside(TransactionTestCase):
        def test_says_so(self):
            with commits():
                print("RAN")
"""
PYTEST = """
    import app, pytest
    from django.db.transaction import atomic, on_commit
    from sideeffects.testing import commits

    log = []

    @pytest.fixture(scope="module")
    def shared(django_db_setup, django_db_blocker):
        with django_db_blocker.unblock(), atomic():
            on_commit(lambda: log.append("shared"))

    @pytest.fixture(autouse=True)
    def fresh():
        log.clear()

    def work():
        with atomic():
            on_commit(lambda: log.append("done"))
        return list(log)

    @pytest.mark.side_effects(commits=True)
    def test_marker(db):
        assert work() == ["done"]

    @pytest.mark.side_effects(commits=True)
    class TestClass:
        def test_of_the_class(self, db):
            assert work() == ["done"]

        @pytest.mark.side_effects(commits=False)
        def test_the_closest_marker_decides(self, db):
            assert work() == []

    @pytest.mark.side_effects(commits=True)
    def test_the_fixture_is_left_its_own(db, django_capture_on_commit_callbacks):
        with django_capture_on_commit_callbacks() as callbacks:
            assert work() == []
        assert len(callbacks) == 1

    @pytest.mark.django_db(databases=["default", "other"])
    @pytest.mark.side_effects(commits=True)
    def test_databases():
        with atomic(using="other"):
            on_commit(lambda: log.append("other"), using="other")
            work()
        assert log == ["done", "other"]

    @pytest.mark.side_effects(commits=False)
    def test_block(db):
        with commits():
            assert work() == ["done"]
        assert work() == ["done"]

    @pytest.mark.side_effects(commits=True)
    @pytest.mark.django_db(transaction=True)
    def test_wrong_transaction():
        print("RAN")

    @pytest.mark.side_effects(commits=True)
    def test_wrong_without_a_database():
        print("RAN")

    @pytest.mark.side_effects(commits="yes")
    def test_wrong_value(db):
        print("RAN")
"""


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    """What a command prints in a small project."""

    def run(*command: str, settings: bool = False, **files: str) -> str:
        for name, text in {**FILES, **{f"{name}.py": text for name, text in files.items()}}.items():
            (tmp_path / name).write_text(textwrap.dedent(text).lstrip())
        ran = subprocess.run(
            [sys.executable, "-W", "ignore", *command],
            cwd=tmp_path,
            env={**clean_environment(), "TEST_COMMITS": "1" if settings else "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        return ran.stdout

    return run


def test_commits_in_djangos_test_cases(run: Callable[..., str]) -> None:
    """By class attribute, block and decorator; and where there is nothing to do, it says so."""
    told = run("manage.py", "test", test_cases=CASES, test_wrong=WRONG)
    assert set(re.findall(r"^(?:FAIL|ERROR): \w+ \((\S+)\)", told, re.MULTILINE)) == {
        "test_wrong.Inside.test_says_so",
        "test_wrong.Real.test_never_runs",
        "test_wrong.Simple.test_never_runs",
    }, told
    assert "RAN" not in told
    assert told.count("commits() has nothing to do in a TransactionTestCase: its commits are real") == 2
    assert "side_effects_commits of Simple: commits are for tests that are rolled back" in told


def test_commits_by_the_settings_and_under_pytest(run: Callable[..., str]) -> None:
    """The same classes by pytest, with the setting; and the marker, with pytest-django's fixtures."""
    told = run("-m", "pytest", "-q", settings=True, test_cases=CASES, test_marker=PYTEST, test_wrong=WRONG)
    assert set(re.findall(r"^(?:FAILED|ERROR) \S+::(\w+)", told, re.MULTILINE)) == {
        "test_wrong_transaction",
        "test_wrong_without_a_database",
        "test_wrong_value",
        "test_says_so",
        "test_never_runs",
    }, told
    assert "RAN" not in told
    assert "no transaction of a test is open" in told
    assert "commits of @pytest.mark.side_effects on test_marker.py::test_wrong_value is True or False" in told


def test_there_is_nothing_to_do_without_a_test_transaction() -> None:
    """It says for which tests it is."""
    with pytest.raises(SideEffectError, match="no transaction of a test is open"), commits():
        pass


@pytest.mark.django_db
def test_what_waited_before_anybody_asked_is_left_alone() -> None:
    """Also on a connection that has had commits before: what is set up for a class waits so, and never happens."""
    log: list[str] = []
    with commits(), atomic():
        on_commit(lambda: log.append("done"))
    on_commit(lambda: log.append("never"))
    asking = commits()
    with atomic():
        asking.__enter__()
    with atomic():
        on_commit(lambda: log.append("done as well"))
    asking.__exit__(None, None, None)
    assert log == ["done", "done as well"]


async def test_a_block_in_a_coroutine_says_what_to_write_instead() -> None:
    """There the thread that has the loop has no connections of Django's."""
    with pytest.raises(SideEffectError, match="Decorate the test with @commits"), commits():
        pass


def test_generators_and_values_are_not_decorated() -> None:
    """What runs between the steps of a generator is not its own."""

    def generator() -> object:
        yield

    for wrong in (generator, 3):
        with pytest.raises(TypeError, match="functions and TestCase classes"):
            commits()(wrong)  # type: ignore[type-var]
