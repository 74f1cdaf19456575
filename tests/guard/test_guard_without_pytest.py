"""The guard under unittest and Django's runner: from when it listens, what it prints, baselines, swallowed refusals."""

import json
import re
from pathlib import Path

import pytest

from tests.support.guard_folder import TITLE, Folder

pytestmark = pytest.mark.processes


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


UNITTEST = """
    import sideeffects
    import unittest
    from reaching import look_up

    class Tests(unittest.TestCase):
        def test_it(self):
            look_up()

    if __name__ == "__main__":
        unittest.main()
"""


@pytest.mark.parametrize("command", [("test_it.py",), ("-m", "unittest")], ids=["a script", "python -m unittest"])
def test_unittest_prints_the_summary_after_its_own(folder: Folder, command: tuple[str, ...]) -> None:
    """Once, with the test's name."""
    folder.write("test_it.py", UNITTEST)
    output = folder.run(*command)
    assert output.index("OK") < output.index("Undeclared side effects")
    assert output.count("reaching.py:6 in look_up") == 1
    assert "Tests.test_it" in output


PARALLEL = pytest.mark.parametrize("parallel", [(), ("--parallel", "2")], ids=["one process", "parallel"])

TESTS = """
    from django.test import TestCase
    from reaching import look_up
    class Tests(TestCase):
        def test_it(self): look_up()
"""


@PARALLEL
def test_djangos_runner_prints_it_too(folder: Folder, parallel: tuple[str, ...]) -> None:
    """Its workers report to the first process."""
    folder.project("warn")
    for number in (1, 2):
        folder.write(f"test_{number}.py", TESTS)
    output = folder.django(*parallel)
    assert "2 times, from one call site" in output
    assert output.index("OK") < output.index("Undeclared side effects")


# -- from when it listens

EARLY = "import sideeffects, reaching\nreaching.look_up('early.invalid')"
SHOWS_HOOK = """
    import unittest
    from sideeffects.guard import hook
    class Tests(unittest.TestCase):
        def test_it(self): print("installed:", hook.is_installed())
"""


@pytest.mark.parametrize("before", ["", "import sideeffects"], ids=["by Django", "by the settings"])
@pytest.mark.parametrize(("level", "is_installed"), [("off", False), ("warn", True)])
def test_the_hook_waits_until_the_settings_say_that_it_is_on(
    folder: Folder, level: str, is_installed: bool, before: str
) -> None:
    """Off costs nothing: an audit hook cannot be taken away again."""
    folder.project({"LEVEL": level}, before)
    folder.write("test_it.py", SHOWS_HOOK)
    assert f"installed: {is_installed}" in folder.django()


PROGRAM = """
    import sideeffects
    from sideeffects.guard import hook
    assert not hook.is_installed()
    import django
    django.setup()
    print("installed:", hook.is_installed())
    from reaching import look_up
    look_up()
"""


@pytest.mark.parametrize(("level", "is_installed"), [("off", False), ("warn", True)])
def test_a_program_that_is_told_of_a_test_run_waits_as_well(folder: Folder, level: str, is_installed: bool) -> None:
    """`import sideeffects` comes before Django there."""
    folder.project(level)
    folder.write("program.py", PROGRAM)
    output = folder.run("program.py", SIDE_EFFECTS_TEST_RUN="1", DJANGO_SETTINGS_MODULE="settings")
    assert f"installed: {is_installed}" in output
    assert (TITLE in output.lower()) is is_installed


def test_without_settings_it_listens_at_once(folder: Folder) -> None:
    """Nothing could switch it off."""
    program = "import sideeffects; from sideeffects.guard import hook; assert hook.is_installed()"
    folder.run("-c", program, SIDE_EFFECTS_TEST_RUN="1")


def test_settings_that_nobody_reads_do_not_keep_it_off(folder: Folder) -> None:
    """A runner that starts is sign enough."""
    folder.write("test_it.py", UNITTEST)
    assert TITLE in folder.run("-m", "unittest", DJANGO_SETTINGS_MODULE="missing").lower()


def test_what_apps_do_when_they_are_imported_is_found(folder: Folder) -> None:
    """The settings are read before the first of them."""
    folder.project("warn")
    folder.write("settings.py", (folder.path / "settings.py").read_text().replace('effects"]', 'effects", "app"]'))
    folder.write("app.py", "import reaching\nreaching.look_up('early.invalid')")
    folder.write("test_it.py", "import unittest\nclass Tests(unittest.TestCase):\n    def test_it(self): ...")
    assert "early.invalid" in folder.django()


