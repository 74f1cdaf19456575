"""What a call gives back in each mode, and when it acts."""

import collections
import contextlib
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from sideeffects import Mode, SideEffectBlocked, SideEffectError, capture, explain, forbid, force_run, side_effect, stub
from sideeffects._core.runtime.perform import begin
from sideeffects._core.state import extension_points
from sideeffects._core.values.callers import NOBODY
from sideeffects._core.values.copying import FRESH

pytestmark = pytest.mark.usefixtures("own_registry")

ROOT = Path(__file__).parents[2]


def declared(**options: Any) -> Any:
    return side_effect(name="it", **options)(lambda *args, **kwargs: "executed")


# -- what a recorded call returns


@pytest.mark.parametrize("value", [3, "text", None, False, ("a", 1), 1.5])
def test_a_recorded_call_returns_the_declared_value(value: Any) -> None:
    """`returns`, `None` when it is left out; the outcome has it."""
    with capture() as calls:
        assert declared(returns=value)("x") == value
    assert calls[0].outcome.result == value  # type: ignore[union-attr]


def test_containers_are_copied_for_each_call() -> None:
    """What one caller does to its result is seen by no other, all the way down."""
    for returns in (
        {"a": [1]},
        [[1]],
        {1, 2},
        (["a"],),
        bytearray(b"a"),
        collections.OrderedDict(a=[1]),
        collections.defaultdict(list, a=[1]),
        collections.deque([[1]]),
    ):
        before = repr(returns)
        it = declared(returns=returns)
        for _ in range(2):
            got = it()
            assert repr(got) == before
            assert type(got) is type(returns)
            if isinstance(got, dict):
                got["a"].append(2)
            elif isinstance(got, (list, tuple, collections.deque)):
                got[0].append(2) if isinstance(got[0], list) else None
            elif isinstance(got, set):
                got.add(3)
            else:
                got.extend(b"b")


def test_objects_are_returned_as_they_are() -> None:
    """Only containers are copied, and what cannot be copied inside them is kept."""
    thing = threading.Lock()
    assert declared(returns=[thing])()[0] is thing
    assert declared(returns=thing)() is thing
    with stub("it", returns=thing):
        assert declared(returns=None)() is thing


def test_a_callable_is_given_the_arguments_of_the_call() -> None:
    """As `returns`, and in a stub; without the instance for methods."""

    class Gateway:
        @side_effect(name="send", returns=lambda to, body="hi": f"{to}: {body}")
        def send(self, to: str, body: str = "hi") -> str:
            raise AssertionError

    assert Gateway().send("ann", body="b") == "ann: b"
    with stub("send", returns=lambda to: to.upper()):
        assert Gateway().send("ann") == "ANN"


@pytest.mark.parametrize("raised", [ConnectionError, ConnectionError("no network")])
def test_a_stub_raises_what_it_is_told_to(raised: Any) -> None:
    """A class or an exception, each time anew, and it is the outcome."""
    it = declared()
    with stub("it", raises=raised), capture() as calls:
        for _ in range(2):
            with pytest.raises(ConnectionError) as caught:
                it()
            assert len(caught.traceback) < 10
    assert all(isinstance(call.outcome.error, ConnectionError) for call in calls)  # type: ignore[union-attr]


