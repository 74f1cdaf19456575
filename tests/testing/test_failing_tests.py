"""What a failing test is told of its effects, and the last line of a run: pytest's, unittest's and Django's."""

import contextlib
import gc
import inspect
import os
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from sideeffects import capture, forbid, side_effect, stub
from sideeffects._core.calls.origins import originating
from sideeffects._core.records import failing_test
from sideeffects._core.records.ledger import Ledger

pytestmark = pytest.mark.usefixtures("own_registry")

ROOT = Path(__file__).parents[2]

FILES = {
    "app.py": """
        from sideeffects import side_effect

        @side_effect(name="sms.send")
        def send(to):
            return "m-17"

        @side_effect(name="log.write")
        def log(line): ...

        @side_effect(name="never.called")
        def never(): ...
    """,
    "manage.py": """
        import os, sys
        os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
        from django.core.management import execute_from_command_line

        if __name__ == "__main__":
            execute_from_command_line(sys.argv)
    """,
    "settings.py": """
        SECRET_KEY = "x"
        INSTALLED_APPS = ["sideeffects"]
    """,
    "test_it.py": """
        import unittest
        import app

        class Plain(unittest.TestCase):
            def test_fails(self):
                app.log("hello")
                self.assertEqual(app.send("+1"), "m-17")

            def test_fails_in_a_subtest(self):
                with self.subTest(n=1):
                    self.fail(app.send("+2"))

            def test_fails_without_effects(self):
                self.fail()

            def test_passes(self):
                app.send("+3")
    """,
    "test_mixin.py": """
        import unittest
        import app
        from sideeffects.testing import SideEffectsMixin

        class WithMixin(SideEffectsMixin, unittest.TestCase):
            force_run = ["log.write"]

            def test_fails(self):
                app.log("executed")
                self.assertEqual(app.send("+4"), "m-17")
    """,
}
LAST_LINE = "side effects: 5 recorded, 1 executed, 1 never called"


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., list[str]]:
    """The lines that a command prints in a project whose tests fail."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(textwrap.dedent(text).lstrip())

    def run(*command: str, **files: str) -> list[str]:
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(textwrap.dedent(text).lstrip())
        unwanted = ("SIDE_EFFECTS", "PYTEST", "DJANGO")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
        ran = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env={**environment, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        return ran.stdout.rstrip().splitlines()

    return run


# -- the words


def told(*calls: object) -> list[str]:
    """As a test is told that spells what it may write as `option: names`."""
    return failing_test.words(list(calls), lambda option, names: f"{option}: {', '.join(names)}")  # type: ignore[arg-type]


def test_nothing_is_said_where_everything_was_done() -> None:
    """Nor where nothing was called."""
    assert told() == []


@pytest.mark.parametrize(
    ("declare", "is_named"),
    [
        (lambda: side_effect(name="an.effect")(lambda: 1), True),
        (lambda: side_effect(name="an.effect")(lambda: None), False),
        (lambda: side_effect(name="an.effect", returns=3)(lambda: 1), False),
        (lambda: side_effect(name="an.effect", on_commit=True)(lambda: 1), False),
        (lambda: side_effect(name="an.effect")(annotated), False),
        (lambda: side_effect(name="an.effect")(len), True),
    ],
    ids=["something", "nothing", "returns", "on_commit", "annotated", "in C"],
)
def test_the_first_line_names_what_gave_none_instead_of_an_answer(
    declare: Callable[[], Callable[..., object]], is_named: bool
) -> None:
    """Not what answers with nothing anyway, or has been told what to answer."""
    effect = declare()
    with capture() as calls:
        effect(*([[]] if effect.__name__ == "len" else []))
    lines = told(*calls)
    assert lines[0].startswith("an.effect gave None: it was recorded, not executed") is is_named
    assert any("What was recorded did not happen. To let it happen: force_run: an.effect" in line for line in lines)
    assert any(line.startswith("To say what it gives: stub: an.effect") for line in lines) is is_named


async def items() -> AsyncIterator[int]:
    yield 1


async def answer() -> int:
    return 1


def blocks(value: str) -> Callable[..., Any]:
    """A context manager that gives this to its block."""
    namespace: dict[str, Any] = {}
    exec(f"def made():\n    yield {value}", namespace)
    return contextlib.contextmanager(namespace["made"])


@pytest.mark.parametrize(
    ("function", "gave"),
    [
        (lambda: (yield 1), "no items"),
        (items, "no items"),
        (blocks("7"), "None"),
        (blocks(""), ""),
        (contextlib.asynccontextmanager(items), "None"),
        (answer, "None"),
    ],
    ids=["generator", "async generator", "manager", "manager of nothing", "async manager", "coroutine"],
)
async def test_the_first_line_names_streams_managers_and_coroutines(function: Callable[..., Any], gave: str) -> None:
    """What has no items, or gives its block or who awaits it nothing, is why the test fails."""
    effect: Any = side_effect(name="an.effect")(function)
    with capture() as calls:
        made = effect()
        if hasattr(made, "__aiter__"):
            assert [item async for item in made] == []
        elif hasattr(made, "__aenter__"):
            async with made:
                pass
        elif hasattr(made, "__enter__"):
            with made:
                pass
        else:
            assert (await made if inspect.isawaitable(made) else list(made)) in (None, [])
    lines = told(*calls)
    assert lines[0].startswith(f"an.effect gave {gave}: it was recorded, not executed") is bool(gave)
    assert any(line.endswith(f", gave {gave or 'None'}") for line in lines)


def annotated() -> None:
    return gc.enable()  # type: ignore[func-returns-value]


def test_a_listed_call_says_what_it_gave_and_what_is_secret_stays_so() -> None:
    """And what set it going, unless the test did; a refused one says why, and how it would be recorded."""
    login = side_effect(name="bank.login", sensitive=["pin"])(lambda user, pin: "session")
    with capture() as calls:
        with stub(login, returns={"id": 7}), originating("GET /login/"):
            login("ann", "1234")
        with forbid(login), pytest.raises(Exception, match="refused"):
            login("ann", "1234")
    lines = "\n".join(told(*calls))
    assert "1. bank.login(user='ann', pin=[redacted])  [RECORD]" in lines
    assert "gave {'id': 7}, by GET /login/" in lines
    assert ", by test" not in lines
    assert "2. bank.login(user='ann', pin=[redacted])  [RAISE, SideEffectBlocked]" in lines
    assert "What was refused may be recorded instead: record: bank.login" in lines
    assert "1234" not in lines


def test_a_ledger_counts_what_it_has_dropped() -> None:
    """The last line of a long run is right as well."""
    send = side_effect(name="count.send")(lambda: None)
    with capture() as calls:
        send()
    ledger = Ledger(bound=3)
    for _ in range(100):
        ledger.append(calls[0])
    counted = ledger.tally().as_data()
    assert (counted["modes"], counted["names"]) == ({"record": 100}, ["count.send"])
    ledger.clear()
    assert ledger.tally().words(["count.send", "other"]) == "side effects: 100 recorded, 0 executed, 1 never called"
    assert ledger.tally(100).words([]) == ""


# -- the runners


@pytest.mark.processes
@pytest.mark.parametrize("workers", [(), ("-p", "xdist", "-n", "2")], ids=["", "xdist"])
def test_under_pytest(run: Callable[..., list[str]], workers: tuple[str, ...]) -> None:
    """A section of the report for each test that fails; the line after all else. Workers tell the same."""
    options = ("-p", "sideeffects", "-p", "no:cacheprovider", "-p", "no:terminalprogress", "--side-effects-coverage")
    lines = run("-m", "pytest", *options, *workers)
    text = "\n".join(lines)
    assert text.count("side effects of this test ---") == 3
    assert text.count("sms.send gave None: it was recorded, not executed, and it has no `returns`.") == 3
    assert "sms.send(to='+3'" not in text
    wanted = '@pytest.mark.side_effects(force_run=["log.write", "sms.send"])'
    assert f"What was recorded did not happen. To let it happen: {wanted}" in lines
    assert lines[-3:] == ["side effects that no test has called:", "  never.called", LAST_LINE]


@pytest.mark.processes
def test_in_the_set_up_of_a_test_of_pytest(run: Callable[..., list[str]]) -> None:
    """And in its tear-down: whichever phase fails."""
    tests = """
        import app, pytest

        @pytest.fixture
        def customer():
            app.send("fixture")
            raise OSError

        @pytest.fixture
        def order():
            yield
            app.send("torn down")
            raise OSError

        def test_set_up(customer): ...
        def test_tear_down(order): ...
    """
    lines = run(
        "-m", "pytest", "-p", "sideeffects", "-p", "no:cacheprovider", "-q", "test_phases.py", test_phases=tests
    )
    assert sum("1. sms.send(to='fixture')" in line for line in lines) == 1
    assert sum("1. sms.send(to='torn down')" in line for line in lines) == 1


@pytest.mark.processes
def test_under_unittest(run: Callable[..., list[str]]) -> None:
    """A note on the exception, with a block or, with the mixin, an attribute to write."""
    lines = run("-m", "unittest")
    text = "\n".join(lines)
    assert text.count("side effects of this test:") == 3
    assert 'To let it happen: with force_run("log.write", "sms.send"): ...' in text
    assert 'To say what it gives: with stub("sms.send", returns=...): ...' in text
    assert 'To let it happen: force_run = ["sms.send"] in the class' in text
    assert 'To say what it gives: stub = {"sms.send": ...} in the class' in text
    assert lines[-1] == LAST_LINE


@pytest.mark.processes
@pytest.mark.parametrize("parallel", [(), ("--parallel", "2")], ids=["", "parallel"])
def test_under_djangos_runner(run: Callable[..., list[str]], parallel: tuple[str, ...]) -> None:
    """The notes travel from the workers, and the line counts what they have called."""
    lines = run("manage.py", "test", *parallel)
    text = "\n".join(lines)
    assert text.count("side effects of this test:") == 3
    assert LAST_LINE in lines


@pytest.mark.processes
def test_findings_that_fail_the_run_have_the_last_word(run: Callable[..., list[str]], tmp_path: Path) -> None:
    """Below the green line of the tests, that is."""
    (tmp_path / "accepted.json").write_text("[]")
    tests = "import subprocess\ndef test_it(): subprocess.run(['true'])\n"
    options = ("-p", "sideeffects", "-p", "no:cacheprovider", "-q", "--side-effects-baseline=accepted.json")
    run(
        "-m",
        "pytest",
        *options,
        "--side-effects-update-baseline",
        "-k",
        "no_such",
        "test_f.py",
        test_f=tests,
    )
    lines = run("-m", "pytest", *options, "test_f.py")
    assert "1 passed" in lines[-2]
    assert lines[-1].startswith("side effects: this run failed because one finding is not in accepted.json")


STUBBED = """
    import unittest
    import app
    from sideeffects import stub
    from sideeffects.testing import SideEffectsMixin

    class Stubbed(SideEffectsMixin, unittest.TestCase):
        stub = {"log.write": None, "never.*": 1}

        def test_one(self):
            app.log("used in one of the tests is used")
            with stub("sms.send", returns="unused"):
                pass
            with stub("sms.send", returns="used"):
                self.assertEqual(app.send("+1"), "used")

        def test_other(self): ...
