"""What stands around probes, on real databases: SQLite in a file and PostgreSQL, in production."""

from typing import Any

import pytest

from tests.support.probe_project import PROBES, ProbeProject, ProbeRun

pytestmark = pytest.mark.processes

BOTH = pytest.mark.parametrize("alias", ["default", "other"])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, postgres: dict[str, Any]) -> ProbeRun:
    """All probes, run once."""
    project = ProbeProject(tmp_path_factory.mktemp("probes"), postgres)
    project.write("shop/probes.py", PROBES)
    for alias in ("default", "other"):
        project.manage("migrate", "--verbosity=0", f"--database={alias}")
    return ProbeRun(project, postgres)


def test_nothing_that_probes_write_stays(run: ProbeRun) -> None:
    """Whatever they did, in both databases; and no connection is left open."""
    assert run.left == [0, 0]
    assert run.sessions == []


@BOTH
@pytest.mark.parametrize(
    "name",
    [
        "rows_and_blocks",
        "block_without_savepoint_first",
        "on_commit",
        "async",
        "closed",
        "close_old_connections",
        "temporary_connection_first",
    ],
)
def test_what_a_probe_may_do_with_databases(run: ProbeRun, alias: str, name: str) -> None:
    """Blocks are savepoints, durable ones too; asynchronous code is in the same transaction, whatever closes others."""
    probe = run.probes[f"OnDatabase_{alias}.test_{name}"]
    assert (probe["outcome"], probe["message"]) == ("passed", "")


def test_on_commit_callbacks_do_not_run(run: ProbeRun) -> None:
    """Neither those from before the first query."""
    assert run.attempted["on_commit"] == 0


@BOTH
@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("commit", "connection.commit()"),
        ("commit_swallowed", "connection.commit()"),
        ("autocommit", "connection.set_autocommit()"),
        ("rollback", "connection.rollback()"),
        ("commit_in_sql", ""),
        ("commit_of_the_driver", ""),
    ],
)
def test_an_attempt_to_commit_is_an_error(run: ProbeRun, alias: str, name: str, what: str) -> None:
    """Also when the probe swallows the refusal, and past Django."""
    probe = f"OnDatabase_{alias}.test_{name}"
    assert run.outcome(probe) == "errored"
    assert f"can neither commit nor end its transaction, and this one tried to: {what}" in run.message(probe)


@BOTH
def test_other_threads_of_a_probe_cannot_use_a_database(run: ProbeRun, alias: str) -> None:
    """Nobody would roll back what they do."""
    assert "in another thread" in run.message(f"OnDatabase_{alias}.test_thread")


@BOTH
def test_an_error_of_the_database_is_an_error_of_the_probe(run: ProbeRun, alias: str) -> None:
    """And of no other one: the connection goes on to be used."""
    assert run.outcome(f"OnDatabase_{alias}.test_error_of_the_database") == "errored"
    assert "nowhere" in run.message(f"OnDatabase_{alias}.test_error_of_the_database")


@BOTH
def test_read_only_probes_cannot_write(run: ProbeRun, alias: str) -> None:
    """PostgreSQL refuses by itself, elsewhere the statement is looked at."""
    said = "this probe is read-only" if alias == "default" else "read-only transaction"
    assert run.outcome(f"ReadOnly_{alias}.test_read") == "passed"
    for name in ("write", "write_after_reading"):
        assert run.outcome(f"ReadOnly_{alias}.test_{name}") == "errored"
        assert said in run.message(f"ReadOnly_{alias}.test_{name}")


def test_a_database_that_is_down_fails_those_that_use_it(run: ProbeRun) -> None:
    """Nothing is connected before its first use."""
    assert run.outcome("Down.test_down") == "errored"
    assert run.outcome("Down.test_not_needed") == "passed"


def test_a_probe_may_use_the_databases_that_it_names(run: ProbeRun) -> None:
    """And no other."""
    assert run.outcome("OneDatabase.test_its_own") == "passed"
    assert "databases = ['default']. Add 'other' to it" in run.message("OneDatabase.test_another")


# -- effects


