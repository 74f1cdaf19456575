"""What a probe keeps of its databases, such as a cursor of `setUpClass`, is held for the probes after it as well."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.probe_project import ProbeProject, ProbeRun

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


LEFT_OPEN = """
    from django.db import connections

    from shop.models import Row
    from sideeffects.probes import SmokeTest

    kept = []


    class Leaving(SmokeTest):
        timeout = 5

        def raw(self):
            Row.objects.using("other").create(name="kept")
            return connections["other"].connection

        def zero(self):
            self.assertEqual(Row.objects.using("other").count(), 0)

        def test_1_pipeline(self):
            kept.append(self.raw().pipeline())
            kept[-1].__enter__()

        def test_2_zero(self):
            self.zero()

        def test_3_rows(self):
            kept.append(self.raw().cursor().stream("SELECT generate_series(1, 100000)"))
            next(kept[-1])

        def test_4_zero(self):
            self.zero()

        def test_5_copying(self):
            kept.append(self.raw().cursor().copy("COPY shop_row (name) FROM STDIN"))
            kept[-1].__enter__()

        def test_6_zero(self):
            self.zero()
"""


@pytest.mark.parametrize(
    "options",
    [{}, {"prepare_threshold": 0}, {"pool": {"min_size": 1, "max_size": 1, "timeout": 3}}],
    ids=["as it is", "prepared statements", "pool"],
)
def test_what_is_left_open_on_postgresql_meets_nobody(
    tmp_path: Path, postgres: dict[str, Any], options: dict[str, Any]
) -> None:
    """A session that is in a mode of its own, or in the middle of a statement, ends with its probe."""
    project = ProbeProject(tmp_path, postgres | {"OPTIONS": options})
    project.manage("migrate", "--database=other", "--verbosity=0")
    project.write("shop/probes.py", LEFT_OPEN)
    report = project.probe("--parallel", "1")
    assert [probe["outcome"] for probe in report["probes"]] == ["passed"] * 6, report["errored_tests"]
