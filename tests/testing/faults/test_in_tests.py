"""`@fault_sweep` under real pytests, with and without xdist, under unittest, and under Django's runner."""

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.projects import clean_environment

pytestmark = pytest.mark.processes

EFFECTS = """
    import json, pathlib

    from sideeffects import side_effect

    HERE = pathlib.Path(__file__).parent


    class Declined(Exception):
        pass


    def note(what):
        with (HERE / "trace.jsonl").open("a") as file:
            file.write(json.dumps(what) + "\\n")


    @side_effect(name="card.charge", raises=(Declined,))
    def charge():
        note("CHARGED")


    @side_effect(name="sms.send", raises=(OSError,))
    def send():
        note("SENT")
"""

PYTEST = """
    import pytest

    from effects import charge, note, send
    from sideeffects.testing import current_fault, fault_sweep


    @pytest.fixture(scope="module")
    def shared():
        note("shared up")
        yield
        note("shared down")


    @pytest.fixture
    def basket(shared, tmp_path, request):
        note(f"up for {request.node.name}")
        yield []
        note(f"down for {request.node.name}")


    def all_or_nothing(basket, calls):
        assert len(basket) in (0, 2), basket


    @fault_sweep(invariants=all_or_nothing)
    def test_careful(basket):
        charge()
        try:
            send()
        except OSError:
            basket.append("no text")
        basket.append("order")
        if not current_fault():
            basket.append("text")
            basket.pop()
            basket.append("text")


    @fault_sweep(invariants=all_or_nothing)
    def test_careless(basket):
        basket.append("order")
        charge()
        send()
        basket.append("text")


    @pytest.mark.parametrize("number", [1, 2])
    @fault_sweep
    def test_without_parentheses(number):
        charge()


    class TestClass:
        @fault_sweep(points="before")
        def test_each_run_has_an_instance_of_its_own(self, basket):
            assert not hasattr(self, "is_used")
            self.is_used = True
            charge()


    @fault_sweep()
    async def test_asynchronous():
        charge()


    @fault_sweep()
    def test_that_fails_by_itself(basket):
        charge()
        assert basket == ["something"]


    @fault_sweep()
    def test_that_calls_nothing(): ...


    @fault_sweep(effects="cards.*")
    def test_that_sweeps_a_name_that_nobody_has(): ...


    counts = []


    @fault_sweep()
    def test_that_is_not_repeatable():
        counts.append(1)
        if len(counts) == 1:
            charge()
        send()


    @pytest.fixture
    def fails_when_charging_does():
        yield
        if current_and_last[-1]:
            raise RuntimeError("cannot be torn down")


    current_and_last = []


    @fault_sweep(points="after")
    def test_whose_teardown_fails(fails_when_charging_does):
        current_and_last.append(current_fault())
        charge()


    @pytest.mark.xfail(strict=True)
    @fault_sweep(invariants=lambda calls: calls.one("card.charge").outcome.error is None)
    def test_that_is_expected_to_fail():
        charge()


    @pytest.mark.skip(reason="not now")
    @fault_sweep()
    def test_that_is_skipped(): ...


    @fault_sweep()
    def test_that_is_skipped_inside():
        pytest.skip("not now")


    def test_after_them(basket):
        charge()
"""