def test_effects_are_held_back_and_reported(run: ProbeRun) -> None:
    """Also those on commit, in the background, in threads and asynchronous ones; the real function is not reached."""
    probe = run.probes["Effects.test_held_back"]
    assert (probe["outcome"], probe["message"]) == ("passed", "")
    assert [(effect["name"], effect["arguments"]["place"]) for effect in probe["held_back"]] == [
        ("shop.send", "held back"),
        ("shop.confirm", "held back, on commit"),
        ("shop.send", "held back, in the background"),
    ]
    assert [effect["name"] for effect in run.probes["Effects.test_async"]["held_back"]] == ["shop.ring"]
    assert [effect["name"] for effect in run.probes["Effects.test_thread"]["held_back"]] == ["shop.send"]
    assert [effect["name"] for effect in run.probes["Plain.test_plain"]["held_back"]] == ["shop.send"]
    assert run.attempted["held back"] == 1


def test_only_forced_effects_execute(run: ProbeRun) -> None:
    """Those that the class names, each as often as it was called; a block inside a probe forces nothing."""
    assert run.executed == {"forced": 1}
    assert [effect["name"] for effect in run.probes["Effects.test_forced_inside"]["held_back"]] == ["shop.send"] * 2
    probe = run.probes["Forced.test_forced"]
    assert [effect["arguments"]["place"] for effect in probe["executed"]] == ["forced"]
    assert [effect["arguments"]["place"] for effect in probe["held_back"]] == ["not forced"]


def test_an_unknown_forced_name_is_an_error_and_nothing_is_run(run: ProbeRun) -> None:
    """With close matches."""
    assert "shop.send" in run.message("ForcedUnknown.test_unknown")
    assert run.attempted["unknown"] == 0


# -- unittest


def test_failures_errors_skips_and_parts(run: ProbeRun) -> None:
    """As unittest tells them apart; a message that is given stands for unittest's own."""
    found = {name.partition(".test_")[2]: probe for name, probe in run.probes.items() if name.startswith("Assertions.")}
    assert {name: (probe["outcome"], probe["message"]) for name, probe in found.items()} == {
        "passes": ("passed", ""),
        "fails": ("failed", "one is not two"),
        "fails_plainly": ("failed", "1 != 2"),
        "errors": ("errored", "two lines"),
        "parts": ("failed", "(number=1) 1 unexpectedly found in (1, 3); (number=3) 3 unexpectedly found in (1, 3)"),
        "skipped": ("skipped", "not today"),
        "expected": ("passed", ""),
        "cleanups": ("passed", ""),
    }
    assert "raise ValueError" in found["errors"]["traceback"]
    assert "unittest/case.py" not in found["errors"]["traceback"]
    assert run.attempted["a cleanup"] == 1


def test_class_fixtures_run_once_under_the_same_protection(run: ProbeRun) -> None:
    """What they write is rolled back, what they call is held back; one that fails stands for its probes."""
    assert (run.outcome("Fixtures.test_one"), run.outcome("Fixtures.test_two")) == ("passed", "passed")
    assert (run.attempted["setUpClass"], run.attempted["tearDownClass"]) == (1, 1)
    assert [effect["name"] for effect in run.probes["Fixtures.setUpClass"]["held_back"]] == ["shop.send"]
    assert run.message("BadFixture.setUpClass") == "no fixture"
    assert "BadFixture.test_never" not in run.probes
    assert run.attempted["never"] == 0


# -- timeouts


@BOTH
def test_a_probe_past_its_timeout_is_an_error_and_leaves_nothing(run: ProbeRun, alias: str) -> None:
    """Its place is in the report; it executes nothing any more."""
    probe = run.probes[f"Hangs_{alias}.test_asleep"]
    assert (probe["outcome"], probe["message"]) == ("errored", "it took longer than its timeout of 0.4 s")
    assert "time.sleep(1.5)" in probe["traceback"]
    assert probe["seconds"] < 1.4
    assert run.executed[f"late, {alias}"] == 0


def test_a_query_that_hangs_is_ended_by_the_server(run: ProbeRun) -> None:
    """At the probe's timeout."""
    probe = run.probes["InTheServer.test_query"]
    assert probe["outcome"] == "errored"
    assert "timeout" in probe["message"]
    assert probe["seconds"] < 5


def test_the_run_goes_on_after_a_hang(run: ProbeRun) -> None:
    """It ends with all results, and counts them."""
    assert run.report["status"] == "FAIL"
    assert run.report["is_whole"] is True
    assert run.report["tests_run"] == run.report["tests_passed"] + sum(
        1 for probe in run.report["probes"] if probe["outcome"] in ("failed", "errored") and ".test_" in probe["id"]
    )
