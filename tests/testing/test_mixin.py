"""Every test here runs a real `python -m unittest` or `manage.py test`, in a process of its own, on a small project."""

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

APP = """
    import pathlib
    from sideeffects import side_effect

    SENT = pathlib.Path(__file__).with_name("sent.txt")

    @side_effect(name="sms.send")
    def send_sms(to, body="hello"):
        with SENT.open("a") as file:
            file.write(to + "\\n")

    @side_effect(name="mail.send")
    def send_mail(to):
        with SENT.open("a") as file:
            file.write(to + "\\n")

    @side_effect(name="mail.confirm", on_commit=True)
    def confirm(to):
        with SENT.open("a") as file:
            file.write(to + "\\n")

    @side_effect(name="hook.post")
    async def post(url): ...

    def careless(to):
        try:
            send_sms(to)
        except Exception:
            pass
"""

MANAGE = """
    import multiprocessing
    import os
    import sys

    if __name__ == "__main__":
        os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
        if os.environ.get("START_METHOD"):
            multiprocessing.set_start_method(os.environ["START_METHOD"])
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
"""

SETTINGS = """
    SECRET_KEY = "x"
    INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.staticfiles", "sideeffects"]
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
    DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
    STATIC_URL = "/static/"
    USE_TZ = True
    ROOT_URLCONF = "urls"
"""

URLS = """
    from django.http import HttpResponse
    from django.urls import path
    import app

    def view(request):
        app.send_sms("view")
        return HttpResponse("ok")

    urlpatterns = [path("", view)]
"""


class Run:
    """What a finished test run said."""

    def __init__(self, process: subprocess.CompletedProcess[str]) -> None:
        self.output = process.stdout + process.stderr
        self.failed = sorted(re.findall(r"^(?:FAIL|ERROR): (\w+)", self.output, re.MULTILINE))
        counted = re.search(r"^Ran (\d+) test", self.output, re.MULTILINE)
        self.count = int(counted[1]) if counted else None
        self.is_ok = process.returncode == 0


