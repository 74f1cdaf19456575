"""When settings are read, and what wrong ones do to a start."""

import re
from pathlib import Path
from typing import Any

import pytest

from sideeffects.project import live_settings
from sideeffects.settings.rules import KEYS, problems
from tests.support.listed_project import listed_project, write_settings
from tests.support.projects import Project

#: A vendor's function that leaves a trace when it executes, and an app that calls it before any effect is called.
VENDOR = "from effects import note\ndef send(place): note('executed', place)\ndef ring(place): note('executed', place)"
START = """
    import os

    import sideeffects
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
"""
IN_TESTS = {"SIDE_EFFECTS_TEST_RUN": "1"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose app calls a function that nobody but the settings declares, while the app is imported."""
    project = listed_project(tmp_path)
    project.write("vendor.py", VENDOR)
    project.write("shop/__init__.py", "from vendor import send\nsend('an app is imported')\n")
    return project


@pytest.mark.parametrize("apps", ['["shop"]', '["shop", "sideeffects"]', '["sideeffects", "shop"]'])
def test_what_the_settings_declare_is_declared_before_the_first_app_is_imported(project: Project, apps: str) -> None:
    """No effect needs to be called first, and `sideeffects` need not be installed."""
    write_settings(project, f'INSTALLED_APPS = {apps}\nSIDE_EFFECTS = {{"DECLARE": {{"vendor:send": "vendor.send"}}}}')

    project.program(START, environment=IN_TESTS)
    assert not project.executed

    project.program(START)
    assert project.executed == {"an app is imported": 1}


@pytest.mark.parametrize(
    "others", ['"os:no_such_function", "vendor:ring"', '7, "vendor:ring"', '"vendor ring", "vendor:ring"']
)
def test_one_wrong_declaration_does_not_hold_up_the_others(project: Project, others: str) -> None:
    """A call of the others is refused, as all calls are while the settings are wrong; it does not execute."""
    write_settings(project, f'SIDE_EFFECTS = {{"DECLARE": [{others}]}}')
    project.write("shop/__init__.py", "")

    printed = project.program(
        START
        + """
    import vendor

    try:
        vendor.ring("after the wrong one")
    except Exception as error:
        print(type(error).__name__)
"""
    )

    assert printed.strip() in ("ImproperlyConfigured", "DeclarationError")
    assert not project.executed


@pytest.mark.parametrize("settings", ['{"MODE": "RECRD"}', '{"DECLARE": ["os:no_such_function"]}', '{"NO_KEY": 1}'])
def test_wrong_settings_stop_a_test_run_at_its_start_and_nothing_else(project: Project, settings: str) -> None:
    """A test run might execute what they fail to declare; elsewhere the checks say what is wrong."""
    write_settings(project, f"SIDE_EFFECTS = {settings}")
    project.write("shop/__init__.py", "")
    project.write("program.py", START + "    print('started')\n")

    assert project.run("program.py").stdout.strip() == "started"
    stopped = project.run("program.py", environment=IN_TESTS, code=1)
    assert not stopped.stdout
    assert "SIDE_EFFECTS" in stopped.stderr or "os:no_such_function" in stopped.stderr


PAGES = Path(__file__).resolve().parents[2] / "docs" / "reference"


def test_the_page_on_settings_has_every_key_and_only_right_examples() -> None:
    """What a reader copies is accepted."""
    page = (PAGES / "settings.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)

    assert len(examples) >= len(KEYS) - 4
    for example in examples:
        names: dict[str, Any] = {}
        exec(example, names)
        assert problems(names.get("SIDE_EFFECTS"), names.get("FORCE_RUN_SIDE_EFFECTS")) == []
    for key in KEYS:
        assert f"`{key}`" in page


FILES_OF_CHECKS = ("project/checks.py", "settings/rules.py", "outbox/checks.py")


def test_the_page_on_checks_has_every_number() -> None:
    """Those that the code can give, and no others."""
    page = set(re.findall(r"sideeffects\.([EW]\d{3})", (PAGES / "checks.md").read_text(encoding="utf-8")))
    package = Path(live_settings.__file__).parents[1]
    code = "".join((package / name).read_text(encoding="utf-8") for name in FILES_OF_CHECKS)

    assert page == set(re.findall(r"\b([EW]\d{3})\b", re.sub(r"#.*|\bE\d+ to E\d+\b", "", code)))


def test_a_call_waits_for_the_settings_that_another_thread_imports(tmp_path: Path) -> None:
    """Worker threads make their first calls at once: none of them is refused for that."""
    project = Project(tmp_path)
    project.write("gate.py", "import threading\nreached, go_on = threading.Event(), threading.Event()\n")
    project.write("settings.py", "import gate\ngate.reached.set()\nassert gate.go_on.wait(30)\n")
    told = project.program(
        """
        import threading
        import gate
        from sideeffects import side_effect

        done = []


        @side_effect(name="shop.text")
        def text(to):
            done.append(to)


        def first():
            from django.conf import settings
            settings.DEBUG


        importing = threading.Thread(target=first)
        importing.start()
        assert gate.reached.wait(30)
        calling = [threading.Thread(target=text, args=("ann",)) for _ in range(2)]
        for thread in calling:
            thread.start()
        calling[0].join(0.3)
        assert done == []
        gate.go_on.set()
        for thread in (importing, *calling):
            thread.join(30)
        print(done)
        """,
        environment={"DJANGO_SETTINGS_MODULE": "settings"},
    )
    assert told == "['ann', 'ann']\n"
