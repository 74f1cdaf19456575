"""What Python 3.14 has brought: `forkserver` by default, pools ended by force, `sys.remote_exec`, contexts."""

import sys
from pathlib import Path

import pytest

from tests.support.projects import Project

pytestmark = pytest.mark.skipif(sys.version_info < (3, 14), reason="about what came with Python 3.14")

IN_A_TEST_RUN = {"SIDE_EFFECTS_TEST_RUN": "1"}

POOLS = """
    import multiprocessing
    import time
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    import effects
    from sideeffects import capture


    def hang(place):
        effects.attempt(place)
        time.sleep(60)


    def ends_in(way):
        pool = ProcessPoolExecutor(1)
        with capture() as calls:
            future = pool.submit(hang, way)
            calls.wait_for("shop.send", timeout=30)
            getattr(pool, way)()
            try:
                future.result(30)
            except BrokenProcessPool:
                pass
            else:
                raise AssertionError
        calls.assert_called("shop.send", place=way, times=1)


    if __name__ == "__main__":
        assert multiprocessing.get_start_method() == "forkserver"
        with capture() as calls, ProcessPoolExecutor(1, max_tasks_per_child=1) as pool:
            list(pool.map(effects.attempt, ["a pool whose processes do one thing"] * 2))
        calls.assert_called("shop.send", times=2)
        assert len({call.pid for call in calls}) == 2, calls
        ends_in("kill_workers")
        ends_in("terminate_workers")
"""


def test_nothing_executes_in_pools_that_are_ended_by_force(tmp_path: Path) -> None:
    """What their processes had called by then is known to the test."""
    project = Project(tmp_path)
    project.write("program.py", POOLS)
    project.run("-W", "error", "program.py", environment=IN_A_TEST_RUN)
    expected = {"a pool whose processes do one thing": 2, "kill_workers": 1, "terminate_workers": 1}
    assert project.attempted == expected
    assert not project.executed


REMOTE = """
    import subprocess
    import sys
    from pathlib import Path

    import effects
    from sideeffects import capture

    script = Path("attached.py").resolve()
    script.write_text("import effects; effects.attempt('remote')")
    loop = "import sideeffects, time; print('ready', flush=True)\\nfor _ in range(3000): time.sleep(0.01)"
    command = [sys.executable, "-c", loop]  # its `sys.path` begins with this folder
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child, capture() as calls:
        child.stdout.readline()
        try:
            sys.remote_exec(child.pid, str(script))
            calls.wait_for("shop.send", place="remote", timeout=30)
        except PermissionError:
            print("forbidden here")
        finally:
            child.kill()
"""


def test_what_is_run_in_a_child_from_outside_does_not_execute(tmp_path: Path) -> None:
    """`sys.remote_exec` runs a script between two steps of another process, which is in the test run as well."""
    project = Project(tmp_path)
    project.write("program.py", REMOTE)
    told = project.run("program.py", environment=IN_A_TEST_RUN)
    if "forbidden here" in told.stdout:
        pytest.skip("this system lets nobody attach to a process")
    assert project.attempted == {"remote": 1}
    assert not project.executed


CONTEXTS = """
    import sys
    import threading
    import warnings

    import effects
    from sideeffects import capture, force_run

    assert sys.flags.thread_inherit_context == sys.flags.context_aware_warnings == 1
    outlives = threading.Event()
    with capture() as calls:
        with force_run("shop.send"), warnings.catch_warnings():
            warnings.simplefilter("error")
            within = threading.Thread(target=effects.attempt, args=("inside the block",))
            within.start()
            within.join()
            later = threading.Thread(target=lambda: (outlives.wait(30), effects.attempt("after the block")))
            later.start()
        outlives.set()
        later.join()
        threading.Thread(target=effects.attempt, args=("outside the block",)).start()
        calls.wait_for("shop.send", times=3)
    modes = {call.arguments["place"]: call.mode.name for call in calls}
    assert modes == {"inside the block": "EXECUTE", "after the block": "RECORD", "outside the block": "RECORD"}, modes
"""


def test_threads_that_inherit_contexts_keep_nothing_of_a_block(tmp_path: Path) -> None:
    """`-X thread_inherit_context=1 -X context_aware_warnings=1`, as in free-threaded builds, changes nothing."""
    project = Project(tmp_path)
    project.write("program.py", CONTEXTS)
    options = ("-X", "thread_inherit_context=1", "-X", "context_aware_warnings=1")
    project.run(*options, "program.py", environment=IN_A_TEST_RUN)
    assert project.attempted.total() == 3
    assert project.executed == {"inside the block": 1}