class Project:
    """A small project with effects that note each real execution in `sent.txt`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.temporary = path / "tmp"
        self.temporary.mkdir()
        self.write(app=APP)

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.path / f"{name}.py").write_text(textwrap.dedent(text).lstrip())

    def unittest(self, tests: str, *args: str) -> Run:
        self.write(test_it=tests)
        return self.run([sys.executable, "-m", "unittest", *args])

    def django(self, tests: str, *args: str, **environment: str) -> Run:
        self.write(test_it=tests, manage=MANAGE, settings=SETTINGS, urls=URLS)
        return self.run([sys.executable, "-W", "ignore", "manage.py", "test", *args], **environment)

    def run(self, command: Sequence[str], **environment: str) -> Run:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTEST", "SIDE_EFFECTS", "DJANGO"))
        }
        return Run(
            subprocess.run(
                command,
                cwd=self.path,
                env={**kept, "TMPDIR": str(self.temporary), **environment},
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
        )

    @property
    def sent(self) -> list[str]:
        path = self.path / "sent.txt"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_each_test_sees_its_own_calls(project: Project) -> None:
    """From `setUp` to the last cleanup, in subtests and coroutines; what the class or another test did is not there."""
    run = project.unittest(
        """
        import unittest
        import app
        from sideeffects.testing import SideEffectsMixin

        app.send_sms("import")

        class TestIt(SideEffectsMixin, unittest.TestCase):
            @classmethod
            def setUpClass(cls):
                super().setUpClass()
                app.send_sms("setUpClass")

            def setUp(self):
                assert not self.side_effects
                app.send_sms("setUp")
                self.addCleanup(self.see, "setUp", "body", "tearDown")

            def tearDown(self):
                app.send_sms("tearDown")

            def see(self, *expected):
                self.assertEqual([call.arguments["to"] for call in self.side_effects], list(expected))

            def test_one(self):
                app.send_sms("body")
                self.see("setUp", "body")

            def test_two(self):
                for number in range(2):
                    with self.subTest(number=number):
                        self.side_effects.assert_called("sms.send", to="setUp", times=1)
                app.send_sms("body")

        class TestAsync(SideEffectsMixin, unittest.IsolatedAsyncioTestCase):
            forbid = ["mail.*"]

            async def asyncSetUp(self):
                await app.post("setUp")

            async def test_it(self):
                await app.post("body")
                self.side_effects.assert_called(app.post, times=2)
                with self.assertRaises(Exception):
                    app.send_mail("x")
        """
    )
    assert run.is_ok, run.output
    assert run.count == 3
    assert project.sent == []


def test_the_class_attributes_hold_name_by_name(project: Project) -> None:
    """The closest class wins, from before `setUpClass` until after `tearDownClass`; with blocks win over all."""
    run = project.unittest(
        """
        import unittest
        import app
        from sideeffects import Mode, explain, forbid
        from sideeffects.testing import SideEffectsMixin

        def modes():
            return explain("sms.send").mode, explain("mail.send").mode

        class Base(SideEffectsMixin, unittest.TestCase):
            forbid = ["sms.send", "mail.*"]

            @classmethod
            def setUpClass(cls):
                super().setUpClass()
                cls.modes = [modes()]

            @classmethod
            def tearDownClass(cls):
                super().tearDownClass()
                assert modes() == cls.modes[0]

        class TestBase(Base):
            def test_it(self):
                self.assertEqual(modes(), (Mode.RAISE, Mode.RAISE))
                self.assertEqual(self.modes, [modes()])

        class TestDerived(Base):
            force_run = [app.send_sms]
            stub = {"mail.send": 7}

            def test_it(self):
                self.assertEqual(modes(), (Mode.EXECUTE, Mode.RECORD))
                self.assertEqual(self.modes, [modes()])
                app.send_sms("forced")
                self.assertEqual(app.send_mail("stubbed"), 7)
                with forbid("sms.send"):
                    self.assertEqual(modes()[0], Mode.RAISE)

        class TestLast(SideEffectsMixin, unittest.TestCase):
            def test_nothing_is_left(self):
                self.assertEqual(modes(), (Mode.RECORD, Mode.RECORD))
        """
    )
    assert run.is_ok, run.output
    assert run.count == 3
    assert project.sent == ["forced"]


def test_a_swallowed_refusal_fails_its_test(project: Project) -> None:
    """In `setUp`, the body, `tearDown` and subtests; what was seen by the test or a base class, or read, is fine."""
    project.write(
        base="""
        import unittest
        import app
        from sideeffects import SideEffectBlocked
        from sideeffects.testing import SideEffectsMixin

        class Base(SideEffectsMixin, unittest.TestCase):
            forbid = ["sms.send"]

            def assert_refused(self):
                try:
                    app.send_sms("x")
                except SideEffectBlocked:
                    return
                self.fail("not refused")
        """
    )
    run = project.unittest(
        """
        import unittest
        import app
        from base import Base
        from sideeffects import SideEffectBlocked

        class TestBody(Base):
            def test_swallowed(self):
                app.careless("+44")

            def test_swallowed_in_subtest(self):
                with self.subTest():
                    app.careless("+44")

            def test_raised(self):
                with self.assertRaises(SideEffectBlocked):
                    app.send_sms("x")

            def test_refused_in_base(self):
                self.assert_refused()

            def test_read(self):
                app.careless("x")
                self.side_effects.assert_called("sms.send", to="x", times=1)

        class TestSetUp(Base):
            def setUp(self):
                app.careless("+44")

            def test_swallowed_in_set_up(self): ...

            def test_read_from_set_up(self):
                self.side_effects.one("sms.send")

        class TestTearDown(Base):
            def tearDown(self):
                app.careless("+44")

            def test_swallowed_in_tear_down(self): ...
        """
    )
    assert run.failed == [
        "test_swallowed",
        "test_swallowed_in_set_up",
        "test_swallowed_in_subtest",
        "test_swallowed_in_tear_down",
    ], run.output
    assert run.count == 8
    assert "AssertionError: a side effect was refused, and the test did not notice" in run.output
    assert re.search(
        r"  1\. sms\.send\(to='\+44', body='hello'\)  \[RAISE, SideEffectBlocked\]  .*app\.py:\d+", run.output
    )
    assert 'forbid=["sms.send"] of class Base' in run.output
    assert "_unittest.py" not in run.output, "our own frames are shown"


def test_a_refusal_swallowed_around_the_tests_fails_the_class(project: Project) -> None:
    """In `setUpClass` and `tearDownClass`; not what a test, or the class itself, has noticed."""
    run = project.unittest(
        """
        import unittest
        import app
        from sideeffects import SideEffectBlocked, capture
        from sideeffects.testing import SideEffectsMixin

        class Base(SideEffectsMixin, unittest.TestCase):
            forbid = ["sms.send"]

            def test_nothing(self): ...

        class SetUp(Base):
            @classmethod
            def setUpClass(cls):
                super().setUpClass()
                app.careless("set up")

        class TearDown(Base):
            @classmethod
            def tearDownClass(cls):
                app.careless("torn down")

        class Fine(Base):
            @classmethod
            def setUpClass(cls):
                super().setUpClass()
                with capture() as calls:
                    app.careless("fine")
                calls.assert_called("sms.send")
                try:
                    app.send_sms("fine")
                except SideEffectBlocked:
                    pass

            def test_that_fails_keeps_its_own_failure(self):
                app.careless("fine")
                self.fail("its own")
        """
    )
    assert run.failed == ["tearDownClass", "tearDownClass", "test_that_fails_keeps_its_own_failure"], run.output
    assert "in setUpClass or tearDownClass of SetUp: a side effect was refused" in run.output
    assert "in setUpClass or tearDownClass of TearDown: a side effect was refused" in run.output
    assert run.output.count("did not notice") == 2


def test_a_refusal_says_what_to_write_in_these_tests(project: Project) -> None:
    """Not a marker, which is pytest's."""
    run = project.unittest(
        """
        import unittest
        import app
        from sideeffects.testing import SideEffectsMixin

        class Refused(SideEffectsMixin, unittest.TestCase):
            forbid = ["sms.send"]

            def test_refused(self):
                app.send_sms("x")
        """
    )
    assert 'in a class with SideEffectsMixin, force_run = ["sms.send"]' in run.output
    assert "pytest.mark" not in run.output


