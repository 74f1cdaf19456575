"""Running probes: what they may let out in production and in test runs, how long they take, how they end."""

import contextlib
import json
import os
import pty
import signal
import threading
import time
import unittest
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from sideeffects import SideEffectBlocked, capture, forbid, force_run, side_effect
from sideeffects._core.state.state import state
from sideeffects.probes import CommitRefused, ProbeOutcome, ProbeRunner, ProbesRefused, Results, SmokeTest
from sideeffects.probes.case import specs_of
from sideeffects.probes.specs import FoundProbes
from sideeffects.testing import isolated_registry
from tests.support.probe_project import ProbeProject


def run(case: type[unittest.TestCase]) -> Results:
    """Run the probes of a class here."""
    return ProbeRunner().run(FoundProbes(tuple(specs_of(case, "", ""))))


def test_a_connection_that_probes_borrow_is_left_as_it_was(django_db_blocker: Any) -> None:
    """Also where its owner lets nobody connect: in a test without a database, where one before had it open."""

    class Nothing(SmokeTest):
        def test_nothing(self) -> None:
            pass

    with django_db_blocker.unblock():
        connection.ensure_connection()
    before = connection.connection
    assert run(Nothing).passed
    assert (connection.autocommit, connection.in_atomic_block) == (True, False)
    assert connection.connection is before
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert not connection.connection.in_transaction


# -- effects


@pytest.mark.usefixtures("production")
def test_other_work_goes_on_in_production() -> None:
    """While a probe runs, effects of another thread execute; and the process is in no test run afterwards."""
    done: list[str] = []
    with isolated_registry():
        send = side_effect(name="sms.send")(done.append)
        is_running, may_end = threading.Event(), threading.Event()

        class Waits(SmokeTest):
            def test_waits(self) -> None:
                send("the probe")
                is_running.set()
                assert may_end.wait(10)
                send("the probe again")

        def other() -> None:
            assert is_running.wait(10)
            send("another request")
            may_end.set()

        thread = threading.Thread(target=other)
        thread.start()
        results = run(Waits)
        thread.join()

        send("after the probe")
    assert results.passed
    assert done == ["another request", "after the probe"]
    assert [effect.arguments for effect in results.probes[0].held_back] == [
        {"object": "the probe"},
        {"object": "the probe again"},
    ]
    assert not state.test_run.is_on()
    assert not len(state.switches.reasons)


@pytest.mark.usefixtures("production")
def test_a_capture_around_a_run_sees_what_probes_call() -> None:
    """They belong to its context."""
    with isolated_registry():
        send = side_effect(name="sms.send")(print)

        class Sends(SmokeTest):
            def test_send(self) -> None:
                send("x")

        with capture() as calls:
            run(Sends)
    calls.assert_called(send, times=1)


def forcing(done: list[str], *, is_forced_by_probe: bool) -> Results:
    """Run a probe that calls an effect."""
    send = side_effect(name="sms.send")(done.append)

    class Sends(SmokeTest):
        force_run = (send,) if is_forced_by_probe else ()

        def test_send(self) -> None:
            with force_run("sms.*"):
                send("in a block")
            send("x")

    return run(Sends)


@pytest.mark.parametrize("is_forced_by_test", [False, True])
@pytest.mark.parametrize("is_forced_by_probe", [False, True])
def test_in_a_test_run_both_must_name_an_effect(is_forced_by_probe: bool, is_forced_by_test: bool) -> None:
    """A probe is no test: what it forces is still recorded until a test forces it as well."""
    done: list[str] = []
    with isolated_registry():
        side_effect(name="sms.send")(done.append)
        if is_forced_by_test:
            with force_run("sms.send"):
                results = forcing(done, is_forced_by_probe=is_forced_by_probe)
        else:
            results = forcing(done, is_forced_by_probe=is_forced_by_probe)
    assert results.passed
    assert done == (["in a block", "x"] if is_forced_by_probe and is_forced_by_test else [])


def test_a_probe_cannot_run_probes() -> None:
    """It would wait for itself."""

    class Inner(SmokeTest):
        def test_inner(self) -> None:
            raise AssertionError

    class Outer(SmokeTest):
        def test_outer(self) -> None:
            with pytest.raises(ProbesRefused, match="a probe cannot run probes"):
                run(Inner)

    assert run(Outer).passed


