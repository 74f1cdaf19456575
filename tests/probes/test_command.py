"""`manage.py probe`, in production: what is run, what is shown, how it ends."""

from pathlib import Path

import pytest

from tests.support.probe_project import ProbeProject

pytestmark = pytest.mark.processes

SHOP = """
    import effects
    from shop.models import Row
    from sideeffects.probes import SmokeTest


    class Checkout(SmokeTest):
        tags = ["checkout"]

        def test_order(self):
            Row.objects.create(name="x")
            effects.attempt("an order")
            self.assertEqual(Row.objects.count(), 1)

        def test_wrong(self):
            self.assertEqual(1, 2)


    class Pages(SmokeTest):
        tags = ["pages"]

        def test_about(self):
            pass
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> ProbeProject:
    """A project with three probes, one of which fails."""
    made = ProbeProject(tmp_path_factory.mktemp("project"))
    made.write("shop/probes.py", SHOP)
    made.manage("migrate", "--verbosity=0")
    return made


def test_all_probes_are_run_and_shown(project: ProbeProject) -> None:
    """As django-smoketest prints it, with what was held back; what failed ends with exit code 1."""
    project.forget()
    done = project.manage("probe", code=1)
    lines = done.stdout.splitlines()
    assert lines[:6] == [
        "FAIL",
        "test classes: 2",
        "tests run: 3",
        "tests passed: 2",
        "tests failed: 1",
        "tests errored: 0",
    ]
    assert "shop.probes.Checkout.test_wrong failed: 1 != 2" in lines
    assert "shop.probes.Checkout.test_order would have executed: shop.send(place='an order')" in lines
    assert (project.attempted["an order"], project.executed["an order"]) == (1, 0)


def test_labels_and_tags_choose(project: ProbeProject) -> None:
    """All passed: exit code 0, under both names of the command."""
    for command, *chosen in (["probe", "shop.Pages"], ["smoketest", "--tag", "pages"], ["probe", "shop.probes.Pages"]):
        assert "tests run: 1\ntests passed: 1\n" in project.manage(command, *chosen, code=0).stdout


def test_a_label_that_means_nothing_runs_nothing(project: ProbeProject) -> None:
    """With close matches, and exit code 2."""
    done = project.manage("probe", "shop.Page", code=2)
    assert "no probe is called 'shop.Page'; did you mean 'shop.Pages'" in done.stderr
    assert not done.stdout


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--timeout", "soon", "it must be a number of seconds above 0, and not 'soon'"),
        ("--timeout", "nan", "it must be a number of seconds above 0, and not 'nan'"),
        ("--parallel", "0", "it must be a whole number, at least 1, and not '0'"),
        ("--parallel", "many", "it must be a whole number, at least 1, and not 'many'"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused(project: ProbeProject, option: str, value: str, said: str) -> None:
    """Saying what is expected, and exit code 2."""
    assert f"argument {option}: {said}" in project.manage("probe", option, value, code=2).stderr


def test_a_selection_without_probes_does_not_pass(project: ProbeProject) -> None:
    """An app that has none, and tags and skipped apps that leave none: nothing is run, and exit code 2."""
    for chosen in (
        ["auth"],
        ["--skip", "shop"],
        ["--tag", "pages", "--exclude-tag", "pages"],
        ["shop.Pages", "--tag", "checkout"],
    ):
        done = project.manage("probe", *chosen, code=2)
        assert (done.stdout, "no probe is selected" in done.stderr) == ("", True)


def test_a_project_without_probes_passes(tmp_path: Path) -> None:
    """Also when an app is skipped that has none: that leaves out nothing."""
    project = ProbeProject(tmp_path)
    for chosen in ([], ["--skip", "shop"]):
        done = project.manage("probe", *chosen, code=0)
        assert done.stdout.startswith("PASS\n")
        assert "No probes were found" in done.stderr


NOISY = """
    from sideeffects.probes import SmokeTest

    print("imported")


    class Noisy(SmokeTest):
        def test_generator(self):
            yield self.fail("nobody would run this")

        def test_prints(self):
            print("printed")

        def test_says(self):
            self.fail("caf\\u00e9 \\udcff")
"""


def test_what_probes_print_and_say_does_not_spoil_the_report(tmp_path: Path) -> None:
    """Prints go to standard error, and characters that a stream or a file cannot hold are spelled.

    A generator, which nobody would run, does not pass.
    """
    project = ProbeProject(tmp_path)
    project.write("shop/probes.py", NOISY)
    done = project.manage("probe", code=1, PYTHONIOENCODING="ascii")
    assert done.stdout.startswith("FAIL\n")
    assert "shop.probes.Noisy.test_says failed: caf\\xe9 \\udcff\n" in done.stdout
    assert "shop.probes.Noisy.test_generator errored: test_generator is a generator" in done.stdout
    assert done.stderr == "imported\nprinted\n"
    project.manage("probe", "--output", "report.txt", code=1)
    assert "test_says failed: caf\u00e9 \\udcff\n" in (tmp_path / "report.txt").read_text(encoding="utf-8")