def test_settings_that_switch_it_on_for_a_test_do(folder: Folder) -> None:
    """Although it was off, so that nothing listened."""
    folder.project("off")
    folder.write(
        "test_it.py",
        """
        from django.test import TestCase, override_settings
        from reaching import look_up
        from sideeffects.testing import UndeclaredSideEffect
        class Tests(TestCase):
            def test_it(self):
                look_up()
                with override_settings(SIDE_EFFECTS={"GUARD": "raise"}), self.assertRaises(UndeclaredSideEffect):
                    look_up()
                look_up("another.invalid")
        """,
    )
    assert "another.invalid" not in folder.django()


def test_children_of_a_run_that_is_off_are_not_guarded(folder: Folder) -> None:
    """They are told, although nothing listens to their start."""
    folder.project("off")
    folder.write(
        "test_it.py",
        """
        import subprocess, sys, unittest
        class Tests(unittest.TestCase):
            def test_it(self):
                code = "import sideeffects, reaching; reaching.look_up()"
                subprocess.run([sys.executable, "-c", code], check=True)
        """,
    )
    assert TITLE not in folder.django().lower()


# -- baselines

GUARD = {"BASELINE": "accepted.json"}
UPDATE = {"SIDE_EFFECTS_UPDATE_BASELINE": "1"}


SPAWN = 'import multiprocessing; multiprocessing.set_start_method("spawn", force=True)'


@pytest.mark.parametrize(
    ("level", "before", "parallel"),
    [("warn", "", ()), ("raise", "", ("--parallel", "2")), ("raise", SPAWN, ("--parallel", "2"))],
    ids=["one process", "forked", "spawned"],
)
def test_a_baseline_of_the_settings_accepts_what_is_known(
    folder: Folder, level: str, before: str, parallel: tuple[str, ...]
) -> None:
    """What is new fails the run, at `warn` as well. A run of all tests tells what is stale, and writes it no more."""
    folder.project(GUARD, before)
    folder.write("test_1.py", TESTS)
    folder.write("test_2.py", TESTS.replace("look_up()", "look_up('second.invalid')"))
    assert "accepted.json: 2 accepted" in folder.django(*parallel, **UPDATE)
    folder.project({"LEVEL": level} | GUARD, before)
    assert TITLE not in folder.django(*parallel).lower()

    folder.write("test_2.py", TESTS.replace("look_up()", "look_up('new.invalid')"))
    output = folder.django(*parallel, code=1)
    assert "Once, from one call site, not in the baseline" in output
    assert "new.invalid" in output
    assert "accepted.json has an entry that this run did not find" in output
    assert "reaching.py::look_up: network second.invalid" in output
    if level == "warn":
        assert "FAIL: undeclared side effects" in output
        assert "FAILED (failures=1)" in output
    assert "accepted.json: 3 accepted" in folder.django("test_2", code=level == "raise", **UPDATE), "some of the tests"
    assert "accepted.json: 2 accepted" in folder.django(*parallel, **UPDATE)
    assert TITLE not in folder.django(*parallel).lower()


def test_effects_in_transactions_are_in_the_same_baseline(folder: Folder) -> None:
    """And fail the run when they are new."""
    folder.project(GUARD)
    test = """
        from django.db import transaction
        from django.test import TestCase
        from sideeffects import side_effect
        @side_effect(name="sms.send")
        def send(): ...
        class Tests(TestCase):
            def test_it(self):
                with transaction.atomic(): send()
    """
    folder.write("test_it.py", test)
    assert "accepted.json: 1 accepted" in folder.django(**UPDATE)
    assert "transaction" not in folder.django()
    folder.write("test_it.py", test.replace("test_it", "test_new"))
    output = folder.django(code=1)
    assert "FAIL: undeclared side effects" in output
    assert "in Tests.test_new: sms.send" in output


def test_pytest_takes_the_baseline_of_the_settings_too(folder: Folder) -> None:
    """Its option writes it, and comes first."""
    folder.settings({"LEVEL": "raise"} | GUARD)
    folder.write("test_it.py", "from reaching import look_up\ndef test_it(): look_up()")
    assert "there is no such file" in folder.pytest(code=4)
    folder.pytest("--side-effects-update-baseline", code=1)
    folder.pytest()
    assert "no.json" in folder.pytest("--side-effects-baseline=no.json", code=4)


