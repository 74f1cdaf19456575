"""Coming from django-smoketest: the same probes on both, and tests of its view as one wrote them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.projects import Project

pytestmark = pytest.mark.processes

SETTINGS = """
    SECRET_KEY = "no secret"
    ALLOWED_HOSTS = ["*"]
    USE_TZ = True
    INSTALLED_APPS = ["basics", "broken", "smoketest", "sideeffects", "skipped"]
    ROOT_URLCONF = "urls"
    MIDDLEWARE = []
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
    SMOKETEST_SKIP_APPS = ["skipped"]
    SIDE_EFFECTS = {"PROBES": {"ALLOWED_IPS": ["127.0.0.1"]}}
"""
URLS = """
    from django.urls import include, path
    from {views} import IndexView


    class Ours(IndexView):
        pass


    urlpatterns = [path("smoketest/", include("{urls}")), path("extended/", Ours.as_view())]
"""
SMOKE = """
    from {package} import SmokeTest


    class Asserts(SmokeTest):
        def setUp(self):
            self.things = [1, 2]

        def tearDown(self):
            del self.things

        def test_all_that_there_are(self):
            self.assertEqual(1, 1)
            self.assertNotEqual(1, 2)
            self.assertTrue(self.things)
            self.assertFalse([])
            self.assertIs(self.things, self.things)
            self.assertIsNot(self.things, [1, 2])
            self.assertIsNone(None)
            self.assertIsNotNone(0)
            self.assertIn(1, self.things)
            self.assertNotIn(3, self.things)
            self.assertIsInstance(self, SmokeTest)
            self.assertNotIsInstance(1, str)
            self.assertRaises(KeyError, {{}}.__getitem__, 1)
            self.assertAlmostEqual(1.00000001, 1.00000002)
            self.assertNotAlmostEqual(1.1, 1.2)
            self.assertGreater(2, 1)
            self.assertGreaterEqual(2, 2)
            self.assertLess(1, 2)
            self.assertLessEqual(2, 2)


    class Bad(SmokeTest):
        def test_equal(self):
            self.assertEqual(13, 14)

        def test_error(self):
            raise ValueError("an error of its own")

        def test_true(self):
            self.assertTrue(False, "said by the probe")


    class Rows(SmokeTest):
        def test_first(self):
            self.assertEqual(1, 1)

        def test_second(self):
            self.assertEqual(2, 2)
"""
ASK = """
    import json
    import os
    import sys

    os.environ["DJANGO_SETTINGS_MODULE"] = "config"
    import django

    django.setup()
    from django.test import Client

    answers = {}
    for accept in ("", "application/json"):
        response = Client().get("/smoketest/", headers={"Accept": accept} if accept else {})
        answers[accept] = [response.status_code, response["Content-Type"].partition(";")[0], response.text]
    answers["extended"] = Client().get("/extended/").status_code
    print(json.dumps(answers))
"""


def project_of(root: Path, package: str) -> Project:
    """A project whose probes, views and urls come from `smoketest` or from `sideeffects.probes`."""
    root.mkdir()
    project = Project(root)
    project.write("config.py", SETTINGS)
    project.write("urls.py", URLS.format(views=f"{package}.views", urls=f"{package}.urls"))
    for app, source in (
        ("basics", SMOKE.format(package=package)),
        ("broken", 'raise Exception("broken on purpose")\n'),
        ("skipped", 'raise Exception("never imported")\n'),
    ):
        project.write(f"{app}/__init__.py", "")
        project.write(f"{app}/smoke.py", source)
    return project


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What both say to the same requests."""
    root = tmp_path_factory.mktemp("both")
    return {
        name: json.loads(project_of(root / name, package).program(ASK))
        for name, package in (("theirs", "smoketest"), ("ours", "sideeffects.probes"))
    }


def test_both_print_the_same(answers: dict[str, Any]) -> None:
    """Line by line, but for the time; a module that cannot be imported has its name before what theirs says of it."""
    texts = {}
    for name in ("theirs", "ours"):
        status, kind, text = answers[name][""]
        assert (status, kind) == (500, "text/plain")
        texts[name] = re.sub(r"(?m)^time: \d+\.\d{6}ms$", "time: ?ms", text)
    head, _, _ = texts["theirs"].partition("basics.smoke.Bad.test_error")
    assert head.count("\n") > 10
    assert texts["ours"].startswith(head)
    assert set(texts["ours"].replace("broken.smoke errored: ", "").split("\n\n")) >= set(texts["theirs"].split("\n\n"))


