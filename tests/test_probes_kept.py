"""What a probe keeps of its databases, such as a cursor of `setUpClass`, is held for the probes after it as well."""

from pathlib import Path
from typing import Any

import pytest

from tests.probe_project import ProbeProject, ProbeRun

pytestmark = pytest.mark.processes

KEEPING = """
    import contextlib

    from django.db import connections

    from shop.models import Row
    from sideeffects.probes import SmokeTest

    INSERT = "INSERT INTO shop_row (name) VALUES ('kept')"


    def on(alias):
        class Keeping(SmokeTest):
            @classmethod
            def setUpClass(cls):
                cls.cursor = connections[alias].cursor()
                cls.raw = connections[alias].connection

            @classmethod
            def tearDownClass(cls):
                cls.cursor.execute(INSERT)

            def rows(self):
                return Row.objects.using(alias).count()

            def test_1_cursor(self):
                self.cursor.execute(INSERT)
                self.assertEqual(self.rows(), 1)

            def test_2_connection_of_the_driver(self):
                self.assertEqual(self.rows(), 0)

            def test_3_connection_of_the_driver(self):
                self.raw.execute(INSERT)

            def test_4_nothing(self):
                self.assertEqual(self.rows(), 0)

            def test_7_closing(self):
                self.assertEqual(self.rows(), 0)
                connections[alias].close()

            def test_8_after_closing(self):
                self.assertEqual(self.rows(), 0)
                self.raw.execute(INSERT)

            def test_9_cursor_after_closing(self):
                self.cursor.execute(INSERT)

        Keeping.__name__ = Keeping.__qualname__ = f"Keeping_{alias}"
        return Keeping


    Keeping_default, Keeping_other = on("default"), on("other")


    class Driver(SmokeTest):
        @classmethod
        def setUpClass(cls):
            connections["other"].ensure_connection()
            cls.raw = connections["other"].connection

        def rows(self):
            return Row.objects.using("other").count()

        def test_1_block(self):
            with self.raw.transaction():
                self.raw.execute(INSERT)

        def test_2_past_all(self):
            self.assertEqual(self.rows(), 0)

        def test_3_past_all(self):
            self.raw.pgconn.exec_(b"BEGIN; " + INSERT.encode())

        def test_4_nothing(self):
            self.assertEqual(self.rows(), 0)

        def test_5_two_phases(self):
            with contextlib.suppress(Exception):
                self.raw.tpc_begin("one")
"""


def test_what_is_kept_is_rolled_back(tmp_path: Path, postgres: dict[str, Any]) -> None:
    """By whichever way it is used first: no row stays, and no later probe sees one."""
    project = ProbeProject(tmp_path, postgres)
    project.write("shop/probes.py", KEEPING)
    for alias in ("default", "other"):
        project.manage("migrate", "--verbosity=0", f"--database={alias}")
    run = ProbeRun(project, postgres, "--parallel", "1")
    assert run.left == [0, 0]
    failing = {name: probe["message"] for name, probe in run.probes.items() if probe["outcome"] != "passed"}
    assert sorted(failing) == [
        "Driver.test_5_two_phases",
        "Keeping_default.tearDownClass",
        "Keeping_default.test_8_after_closing",
        "Keeping_default.test_9_cursor_after_closing",
        "Keeping_other.tearDownClass",
        "Keeping_other.test_8_after_closing",
        "Keeping_other.test_9_cursor_after_closing",
    ]
    assert "this one tried to: tpc_begin()" in failing["Driver.test_5_two_phases"]
    assert "closed" in failing["Keeping_default.test_8_after_closing"]


BORROWED = """
    from django.db import connections

    from shop.models import Row
    from sideeffects.probes import SmokeTest


    class Keeping(SmokeTest):
        @classmethod
        def setUpClass(cls):
            cls.cursor = connections["default"].cursor()

        def test_1(self):
            self.cursor.execute("INSERT INTO shop_row (name) VALUES ('kept')")

        def test_2(self):
            self.assertEqual(Row.objects.count(), 0)
"""
CALLING = """
    from django.core.management import call_command
    from django.test import TransactionTestCase

    from shop.models import Row


    class Test(TransactionTestCase):
        def test_probes(self):
            call_command("probe")
            self.assertEqual(Row.objects.count(), 0)
"""


def test_a_connection_in_memory_is_held_whether_it_is_asked_for_or_not(tmp_path: Path) -> None:
    """It is the caller's own, and commits by itself when no probe runs."""
    project = ProbeProject(tmp_path)
    project.write("shop/tests.py", CALLING)
    project.write("shop/probes.py", BORROWED)
    assert "Ran 1 test" in project.manage("test", "shop").stderr
