"""Nothing that a probe does writes to a database or lets an effect out, however hard it tries."""

import time
from typing import Any

import pytest

from tests.support.probe_escapes import ESCAPES, SUITE, WRITES_AT_IMPORT
from tests.support.probe_project import ProbeProject, ProbeRun

pytestmark = pytest.mark.processes

BOTH = pytest.mark.parametrize("alias", ["default", "other"])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, postgres: dict[str, Any]) -> ProbeRun:
    """All of them, run once, by one thread: what one leaves behind meets the next."""
    project = ProbeProject(tmp_path_factory.mktemp("escapes"), postgres)
    project.write("shop/probes/__init__.py", "")
    project.write("shop/probes/escapes.py", ESCAPES)
    project.write("shop/probes/picked.py", SUITE)
    project.write("shop/probes/writes.py", WRITES_AT_IMPORT)
    for alias in ("default", "other"):
        project.manage("migrate", "--verbosity=0", f"--database={alias}")
    started = time.monotonic()
    made = ProbeRun(project, postgres, "--parallel", "1")
    made.seconds = time.monotonic() - started
    return made


def test_no_row_stays(run: ProbeRun) -> None:
    """In neither database; and no connection is left open."""
    assert run.left == [0, 0]
    assert run.sessions == []


def test_no_effect_executes(run: ProbeRun) -> None:
    """Although each place was reached."""
    assert run.executed == {}
    for place in (
        "import",
        "suite()",
        "picked",
        "isolated",
        "setUpModule",
        "tearDownClass",
        "a block",
        "a block: background",
        "a block: coroutine",
        "a decorator",
        "forced in a stub",
        "an older executor",
        "to_thread",
        "another thread",
        "run_in_executor",
        "a cleanup",
        "a message",
        "an outliving thread",
        "a cancelled task",
    ):
        assert run.attempted[place] >= 1, place


@BOTH
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cursor_of_the_driver", "this one tried to: COMMIT"),
        ("cursor_inside_that_of_django", "this one tried to: COMMIT"),
        ("commit_swallowed_below_django", "this one tried to: COMMIT"),
        ("another_connection", "on another connection, where nothing would be rolled back"),
        ("copy_of_the_connection", "on another connection, where nothing would be rolled back"),
        ("deleted_connection", "on another connection, where nothing would be rolled back"),
        ("closed_by_force", "this one tried to: connection.commit()"),
        ("end_of_somebody_elses_block", "pop from empty list"),
        ("executor", "in another thread"),
        ("own_thread_of_async_code", "in another thread"),
        ("thread_of_async_code", "in another thread"),
    ],
)
def test_a_way_to_write_is_an_error(run: ProbeRun, alias: str, name: str, said: str) -> None:
    """Which says what it was, and where."""
    probe = run.probes[f"Rows_{alias}.test_{name}"]
    assert (probe["outcome"], said in probe["message"]) == ("errored", True), probe["message"]
    assert "escapes.py" in probe["message"] + probe["traceback"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("test_2_block_of_the_driver", None),
        ("test_3_autocommit", "autocommit"),
        ("test_4_hidden_in_a_string", "this one tried to: SELECT E"),
        ("test_5_in_a_procedure", "invalid transaction termination"),
        ("test_6_objects_that_spell_sql", "this one tried to: COMMIT"),
        ("test_7_a_sequence", "sets a sequence, which no rollback takes back"),
    ],
)
def test_ways_of_psycopg(run: ProbeRun, name: str, said: str | None) -> None:
    """A block of the driver's is a savepoint; all else is refused, by us or by the server."""
    probe = run.probes[f"Driver.{name}"]
    assert probe["outcome"] == ("passed" if said is None else "errored"), probe["message"]
    assert said is None or said in probe["message"]


@BOTH
def test_fixtures_parts_and_cleanups_are_protected(run: ProbeRun, alias: str) -> None:
    """They see what their probe wrote, and nobody else does."""
    outcomes = [run.outcome(f"Allowed_{alias}.test_{name}") for name in ("parts", "before_any_block")]
    assert outcomes == ["passed", "passed"]


def test_fixtures_of_classes_and_modules_are_protected(run: ProbeRun) -> None:
    """Their rows are gone before the first probe; their attempt to commit is an error."""
    assert run.outcome("Fixtures.test_nothing") == "passed"
    assert [effect["name"] for effect in run.probes["Fixtures.tearDownClass"]["held_back"]] == ["shop.send"]
    assert "this one tried to: connection.commit()" in run.message("escapes.tearDownModule")


@BOTH
def test_test_cases_with_a_loop_of_their_own(run: ProbeRun, alias: str) -> None:
    """Their queries would go to other threads, so they are refused; `suite()` does not make a difference."""
    assert "in a SmokeTest, an async test does so by itself" in run.message(f"Isolated_{alias}.test_isolated")
    assert "in a SmokeTest, an async test does so by itself" in run.message("Picked.test_picked")


def test_overrides_inside_a_probe_may_only_be_stricter(run: ProbeRun) -> None:
    """`stub` and `forbid` count, `force_run` does not."""
    probe = run.probes["Effects.test_stricter_inside"]
    assert "forbidden by forbid" in probe["message"]
    assert [effect["arguments"]["place"] for effect in probe["held_back"]] == ["stub", "forced in a stub"]
    assert [effect["arguments"]["place"] for effect in probe["refused"]] == ["forbidden"]


def test_a_forced_effect_on_commit_is_held_back(run: ProbeRun) -> None:
    """There is no commit, also when no database has been used by then; the report does not say that it ran."""
    probe = run.probes["Forced.test_1_on_commit"]
    assert [effect["arguments"]["place"] for effect in probe["held_back"]] == [
        "on commit, forced",
        "on commit, forced, after a query",
    ]
    assert probe["executed"] == []


def test_importing_writes_nothing(run: ProbeRun) -> None:
    """A module that does is an error, whose message says why."""
    assert "importing probes must not write to a database" in run.message("probes.writes")


def test_what_hangs_does_not_keep_the_command(run: ProbeRun) -> None:
    """Threads and executors of the probe neither, for which Python waits at its end."""
    for name in ("task", "blocking_task", "executor", "thread"):
        assert run.message(f"Hangs.test_{name}") == "it took longer than its timeout of 0.4 s"
    assert run.seconds < 30


def test_what_hangs_holds_no_database(run: ProbeRun) -> None:
    """While its thread still hangs others can write, and the server has no session of it."""
    assert run.message("HangsHolding.test_hold") == "it took longer than its timeout of 0.4 s"
    assert run.outcome("HangsInSQLite.test_query") == "errored"
    assert run.outcome("HangsInPython.test_function") == "errored"
    assert run.outcome("HangsBetweenRows.test_rows") == "errored"
    assert run.message("IsFree.test_free") == ""


def test_nothing_asynchronous_passes_unseen(run: ProbeRun) -> None:
    """`unittest` would let it pass without having run it."""
    assert "setUp of Awaited is async, and nobody would await it" in run.message("Awaited.test_never")
    assert run.attempted["never"] == 0
    assert run.message("PlainAsync.test_plain") == "1 != 2"