CASES = """
    import unittest

    from effects import charge, note, send
    from sideeffects.testing import SideEffectsMixin, fault_sweep


    def all_or_nothing(self):
        self.assertIn(len(self.basket), (0, 2))


    class Shared(unittest.TestCase):
        def setUp(self):
            self.basket = []
            note("up")
            self.addCleanup(note, "down")


    class Cases(Shared):
        @fault_sweep(invariants=all_or_nothing)
        def test_careful(self):
            charge()
            self.basket += ["order", "text"]

        @fault_sweep(invariants=all_or_nothing)
        def test_careless(self):
            self.basket.append("order")
            charge()
            self.basket.append("text")

        @fault_sweep()
        def test_that_fails_by_itself(self):
            charge()
            self.fail("by itself")

        @fault_sweep()
        def test_that_calls_nothing(self): ...

        @unittest.skip("not now")
        @fault_sweep()
        def test_that_is_skipped(self): ...

        @unittest.expectedFailure
        @fault_sweep()
        def test_that_is_expected_to_fail(self):
            self.fail("as expected")

        @fault_sweep()
        def test_with_sub_tests(self):
            for number in range(2):
                with self.subTest(number=number):
                    charge()

        def test_plain(self):
            charge()


    class Inherited(Cases):
        pass


    class Asynchronous(unittest.IsolatedAsyncioTestCase):
        async def asyncSetUp(self):
            self.basket = []

        @fault_sweep(invariants=all_or_nothing)
        async def test_careless(self):
            self.basket.append("order")
            charge()
            self.basket.append("text")


    class Mixed(SideEffectsMixin, unittest.TestCase):
        @fault_sweep()
        def test_calls(self):
            assert len(self.side_effects) == 0
            charge()
            send()
"""


class Project:
    """A folder with effects that note what they do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("effects.py", EFFECTS)

    def write(self, name: str, source: str) -> None:
        (self.folder / name).write_text(textwrap.dedent(source))

    def run(self, *arguments: str, **environment: str) -> str:
        """What a Python command of the project prints."""
        ran = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**clean_environment(), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        return ran.stdout

    def pytest(self, *arguments: str) -> str:
        return self.run("-m", "pytest", "-p", "no:cacheprovider", "-p", "sideeffects", "-q", "-rA", *arguments)

    @property
    def trace(self) -> list[str]:
        file = self.folder / "trace.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def outcomes(output: str) -> dict[str, str]:
    """What pytest's summary says of each test."""
    return {name: word for word, name in re.findall(r"^([A-Z]+) \S*?::(\S+)", output, flags=re.MULTILINE)}


EXPECTED = {
    "test_careful": "PASSED",
    "test_careless": "FAILED",
    "test_without_parentheses[1]": "PASSED",
    "test_without_parentheses[2]": "PASSED",
    "TestClass::test_each_run_has_an_instance_of_its_own": "PASSED",
    "test_asynchronous": "PASSED",
    "test_that_fails_by_itself": "FAILED",
    "test_that_calls_nothing": "FAILED",
    "test_that_sweeps_a_name_that_nobody_has": "ERROR",
    "test_that_is_not_repeatable": "FAILED",
    "test_whose_teardown_fails": "FAILED",
    "test_that_is_expected_to_fail": "XFAIL",
    "test_after_them": "PASSED",
}


def test_under_pytest(project: Project) -> None:
    """The whole test is run again for each cell, with fixtures of its own; what tests share is set up once."""
    project.write("test_it.py", PYTEST)

    output = project.pytest("-p", "asyncio", "-o", "asyncio_mode=auto")

    assert outcomes(output) == EXPECTED, output
    assert output.count("not now") == 2
    assert "fault sweep of test_it.py::test_careful: 4 cells, 4 passed; 5 runs" in output
    assert "fault sweep of test_it.py::test_careless: 4 cells, 0 passed, 4 failed; 5 runs" in output
    assert "AssertionError: ['order']" in output
    assert (
        "run one of them again: pytest test_it.py::test_careless --fault-cell card.charge#1:Declined:before" in output
    )
    assert "card.charge#1:Declined:before, in full:" in output
    assert "although no effect fails" in output
    assert "test_that_calls_nothing calls no side effect" in output
    assert "no declared side effect matches 'cards.*'" in output
    assert "test_that_is_not_repeatable is not repeatable" in output
    assert "teardown: RuntimeError: cannot be torn down" in output
    trace = project.trace
    assert trace.count("up for test_careful") == trace.count("down for test_careful") == 5
    assert trace[0] == "shared up"
    assert trace[-1] == "shared down"
    assert trace.count("shared up") == trace.count("shared down") == 1
    assert not {"CHARGED", "SENT"} & set(trace)