def test_a_callable_that_fails_fails_the_call() -> None:
    """A stub's own exception arrives, and is the outcome."""
    it = declared(returns=lambda: 1 // 0)
    with capture() as calls, pytest.raises(ZeroDivisionError):
        it()
    assert isinstance(calls[0].outcome.error, ZeroDivisionError)  # type: ignore[union-attr]


# -- executing


def test_an_executing_call_is_written_down_before_it_runs() -> None:
    """A call is in the ledger at its decision; its outcome comes when it has one."""

    @side_effect(name="outer")
    def outer() -> None:
        assert [call.name for call in calls] == ["outer"]
        assert calls[0].outcome is None
        inner()

    @side_effect(name="inner")
    def inner() -> None:
        raise ConnectionError

    with capture() as calls, force_run("*"), pytest.raises(ConnectionError):
        outer()
    assert [type(call.outcome.error) for call in calls] == [ConnectionError] * 2  # type: ignore[union-attr]
    assert calls[0].outcome.duration >= calls[1].outcome.duration  # type: ignore[union-attr]


def test_a_swallowed_refusal_still_shows() -> None:
    """`except Exception` in the code under test does not hide it."""
    it = declared()
    with capture() as calls, forbid("it"), contextlib.suppress(Exception):
        it()
    call = calls.one("it")
    assert call.mode is Mode.RAISE
    assert isinstance(call.outcome.error, SideEffectBlocked)  # type: ignore[union-attr]


def test_a_refusal_carries_its_fields() -> None:
    """Name, reason, where it was called and which rule refused it."""
    it = declared()
    with forbid("it") as _, pytest.raises(SideEffectBlocked) as refused:
        it()
    error = refused.value
    assert (error.name, error.reason) == ("it", 'forbidden by forbid("it")')
    assert error.caller.startswith(f"{__file__}:")
    assert error.origin.startswith(f"{__file__}:")


def test_the_frames_of_the_library_are_hidden() -> None:
    """The report of a failing effect shows the test and the effect, and nothing between."""

    @side_effect(name="it")
    def it() -> None:
        raise ConnectionError

    for override in (force_run("it"), stub("it", raises=ConnectionError)):
        with override, pytest.raises(ConnectionError) as raised:
            it()
        shown = {Path(str(entry.path)).name for entry in raised.traceback.filter(raised)}
        assert shown == {Path(__file__).name}


def test_explain_tells_what_a_call_would_do() -> None:
    """The mode in force and the reason, without calling anything."""
    declared()
    assert str(explain("it")) == ("RECORD: a test run executes nothing that no test names [default of a test run]")
    with force_run("it"), capture() as calls:
        assert explain("it").mode is Mode.EXECUTE
    assert len(calls) == 0


# -- waiting for the commit


@pytest.fixture
def on_commit() -> Any:
    ran: list[str] = []

    @side_effect(name="it", on_commit=True, returns="ignored")
    def it(to: str) -> str:
        ran.append(to)
        return f"sent to {to}"

    it.ran = ran
    return it


@pytest.mark.parametrize("mode", ["recorded", "executed"])
@pytest.mark.django_db(transaction=True)
def test_a_call_that_waits_for_the_commit_returns_none(mode: str, on_commit: Any) -> None:
    """In every mode, so that callers cannot come to rely on a result."""
    with force_run("it") if mode == "executed" else capture():
        assert on_commit("ann") is None
        with transaction.atomic():
            assert on_commit("ben") is None
    assert on_commit.ran == (["ann", "ben"] if mode == "executed" else [])


@pytest.mark.django_db(transaction=True)
def test_an_executing_call_runs_when_the_outermost_transaction_commits(on_commit: Any) -> None:
    """At once when there is none; its outcome comes when it has run; never when it is rolled back."""
    with capture() as calls, force_run("it"):
        on_commit("at once")
        assert on_commit.ran == ["at once"]
        with transaction.atomic():
            with transaction.atomic():
                on_commit("committed")
            assert on_commit.ran == ["at once"]
            assert calls[1].outcome is None
        with pytest.raises(RuntimeError), transaction.atomic():
            on_commit("rolled back")
            raise RuntimeError
    assert on_commit.ran == ["at once", "committed"]
    assert calls[1].outcome.result == "sent to committed"  # type: ignore[union-attr]
    assert calls[2].outcome is None


@pytest.mark.django_db(transaction=True)
def test_the_decision_to_wait_is_not_changed_afterwards(on_commit: Any) -> None:
    """What was decided at the call holds at the commit, outside the block too (law 4)."""
    with transaction.atomic():
        with force_run("it"):
            on_commit("forced")
        on_commit("recorded")
        with forbid("it"), pytest.raises(SideEffectBlocked):
            on_commit("refused")
    assert on_commit.ran == ["forced"]


@pytest.mark.django_db(transaction=True)
def test_production_waits_for_the_commit_too(on_commit: Any, production: None) -> None:
    """Written down or not."""
    with transaction.atomic():
        on_commit("ann")
        with capture() as calls:
            on_commit("ben")
        assert on_commit.ran == []
    assert on_commit.ran == ["ann", "ben"]
    assert len(calls) == 1


@pytest.mark.django_db(transaction=True)
async def test_coroutine_functions_wait_for_the_commit() -> None:
    """They return `None`; without a transaction they run at once."""
    ran = []

    @side_effect(name="later", on_commit="default", returns="ignored")
    async def later(to: str) -> str:
        ran.append(to)
        return to

    assert await later("recorded") is None
    with force_run("later"):
        assert await later("executed") is None
    assert ran == ["executed"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("on_commit", [True, False])
def test_an_enqueued_call_waits_for_the_commit(production: None, on_commit: bool) -> None:
    """The background gets it then, whether its effect waits or not, and never when the transaction rolls back."""
    waiting = side_effect(name="waiting", on_commit=on_commit, async_ok=True)(lambda: "done")
    with transaction.atomic():
        first = waiting.enqueue()
        assert not first.done()
        with pytest.raises(SideEffectError, match="captureOnCommitCallbacks"):
            first.result(60)
    assert first.result(60) == "done"
    with pytest.raises(RuntimeError), transaction.atomic():
        second = waiting.enqueue()
        raise RuntimeError
    assert not second.done()


WITHOUT_DJANGO = """
    import asyncio, sys
    from sideeffects import capture, side_effect

    ran = []

    @side_effect(name="send", on_commit=True)
    def send(to):
        ran.append(to)

    @side_effect(name="later", on_commit=True)
    async def later(to):
        ran.append(to)

    assert send("ann") is None
    assert asyncio.run(later("ben")) is None
    with capture() as calls:
        send("cay")
    assert "django" not in sys.modules
    print(ran, len(calls))
"""


def test_without_django_there_is_nothing_to_wait_for() -> None:
    """`on_commit` then means at once."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTEST_VERSION", "SIDE_EFFECTS_TEST_RUN", "SIDE_EFFECTS_JOURNAL", "DJANGO_SETTINGS_MODULE")
    }
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WITHOUT_DJANGO)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment,
    )
    assert ran.stdout == "['ann', 'ben', 'cay'] 1\n", ran.stderr


def test_the_caller_is_found_without_wrapts_c_extension() -> None:
    """Wrapt's Python code has a frame of its own, which is not the caller."""
    source = """
        from sideeffects import capture, side_effect

        class Gateway:
            @side_effect(name="send")
            def send(self): ...

        @side_effect(name="plain")
        def plain(): ...

        with capture() as calls:
            plain()
            Gateway().send()
        print([call.caller for call in calls])
    """
    for disabled in ("", "1"):
        ran = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(source)],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env={**os.environ, **({"WRAPT_DISABLE_EXTENSIONS": "1"} if disabled else {})},
        )
        assert ran.stdout == "['<string>:12', '<string>:13']\n", ran.stderr


