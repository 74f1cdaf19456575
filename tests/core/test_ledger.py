"""The ledger: bounded, counting what it dropped, and reached by the calls of children (law 5)."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sideeffects import Call, Mode, capture, force_run, side_effect
from sideeffects._core.calls.call import row_of
from sideeffects._core.records.journal import Journal
from sideeffects._core.records.ledger import Ledger
from sideeffects._core.records.lines import locked
from sideeffects._core.state.children import JOURNAL_VARIABLE
from sideeffects._core.state.state import state
from sideeffects.testing import isolated_registry

pytestmark = pytest.mark.usefixtures("own_registry")

ROOT = Path(__file__).parents[2]


def some_calls(count: int) -> list[Call]:
    """Finished calls, numbered."""
    declared = side_effect(name="numbered")(lambda number: None)
    with capture() as calls:
        for number in range(count):
            declared(number)
        return list(calls)


def numbers(calls: Any) -> list[int]:
    return [call.arguments["number"] for call in calls]


# -- in memory


@pytest.mark.parametrize("bound", [1, 3, 100])
def test_it_keeps_the_newest_and_counts_the_others(bound: int) -> None:
    """However many are written, what is shown and what was dropped add up."""
    ledger = Ledger(bound)
    calls = some_calls(200)
    for written, call in enumerate(calls, 1):
        ledger.append(call)
        kept, dropped = ledger.read(0)
        assert len(kept) == min(written, bound)
        assert len(kept) + dropped == written == ledger.end
        assert dropped == ledger.dropped
    assert numbers(ledger.read(0)[0]) == list(range(200))[-bound:]


def test_whoever_reads_a_call_gets_the_same_one() -> None:
    """It is made of what was written when it is first read, also by two threads at once, and its id stays its own."""
    with isolated_registry():
        send = side_effect(name="send")(lambda number: None)
        start = state.ledger.end
        for number in range(300):
            send(number)
        with ThreadPoolExecutor(4) as pool:
            readings = list(pool.map(lambda _: state.ledger.read(start)[0], range(8)))
        assert [call.arguments["number"] for call in readings[0]] == list(range(300))
        assert all(one is other for reading in readings for one, other in zip(readings[0], reading, strict=True))
        assert len({call.id for call in readings[0]}) == 300
        assert {(call.outcome, call.pid) for call in readings[0]} == {((None, None, 0.0), os.getpid())}


def test_an_effect_that_a_finaliser_calls_while_others_are_read_shifts_nothing() -> None:
    """Reading goes through the places in the list, and a full ledger drops the oldest: not in between."""
    ledger = Ledger(bound=16)
    with isolated_registry():
        send = side_effect(name="send")(lambda number: None)
        start = state.ledger.end
        for number in range(40):
            send(number)
        calls = state.ledger.read(start)[0]

    class Finalised:
        """Stands for whatever the collector or a signal handler runs in the middle."""

        def bind(self, instance: Any, args: Any, kwargs: Any) -> dict[str, Any]:
            ledger.append(calls[39])
            return {"number": args[0]}

    for call in calls[:36]:
        ledger.append(row_of(call.effect, call.decision, Finalised(), call.args, {}, None, ("x", 1), frozenset()))
    first = ledger.read(0)[0]
    assert [call.arguments["number"] for call in first] == list(range(20, 36))
    ledger.append(calls[38])
    assert [call.arguments["number"] for call in ledger.read(0)[0]] == [39] * 15 + [38]


def test_a_fork_while_others_write_into_a_capture_leaves_the_child_free() -> None:
    """Outside a test run too: a lock that another thread held at the fork is not held in the child."""
    script = """
        import faulthandler, os, threading
        from sideeffects import capture, record, side_effect
        from sideeffects._core.records.ledger import Ledger

        @side_effect(name="send")
        def send(number): ...

        with record(), capture() as calls:
            send(0)
            held, leave = threading.Event(), threading.Event()
            for ledger in [one for one in __import__("gc").get_objects() if isinstance(one, Ledger)]:
                if ledger.end == 1:
                    def hold(lock=ledger._lock):
                        with lock:
                            held.set()
                            leave.wait()
                    threading.Thread(target=hold).start()
                    held.wait()
                    break
            child = os.fork()
            if not child:
                faulthandler.dump_traceback_later(20, exit=True)
                os._exit(0 if len(calls) == 1 else 3)
            status = os.waitpid(child, 0)[1]
            leave.set()
        print("the child ended with", status)
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "SIDE_EFFECTS_"))
    }
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (run.stdout, run.returncode) == ("the child ended with 0\n", 0), run.stderr