def test_a_test_that_failed_keeps_its_own_failure(project: Project) -> None:
    """Failures, errors, skips and expected failures come first, those of an assertion of ours without its frames."""
    run = project.unittest(
        """
        import unittest
        import app
        from sideeffects.testing import SideEffectsMixin

        class TestIt(SideEffectsMixin, unittest.TestCase):
            forbid = ["sms.send"]

            def test_failing(self):
                app.careless("x")
                self.fail("the failure")

            def test_error(self):
                app.careless("x")
                1 / 0

            def test_subtest(self):
                app.careless("x")
                with self.subTest():
                    self.fail("in a subtest")

            def test_asserting(self):
                app.careless("x")
                self.side_effects.assert_called("mail.send")

            def test_skipping(self):
                app.careless("x")
                self.skipTest("not today")

            @unittest.expectedFailure
            def test_expected(self):
                app.careless("x")
                self.fail("known")
        """
    )
    assert run.failed == ["test_asserting", "test_error", "test_failing", "test_subtest"]
    assert re.search(r'assert_called\("mail.send"\)\n[ ~^\n]*AssertionError: expected call: mail.send', run.output)
    assert "did not notice" not in run.output
    assert "skipped=1, expected failures=1" in run.output


TIMES = """
    import unittest
    import app
    from sideeffects import stub
    from sideeffects.testing import SideEffectsMixin

    class TestTimes(SideEffectsMixin, unittest.TestCase):
        stub = [stub("mail.send", in_turn=["first", "second"], times=1)]

        @classmethod
        def setUpClass(cls):
            super().setUpClass()
            app.send_mail("class")

        def test_again(self):
            self.assertEqual(app.send_mail("one"), "first")

        def test_none(self):
            pass

        def test_once(self):
            self.assertEqual(app.send_mail("one"), "first")

        def test_twice(self):
            self.assertEqual([app.send_mail("one"), app.send_mail("two")], ["first", "second"])
"""


