"""Overrides in processes that were forked inside a block: they are open there for as long as in the parent."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sideeffects import Calls, SideEffectBlocked, forbid, force_run, record, side_effect, stub
from sideeffects._core.state import open_in_parent
from tests.support.projects import Project

pytestmark = pytest.mark.usefixtures("own_registry")


@pytest.fixture(params=["test run", "production"])
def default(request: pytest.FixtureRequest) -> str:
    """What becomes of a call that no override decides."""
    if request.param == "production":
        request.getfixturevalue("production")
        return "executed"
    return "recorded"


@pytest.fixture
def send() -> Callable[[], str]:
    @side_effect(name="fork.send", returns="recorded")
    def send() -> str:
        return "executed"

    return send


class Child:
    """A forked process that calls `fate` whenever it is asked to.

    Args:
        fate: returns a text.
        calls: those of the test, which reads them: what is refused in a child does not pass for swallowed.
    """

    def __init__(self, fate: Callable[[], str], calls: Calls | None = None) -> None:
        self._calls = calls
        self._pid, (asks, self._asks), (self._answers, answers) = 0, os.pipe(), os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            with contextlib.suppress(BaseException):
                os.close(self._asks)
                while os.read(asks, 1) == b"?":
                    os.write(answers, fate().encode())
            os._exit(0)
        os.close(asks)
        os.close(answers)

    def fate(self) -> str:
        """What becomes of the effect in the child, now."""
        os.write(self._asks, b"?")
        answer = os.read(self._answers, 100).decode()
        list(self._calls or ())
        return answer

    def end(self) -> None:
        os.write(self._asks, b".")
        os.waitpid(self._pid, 0)
        os.close(self._asks)
        os.close(self._answers)


@pytest.fixture
def fork(send: Callable[[], str], side_effects: Calls) -> Iterator[Callable[..., Child]]:
    children: list[Child] = []

    def make(fate: Callable[[], str] | None = None) -> Child:
        children.append(Child(fate or (lambda: fate_of(send)), side_effects))
        return children[-1]

    yield make
    for child in children:
        child.end()


def fate_of(effect: Callable[[], str]) -> str:
    try:
        return effect()
    except SideEffectBlocked:
        return "refused"


@pytest.mark.parametrize(
    ("override", "inside", "kept"),
    [
        (lambda: force_run("fork.send"), "executed", None),
        (lambda: force_run("*"), "executed", None),
        (lambda: stub("fork.send", returns="stubbed"), "stubbed", "recorded"),
        (lambda: record("fork.send"), "recorded", "recorded"),
        (lambda: forbid("fork.send"), "refused", "refused"),
    ],
    ids=["force_run", "force_run by glob", "stub", "record", "forbid"],
)
def test_a_child_loses_what_lets_it_execute_when_the_block_ends(
    fork: Any, default: str, override: Any, inside: str, kept: str | None
) -> None:
    """A child forked inside a block has its EXECUTE and stubs as long as that is open, and keeps what is strict."""
    with override():
        child = fork()
        assert child.fate() == inside
        assert child.fate() == inside
    assert child.fate() == (kept or default)
    with override():  # another block: its memory is used again
        assert child.fate() == (kept or default)


def test_the_blocks_around_one_that_has_ended_still_speak(fork: Any, default: str) -> None:
    """Each block ends by itself, in whatever order."""
    with forbid("fork.send"), force_run("fork.send"):
        child = fork()
        assert child.fate() == "executed"
    assert child.fate() == "refused"

    outer, inner = force_run("fork.send"), force_run("fork.*")
    outer.__enter__()
    inner.__enter__()
    child = fork()
    outer.__exit__(None, None, None)
    assert child.fate() == "executed"
    inner.__exit__(None, None, None)
    assert child.fate() == default


def test_a_child_that_leaves_the_block_ends_nothing_in_the_parent(fork: Any, send: Any) -> None:
    """What the child leaves, it leaves for itself."""
    block = force_run("fork.send")
    left: list[str] = []

    def leave_and_call() -> str:
        if not left:
            block.__exit__(None, None, None)
        left.append("")
        return fate_of(send)

    with block:
        child, other = fork(leave_and_call), fork()
        assert child.fate() == "recorded"
        assert send() == other.fate() == "executed"


def test_grandchildren_lose_it_with_the_first_of_those_above(fork: Any, send: Any) -> None:
    """The block may end in the process that forked them, or in the one above that."""
    block = force_run("fork.send")
    grandchild: list[Child] = []

    def fork_and_ask() -> str:
        if not grandchild:
            grandchild.append(Child(lambda: fate_of(send)))
        return grandchild[0].fate()

    def fork_leave_and_ask() -> str:
        if not grandchild:
            grandchild.append(Child(lambda: fate_of(send)))
            before = grandchild[0].fate()
            block.__exit__(None, None, None)
            return f"{before}, {grandchild[0].fate()}"
        return ""

    with block:
        child = fork(fork_and_ask)
        assert child.fate() == "executed"
        assert fork(fork_leave_and_ask).fate() == "executed, recorded"
        assert child.fate() == "executed"
    assert child.fate() == "recorded"


def test_more_blocks_than_a_page_has_places(fork: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is another page then."""
    monkeypatch.setattr(open_in_parent, "_PLACES", 1)
    with contextlib.ExitStack() as blocks:
        for _ in range(5):
            blocks.enter_context(force_run("fork.send"))
        child = fork()
        assert child.fate() == "executed"
    assert child.fate() == "recorded"


def test_a_block_whose_process_is_gone_is_no_longer_open(tmp_path: Path) -> None:
    """A parent that was killed inside its block cannot close it."""
    project = Project(tmp_path)
    project.program(
        """
        import os, signal
        import effects
        from sideeffects import force_run

        os.environ["SIDE_EFFECTS_TEST_RUN"] = "1"
        ended, running = os.pipe()
        middle = os.fork()
        if middle == 0:
            with force_run("shop.send"):
                if os.fork() == 0:
                    effects.attempt("while it runs")
                    parent = os.getppid()
                    os.kill(parent, signal.SIGKILL)
                    while os.getppid() == parent:
                        os.sched_yield()
                    effects.attempt("when it is gone")
                    os._exit(0)  # closes the last end of the pipe
                signal.pause()
        os.close(running)
        os.waitpid(middle, 0)
        os.read(ended, 1)
        """
    )
    assert project.attempted == {"while it runs": 1, "when it is gone": 1}
    assert project.executed == {"while it runs": 1}


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_pool_of_the_application_does_not_execute_for_the_next_test(method: str, tmp_path: Path) -> None:
    """However its worker is started inside a block, it is in the test run and names nothing afterwards."""
    project = Project(tmp_path)
    project.write(
        "test_pool.py",
        f"""
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        import effects
        from sideeffects import force_run

        POOL = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context({method!r}))


        def test_a_forces():
            with force_run("shop.send"):
                POOL.submit(effects.attempt, "inside").result()


        def test_b_names_nothing():
            POOL.submit(effects.attempt, "afterwards").result()
        """,
    )
    project.pytest("test_pool.py")

    assert project.attempted == {"inside": 1, "afterwards": 1}
    assert project.executed == ({"inside": 1} if method == "fork" else {})