def test_under_xdist(project: Project) -> None:
    """The same, each sweep on one worker."""
    project.write("test_it.py", PYTEST)

    output = project.pytest("-p", "asyncio", "-o", "asyncio_mode=auto", "-p", "xdist.plugin", "-n", "2")

    assert outcomes(output) == EXPECTED, output
    assert "fault sweep of test_it.py::test_careless: 4 cells, 0 passed, 4 failed; 5 runs" in output
    assert not {"CHARGED", "SENT"} & set(project.trace)


def test_one_cell_alone(project: Project) -> None:
    """By the name that the report gives; a test that has no such cell says so, and others are run as ever."""
    project.write("test_it.py", PYTEST)

    output = project.pytest("-k", "care or after_them or without", "--fault-cell", "sms.send#1:OSError:after")

    assert outcomes(output) == {
        "test_careful": "PASSED",
        "test_careless": "FAILED",
        "test_without_parentheses[1]": "FAILED",
        "test_without_parentheses[2]": "FAILED",
        "test_after_them": "PASSED",
    }, output
    assert "1 cell, 0 passed, 1 failed; 2 runs" in output
    assert "has no cell 'sms.send#1:OSError:after'. It has card.charge#1:Declined:before" in output


def test_a_forced_effect_executes_where_it_is_not_to_fail_before(project: Project) -> None:
    """A marker holds in each run: what it names executes, and a fault before keeps it from that."""
    project.write(
        "test_it.py",
        """
        import pytest

        from effects import charge, send
        from sideeffects.testing import fault_sweep


        @pytest.mark.side_effects(force_run=["card.charge"])
        @fault_sweep()
        def test_it():
            charge()
            send()
        """,
    )

    assert outcomes(project.pytest()) == {"test_it": "PASSED"}
    # The first run, the charge that loses its answer, and the two in which only the text fails.
    assert project.trace == ["CHARGED"] * 4


def test_cases_under_pytest_and_under_unittest(project: Project) -> None:
    """A method of a test case is swept by either, with `setUp` and cleanups around each run."""
    project.write("test_cases.py", CASES)

    by_pytest = outcomes(project.pytest("test_cases.py", "-k", "not sub_tests"))
    seen_by_pytest = project.trace
    (project.folder / "trace.jsonl").unlink()
    output = project.run("-m", "unittest", "-v", "test_cases")

    words = {"ok": "PASSED", "FAIL": "FAILED", "ERROR": "FAILED", "expected failure": "XFAIL"}
    by_unittest = {
        f"{case}::{name}": words[word]
        for name, case, word in re.findall(
            r"^(\w+) \(test_cases\.(\w+)\.\w+\) \.\.\. ([a-zA-Z ]+)$", output, re.MULTILINE
        )
        if word in words
    }
    expected = {
        "test_careful": "PASSED",
        "test_careless": "FAILED",
        "test_that_fails_by_itself": "FAILED",
        "test_that_calls_nothing": "FAILED",
        "test_that_is_expected_to_fail": "XFAIL",
        "test_with_sub_tests": "PASSED",
        "test_plain": "PASSED",
    }
    assert by_unittest == {
        **{f"{case}::{name}": word for case in ("Cases", "Inherited") for name, word in expected.items()},
        "Asynchronous::test_careless": "FAILED",
        "Mixed::test_calls": "PASSED",
    }, output
    assert by_pytest == {name: word for name, word in by_unittest.items() if "sub_tests" not in name}
    assert "fault sweep of test_cases.Cases.test_careless: 2 cells, 0 passed, 2 failed; 3 runs" in output
    assert "SIDE_EFFECTS_FAULT_CELL='card.charge#1:Declined:before'" in output
    assert output.count("skipped 'not now'") == 2
    assert "although no effect fails" in output
    assert project.trace.count("up") - seen_by_pytest.count("up") == 2 * 5  # the sub-tests
    assert project.trace.count("up") == project.trace.count("down") > 0
    assert not {"CHARGED", "SENT"} & set(project.trace)

    alone = project.run(
        "-m", "unittest", "test_cases.Cases.test_careless", SIDE_EFFECTS_FAULT_CELL="card.charge#1:Declined:after"
    )
    assert "1 cell, 0 passed, 1 failed; 2 runs" in alone


