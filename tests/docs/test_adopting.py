"""docs/how-to/adopting-in-an-existing-suite.md is followed, step by step, on the small suite that it shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "adopting-in-an-existing-suite.md"

#: What every Django project has, and the page therefore does not show.
SURROUNDINGS = {
    "settings.py": """
SECRET_KEY = "x"
INSTALLED_APPS = ["sideeffects"]
USE_TZ = True
""",
    "test_settings.py": "from settings import *\n",
    "manage.py": """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "test_settings"
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
""",
    # Were a body to run without `responses` below it, it would come here instead of going to the network.
    "sitecustomize.py": """
import socket

def connect(*args, **kwargs):
    raise AssertionError("a test went to the network")
socket.getaddrinfo = connect
""",
}


def steps() -> dict[str, dict[str, str]]:
    """The files that each step of the page shows, by the step's heading."""
    found = {}
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        heading = section.partition("\n")[0]
        found[heading] = dict(re.findall(r"```python\n# (\S+\.py)\n(.*?)```", section, re.DOTALL))
    return found


class Project:
    """The project as it stands after the steps taken so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write(SURROUNDINGS)

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            (self.path / name).write_text(text)

    def failing(self, *options: str) -> dict[str, list[str]]:
        """Run the suite by both runners. Returns the names of the tests that fail, by runner."""
        django = self.run("-W", "ignore", "manage.py", "test", "tests")
        pytest_ = self.run("-m", "pytest", "-p", "django", "-p", "sideeffects", "-q", "-rfE", *options, "tests.py")
        assert "went to the network" not in django + pytest_
        assert "sitecustomize" not in django + pytest_, "the block of the network failed"
        assert re.search(r"^Ran [1-9]", django, re.MULTILINE), django
        assert re.search(r"[1-9]\d* (passed|failed)", pytest_), pytest_
        return {
            "manage.py test": sorted(re.findall(r"^(?:FAIL|ERROR): (\w+)", django, re.MULTILINE)),
            "pytest": sorted(re.findall(r"^(?:FAILED|ERROR) \S+::(\w+)", pytest_, re.MULTILINE)),
        }

    def run(self, *arguments: str) -> str:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "SIDE_EFFECTS"))
        }
        process = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.path,
            env={
                **environment,
                "DJANGO_SETTINGS_MODULE": "test_settings",
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                "PYTHONPATH": str(self.path),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return process.stdout + process.stderr


GREEN: dict[str, list[str]] = {"manage.py test": [], "pytest": []}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_the_network_is_blocked_in_these_tests(project: Project) -> None:
    """Or else nothing would show that a body has run."""
    said = project.run("-c", "import socket; socket.create_connection(('127.0.0.1', 9))")
    assert said.rstrip().endswith("AssertionError: a test went to the network")


def test_the_suite_is_green_after_every_step(project: Project) -> None:
    """Forced altogether, declared, named, taken out one by one: nothing turns red but what the page says."""
    start, force, declare, name, take_out, empty, stricter = steps().values()

    project.write(start)
    assert project.failing() == GREEN

    project.write(force)
    project.write(declare)
    assert project.failing() == GREEN

    project.write(name)
    assert project.failing() == GREEN

    project.write({"test_settings.py": take_out["test_settings.py"]})
    looked_below = ["test_the_customer_gets_a_message"]
    assert project.failing() == {"manage.py test": looked_below, "pytest": looked_below}
    project.write({"tests.py": take_out["tests.py"]})
    assert project.failing() == GREEN

    project.write(empty)
    assert project.failing() == GREEN

    assert not stricter
    assert project.failing("--side-effects=raise")["pytest"] == [
        "test_the_customer_gets_a_message",
        "test_the_customer_gets_a_receipt",
    ]


def test_declaring_without_forcing_would_turn_it_red(project: Project) -> None:
    """The first step is needed: without it, every test that looks below a declared function fails at once."""
    start, _, declare, *_ = steps().values()
    project.write(start)
    project.write(declare)
    red = ["test_the_customer_gets_a_message", "test_the_customer_gets_a_receipt"]
    assert project.failing() == {"manage.py test": red, "pytest": red}


def test_the_list_of_forced_names_cannot_rot(project: Project) -> None:
    """`side_effects --check` is silent on the page's list, and names what matches nothing."""
    start, _, declare, name, *_ = steps().values()
    for files in (start, declare, name):
        project.write(files)
    assert "mail.receipt" not in project.run("manage.py", "side_effects", "--check")
    project.write({"test_settings.py": name["test_settings.py"].replace("mail.receipt", "mail.reciept")})
    assert "mail.reciept" in project.run("manage.py", "side_effects", "--check")