def test_views_keep_their_place_when_calls_are_dropped() -> None:
    """A stretch of the ledger counts the dropped calls of that stretch only."""
    ledger = Ledger(10)
    calls = some_calls(40)
    for call in calls[:25]:
        ledger.append(call)
    start = ledger.end
    for call in calls[25:]:
        ledger.append(call)
    assert (numbers(ledger.read(start)[0]), ledger.read(start)[1]) == (list(range(30, 40)), 5)
    assert (numbers(ledger.read(32, 35)[0]), ledger.read(32, 35)[1]) == ([32, 33, 34], 0)
    assert ledger.read(0, 10) == ([], 10)
    assert ledger.read(5, 5) == ([], 0)
    assert ledger.read(38, 99) == (calls[38:], 0)
    assert ledger.read(40) == ([], 0)
    assert ledger.read(99) == ([], 0)


def test_a_new_bound_holds_at_once() -> None:
    """A smaller one drops, a larger one brings nothing back."""
    ledger = Ledger(100)
    for call in some_calls(50):
        ledger.append(call)
    ledger.bound = 5
    assert (len(ledger.read(0)[0]), ledger.dropped) == (5, 45)


def test_what_is_cleared_is_forgotten() -> None:
    """Positions go on, so that views opened before do not show later calls as theirs."""
    ledger = Ledger(10)
    calls = some_calls(5)
    for call in calls[:3]:
        ledger.append(call)
    ledger.clear()
    assert ledger.end == 3
    ledger.append(calls[3])
    assert ledger.read(3) == ([calls[3]], 0)
    assert ledger.read(0) == ([calls[3]], 3)


def test_a_closed_ledger_takes_no_more() -> None:
    """It keeps what it has."""
    ledger = Ledger()
    calls = some_calls(2)
    ledger.append(calls[0])
    ledger.close()
    ledger.append(calls[1])
    assert ledger.read(0) == ([calls[0]], 0)


def test_calls_of_which_nothing_is_known_count_as_dropped() -> None:
    """In the stretch in which they were lost."""
    ledger = Ledger()
    calls = some_calls(2)
    ledger.append(calls[0])
    ledger.lose(2)
    ledger.append(calls[1])
    ledger.append(calls[1])
    assert ledger.read(0) == ([calls[0], calls[1], calls[1]], 2)
    assert ledger.read(2) == ([calls[1], calls[1]], 1)
    assert ledger.read(3) == ([calls[1], calls[1]], 0)


def test_threads_that_write_at_once_lose_nothing() -> None:
    """Eight threads, and readers meanwhile: what is kept and what was dropped add up to what was written (law 5)."""
    ledger = Ledger(1_000)
    [call] = some_calls(1)
    stop, sums = threading.Event(), []

    def write() -> None:
        for _ in range(5_000):
            ledger.append(call)

    def read() -> None:
        while not stop.is_set():
            before = ledger.end
            kept, dropped = ledger.read(0)
            sums.append((before, len(kept) + dropped, ledger.end))

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write) for _ in range(8)]
    reader.start()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    stop.set()
    reader.join()
    kept, dropped = ledger.read(0)
    assert (len(kept), len(kept) + dropped) == (1_000, 40_000)
    assert all(before <= counted <= after for before, counted, after in sums)