"""


@pytest.mark.processes
@pytest.mark.parametrize(
    "command",
    [
        ("-m", "unittest", "test_s"),
        ("manage.py", "test", "--parallel", "2", "test_s", "test_none"),
        ("-m", "pytest", "-p", "sideeffects", "-p", "no:cacheprovider", "-q", "test_s.py"),
        ("-m", "pytest", "-p", "sideeffects", "-p", "no:cacheprovider", "-p", "xdist", "-n", "2", "test_s.py"),
    ],
    ids=["unittest", "parallel", "pytest", "xdist"],
)
def test_a_stub_that_no_call_has_used_is_named(run: Callable[..., list[str]], command: tuple[str, ...]) -> None:
    """Each place once, and not what has answered in another test, or another worker."""
    other = "import unittest\nclass T(unittest.TestCase):\n    def test_it(self): ...\n"
    lines = [line for line in run(*command, test_s=STUBBED, test_none=other) if "no call was stubbed" in line]
    assert len(lines) == 2, lines
    assert 'no call was stubbed by stub("never.*") at test_s.Stubbed' in lines[0]
    assert 'no call was stubbed by stub("sms.send") at ' in lines[1]
    assert lines[1].endswith("test_s.py:11")


@pytest.mark.processes
def test_a_suite_without_effects_ends_as_ever(run: Callable[..., list[str]]) -> None:
    """No line of ours."""
    tests = "import unittest, sideeffects\nclass T(unittest.TestCase):\n    def test_it(self): ...\n"
    assert run("-m", "unittest", "test_none", test_none=tests)[-1] == "OK"
    assert "1 passed" in run("-m", "pytest", "-p", "sideeffects", "-p", "no:cacheprovider", "-q", "test_none.py")[-1]


@pytest.mark.processes
def test_a_run_that_only_collects_says_nothing(run: Callable[..., list[str]]) -> None:
    """Nothing was called because nothing was run."""
    lines = run("-m", "pytest", "-p", "sideeffects", "-p", "no:cacheprovider", "--collect-only", "-q", "test_it.py")
    assert not [line for line in lines if line.startswith("side effects:")]