def test_both_answer_the_same_json(answers: dict[str, Any]) -> None:
    """Their keys and values are among ours."""
    (status, kind, theirs), ours = answers["theirs"]["application/json"], answers["ours"]["application/json"]
    assert ours[:2] == [status, kind] == [500, "application/json"]
    expected, found = json.loads(theirs), json.loads(ours[2])
    assert found.keys() > expected.keys()
    assert type(found["time"]) is type(expected.pop("time"))
    # What cannot be imported comes first.
    found["errored_tests"] = [line.removeprefix("broken.smoke errored: ") for line in found["errored_tests"]][::-1]
    assert {key: found[key] for key in expected} == expected


def test_a_view_of_ones_own_is_extended(answers: dict[str, Any]) -> None:
    """By deriving from `IndexView`, with nothing in the class."""
    assert answers["ours"]["extended"] == answers["theirs"]["extended"] == 500


TESTS = """
    import json

    from django.test import Client, TestCase, override_settings

    from basics import smoke
    from sideeffects.probes import SmokeTest


    @override_settings(INSTALLED_APPS=["basics", "sideeffects"])
    class ViewTest(TestCase):
        class Case(SmokeTest):
            def test_error(self):
                raise Exception("an exception")

            def test_fail(self):
                self.assertTrue(False, "a failure")

        def test_text(self):
            response = Client().get("/smoketest/")
            self.assertEqual(response.status_code, 500)
            text = response.content.decode()
            for said in (
                "FAIL",
                "tests failed: 2\\n",
                "tests errored: 1\\n",
                ".Bad.test_equal failed: 13 != 14",
                ".Bad.test_true failed: said by the probe",
            ):
                self.assertIn(said, text)
            self.assertNotIn(".SmokeTest.", text)

        def test_json(self):
            response = Client().get("/smoketest/", HTTP_ACCEPT="application/json")
            self.assertEqual(response["Content-Type"], "application/json")
            report = json.loads(response.content)
            self.assertEqual((report["status"], report["tests_failed"], report["tests_errored"]), ("FAIL", 2, 1))
            self.assertIn("basics.smoke.Bad.test_equal failed: 13 != 14", report["failed_tests"])
            self.assertEqual(report["errored_tests"], ["basics.smoke.Bad.test_error errored: an error of its own"])

        def test_a_class_by_hand(self):
            run, passed, failed, errored, failures, errors = self.Case().run()
            self.assertEqual((run, passed, failed, errored), (2, 0, 1, 1))
            self.assertTrue(failures[0].endswith("Case.test_fail failed: a failure"), failures)
            self.assertTrue(errors[0].endswith("Case.test_error errored: an exception"), errors)

        def test_log(self):
            said = []

            class Logged(self.Case):
                def __init__(self):
                    super().__init__(said.append)

            Logged().run()
            self.assertEqual(len(said), 2)
            self.assertTrue(any("a failure" in line for line in said))

        @override_settings(INSTALLED_APPS=["broken", "sideeffects"])
        def test_a_module_that_cannot_be_imported(self):
            response = Client().get("/smoketest/")
            self.assertEqual(response.status_code, 500)
            said = "Exception while importing smoke test script: broken on purpose"
            self.assertIn(said, response.content.decode())

        def test_the_report_says_that_there_were_no_timeouts(self):
            self.assertIn("in savepoints and without timeouts", Client().get("/smoketest/").content.decode())
"""


def test_tests_of_old_pass(tmp_path: Path) -> None:
    """Under Django's runner, in a `TestCase` and on a database in memory."""
    project = project_of(tmp_path / "old", "sideeffects.probes")
    project.write("basics/tests.py", TESTS)
    done = project.run("-m", "django", "test", "basics", environment={"DJANGO_SETTINGS_MODULE": "config"})
    assert "Ran 6 tests" in done.stderr
    assert "OK" in done.stderr