def test_effects_called_by_threads_at_once_lose_nothing() -> None:
    """The same through the public door, with arguments that tell the calls apart."""
    declared = side_effect(name="send")(lambda number: None)

    def work(first: int) -> None:
        for number in range(first, first + 200):
            declared(number)

    threads = [threading.Thread(target=work, args=(200 * index,)) for index in range(8)]
    with capture() as calls:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(numbers(calls)) == list(range(1600))
    assert len({call.id for call in calls}) == 1600


# -- children


def in_children(count: int, work: Any) -> None:
    """Fork so many children that run `work(index)` at once."""
    children = []
    for index in range(count):
        child = os.fork()
        if child == 0:
            try:
                work(index)
                os._exit(0)
            except BaseException:  # noqa: BLE001 - told by the exit code
                os._exit(1)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * count


def test_forked_children_that_write_at_once_lose_nothing() -> None:
    """Eight children with 200 calls each: the parent has 1,600, whole and in each child's order (law 5)."""
    declared = side_effect(name="send")(lambda number, text: None)

    def work(index: int) -> None:
        for number in range(200):
            declared(1000 * index + number, "x" * (number * 10))

    with capture() as calls:
        in_children(8, work)
    assert len(calls) == 1600
    assert sorted(numbers(calls)) == sorted(1000 * index + number for index in range(8) for number in range(200))
    assert all(call.is_foreign and call.outcome is not None for call in calls)
    for pid in {call.pid for call in calls}:
        own = numbers([call for call in calls if call.pid == pid])
        assert own == sorted(own)
    assert all(len(call.arguments["text"]) == call.arguments["number"] % 1000 * 10 for call in calls)


CHILD = """
    from sideeffects import side_effect

    @side_effect(name="child.send")
    def send(number):
        raise AssertionError("sent")

    def work(first):
        for number in range(first, first + 200):
            send(number)

    if __name__ == "__main__":
        import sys
        work(int(sys.argv[1]))
"""


@pytest.fixture
def child_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "child_of_ledger.py").write_text(textwrap.dedent(CHILD))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    import child_of_ledger  # type: ignore[import-not-found]

    yield child_of_ledger
    del sys.modules["child_of_ledger"]


def test_spawned_children_report_to_the_parent(child_module: Any) -> None:
    """Processes started anew by `multiprocessing`, as a pool."""
    with capture() as calls:
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
            list(pool.map(child_module.work, [0, 200, 400, 600]))
        assert sorted(numbers(calls)) == list(range(800))


def test_programs_and_their_children_report_to_the_parent(child_module: Any) -> None:
    """A program started by `subprocess`, and a program that it starts: children and grandchildren."""
    grandparent = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, *sys.argv[1:]]))"
    path = child_module.__file__
    with capture() as calls:
        children = [
            subprocess.Popen([sys.executable, path, "0"]),
            subprocess.Popen([sys.executable, "-c", grandparent, path, "200"]),
        ]
        assert [child.wait(100) for child in children] == [0, 0]
    assert sorted(numbers(calls)) == list(range(400))
    assert len({call.pid for call in calls}) == 2


def test_a_childs_outcome_arrives_after_its_call() -> None:
    """The parent sees the call at once, and its outcome when there is one."""
    started, release = multiprocessing.get_context("fork").Event(), multiprocessing.get_context("fork").Event()

    @side_effect(name="send")
    def send(number: int) -> int:
        started.set()
        release.wait(60)
        return number * 2

    with capture() as calls, force_run("send"):
        child = os.fork()
        if child == 0:
            send(21)
            os._exit(0)
        assert started.wait(60)
        call = calls.one("send")
        assert (call.mode, call.outcome) == (Mode.EXECUTE, None)
        release.set()
        os.waitpid(child, 0)
        assert len(calls) == 1
    assert call.outcome is not None
    assert call.outcome.result == 42


