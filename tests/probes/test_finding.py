"""Which probes are found: in which modules, of which apps, and each once."""

import json
from typing import Any

import pytest

from tests.support.probe_project import ProbeProject

pytestmark = pytest.mark.processes

PROBE = """
    from sideeffects.probes import SmokeTest


    class {name}(SmokeTest):
        def test_it(self):
            pass
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> ProbeProject:
    """Apps with probes in modules and packages, one that is broken, and two that are to be skipped."""
    made = ProbeProject(tmp_path_factory.mktemp("finding"))
    made.write("shop/smoke/__init__.py", PROBE.format(name="InPackage"))
    made.write("shop/smoke/deep/__init__.py", "")
    made.write("shop/smoke/deep/deeper.py", PROBE.format(name="Deep"))
    made.write("shop/smoke/broken.py", "import module_that_is_not_there")
    made.write("shop/smoke/typo.py", "def")
    made.write(
        "shop/probes.py",
        """
        import unittest

        from django.test import Client, TestCase
        from shop.smoke import InPackage
        from shop.smoke.deep import deeper
        from shop.smoke.deep.deeper import Deep
        from sideeffects.probes import Probe, SmokeTest


        class Base(SmokeTest):
            def test_base(self):
                pass


        class Derived(Base):
            def test_derived(self):
                pass


        Again = Derived


        class Plain(unittest.TestCase):
            def test_plain(self):
                pass

            def helper(self):
                raise AssertionError
        """,
    )
    for app in ("first", "second", "outer"):
        made.write(f"{app}/__init__.py", "")
    made.write("outer/inner/__init__.py", "")
    made.write("first/smoke.py", PROBE.format(name="First"))
    made.write(
        "second/apps.py", "from django.apps import AppConfig\n\n\nclass Second(AppConfig):\n    name = 'second'\n"
    )
    made.write("second/probes.py", PROBE.format(name="Second"))
    made.write("outer/inner/probes.py", PROBE.format(name="Inner"))
    made.environment["MORE_APPS"] = json.dumps(["first", "second.apps.Second", "outer.inner"])
    return made


def found(project: ProbeProject, *arguments: str, **settings: Any) -> tuple[list[str], list[str]]:
    """What `--list` prints, and what it says is broken."""
    listed = project.manage("probe", "--list", *arguments, code=None, MORE_SETTINGS=json.dumps(settings))
    broken = [line for line in listed.stderr.splitlines() if "could not be imported" in line]
    assert listed.returncode == (1 if broken else 0)
    return listed.stdout.splitlines(), broken


def test_modules_and_packages_are_searched(project: ProbeProject) -> None:
    """With all their submodules; what is imported elsewhere is listed once, where it is defined."""
    probes, broken = found(project)
    assert probes == [
        "shop.smoke.InPackage.test_it",
        "shop.smoke.deep.deeper.Deep.test_it",
        "shop.probes.Base.test_base",
        "shop.probes.Derived.test_base",
        "shop.probes.Derived.test_derived",
        "shop.probes.Plain.test_plain",
        "first.smoke.First.test_it",
        "second.probes.Second.test_it",
        "outer.inner.probes.Inner.test_it",
    ]
    assert [line.partition(":")[0] for line in broken] == [
        "shop.smoke.broken could not be imported",
        "shop.smoke.typo could not be imported",
    ]


def test_a_module_that_cannot_be_imported_is_an_error(project: ProbeProject) -> None:
    """With its traceback; its `ImportError` is not mistaken for its absence, and the others are run."""
    report = project.probe("shop", code=1)
    assert (report["tests_passed"], report["tests_errored"]) == (6, 2)
    broken = report["by_name"]["smoke.broken"]
    assert "No module named 'module_that_is_not_there'" in broken["message"]
    assert "import module_that_is_not_there" in broken["traceback"]
    assert "SyntaxError" in report["by_name"]["smoke.typo"]["traceback"]


@pytest.mark.parametrize(
    "skipped", [["shop", "second", "inner"], ["shop", "second.apps.Second", "outer.inner"], "shop"]
)
def test_apps_are_skipped_by_label_or_dotted_name(project: ProbeProject, skipped: Any) -> None:
    """`SMOKETEST_SKIP_APPS`; a broken module of a skipped app is not looked at."""
    probes, broken = found(project, SMOKETEST_SKIP_APPS=skipped)
    left = ["first.smoke.First.test_it"]
    if skipped == "shop":
        left += ["second.probes.Second.test_it", "outer.inner.probes.Inner.test_it"]
    assert (probes, broken) == (left, [])


def test_apps_are_skipped_by_option(project: ProbeProject) -> None:
    """`--skip`, besides the setting; an app that is not there is an error with close matches."""
    probes, _ = found(project, "--skip", "first", "--skip", "outer.inner", SMOKETEST_SKIP_APPS=["shop"])
    assert probes == ["second.probes.Second.test_it"]
    refused = project.manage("probe", "--skip", "shopp", code=2)
    assert "no installed app is called 'shopp'; did you mean 'shop'" in refused.stderr


@pytest.mark.parametrize(
    ("label", "count"),
    [
        ("shop", 6),
        ("inner", 1),
        ("outer.inner", 1),
        ("shop.Derived", 2),
        ("shop.Derived.test_base", 1),
        ("shop.probes", 4),
        ("shop.smoke.deep", 1),
        ("shop.smoke.deep.deeper.Deep.test_it", 1),
    ],
)
def test_labels(project: ProbeProject, label: str, count: int) -> None:
    """Apps by label and name, classes, methods, modules; each probe once, however often it is meant."""
    probes, _ = found(project, label, label)
    assert len(probes) == count


def test_test_cases_of_django_are_refused(project: ProbeProject) -> None:
    """Before anything runs, with what to derive from instead."""
    project.write(
        "first/probes.py",
        """
        import effects
        from django.test import TransactionTestCase


        class Flushes(TransactionTestCase):
            def test_it(self):
                effects.note("attempted", "flushed")
        """,
    )
    try:
        refused = project.manage("probe", "first", code=2)
    finally:
        (project.root / "first/probes.py").unlink()
    assert "first.probes.Flushes must not run on a live system" in refused.stderr
    assert "Derive from sideeffects.probes.SmokeTest or unittest.TestCase" in refused.stderr
    assert not refused.stdout
    assert not project.attempted