@pytest.mark.parametrize("runner", ["unittest", "pytest"])
def test_stubs_of_class_attributes_are_counted_for_each_test(project: Project, runner: str) -> None:
    """What the class has called counts for none of its tests; under pytest too."""
    command = [] if runner == "unittest" else ["-p", "sideeffects.pytest_plugin", "test_it.py"]
    project.write(test_it=TIMES)
    run = project.run([sys.executable, "-m", runner, *command])
    assert run.output.count("had to answer 1 call, and has answered 0 (entered at test_it.TestTimes)") >= 1, run.output
    assert run.output.count("had to answer 1 call, and has answered 2 (entered at test_it.TestTimes)") >= 1
    assert "failures=2)" in run.output or "2 failed, 2 passed" in run.output


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ('force_run = ["sms.sned"]', "UnknownSideEffect: no side effect is named 'sms.sned'. Did you mean 'sms.send'?"),
        ('record = "sms.send"', "TypeError: record of class TestIt takes a list of effects, not 'sms.send'"),
        ('stub = ["sms.send"]', "TypeError: stub of class TestIt takes a mapping of effect"),
    ],
)
def test_a_wrong_attribute_is_a_clear_error(project: Project, attribute: str, message: str) -> None:
    """The class is not set up, no test of it runs, and the message names what comes close."""
    run = project.unittest(
        f"""
        import unittest
        import app
        from sideeffects.testing import SideEffectsMixin

        class TestIt(SideEffectsMixin, unittest.TestCase):
            {attribute}

            def test_it(self):
                app.send_sms("x")
        """
    )
    assert run.failed == ["setUpClass"]
    assert run.count == 0
    assert message in run.output


def test_the_mixin_behind_the_test_case_is_refused(project: Project) -> None:
    """There it could neither begin nor end a test: the class statement says so."""
    run = project.unittest(
        """
        import unittest
        from sideeffects.testing import SideEffectsMixin

        class TestIt(unittest.TestCase, SideEffectsMixin): ...
        """
    )
    assert not run.is_ok
    assert "TestIt: SideEffectsMixin must stand before the test case" in run.output


def test_a_set_up_class_that_calls_no_super_still_gets_the_attributes(project: Project) -> None:
    """Forgetting `super().setUpClass()` must not silently take a `forbid` away."""
    run = project.unittest(
        """
        import unittest
        import app
        from sideeffects import Mode, explain
        from sideeffects.testing import SideEffectsMixin

        class TestIt(SideEffectsMixin, unittest.TestCase):
            forbid = ["sms.send"]

            @classmethod
            def setUpClass(cls): ...

            def test_one(self):
                self.assertIs(explain("sms.send").mode, Mode.RAISE)

            def test_two(self):
                self.assertIs(explain("sms.send").mode, Mode.RAISE)

        class TestLast(unittest.TestCase):
            def test_nothing_is_left(self):
                self.assertIs(explain("sms.send").mode, Mode.RECORD)
        """
    )
    assert run.is_ok, run.output


DJANGO_TESTS = """
    import subprocess
    import sys
    import urllib.request

    from django.contrib.auth.models import Group
    from django.db import transaction
    from django.test import LiveServerTestCase, SimpleTestCase, TestCase, TransactionTestCase, tag

    import app
    from sideeffects import Mode, SideEffectBlocked, explain
    from sideeffects.testing import SideEffectsMixin

    def order(to):
        with transaction.atomic():
            Group.objects.create(name=to)
            app.confirm(to)

    class Simple(SideEffectsMixin, SimpleTestCase):
        forbid = ["sms.send"]

        @tag("failing")
        def test_swallowed(self):
            app.careless("simple")

        def test_client(self):
            with self.assertRaises(SideEffectBlocked):
                self.client.get("/")

        async def test_async(self):
            await app.post("x")
            self.side_effects.assert_called("hook.post", times=1)
            with self.assertRaises(SideEffectBlocked):
                app.send_sms("x")

    class Rows(SideEffectsMixin, TestCase):
        force_run = ["mail.confirm"]
        forbid = ["sms.send"]

        @classmethod
        def setUpTestData(cls):
            Group.objects.create(name="all")
            cls.modes = explain("mail.confirm").mode, explain("sms.send").mode

        def test_data(self):
            self.assertEqual(self.modes, (Mode.EXECUTE, Mode.RAISE))

        @tag("failing")
        def test_pending(self):
            order("pending")

        def test_played(self):
            with self.captureOnCommitCallbacks(execute=True):
                order("played")
            self.side_effects.assert_called("mail.confirm", to="played", times=1)

        def test_rolled_back(self):
            with transaction.atomic():
                order("rolled-back")
                transaction.set_rollback(True)

        @tag("failing")
        def test_pending_but_failed(self):
            order("failed")
            self.fail("its own failure")

    class Committing(SideEffectsMixin, TransactionTestCase):
        force_run = ["mail.confirm"]

        def test_committed(self):
            order("committed")
            self.side_effects.assert_called("mail.confirm", times=1)

    class Live(SideEffectsMixin, LiveServerTestCase):
        def test_live(self):
            self.assertEqual(urllib.request.urlopen(self.live_server_url).status, 200)
            self.side_effects.assert_called("sms.send", to="view", times=1)

        def test_live_once_more(self):
            self.assertEqual(urllib.request.urlopen(self.live_server_url).status, 200)
            self.assertEqual(len(self.side_effects), 1)

    class Children(SideEffectsMixin, SimpleTestCase):
        def call(self, name):
            app.send_sms(name)
            code = f"import app; app.send_sms('child of {name}')"
            subprocess.run([sys.executable, "-c", code], check=True)
            seen = sorted(call.arguments["to"] for call in self.side_effects)
            self.assertEqual(seen, sorted([name, f"child of {name}"]))

    class Children1(Children):
        def test_one(self): self.call("one")
        def test_two(self): self.call("two")

    class Children2(Children):
        def test_three(self): self.call("three")
        def test_four(self): self.call("four")
"""