def test_a_child_that_is_killed_in_the_middle_loses_nothing_of_the_others() -> None:
    """What it had written is there; the calls of its siblings are complete."""
    declared = side_effect(name="send")(lambda number: None)
    ready = multiprocessing.get_context("fork").Event()

    with capture() as calls:
        victim = os.fork()
        if victim == 0:
            number = 0
            while True:
                declared(number)
                number += 1
                if number == 50:
                    ready.set()
        assert ready.wait(60)
        sibling = os.fork()
        if sibling == 0:
            for number in range(200):
                declared(1_000_000 + number)
            os._exit(0)
        time.sleep(0.05)
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        os.waitpid(sibling, 0)
        of_victim = numbers([call for call in calls if call.pid == victim])
        of_sibling = numbers([call for call in calls if call.pid == sibling])
    assert of_victim == list(range(len(of_victim)))
    assert len(of_victim) >= 50
    assert of_sibling == list(range(1_000_000, 1_000_200))


def test_a_call_that_a_killed_child_left_half_written_makes_assertions_fail() -> None:
    """Nobody can tell what it was; the calls written after it are whole."""
    declared = side_effect(name="send")(lambda number: None)
    with capture() as calls:
        in_children(1, lambda index: declared(1))
        with open(os.environ[JOURNAL_VARIABLE], "ab") as file:
            file.write(b'\n{"call": {"name": "send", "argum')
        in_children(1, lambda index: declared(2))
        assert numbers(calls) == [1, 2]
        assert calls.dropped == 1
        with pytest.raises(AssertionError, match="1 of the calls were dropped"):
            calls.assert_not_called(declared, number=3)
    with capture() as later:
        in_children(1, lambda index: declared(4))
    later.assert_called(declared, times=1, number=4)


def test_an_outcome_that_cannot_be_written_does_not_change_the_result(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The effect has run by then: its result arrives, and the log tells."""
    declared = side_effect(name="send")(lambda: os.environ[JOURNAL_VARIABLE])
    journal = Journal(os.path.join(os.sep, "nowhere", "at", "all"))
    monkeypatch.setattr(Journal, "write_call", lambda self, call: None)
    monkeypatch.setattr(state.children, "reports", journal)
    with force_run("send"):
        assert declared() == os.environ[JOURNAL_VARIABLE]
    assert "could not write the outcome of send" in caplog.text


def test_a_call_that_cannot_be_reported_does_not_execute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the parent could not see it, the child's call raises instead (law 2)."""
    ran = []
    declared = side_effect(name="send")(lambda: ran.append(1))
    monkeypatch.setattr(state.children, "reports", Journal(os.path.join(os.sep, "nowhere", "at", "all")))
    with force_run("send"), pytest.raises(OSError, match="nowhere"):
        declared()
    assert not ran


def test_the_call_of_a_child_that_has_ended_comes_before_the_parents_next_one() -> None:
    """It is read after that, and stands where it was made."""
    first, second = side_effect(name="order.first")(lambda: None), side_effect(name="order.second")(lambda: None)
    with capture() as calls:
        for _ in range(2):
            child = multiprocessing.get_context("fork").Process(target=first)
            child.start()
            child.join()
            second()
        assert [call.name for call in calls] == ["order.first", "order.second"] * 2
        calls.assert_order("order.first", "order.second", "order.first", "order.second")


# -- the journal by itself


def test_two_readers_see_all_calls_each(tmp_path: Path) -> None:
    """A reader's place in the file is its own; outcomes go to the calls that it read."""
    path = str(tmp_path / "journal")
    writer, one, two = Journal(path), Journal(path), Journal(path)
    assert one.read_new() == []
    calls = some_calls(4)
    for call in calls[:2]:
        writer.write_call(call)
    assert numbers(one.read_new()) == [0, 1]
    assert one.read_new() == []
    for call in calls[2:]:
        writer.write_call(call)
    assert numbers(one.read_new()) == [2, 3]
    assert numbers(two.read_new()) == [0, 1, 2, 3]


def test_an_outcome_without_its_call_is_passed_over(tmp_path: Path) -> None:
    """Such as that of a call that was made before the reader came."""
    journal = Journal(str(tmp_path / "journal"))
    [call] = some_calls(1)
    journal.write_outcome(call)
    assert journal.read_new() == []
    assert journal.torn == 0


def test_an_outcome_is_added_once(tmp_path: Path) -> None:
    """Although more than one process may write it, and the caller may know it before."""
    journal = Journal(str(tmp_path / "journal"))
    [call] = some_calls(1)
    before = call.outcome
    journal.expect(call)
    journal.write_outcome(call)
    assert journal.read_new() == []
    assert call.outcome is before


def test_its_file_is_for_its_owner_only(tmp_path: Path) -> None:
    """Reports of calls are nobody else's business, redacted or not."""
    journal = Journal(str(tmp_path / "journal"))
    journal.write_call(some_calls(1)[0])
    assert os.stat(journal.path).st_mode & 0o777 == 0o600
    journal.remove()
    journal.remove()
    assert not os.path.exists(journal.path)


def test_lines_are_json_in_ascii(tmp_path: Path) -> None:
    """Whatever the arguments: line breaks, lone surrogates, numbers too long to be written out."""
    declared = side_effect(name="odd")(lambda *values: None)
    journal = Journal(str(tmp_path / "journal"))
    values = ("a\nb\u2028c", "\ud800", 10**5000, float("nan"), object(), b"\xff", {1: {2}})
    with capture() as calls:
        declared(*values)
    journal.write_call(calls[0])
    lines = [line for line in Path(journal.path).read_text("ascii").split("\n") if line]
    assert len(lines) == 1
    json.loads(lines[0])
    [twin] = journal.read_new()
    assert twin.arguments["values"][:2] == ["a\nb\u2028c", "\ud800"]


def in_a_test_run_of_its_own(script: str) -> str:
    """What a script prints that is run in a test run that nobody else collects."""
    environment = {name: value for name, value in os.environ.items() if name != JOURNAL_VARIABLE}
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**environment, "SIDE_EFFECTS_TEST_RUN": "1"},
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


