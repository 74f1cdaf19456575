"""Which management commands extend Django's `test`: told by their source, without importing anything of the project."""

import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest

from sideeffects._core.state.test_commands import extends_test

DJANGO_TEST = "from django.core.management.commands.test import Command as Test\n"
RUNS = "class Command(Test): ...\n"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path; whoever imports one of its modules fails."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def write(folder: Path, sources: Mapping[str, str]) -> None:
    for path, source in sources.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("raise SystemExit('imported')\n" + textwrap.dedent(source), encoding="utf-8")


COMMAND = "kiosk/management/commands/runtests.py"
TESTS = {
    "a class of Django's": {COMMAND: DJANGO_TEST + RUNS},
    "the module": {COMMAND: "from django.core.management.commands import test\nclass Command(test.Command): ...\n"},
    "the whole path": {
        COMMAND: """
            import django.core.management.commands.test
            class Command(django.core.management.commands.test.Command): ...
        """
    },
    "a module under another name": {
        COMMAND: "import django.core.management.commands.test as t\nclass Command(t.Command): ...\n"
    },
    "an alias": {COMMAND: DJANGO_TEST + "Command = Test\n"},
    "imported as it is": {COMMAND: "from django.core.management.commands.test import Command\n"},
    "under the same name": {
        COMMAND: "from django.core.management.commands.test import Command\nclass Command(Command): ...\n"
    },
    "a second base": {COMMAND: DJANGO_TEST + "class Mixin: ...\nclass Command(Mixin, Test): ...\n"},
    "under a condition": {
        COMMAND: """
            try:
                from missing import Test
            except ImportError:
                from django.core.management.commands.test import Command as Test
            if True:
                class Command(Test): ...
        """
    },
    "a base elsewhere": {
        COMMAND: "from kiosk.testing import Base as Test\n" + RUNS,
        "kiosk/testing.py": DJANGO_TEST + "class Base(Test): ...\n",
    },
    "a relative import": {
        COMMAND: "from ...testing import Base as Test\n" + RUNS,
        "kiosk/testing/__init__.py": "from .base import Base\n",
        "kiosk/testing/base.py": DJANGO_TEST + "class Base(Test): ...\n",
    },
    "a relative import of a module": {
        COMMAND: "from . import _base\nclass Command(_base.Base): ...\n",
        "kiosk/management/commands/_base.py": DJANGO_TEST + "class Base(Test): ...\n",
    },
    "a star": {
        COMMAND: "from kiosk.testing import *\nclass Command(Base): ...\n",
        "kiosk/testing.py": DJANGO_TEST + "class Base(Test): ...\n",
    },
    "a test command of one's own": {
        COMMAND: "from other.management.commands.test import Command as Test\n" + RUNS,
        "other/__init__.py": "",
        "other/management/commands/test.py": "class Command: ...\n",
    },
    "testserver": {
        COMMAND: "from django.core.management.commands import testserver\nclass Command(testserver.Command): ...\n"
    },
}


@pytest.mark.parametrize("case", TESTS)
@pytest.mark.parametrize("has_packages", [True, False], ids=["packages", "bare folders"])
def test_a_command_that_extends_test_is_found(files: Path, case: str, has_packages: bool) -> None:
    """However the class comes to its base, and wherever that stands: a test run, and nothing has been imported."""
    write(files, TESTS[case])
    write(files, {"kiosk/__init__.py": ""})
    if has_packages:
        write(files, {"kiosk/management/__init__.py": "", "kiosk/management/commands/__init__.py": ""})

    assert extends_test("runtests", ["django.contrib.auth", "kiosk"])
    assert not {"kiosk", "other"} & set(sys.modules)


@pytest.mark.parametrize(
    ("entry", "apps"),
    [
        ("kiosk.apps.KioskConfig", "class KioskConfig(AppConfig):\n    name = 'kiosk'\n"),
        ("settings.apps.KioskConfig", "class KioskConfig(AppConfig):\n    name = label = 'kiosk'\n"),
        ("kiosk.apps.KioskConfig", ""),
    ],
)
def test_an_entry_may_be_an_app_config(files: Path, entry: str, apps: str) -> None:
    """Its package is where it stands, or what it names."""
    write(files, {COMMAND: DJANGO_TEST + RUNS, "kiosk/__init__.py": "", "settings/__init__.py": ""})
    write(files, {f"{entry.partition('.')[0]}/apps.py": apps})

    assert extends_test("runtests", [object(), entry])


def test_the_first_app_that_has_the_command_counts(files: Path) -> None:
    """As Django looks for it."""
    write(files, {COMMAND: DJANGO_TEST + RUNS, "kiosk/__init__.py": "", "first/__init__.py": ""})
    write(files, {"first/management/commands/runtests.py": "class Command: ...\n"})

    assert not extends_test("runtests", ["first", "kiosk"])
    assert extends_test("runtests", ["kiosk", "first"])


@pytest.mark.parametrize(
    "source",
    [
        "from django.core.management.base import BaseCommand\nclass Command(BaseCommand): ...\n",
        DJANGO_TEST + "class Command(dict):\n    base = Test\n",
        DJANGO_TEST + "def Command():\n    class Command(Test): ...\n",
        "class Command(Command): ...\n",
        "from missing import Test\n" + RUNS,
        "from . import *\n" + RUNS,
        "from .....far import Test\n" + RUNS,
        "class Command(made()): ...\n",
        "a syntax error",
    ],
)
def test_other_commands_are_none(files: Path, source: str) -> None:
    """What does not lead to a `test` command is an ordinary command; what cannot be read is not imported either."""
    write(files, {COMMAND: source, "kiosk/__init__.py": ""})

    assert not extends_test("runtests", ["kiosk", "missing", "sys"])


@pytest.mark.parametrize("command", ["", "--help", "migrate", "a/../b", "a.b"])
def test_other_words_are_no_command_of_a_test(command: str) -> None:
    """Neither options nor Django's other commands, nor what would lead out of the folder."""
    assert not extends_test(command, ["django.contrib.auth"])
