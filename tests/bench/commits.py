"""What commits in tests cost a suite of trivial Django tests, with one `atomic` each: whole runs, in turns."""

import statistics
from pathlib import Path

from processes import TESTS, clean_environment, seconds

SETTINGS = """
import os

SECRET_KEY = "x"
INSTALLED_APPS = ["sideeffects"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
SIDE_EFFECTS = {"TEST_COMMITS": os.environ["TEST_COMMITS"] == "1"}
"""


def ratios(folder, turns=7):
    """A run with commits, of one without, turn by turn; and of one without, of another without."""
    folder = Path(folder)
    (folder / "settings.py").write_text(SETTINGS, encoding="utf-8")
    lines = (f"    def test_{number}(self):\n        with atomic(): pass" for number in range(TESTS))
    top = "from django.db.transaction import atomic\nfrom django.test import TestCase\nclass Tests(TestCase):"
    (folder / "test_all.py").write_text("\n".join([top, *lines, ""]), encoding="utf-8")
    command = ["-m", "django", "test", "-v0"]

    def run(commits):
        environment = {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(folder), "TEST_COMMITS": commits}
        return seconds(command, clean_environment(**environment), folder)

    found = []
    for turn in range(turns + 1):
        off, on, again = run("0"), run("1"), run("0")
        if turn:  # the first one writes byte code
            found.append((on / statistics.mean((off, again)), again / off))
    return tuple(statistics.median(column) for column in zip(*found, strict=True))