def test_under_djangos_runner(project: Project) -> None:
    """Each run of a `TestCase` has a transaction of its own, in parallel processes too."""
    project.write(
        "settings.py",
        """
        SECRET_KEY = "no secret"
        USE_TZ = True
        INSTALLED_APPS = ["django.contrib.contenttypes"]
        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
        """,
    )
    project.write(
        "test_orders.py",
        """
        from django.contrib.contenttypes.models import ContentType
        from django.test import TestCase

        from effects import charge, note, send
        from sideeffects import side_effect
        from sideeffects.testing import fault_sweep


        @side_effect(name="mail.confirm", on_commit=True)
        def confirm(): ...


        def orders():
            return ContentType.objects.filter(app_label="orders").count()


        class OrderTests(TestCase):
            @classmethod
            def setUpTestData(cls):
                ContentType.objects.create(app_label="orders", model="of the class")

            def setUp(self):
                assert orders() == 1, "what another run has written is still there"

            @fault_sweep(invariants=lambda: orders() == 3)
            def test_careful(self):
                with self.captureOnCommitCallbacks(execute=True):
                    ContentType.objects.create(app_label="orders", model="first")
                    ContentType.objects.create(app_label="orders", model="second")
                    confirm()
                    send()

            @fault_sweep(invariants=lambda: orders() != 2)
            async def test_careless(self):
                await ContentType.objects.acreate(app_label="orders", model="first")
                send()
                await ContentType.objects.acreate(app_label="orders", model="second")


        class OthersTests(OrderTests):
            pass
        """,
    )
    for options in ((), ("--parallel", "2")):
        output = project.run("-m", "django", "test", *options, DJANGO_SETTINGS_MODULE="settings")

        assert "FAILED (failures=2)" in output, output
        assert output.count("2 cells, 0 passed, 2 failed; 3 runs") == 2
        assert "FAIL: test_careless (test_orders.OrderTests" in output
    assert not {"CHARGED", "SENT"} & set(project.trace)


def test_a_sweep_that_nobody_makes_says_so(project: Project) -> None:
    """Called by hand, or by a pytest without the plugin, a decorated test does not pass for one that was swept."""
    project.write("test_it.py", PYTEST)
    output = project.run(
        "-m", "pytest", "-p", "no:cacheprovider", "-q", "test_it.py::test_careful", "-p", "no:sideeffects"
    )
    assert "knows nothing of them" in output
    assert "1 failed" in output


def test_what_cannot_be_decorated() -> None:
    """Classes, generators, and options that tests have fixtures for."""
    from sideeffects.testing import FaultSweepError, fault_sweep

    class Class: ...

    def generator():
        yield

    for thing in (Class, generator, "test"):
        with pytest.raises(TypeError, match="fault_sweep"):
            fault_sweep()(thing)
    with pytest.raises(TypeError, match="fixtures"):
        fault_sweep(setup=dict)
    with pytest.raises(FaultSweepError, match="asks for 'basket'"):
        fault_sweep(invariants=lambda basket: basket)(lambda: None)


def test_importing_the_doors_imports_no_sweep() -> None:
    """Suites that do not sweep do not pay for it."""
    source = "import sys, sideeffects.testing; print('sideeffects.testing.faults' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", source], env={**os.environ}, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
