"""A folder of test modules, some of which reach outside, for runs of them in processes of their own."""

import subprocess
import sys
import textwrap
from pathlib import Path

from tests.support.projects import clean_environment

TITLE = "undeclared side effects"

REACHING = """
    import contextlib
    import socket

    def look_up(name="nowhere.invalid"):
        with contextlib.suppress(OSError):
            socket.gethostbyname(name)
"""


class Folder:
    """A folder of test modules, in which commands are run outside of this test run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write("reaching.py", REACHING)

    def write(self, name: str, source: str) -> None:
        (self.path / name).write_text(textwrap.dedent(source).lstrip("\n"), encoding="utf-8")

    def run(self, *command: str, code: int = 0, **environment: str) -> str:
        ran = subprocess.run(
            [sys.executable, *command],
            cwd=self.path,
            env=clean_environment() | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        output = ran.stdout + ran.stderr
        assert ran.returncode == code, output
        return output

    def pytest(self, *options: str, code: int = 0) -> str:
        return self.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "sideeffects", *options, code=code)

    def settings(self, value: object) -> None:
        self.write(
            "conftest.py",
            f"from django.conf import settings\nsettings.configure(SIDE_EFFECTS={{'GUARD': {value!r}}})",
        )

    def project(self, guard: object, before: str = "") -> None:
        """Settings of a Django project that has the guard so."""
        self.write(
            "settings.py",
            f"""
{before}
SECRET_KEY = "x"
INSTALLED_APPS = ["sideeffects"]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}}
SIDE_EFFECTS = {{"GUARD": {guard!r}}}
""",
        )

    def django(self, *options: str, code: int = 0, **environment: str) -> str:
        """Run the project's tests with Django's runner."""
        command = ("-m", "django", "test", "--settings=settings", "--pythonpath=.", *options)
        return self.run(*command, code=code, **environment)
