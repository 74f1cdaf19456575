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


def outputs(command: str) -> list[str]:
    """What the page shows for a command, each time that it does."""
    page = PAGE.read_text(encoding="utf-8")
    shown = re.findall(r"^\$ python manage.py (.*?)\n((?:(?!\$ |```).*\n)*)", page, re.MULTILINE)
    return [text.rstrip() for given, text in shown if given == command]


def test_the_suite_is_green_after_every_step(project: Project) -> None:
    """Forced, declared, taken out one by one: nothing turns red but what the page says, and the commands say that."""
    start, _, force, _, take_out, empty, stricter = steps().values()

    project.write(start)
    assert project.failing() == GREEN
    for command in ("side_effects --audit", "side_effects --adopt"):
        assert project.run("manage.py", *command.split()).startswith(outputs(command)[0])

    project.write(force)
    assert project.run("manage.py", "side_effects", "--audit", "--apply").startswith(
        outputs("side_effects --audit --apply")[0]
    )
    written = project.run("manage.py", "side_effects", "--audit", "--apply", "--write")
    assert written.strip() == outputs("side_effects --audit --apply --write")[0]
    assert project.failing() == GREEN
    assert outputs("test")[0].splitlines()[-1] in project.run("-W", "ignore", "manage.py", "test", "tests")

    project.write({"test_settings.py": take_out["test_settings.py"]})
    looked_below = ["test_the_customer_gets_a_message"]
    assert project.failing() == {"manage.py test": looked_below, "pytest": looked_below}
    told = project.run("-W", "ignore", "manage.py", "test", "tests").replace(f"{project.path}{os.sep}", "")
    [shown] = re.findall(r"```text\n(AssertionError.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert shown in told

    [refused] = re.findall(r'`("POLICY": {.*?})`', PAGE.read_text(encoding="utf-8"))
    project.write({"test_settings.py": take_out["test_settings.py"].replace("{\n", f"{{\n{refused},\n", 1)})
    both = [
        *looked_below,
        "test_the_customer_gets_a_receipt",
    ]  # the second one was green, though its message went nowhere
    assert project.failing() == {"manage.py test": both, "pytest": both}
    project.write({"test_settings.py": take_out["test_settings.py"]})

    project.write({"tests.py": take_out["tests.py"]})
    assert project.failing() == GREEN

    project.write(empty)
    assert project.failing() == GREEN
    assert outputs("test")[1].splitlines()[-1] in project.run("-W", "ignore", "manage.py", "test", "tests")

    assert not stricter
    assert project.failing("--side-effects=raise")["pytest"] == [
        "test_the_customer_gets_a_message",
        "test_the_customer_gets_a_receipt",
    ]


def test_declaring_without_forcing_would_turn_it_red(project: Project) -> None:
    """The first step is needed: without it, every test that looks below a declared function fails at once."""
    project.write(next(iter(steps().values())))
    project.run("manage.py", "side_effects", "--audit", "--apply", "--write")
    red = ["test_the_customer_gets_a_message"]
    assert project.failing() == {"manage.py test": red, "pytest": red}


def test_the_list_of_forced_names_cannot_rot(project: Project) -> None:
    """`side_effects --check` is silent on the page's list, and names what matches nothing."""
    start, _, force, *_ = steps().values()
    project.write(start)
    project.write(force)
    project.run("manage.py", "side_effects", "--audit", "--apply", "--write")
    assert "notify.send_sms" not in project.run("manage.py", "side_effects", "--check")
    project.write({"test_settings.py": force["test_settings.py"].replace("send_sms", "sned_sms")})
    assert "notify.sned_sms" in project.run("manage.py", "side_effects", "--check")
