"""What goes wrong in a racer comes back to the test, whatever it is; and the others' results are kept."""

import pickle
import sys
import time
import types
from pathlib import Path
from unittest import mock

import pytest

from sideeffects import Calls
from sideeffects.testing import Race, TerminatedProcessError, WrappedError, call_concurrently, make_concurrent_calls
from tests.support import race_project

pytestmark = pytest.mark.processes


def test_an_error_comes_back_with_its_frames() -> None:
    """The exception itself with its attributes, a real traceback from the racer's own code on, and what it printed."""
    result = call_concurrently(2, race_project.refuse)
    assert result.successes == []
    for index, error in enumerate(result.errors):
        assert type(error.error) is race_project.Refused
        assert (error.error.code, error.error.reason, error.racer) == (7, "no cover", index)
        assert isinstance(error.traceback, types.TracebackType)
        assert error.traceback.tb_frame.f_code.co_name == "refuse"
        assert error.traceback.tb_frame.f_code.co_filename == race_project.__file__
        assert (error.stdout, error.stderr) == ("about to refuse\n", "with a warning\n")
        assert "Refused: refused: no cover" in str(error)
        assert "about to refuse" in str(error)


def test_an_error_can_be_raised_printed_and_debugged(capsys: pytest.CaptureFixture[str]) -> None:
    """As if it had been raised here."""
    error = call_concurrently(1, race_project.refuse_for_a_reason).errors[0]
    with pytest.raises(ValueError, match="the effect") as caught:
        error.reraise()
    assert isinstance(caught.value.__cause__, KeyError)
    assert [frame.name for frame in caught.traceback][-1] == "refuse_for_a_reason"
    error.print_tb()
    assert "in refuse_for_a_reason" in capsys.readouterr().err
    with mock.patch("pdb.post_mortem") as post_mortem, mock.patch.dict(sys.modules, {"ipdb": None}):
        error.debug()
    post_mortem.assert_called_once_with(error.traceback)


def test_an_error_that_cannot_be_unpickled_still_shows() -> None:
    """Its type, its text and its traceback."""
    error = call_concurrently(1, race_project.refuse_locally).errors[0]
    assert "Local" in repr(error)
    assert "local" in str(error)
    assert "in refuse_locally" in str(error)


def test_a_wrapped_error_can_be_pickled() -> None:
    """As runners with several processes do."""
    error = pickle.loads(pickle.dumps(WrappedError(ValueError("x"), stdout="said", racer=3)))
    assert (repr(error.error), error.stdout, error.racer) == ("ValueError('x')", "said", 3)


def test_the_results_of_others_are_kept() -> None:
    """One crashed, one raised."""
    result = make_concurrent_calls(*[(race_project.end_or_return, {"index": index}) for index in range(4)])
    assert result.successes == [0, 3]
    assert [type(error.error) for error in result.errors] == [TerminatedProcessError, ValueError]
    assert [error.racer for error in result.errors] == [1, 2]


@pytest.mark.parametrize(
    ("how", "said", "code", "number"),
    [
        ("exit", "ended itself with exit code 3", 3, None),
        ("segfault", r"ended by signal 11 \(SIGSEGV\). Where it stood:\n(?s:.*)end_by", None, 11),
        ("SIGTERM", r"ended by signal 15 \(SIGTERM\)", None, 15),
        ("SIGKILL", r"signal 9 \(SIGKILL\), which nothing here sent: .* out of memory", None, 9),
    ],
)
def test_a_crash_is_told(how: str, said: str, code: int | None, number: int | None) -> None:
    """By the exit code or the signal, with the stack where there is one."""
    error = call_concurrently(1, race_project.end_by, how=how).errors[0].error
    assert isinstance(error, TerminatedProcessError)
    assert (error.code, error.signal) == (code, number)
    with pytest.raises(TerminatedProcessError, match=said):
        raise error