def test_children_accept_what_their_parent_does(folder: Folder) -> None:
    """And are refused the rest, which is new in the run as well."""
    folder.project({"LEVEL": "raise", "ALLOW_PROCESSES": ["python*"]} | GUARD)
    entry = {"kind": "network", "site": "reaching.py::look_up", "what": "nowhere.invalid"}
    folder.write("accepted.json", json.dumps({"version": 1, "findings": [entry]}))
    folder.write("child.py", "import sideeffects, sys, reaching\nreaching.look_up(sys.argv[1])")
    folder.write(
        "test_it.py",
        """
        import os, subprocess, sys, tempfile, unittest
        def errors(name):
            command = [sys.executable, os.path.abspath("child.py"), name]
            return subprocess.run(command, cwd=tempfile.gettempdir(), stderr=subprocess.PIPE).stderr
        class Tests(unittest.TestCase):
            def test_known(self): self.assertEqual(errors("nowhere.invalid"), b"")
            def test_new(self): self.assertIn(b"UndeclaredSideEffect", errors("new.invalid"))
        """,
    )
    output = folder.django(code=1)
    assert "FAILED (failures=1)" in output
    assert "FAIL: undeclared side effects" in output
    assert "new.invalid" in output
    assert "nowhere.invalid" not in output


@pytest.mark.parametrize(
    ("content", "environment", "said"),
    [
        (None, {}, "there is no such file; write it anew with"),
        ("{", {}, "it cannot be read"),
        ('{"version": 7}', {}, "its version is 7, and this one reads 1"),
    ],
    ids=["missing", "unreadable", "outdated"],
)
def test_a_baseline_that_cannot_be_used_is_a_clear_error(
    folder: Folder, content: str | None, environment: dict[str, str], said: str
) -> None:
    """No test runs, and no database is made."""
    folder.project(GUARD)
    folder.write("test_it.py", TESTS)
    if content is not None:
        (folder.path / "accepted.json").write_text(content)
    output = folder.django(code=1, **environment)
    assert f"CommandError: baseline accepted.json: {said}" in output
    assert "Traceback" not in output


def test_updating_a_baseline_needs_to_know_which(folder: Folder) -> None:
    """There is no default for it."""
    folder.project("warn")
    folder.write("test_it.py", TESTS)
    assert 'SIDE_EFFECTS["GUARD"]["BASELINE"] names no file' in folder.django(code=1, **UPDATE)


# -- refusals that are swallowed

SWALLOWING = """
    import asyncio
    from django.test import TestCase
    from library import careless
    from sideeffects.testing import SideEffectsMixin
    class SetUp(TestCase):
        @classmethod
        def setUpTestData(cls): careless()
        def test_it(self): ...
    class Mixed(SideEffectsMixin, TestCase):
        def test_mixed(self): careless()
    class Tests(TestCase):
        def test_swallowed(self): careless()
        def test_swallowed_twice(self):
            careless()
            careless()
        def test_noticed(self):
            from reaching import look_up
            from sideeffects.testing import UndeclaredSideEffect
            with self.assertRaises(UndeclaredSideEffect): look_up()
            try: look_up()
            except Exception: pass
        def test_quiet(self): ...
        async def test_asynchronously(self): await asyncio.to_thread(careless)
        def test_in_a_thread(self):
            import threading
            thread = threading.Thread(target=careless)
            thread.start()
            thread.join()
"""


@pytest.mark.parametrize(
    ("before", "parallel"),
    [("", ()), ("", ("--parallel", "2")), (SPAWN, ("--parallel", "2"))],
    ids=["one process", "forked", "spawned"],
)
def test_a_refusal_that_the_code_swallows_fails_its_test(
    folder: Folder, before: str, parallel: tuple[str, ...]
) -> None:
    """Without the mixin as well: what reached the test, or what it caught itself, it has noticed."""
    folder.project("raise", before)
    folder.write(
        "library.py", "import reaching\ndef careless():\n    try: reaching.look_up()\n    except Exception: pass"
    )
    folder.write("test_1.py", SWALLOWING)
    folder.write("test_2.py", SWALLOWING)
    output = folder.django(*parallel, code=1)
    assert "FAILED (failures=10, errors=2)" in output
    assert re.search(r"ERROR: .*test_1\.SetUp", output), "with workers Django names the class's last test"
    assert output.count("an undeclared outside call was refused, and the test did not notice") == 10
    assert output.count("2 undeclared outside calls were refused, and the test did not notice") == 2