# -- units


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"timeout": 0}, "timeout of Wrong takes a number of seconds above 0, not 0"),
        ({"timeout": "1"}, "timeout of Wrong takes a number of seconds above 0, not '1'"),
        ({"tags": "fast"}, "tags of Wrong takes a list of strings, not 'fast'"),
        ({"databases": ["defualt"]}, "databases of Wrong names 'defualt'; settings.DATABASES has default"),
        ({"force_run": "sms.send"}, "force_run of Wrong takes a list of effects, not 'sms.send'"),
        ({"force_run": ["sms.snd"]}, "'sms.snd'"),
    ],
)
def test_wrong_attributes_are_errors_of_their_probes(attributes: dict[str, Any], said: str) -> None:
    """Nothing of them is run, and the others are."""
    ran: list[str] = []
    wrong = type("Wrong", (SmokeTest,), {**attributes, "test_it": lambda _: ran.append("wrong")})
    right = type("Right", (SmokeTest,), {"test_it": lambda _: ran.append("right")})
    results = ProbeRunner().run(FoundProbes((*specs_of(wrong, "", ""), *specs_of(right, "", ""))))
    assert [probe.outcome for probe in results.probes] == [ProbeOutcome.ERRORED, ProbeOutcome.PASSED]
    assert said in results.probes[0].message
    assert ran == ["right"]


def test_a_probe_that_cannot_begin_says_nothing_of_the_one_before() -> None:
    """Neither what that one would have sent, nor that it tried to commit."""
    with isolated_registry():
        send = side_effect(name="sms.send")(print)

        class Before(SmokeTest):
            def test_it(self) -> None:
                send("x")
                with contextlib.suppress(CommitRefused):
                    transaction.commit()

        class Unknown(SmokeTest):
            force_run = ("nope.x",)

            def test_it(self) -> None:
                raise AssertionError

        found = FoundProbes((*specs_of(Before, "", ""), *specs_of(Unknown, "", "")))
        before, unknown = ProbeRunner(parallel=1).run(found).probes
    assert [effect.name for effect in before.held_back] == ["sms.send"]
    assert "can neither commit nor end" in before.message
    assert (unknown.outcome, unknown.effects) == (ProbeOutcome.ERRORED, ())
    assert "nope.x" in unknown.message
    assert "commit" not in unknown.message


@pytest.mark.usefixtures("production")
def test_a_call_that_is_refused_would_not_have_been_sent() -> None:
    """`forbid(...)` inside a probe refuses it; what the probe calls outside of the block is held back."""
    with isolated_registry():
        send = side_effect(name="sms.send")([].append)

        class Refuses(SmokeTest):
            def test_it(self) -> None:
                with forbid(send), pytest.raises(SideEffectBlocked):
                    send("refused")
                send("held back")

        results = run(Refuses)
    (probe,) = results.probes
    assert probe.outcome is ProbeOutcome.PASSED
    assert [effect.arguments for effect in probe.refused] == [{"object": "refused"}]
    assert [effect.arguments for effect in probe.held_back] == [{"object": "held back"}]
    assert not probe.executed


def test_failfast_begins_nothing_more() -> None:
    """What stands after a class is run once it has begun."""
    seen: list[str] = []

    class Fails(SmokeTest):
        @classmethod
        def setUpClass(cls) -> None:
            seen.append("setUpClass")

        @classmethod
        def tearDownClass(cls) -> None:
            seen.append("tearDownClass")

        def test_1(self) -> None:
            seen.append("1")

        def test_2(self) -> None:
            self.fail("this one")

        def test_3(self) -> None:
            seen.append("3")

    results = ProbeRunner(failfast=True).run(FoundProbes(tuple(specs_of(Fails, "", ""))))
    assert seen == ["setUpClass", "1", "tearDownClass"]
    assert (results.run, results.is_whole) == (2, False)


def test_a_skip_in_a_fixture_skips_its_probes() -> None:
    """As in unittest, each of them, and none is run."""

    class Skips(SmokeTest):
        @classmethod
        def setUpClass(cls) -> None:
            raise unittest.SkipTest("not on Sundays")

        def test_1(self) -> None:
            raise AssertionError

        def test_2(self) -> None:
            raise AssertionError

    results = run(Skips)
    assert [(probe.method, probe.outcome, probe.message) for probe in results.probes if probe.method] == [
        ("test_1", ProbeOutcome.SKIPPED, "not on Sundays"),
        ("test_2", ProbeOutcome.SKIPPED, "not on Sundays"),
    ]
    assert results.passed


# -- whole runs, in processes

