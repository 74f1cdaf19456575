"""Effects in other interpreters of the same process, and what is handed to them."""

import concurrent.futures
import sys
import types
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sideeffects import capture
from tests.support.projects import Project

#: The folder stands in PYTHONPATH, where another interpreter looks as well. `effects.send` leaves a trace.
PROGRAM = """
    import os
    from concurrent import interpreters
    from concurrent.futures import InterpreterPoolExecutor

    import effects
    from sideeffects import capture, force_run, record

    with capture() as calls, record("shop.confirm"):
        other = interpreters.create()
        other.exec("import effects; effects.attempt_all_shapes('exec')")
        other.call(effects.attempt, "a function")
        other.call(effects.send, "an effect")
        other.call_in_thread(effects.attempt, "a thread").join()
        other.close()
        with InterpreterPoolExecutor(1) as pool:
            pool.submit(effects.attempt, "a pool").result(60)
            pool.submit(effects.send, "an effect in a pool").result(60)
            list(pool.map(effects.attempt, ["a pool's map"] * 2))
            with force_run("shop.send"):
                pool.submit(effects.attempt, "a forced one").result(60)
        with InterpreterPoolExecutor(1, initializer=effects.attempt, initargs=("an initializer",)) as pool:
            pool.submit(os.getpid).result(60)
    places = [call.arguments["place"] for call in calls]
    shapes = ["exec", "exec: on commit", "exec: coroutine", "exec: background"]
    pools = ["a pool", "an effect in a pool", "a pool's map", "a forced one", "an initializer"]
    assert {*shapes, *pools, "a function", "an effect", "a thread"} == set(places), places
    assert {call.mode.name for call in calls} == {"RECORD"}, calls
"""


@pytest.mark.skipif(sys.version_info < (3, 14), reason="interpreters of one process came with Python 3.14")
def test_nothing_executes_in_another_interpreter(tmp_path: Path) -> None:
    """It is in the test run, and the test reads its calls; a block that forces an effect does not reach it."""
    project = Project(tmp_path)
    project.write("program.py", PROGRAM)
    environment = {"SIDE_EFFECTS_TEST_RUN": "1", "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"}
    project.run("-W", "error", "program.py", environment=environment)
    assert "a pool" in project.attempted
    assert not project.executed


def test_a_function_for_another_interpreter_is_handed_on_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found by its name there, which what we put around functions for threads has not."""
    handed: list[Any] = []

    class InterpreterPoolExecutor(ThreadPoolExecutor):
        """As that of Python 3.14, which hands functions to a thread that gives them away."""

    def submit(original: Callable[..., Future[Any]]) -> Callable[..., Future[Any]]:
        def noting(self: ThreadPoolExecutor, function: Any, *args: Any) -> Future[Any]:
            handed.append(function)
            return original(self, function, *args)

        return noting

    from sideeffects._core.state import threads

    module = types.ModuleType("concurrent.futures.interpreter")
    module.InterpreterPoolExecutor = InterpreterPoolExecutor  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with capture():  # from here on `submit` is ours; beneath it we look at what gets there
        own = threads._submit(submit(concurrent.futures.ThreadPoolExecutor.submit))
        for kind in (InterpreterPoolExecutor, ThreadPoolExecutor):
            with kind(1) as pool:
                own(pool, len, "abc").result(30)
    assert handed[0] is len
    assert handed[1] is not len
