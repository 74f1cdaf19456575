"""What is published is what was tested: the wheel, installed into an empty environment, and used there."""

import os
import re
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from tests.support.distributions import Built
from tests.support.projects import ROOT, clean_environment, django_project
from tests.support.typed_page import Newcomer

pytestmark = pytest.mark.once

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")

SCRIPT = """
    import importlib.util
    import sys

    import sideeffects
    from sideeffects import capture, record, side_effect

    assert sideeffects.__file__.startswith(sys.prefix), sideeffects.__file__
    assert importlib.util.find_spec("django") is None, "the environment is not empty"
    assert importlib.util.find_spec("pytest") is None, "the environment is not empty"
    sent = []


    @side_effect(name="sms.send", returns="recorded")
    def send_sms(to, body):
        sent.append((to, body))
        return "sent"


    assert send_sms("+44 1", body="Hello") == "sent"
    with capture() as calls, record("sms.*"):
        assert send_sms("+44 2", "Hello") == "recorded"
    calls.assert_called("sms.send", to="+44 2", times=1)
    assert sent == [("+44 1", "Hello")]
    print("it works")
"""
TESTS = """
    import sys

    import sideeffects
    from effects import attempt


    def test_nothing_is_sent(side_effects):
        attempt("a test")
        side_effects.assert_called("shop.send", place="a test", times=1)
        assert sideeffects.__file__.startswith(sys.prefix), sideeffects.__file__
"""


def run(*command: object, cwd: Path, code: int = 0, **variables: str) -> str:
    """Run a command with a cleaned environment that does not lead to this tree, and return what it printed."""
    environment = clean_environment() | variables
    del environment["PYTHONPATH"]
    finished = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert finished.returncode == code, (
        f"{command} exited with {finished.returncode}:\n{finished.stdout}{finished.stderr}"
    )
    return finished.stdout


def test_the_wheel_works_in_an_empty_environment(tmp_path: Path, built: Built) -> None:
    """A script needs nothing but wrapt; pytest finds the plugin; Django finds the command; a newcomer gets through."""
    wheel = built.wheel
    names = zipfile.ZipFile(wheel).namelist()
    assert {"sideeffects/py.typed", *(f"sideeffects/probes/reports/page.{kind}" for kind in ("css", "js"))} < set(names)
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"sideeffects"}, "the wheel holds more"
    folder = tmp_path / "newcomer"
    folder.mkdir()
    run(sys.executable, "-m", "venv", folder / ".venv", cwd=tmp_path)
    python = folder / ".venv" / "bin" / "python"
    run(*PIP, "--python", python, "install", wheel, cwd=tmp_path)
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT), encoding="utf-8")
    assert run(python, script, cwd=tmp_path) == "it works\n"

    type_the_pages(folder, wheel)  # which installs pytest, and then Django

    project = django_project(tmp_path / "project")
    project.write("test_it.py", TESTS)
    assert "1 passed" in run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py", cwd=project.root)
    assert project.attempted == {"a test": 1}
    assert not project.executed
    listing = run(python, "manage.py", "side_effects", cwd=project.root, MORE_APPS="sideeffects")
    assert re.search(r"^shop\.send +EXECUTE +yes +no +effects\.py:\d+ +Send\.$", listing, flags=re.MULTILINE), listing


def type_the_pages(folder: Path, wheel: Path) -> None:
    """The tutorial, and the beginning of README.md; the wheel stands for the package's name."""
    constraints = folder / "constraints.txt"
    constraints.write_text(f"sideeffects @ {wheel.as_uri()}\n", encoding="utf-8")
    environment = clean_environment() | {
        "PATH": os.pathsep.join([str(folder / ".venv" / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PIP_CONSTRAINT": str(constraints),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    del environment["PYTHONPATH"]
    newcomer = Newcomer(folder, environment)
    newcomer.type((ROOT / "docs/tutorial.md").read_text(encoding="utf-8"))
    assert newcomer.compared == 8, "the page shows more outputs, or fewer"
    readme = folder / "readme"
    readme.mkdir()
    reader = Newcomer(readme, environment)
    reader.type((ROOT / "README.md").read_text(encoding="utf-8").partition("## What stands on it")[0])
    assert reader.compared == 1