SLOW = """
    import threading
    import time
    import unittest

    import effects
    from django.db import connections
    from shop.models import Row
    from sideeffects.probes import SmokeTest


    class Waits(SmokeTest):
        tags = ["waits"]


    for number in range(10):
        setattr(Waits, f"test_{number}", lambda self: time.sleep(0.2))


    class Slow(SmokeTest):
        tags = ["slow"]

        def test_1(self):
            effects.note("attempted", "slow begins")
            time.sleep(1)
            effects.note("attempted", "slow ends")

        def test_2(self):
            effects.note("attempted", "never")


    class Counts(SmokeTest):
        tags = ["counts"]

        def test_rows(self):
            Row.objects.create(name="of a probe")
            self.assertEqual(Row.objects.count(), 2)

        def test_threads(self):
            self.assertIs(threading.current_thread(), threading.main_thread())

        def test_other(self):
            Row.objects.using("other").create(name="of a probe")


    class Fails(SmokeTest):
        tags = ["fails"]

        def test_it(self):
            raise ValueError("of its own")
"""

TESTS = """
    import json
    from io import StringIO

    from django.core.management import call_command
    from django.db import connection
    from django.test import TestCase
    from shop.models import Row


    class Probes(TestCase):
        databases = "__all__"

        def test_probes_in_a_test(self):
            Row.objects.create(name="of the test")
            out = StringIO()
            call_command("probe", tag=["counts"], format="json", stdout=out)
            report = json.loads(out.getvalue())
            assert report["tests_passed"] == 3, report
            [note] = report["notes"]
            assert "one after the other, in savepoints and without timeouts: they run inside a TestCase" in note, note
            self.assertEqual([row.name for row in Row.objects.all()], ["of the test"])
            self.assertEqual(Row.objects.using("other").count(), 0)
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
"""

RUNNER = """
    from sideeffects.probes import ProbeRunner


    class Patient(ProbeRunner):
        def limit(self, unit):
            return 0.05
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, postgres: dict[str, Any]) -> ProbeProject:
    """Probes that wait, and tests that run probes."""
    made = ProbeProject(tmp_path_factory.mktemp("running"), {**postgres, "TEST": {"NAME": f"test_{os.getpid()}"}})
    made.write("shop/probes.py", SLOW)
    made.write("shop/tests.py", TESTS)
    made.write("runners.py", RUNNER)
    made.manage("migrate", "--verbosity=0")
    return made


@pytest.mark.processes
def test_probes_that_wait_run_together(project: ProbeProject) -> None:
    """Without being asked; and one after the other when asked."""
    assert project.probe("--tag", "waits")["time"] < 1500
    assert project.probe("--tag", "waits", "--parallel", "1")["time"] >= 2000


PROGRAM = """
    import threading
    import time

    import django

    django.setup()
    from sideeffects import probes
    from sideeffects._core.state.state import state
    from sideeffects.probes.case import specs_of
    from sideeffects.probes.specs import FoundProbes

    MAY_END = threading.Event()


    class Hangs(probes.SmokeTest):
        timeout = 0.2

        def test_it(self):
            MAY_END.wait(30)


    def run():
        [result] = probes.ProbeRunner().run(FoundProbes(tuple(specs_of(Hangs, "", "")))).probes
        print(f"{result.outcome}: {result.message}")


    run()
    run()
    MAY_END.set()
    while any(thread.name == "probe" for thread in threading.enumerate()):
        time.sleep(0.01)
    run()
    print(state.test_run.is_on())
"""


@pytest.mark.processes
def test_a_probe_that_still_hangs_is_not_started_again(project: ProbeProject) -> None:
    """Threads do not pile up when somebody asks every minute. Once it has ended, it is run as any other."""
    assert project.program(PROGRAM, environment={"DJANGO_SETTINGS_MODULE": "config"}).splitlines() == [
        "errored: it took longer than its timeout of 0.2 s",
        "errored: it has been hanging since an earlier run, and was not started again",
        "passed: ",
        "False",
    ]


POOLED = """
    import time

    from shop.models import Row
    from sideeffects.probes import SmokeTest


    class Pooled(SmokeTest):
        def setUp(self):
            Row.objects.using("other").count()
            time.sleep(0.1)


    for number in range(8):
        setattr(Pooled, f"test_{number}", lambda self: None)