JOURNAL_OF_ITS_OWN = """
    import os
    from sideeffects import capture, side_effect

    @side_effect(name="send")
    def send(): ...

    path = os.environ["SIDE_EFFECTS_JOURNAL"]
    with capture() as calls:
        if os.fork() == 0:
            send()
            raise SystemExit
        os.wait()
        assert calls.count("send") == 1
        assert os.path.exists(path)
    print(path)
"""


def test_the_journal_is_removed_at_exit_by_the_process_that_collects() -> None:
    """Not by its children, although they leave by the same door."""
    printed = in_a_test_run_of_its_own(JOURNAL_OF_ITS_OWN)
    assert not os.path.exists(printed)
    assert printed != os.environ[JOURNAL_VARIABLE]


JOURNAL_OF_A_RUNNER = """
    import multiprocessing, os
    from sideeffects import capture, side_effect
    from sideeffects._core.state.state import state

    @side_effect(name="send")
    def send(): ...

    def grandchild():
        send()

    def runner(told):
        state.children.collect()
        told.put(os.environ["SIDE_EFFECTS_JOURNAL"])
        with capture() as calls:
            process = fork.Process(target=grandchild)
            process.start()
            process.join()
            told.put(calls.count("send"))

    fork = multiprocessing.get_context("fork")
    told = fork.SimpleQueue()
    with capture() as calls:
        process = fork.Process(target=runner, args=(told,))
        process.start()
        process.join()
        assert calls.count("send") == 0, calls
    path, count = told.get(), told.get()
    assert count == 1, count
    assert path != os.environ["SIDE_EFFECTS_JOURNAL"]
    assert not os.path.exists(path), path
"""


def test_a_child_that_runs_tests_keeps_what_its_own_children_call() -> None:
    """It does not tell its parent, and removes its journal at its end, at which multiprocessing skips `atexit`."""
    assert not in_a_test_run_of_its_own(JOURNAL_OF_A_RUNNER)


