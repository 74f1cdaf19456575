"""What the commands write to standard output: the report alone, in characters that the stream can hold."""

import json

import pytest

from tests.support.probe_project import ProbeProject

pytestmark = pytest.mark.processes

#: The log goes to the stream of the report, as in many containers.
LOGGING = {
    "version": 1,
    "handlers": {"out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}},
    "root": {"handlers": ["out"], "level": "INFO"},
}
GREETINGS = '''
    import logging

    from sideeffects import side_effect

    logging.getLogger("shop").warning("importing is logged")
    print("importing is printed")


    @side_effect(name="shop.gruessen")
    def grüßen(straße):
        """Grüße senden."""
'''
NOISY = """
    import logging
    import subprocess
    import sys

    from shop.greetings import grüßen
    from sideeffects.probes import SmokeTest

    def make_noise(what):
        logging.getLogger("shop").warning("%s is logged", what)
        print(f"{what} is printed")
        print(f"{what} is printed past sys.stdout", file=sys.__stdout__)
        subprocess.run([sys.executable, "-c", f"print('{what} is printed by a program')"], check=True)


    class Übersicht(SmokeTest):
        def test_straße(self):
            make_noise("a probe")
            grüßen("Straße")
"""
TIDY = """
    from django.core.management.base import BaseCommand


    class Command(BaseCommand):
        def handle(self, **options):
            import logging

            from shop.greetings import grüßen

            logging.getLogger("shop").warning("a command is logged")
            grüßen("Große Straße")
            self.stdout.write("Größe")
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> ProbeProject:
    """A project that is noisy, and whose names are not all ASCII."""
    made = ProbeProject(tmp_path_factory.mktemp("project"))
    made.write("shop/greetings.py", GREETINGS)
    made.write("shop/probes.py", NOISY)
    for folder in ("shop/management", "shop/management/commands"):
        made.write(f"{folder}/__init__.py", "")
    made.write("shop/management/commands/tidy.py", TIDY)
    made.manage("migrate", "--verbosity=0")
    return made


@pytest.mark.parametrize(
    "command",
    [
        ["probe", "--format", "json"],
        ["probe", "--format", "json", "--parallel", "1"],
        ["side_effects", "--format", "json"],
        ["dry_run", "--format", "json", "tidy"],
    ],
    ids=" ".join,
)
def test_a_report_for_programs_stands_alone(project: ProbeProject, command: list[str]) -> None:
    """Whoever prints or logs meanwhile: handlers that have kept the stream, and programs, do it on standard error."""
    done = project.manage(*command, MORE_SETTINGS=json.dumps({"LOGGING": LOGGING}))
    assert json.loads(done.stdout)
    what = "a probe" if command[0] == "probe" else "a command" if command[0] == "dry_run" else "importing"
    expected = ["logged"] if command[0] == "dry_run" else ["logged", "printed"]
    if command[0] == "probe":
        expected += ["printed past sys.stdout", "printed by a program"]
    for how in expected:
        assert f"{what} is {how}\n" in done.stderr


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["probe"], "would have executed: shop.gruessen(stra\\xdfe='Stra\\xdfe')"),
        (["probe", "--list"], "shop.probes.\\xdcbersicht.test_stra\\xdfe\n"),
        (["side_effects"], "Gr??e senden."),
        (["side_effects", "--verbose", "--explain"], "Gr??e senden."),
        (["side_effects", "--format", "markdown"], "Gr??e senden."),
        (["dry_run", "tidy"], "Gro\\xdfe Stra\\xdfe"),
        (["dry_run", "--format", "markdown", "tidy"], "Gr\\xf6\\xdfe"),
    ],
    ids=" ".join,
)
def test_a_stream_that_holds_ascii_alone_is_no_reason_to_fail(
    project: ProbeProject, command: list[str], said: str
) -> None:
    """What it cannot hold is spelled out, or a question mark in a table."""
    done = project.manage(*command, PYTHONIOENCODING="ascii")
    assert said in done.stdout, done.stdout
