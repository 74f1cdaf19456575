"""The start of a test run: effects are found, and names in the settings that mean none fail it."""

from pathlib import Path

import pytest

from tests.support.listed_project import listed_project, write_settings

pytestmark = pytest.mark.processes


def test_unknown_names_in_the_settings_fail_a_run_of_pytest(tmp_path: Path) -> None:
    """Those of the settings that it uses; a name that an app's module declares is found, and no test need import it."""
    project = listed_project(tmp_path)
    project.write("test_it.py", "import sideeffects\ndef test_it(): assert 'sms.send' in sideeffects.registry")
    options, plugins = ("--ds=config.settings", "test_it.py"), ("django", "sideeffects")
    write_settings(project, 'SIDE_EFFECTS = {"FORCE_RUN": ["sms.send"]}')
    assert "1 passed" in project.pytest(*options, plugins=plugins).stdout

    write_settings(project, 'SIDE_EFFECTS = {"FORCE_RUN": ["sms.snd"], "POLICY": {"card.*": "RAISE"}}')
    run = project.pytest(*options, plugins=plugins, code=4)
    assert "SIDE_EFFECTS['FORCE_RUN']: 'sms.snd' names no side effect; did you mean 'sms.send'" in run.stderr
    assert "SIDE_EFFECTS['POLICY']: 'card.*' matches no side effect" in run.stderr


@pytest.mark.processes
def test_unknown_names_in_the_settings_fail_a_run_of_django(tmp_path: Path) -> None:
    """Before the first test; with the app in INSTALLED_APPS the system checks say so before that."""
    project = listed_project(tmp_path)
    without_app = 'INSTALLED_APPS = ["shop"]\n'
    unknown = 'SIDE_EFFECTS = {"FORCE_RUN": ["sms.snd"], "POLICY": {"card.chrge": "RECORD"}}'
    write_settings(project, without_app + unknown)
    project.write(
        "shop/tests.py", "import sideeffects, unittest\nclass T(unittest.TestCase):\n    def test(self): print('RUN')\n"
    )

    ran = project.run("manage.py", "test", code=1)
    assert "SIDE_EFFECTS['FORCE_RUN']: 'sms.snd' names no side effect; did you mean 'sms.send'" in ran.stderr
    assert "'card.chrge' names no side effect" in ran.stderr
    assert "RUN" not in ran.stdout
    write_settings(project, without_app + 'SIDE_EFFECTS = {"FORCE_RUN": ["sms.send"]}')
    assert "RUN" in project.run("manage.py", "test").stdout