"""


@pytest.mark.processes
def test_a_pool_of_connections_is_not_used_up(tmp_path: Path, postgres: dict[str, Any]) -> None:
    """Each probe gives its connection back, without what it did to it; more workers than connections get along."""
    pytest.importorskip("psycopg_pool")
    made = ProbeProject(tmp_path, {**postgres, "OPTIONS": {"pool": {"min_size": 0, "max_size": 2, "timeout": 3}}})
    made.write("shop/probes.py", POOLED)
    made.manage("migrate", "--verbosity=0", "--database=other")
    assert made.probe("--parallel", "6")["tests_passed"] == 8


@pytest.mark.processes
def test_databases_are_not_needed(tmp_path: Path) -> None:
    """A project without any has probes too."""
    made = ProbeProject(tmp_path)
    made.write(
        "shop/probes.py",
        """
        from sideeffects.probes import SmokeTest


        class Nothing(SmokeTest):
            def test_nothing(self):
                pass
    """,
    )
    assert made.probe(MORE_SETTINGS=json.dumps({"DATABASES": {}}))["tests_passed"] == 1


@pytest.mark.processes
def test_inside_a_test_case_probes_run_in_savepoints(project: ProbeProject) -> None:
    """They see the rows of the test, on both databases, and leave it as it was."""
    done = project.manage("test", "shop", DOWN="")
    assert "OK" in done.stderr


def interrupted(project: ProbeProject, times: int) -> tuple[int, str, str]:
    """Press Ctrl-C so often while the first slow probe runs."""
    project.forget()
    process = project.started("manage.py", "probe", "--tag", "slow", "--parallel", "1")
    try:
        deadline = time.monotonic() + 30
        while not project.attempted["slow begins"]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)
        out, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    return process.returncode, out, errors


@pytest.mark.processes
def test_ctrl_c_finishes_what_runs_and_reports(project: ProbeProject) -> None:
    """Nothing more is begun."""
    code, out, errors = interrupted(project, 1)
    assert code == 130
    assert "Finishing what runs; Ctrl-C again stops at once." in errors
    assert out.startswith("PASS\n")
    assert "tests run: 1\n" in out
    assert "Not all that was selected has been run." in out
    assert (project.attempted["slow ends"], project.attempted["never"]) == (1, 0)


@pytest.mark.processes
def test_a_second_ctrl_c_stops_at_once(project: ProbeProject) -> None:
    """Without a report, and without a traceback."""
    code, out, errors = interrupted(project, 2)
    assert code == 130
    assert "Stopped." in errors
    assert "Traceback" not in errors
    assert out == ""
    assert project.attempted["slow ends"] == 0


@pytest.mark.processes
def test_a_line_tells_how_far_it_is_on_a_terminal(project: ProbeProject) -> None:
    """From the start, in no colour that means an error; and is gone at the end."""
    ours, theirs = pty.openpty()
    done = project.started("manage.py", "probe", "--tag", "waits", stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while chunk := _read(ours):
            shown += chunk
        out, _ = done.communicate(timeout=30)
    finally:
        os.close(ours)
    assert shown.startswith(b"\r0 of 10\r")
    assert b"10 of 10  shop.probes.Waits.test_" in shown
    assert b"\x1b" not in shown
    assert shown.endswith(b"\r")
    assert out.startswith("PASS\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other side is closed
        return b""


@pytest.mark.processes
def test_options_and_settings(project: ProbeProject, tmp_path: Path) -> None:
    """Verbosity, files, other runners, timeouts and read-only runs."""
    file = tmp_path / "report.xml"
    written = project.manage("probe", "shop.Fails", "--format", "junit", "--output", str(file), "--noinput", code=1)
    assert written.stdout == ""
    assert "of its own" in file.read_text(encoding="utf-8")
    unwritable = project.manage("probe", "shop.Slow", "--output", str(tmp_path / "none" / "x"), code=2)
    assert "cannot be written" in unwritable.stderr
    assert not project.attempted, "nothing is run when the results have no place to go"

    assert project.manage("probe", "shop.Fails", "-v", "0", code=1).stdout == "FAIL\n"
    loud = project.manage("probe", "shop.Fails", "-v", "2", code=1)
    assert 'raise ValueError("of its own")' in loud.stdout
    assert "shop.probes.Fails.test_it" in loud.stderr

    other = project.probe("shop.Waits.test_1", code=1, MORE_SETTINGS=json.dumps({"PROBE_RUNNER": "runners.Patient"}))
    assert "timeout of 0.05 s" in other["by_name"]["Waits.test_1"]["message"]
    wrong = project.manage("probe", code=2, MORE_SETTINGS=json.dumps({"PROBE_RUNNER": "runners.Nobody"}))
    assert "PROBE_RUNNER: 'runners.Nobody' cannot be imported" in wrong.stderr

    limited = project.probe("shop.Waits.test_1", "--timeout", "0.05", code=1)
    assert "timeout of 0.05 s" in limited["by_name"]["Waits.test_1"]["message"]
    frozen = project.probe("shop.Counts.test_rows", code=1, PROBES=json.dumps({"READ_ONLY": True}))
    assert "this probe is read-only" in frozen["by_name"]["Counts.test_rows"]["message"]
    for arguments in (["--parallel", "0"], ["--timeout", "0"], ["--format", "yaml"], ["--tag", "wiats"]):
        assert project.manage("probe", *arguments, code=2).stdout == ""