JOURNAL_FOR_NOW = """
    import multiprocessing, os
    from sideeffects import capture, side_effect
    from sideeffects._core.state.state import state

    @side_effect(name="send")
    def send(to): ...

    def middle():
        path = os.environ["SIDE_EFFECTS_JOURNAL"]
        restore = state.children.collect_for_now()
        own = os.environ["SIDE_EFFECTS_JOURNAL"]
        send("the middle")
        process = fork.Process(target=send, args=("the youngest",))
        process.start()
        process.join()
        restore()
        assert own != path == os.environ["SIDE_EFFECTS_JOURNAL"]
        assert not os.path.exists(own), own
        send("after")

    fork = multiprocessing.get_context("fork")
    with capture() as calls:
        process = fork.Process(target=middle)
        process.start()
        process.join()
        assert process.exitcode == 0
    assert [call.arguments["to"] for call in calls] == ["the middle", "the youngest", "after"], calls
    assert len({call.pid for call in calls}) == 2
    state.children.collect_for_now()()
"""


def test_a_child_that_collects_for_a_while_hands_on_what_it_got() -> None:
    """Each call once, and its own as ever."""
    assert not in_a_test_run_of_its_own(JOURNAL_FOR_NOW)


NOBODY_REPORTS = """
    import os
    from sideeffects._core.state.state import state

    state.children.collect()
    assert state.heard() is False
    print(os.environ.get("SIDE_EFFECTS_JOURNAL"))
"""


def test_who_collects_outside_of_a_test_run_names_no_journal() -> None:
    """A race in a script of production has no children that report; effects would look for the journal's file."""
    unwanted = (JOURNAL_VARIABLE, "SIDE_EFFECTS_TEST_RUN", "PYTEST_VERSION")
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(NOBODY_REPORTS)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in unwanted},
    )
    assert (ran.stdout.strip(), ran.stderr) == ("None", "")


def test_a_journal_that_listens_hears_of_each_line_once(tmp_path: Path) -> None:
    """What is written is news until it is read."""
    path = str(tmp_path / "journal")
    journal, child = Journal(path), Journal(path)
    journal.listen()
    journal.listen()
    assert not journal.has_news()
    for _ in range(2):
        child.write_call(some_calls(1)[0])
        assert journal.has_news()
        assert len(journal.read_new()) == 1
        assert not journal.has_news()
    journal.remove()
    assert not os.path.exists(path)


def test_a_journal_survives_the_emptying_of_its_folder(tmp_path: Path) -> None:
    """Children make it anew, and what they write into the new one is read from its beginning."""
    path = str(tmp_path / "journal")
    journal, child = Journal(path), Journal(path)
    journal.listen()
    child.write_call(some_calls(1)[0])
    assert len(journal.read_new()) == 1
    os.unlink(path)
    assert journal.read_new() == []
    child.write_call(some_calls(1)[0])
    assert len(journal.read_new()) == 1
    child.write_call(some_calls(1)[0])
    assert journal.has_news()
    assert len(journal.read_new()) == 1


def test_what_comes_from_inside_a_turn_at_a_journal_is_written_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler that calls an effect would wait for the very thread that it has interrupted."""
    journal = Journal(str(tmp_path / "journal"))
    first, second, third = some_calls(3)
    handlers = [lambda: journal.write_call(second), lambda: (journal.read_new(), journal.write_call(third))]

    def disturbed(descriptor: int) -> Any:
        if handlers:
            handlers.pop(0)()
        return locked(descriptor)

    monkeypatch.setattr("sideeffects._core.records.journal.locked", disturbed)
    journal.write_call(first)
    assert numbers(journal.read_new()) == [0, 1, 2]
    handlers = [lambda: journal.write_call(second)]
    journal.write_call(first)
    assert numbers(journal.read_new()) == [0, 1]


def test_a_record_of_another_version_counts_as_torn(tmp_path: Path) -> None:
    """A child in an environment of its own may have written it."""
    journal = Journal(str(tmp_path / "journal"))
    [call] = some_calls(1)
    lines = [{"call": call.to_record() | {"mode": "delay"}}, {"serial": 1}, []]
    Path(journal.path).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    journal.write_call(call)
    assert len(journal.read_new()) == 1
    assert journal.torn == 3