async def test_without_the_upper_floors_nothing_waits_and_nothing_runs_in_the_background() -> None:
    """What they plug in is replaced by what can be said without them."""
    [deferral, *_], [engine, *_] = extension_points.deferral, extension_points.engine
    ran = []

    async def later() -> None:
        ran.append("later")

    deferral.run(None, None, lambda: ran.append("at once"))
    await deferral.run_async(None, None, later)
    assert ran == ["at once", "later"]
    with pytest.raises(RuntimeError, match="no background engine is installed"):
        engine()


@pytest.mark.parametrize("variables", [{}, {"SIDE_EFFECTS_TEST_RUN": "1"}], ids=["production", "test run"])
def test_an_effect_may_be_called_from_no_python_code(variables: dict[str, str]) -> None:
    """A raw thread, `atexit` or a greenlet calls it with no frame beneath: it is decided and written down as ever."""
    script = """
        import _thread, atexit, threading
        from sideeffects import capture, record, side_effect

        done = threading.Event()

        @side_effect(name="first")
        def first(done):
            print("executed")
            done.set()

        @side_effect(name="second", returns=lambda done: done.set())
        def second(done): ...

        @side_effect(name="third", async_ok=True)
        def third(): ...

        @side_effect(name="last")
        def last():
            print("executed at exit")

        _thread.start_new_thread(first, (done,))
        done.wait(0.5 if "SIDE_EFFECTS_TEST_RUN" in __import__("os").environ else 20)
        done.clear()
        with capture() as calls, record(second, third):
            context = __import__("contextvars").copy_context()
            _thread.start_new_thread(context.run, (second, done))
            done.wait(20)
            ended = threading.Event()
            _thread.start_new_thread(context.run, (third.enqueue,))
            while len(calls) < 2: pass
        print(sorted((call.name, call.caller) for call in calls))
        atexit.register(last)
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "SIDE_EFFECTS_"))
    }
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    lines = run.stdout.splitlines()
    callers = "[('second', '<no Python code>:0'), ('third', '<no Python code>:0')]"
    assert run.stderr == ""
    assert lines == ([callers] if variables else ["executed", callers, "executed at exit"])


@pytest.mark.parametrize("overrides", [[], ["other"]])
def test_arguments_that_were_made_for_a_call_are_not_copied(overrides: list[str]) -> None:
    """Who makes them says so; they are bound when somebody reads them, or when an override asks."""
    side_effect(name="other")(lambda: None)
    it = side_effect(name="fresh")(lambda to, subject: None)
    to = ["ann@example.com"]
    with force_run(*overrides) if overrides else contextlib.nullcontext(), capture() as calls:
        begin(it._self_declared, None, (to, "Hi"), FRESH, (NOBODY, 0))
    to.append("ben@example.com")  # nobody else has it, as a rule
    assert dict(calls.one("fresh").arguments) == {"to": ["ann@example.com", "ben@example.com"], "subject": "Hi"}
    assert calls[0].kwargs == {}