def test_django_cases(project: Project) -> None:
    """Refusals, commits, live servers and children, under `manage.py test`."""
    run = project.django(DJANGO_TESTS)
    assert run.failed == ["test_pending", "test_pending_but_failed", "test_swallowed"], run.output
    assert run.count == 15
    assert sorted(project.sent) == ["committed", "played"]
    assert run.output.count("a forced side effect still waits for the commit") == 1
    assert "mail.confirm(to='pending')" in run.output
    assert "captureOnCommitCallbacks(execute=True)" in run.output
    assert "its own failure" in run.output


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_django_cases_in_parallel(project: Project, method: str) -> None:
    """Each worker sees the calls of its own tests and of their children, and fails what has to fail."""
    run = project.django(DJANGO_TESTS, "--parallel=3", "--exclude-tag=failing", START_METHOD=method)
    assert run.is_ok, run.output
    assert run.count == 12
    assert sorted(project.sent) == ["committed", "played"]
    assert not list(project.temporary.iterdir()), "a worker left a file behind"
    # Without tblib Django cannot bring a failure over from its worker: it ends the run with the failure's text.
    run = project.django(DJANGO_TESTS, "--parallel=2", "--tag=failing", START_METHOD=method)
    assert not run.is_ok
    assert "did not notice" in run.output or "still waits for the commit" in run.output


def test_the_same_cases_under_pytest(project: Project) -> None:
    """The plugin and the mixin together complain of each fault once."""
    project.write(test_it=DJANGO_TESTS, settings=SETTINGS, urls=URLS)
    run = project.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "sideeffects", "-p", "django", "test_it.py"],
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
        DJANGO_SETTINGS_MODULE="settings",
    )
    assert sorted(re.findall(r"^FAILED \S+::(\w+)", run.output, re.MULTILINE)) == [
        "test_pending",
        "test_pending_but_failed",
        "test_swallowed",
    ], run.output
    assert "3 failed, 12 passed" in run.output
    assert run.output.count("did not notice") == 1
    assert run.output.count("still waits for the commit") == 1
    assert sorted(project.sent) == ["committed", "played"]


def test_debug_runs_a_test_with_its_calls(project: Project) -> None:
    """`TestCase.debug()` collects no result; the calls and the complaint are the same."""
    run = project.unittest(
        """
        import unittest
        import app
        from sideeffects.testing import SideEffectsMixin

        class Inner(SideEffectsMixin, unittest.TestCase):
            forbid = ["sms.send"]

            def fine(self):
                app.send_mail("x")
                self.side_effects.assert_called("mail.send", times=1)

            def swallowing(self):
                app.careless("x")

        class TestIt(unittest.TestCase):
            def test_it(self):
                Inner("fine").debug()
                with self.assertRaisesRegex(AssertionError, "the test did not notice"):
                    Inner("swallowing").debug()
        """
    )
    assert run.is_ok, run.output