def test_leaving_by_sys_exit_is_an_error() -> None:
    """It is no result."""
    assert isinstance(call_concurrently(1, race_project.end_by, how="sys.exit").errors[0].error, SystemExit)


def test_a_racer_past_its_time_is_killed_with_its_stack(side_effects: Calls) -> None:
    """What it had called before is written down, and the others' results are kept."""
    started = time.monotonic()
    result = Race(timeout=0.7).make_concurrent_calls(
        (race_project.notify_then_hang, {"seconds": 60}), (race_project.add, {"a": 1})
    )
    assert time.monotonic() - started < 20
    error = result.errors[0].error
    assert isinstance(error, TerminatedProcessError)
    assert "racer 0 was killed after 0.7 s" in str(error)
    assert "in notify_then_hang" in error.stack
    assert result.successes == [1]
    assert result.durations[0] == pytest.approx(0.7)
    side_effects.assert_called("racing.notify", to="before", times=1)


def test_the_default_timeout_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is that of django-concurrent-test-helper."""
    monkeypatch.setenv("DJANGO_CONCURRENT_TESTS_TIMEOUT", "0.4")
    error = call_concurrently(1, race_project.sleep, seconds=60).errors[0]
    assert "killed after 0.4 s" in str(error)
    monkeypatch.setenv("DJANGO_CONCURRENT_TESTS_TIMEOUT", "soon")
    with pytest.raises(ValueError, match="DJANGO_CONCURRENT_TESTS_TIMEOUT is a number of seconds, not 'soon'"):
        call_concurrently(1, race_project.simple)


def test_a_racer_that_fails_before_the_gate_keeps_nobody_waiting() -> None:
    """Its module does not exist, or its arguments fail as they are unpickled: that is its own result."""
    result = make_concurrent_calls(
        ("tests.no_such_module:f", {}), (race_project.add, {"a": race_project.Grenade()}), (race_project.simple, {})
    )
    assert isinstance(result[0].error, ModuleNotFoundError)
    assert "it exploded" in str(result[1])
    assert result[2] is True
    assert result.durations[:2] == [0.0, 0.0]


def test_a_racer_that_hangs_before_the_gate_keeps_nobody_waiting_for_good() -> None:
    """It is killed at its time; those who stand at the gate are not late, and start then."""
    race = Race(timeout=1)
    result = race.make_concurrent_calls((race_project.add, {"a": race_project.Tardy()}), (race_project.simple, {}))
    assert "was killed after 1 s before the start" in str(result[0])
    assert result.successes == [True]


def test_a_module_that_ends_the_process_ends_its_racer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not the fork server: it imports only what the test has imported."""
    (tmp_path / "ends_the_process.py").write_text("import os\n\nos._exit(9)\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    result = make_concurrent_calls(("ends_the_process:f", {}), (race_project.simple, {}))
    assert "ended itself with exit code 9" in str(result[0])
    assert result.successes == [True]


def test_endless_recursion_comes_back() -> None:
    """With a traceback that is deeper than anything that can be nested."""
    error = call_concurrently(1, race_project.recur).errors[0]
    assert isinstance(error.error, RecursionError)
    assert "more times" in str(error)


@pytest.mark.parametrize(
    ("function", "kind", "text"),
    [
        (race_project.refuse_without_words, race_project.Nameless, "Nameless: nothing"),
        (race_project.refuse_in_its_words, race_project.Worded, "Worded: there is no cover"),
        (race_project.refuse_to_be_looked_at, Exception, "Unlooked: here"),
    ],
)
def test_an_exception_may_be_as_odd_as_it_likes(function: object, kind: type, text: str) -> None:
    """It shows its type and its text, which are those that the racer saw."""
    result = make_concurrent_calls((function, {}), (race_project.simple, {}))  # type: ignore[arg-type]
    assert isinstance(result[0].error, kind)
    assert text in str(result[0])
    assert "1 errors" in result.summary()
    assert result.successes == [True]
    repr(result)
