"""A ledger on a database cache in a suite of which most tests may not use databases."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
SETTINGS = """
    SECRET_KEY = "x"
    INSTALLED_APPS = ["sideeffects"]
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "ledger_cache"}}
    SIDE_EFFECTS = {"LEDGER": {"BACKEND": "cache"}}
"""
TESTS = """
    from django.test import SimpleTestCase, TestCase
    from sideeffects import force_run, side_effect
    from sideeffects.ledgers import shared_calls
    from sideeffects.testing import SideEffectsMixin

    @side_effect(name="any.sms")
    def sms():
        return "sent"

    class Without(SideEffectsMixin, SimpleTestCase):
        def test_recorded(self):
            sms()
            self.side_effects.one("any.sms")

        def test_forced(self):
            with force_run(sms):
                self.assertEqual(sms(), "sent")

        def test_that_reads_it_is_told(self):
            with self.assertRaisesMessage(Exception, "could not be read"):
                list(shared_calls())

    class With(SideEffectsMixin, TestCase):
        def test_recorded(self):
            sms()
            assert [call.name for call in shared_calls()] == ["any.sms"]
"""
IN_PYTEST = """
    import pytest
    from test_django import sms

    def test_without(side_effects):
        sms()
        side_effects.one("any.sms")

    @pytest.mark.django_db
    def test_with():
        from sideeffects.ledgers import shared_calls

        sms()
        assert [call.name for call in shared_calls()] == ["any.sms"]
"""


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("-m", "pytest", "-p", "django", "-p", "sideeffects", "-p", "no:cacheprovider", "-q"), "6 passed"),
        (("-m", "django", "test"), "Ran 4 tests"),
    ],
    ids=["pytest-django", "Django's runner"],
)
def test_tests_without_a_database_do_without_it(tmp_path: Path, command: tuple[str, ...], said: str) -> None:
    """Their calls are in the memory of the test run; those with a database are written, and reading waits for them."""
    files = {"settings.py": SETTINGS, "test_django.py": TESTS, "test_pytest.py": IN_PYTEST}
    if "pytest" not in command:
        del files["test_pytest.py"]
    for name, text in files.items():
        (tmp_path / name).write_text(textwrap.dedent(text))
    unwanted = ("SIDE_EFFECTS", "PYTEST", "DJANGO")
    ran = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith(unwanted)},
            "DJANGO_SETTINGS_MODULE": "settings",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)]),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    output = ran.stdout + ran.stderr
    assert ran.returncode == 0, output
    assert said in output
