"""dj-saferunner's names: what code and tests that were written for it find here."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from celery import shared_task
from django.core.cache import cache
from django.test import override_settings

from sideeffects import forbid, force_run, side_effect
from sideeffects._core.state.state import state
from sideeffects.errors import MalformedTask
from sideeffects.saferunner import (
    assert_call_count,
    clear_run_cache,
    count_task_calls,
    get_all_task_calls,
    get_process_run,
    safely_run_processes,
)
from sideeffects.testing import isolated_registry
from tests.support.projects import clean_environment

pytestmark = pytest.mark.processes


@shared_task(name="saferunner.tasks.hello")
def hello(msg: str) -> str:
    return msg


@shared_task(name="saferunner.tasks.ping")
def ping(**kwargs: Any) -> str:
    return "pong"


@shared_task(name="saferunner.tasks.pingback")
def pingback(**kwargs: Any) -> str:
    return "pingback"


@pytest.fixture(autouse=True)
def own_runs() -> Iterator[None]:
    """Runs and effects of one test are unknown to the next."""
    clear_run_cache()
    with isolated_registry():
        yield


# -- reading back


def test_a_recorded_run_reads_as_it_did() -> None:
    """The three fields of old, word for word, in the order of the list, and more of them."""
    results, mocked = safely_run_processes(
        run_id="this_is_a_test", task_list=[(hello, {"msg": "hi"}, False), (ping, {"sleep": 10, "to": ["x"]}, True)]
    )

    assert (results, mocked) == ([], ["saferunner.tasks.hello", "saferunner.tasks.ping"])
    first, second = get_process_run("this_is_a_test")
    assert [(call["task_name"], call["task_args"], call["is_async"]) for call in (first, second)] == [
        ("saferunner.tasks.hello", "OrderedDict([('msg', 'hi')])", False),
        ("saferunner.tasks.ping", "OrderedDict([('sleep', 10), ('to', ['x'])])", True),
    ]
    assert first["arguments"] == {"msg": "hi"}
    assert first["kwargs"] == {"msg": "hi"}
    assert (first["mode"], first["run_id"]) == ("record", "this_is_a_test")
    assert first["caller"].startswith(__file__)


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({}, "OrderedDict()"),
        ({"a": None, "b": 1.5}, "OrderedDict([('a', None), ('b', 1.5)])"),
        ({"a": {"b": ("it's", b"x")}}, """OrderedDict([('a', {'b': ("it's", b'x')})])"""),
        ({"a": list(range(1000))}, f"OrderedDict([('a', {list(range(1000))})])"),
        (
            {"password": "hunter2", "a": {"token": "t"}},
            "OrderedDict([('password', '[redacted]'), ('a', {'token': '[redacted]'})])",
        ),
    ],
    ids=["none", "scalars", "nested", "long", "secret"],
)
def test_arguments_read_the_same_on_every_python(kwargs: dict[str, Any], text: str) -> None:
    """As Python wrote an `OrderedDict` before 3.12; secrets are not shown."""
    safely_run_processes("r", [(ping, kwargs, False)])
    assert [call["task_args"] for call in get_process_run("r")] == [text]


def test_a_run_that_never_was_is_empty() -> None:
    """Where dj-saferunner gave `None`."""
    assert get_process_run("never") == []
    assert_call_count("never", 0)


def test_calls_are_counted_by_run_and_by_task() -> None:
    """The failing assertion says what there was instead."""
    for _ in range(2):
        safely_run_processes("one", [(hello, {"msg": "hi"}, False), (ping, {}, True)])
    safely_run_processes("two", [(hello, {"msg": "hi"}, False)])

    assert_call_count("one", 4)
    count_task_calls("one", "saferunner.tasks.hello", 2)
    count_task_calls("one", "hello", 0)
    assert [call["task_name"] for call in get_all_task_calls("one", "saferunner.tasks.ping")] == [
        "saferunner.tasks.ping"
    ] * 2
    with pytest.raises(AssertionError, match=r"run list 'two': expected 2 recorded tasks, got 1\nrecorded:\n  1\. sa"):
        assert_call_count("two", 2)
    with pytest.raises(AssertionError, match=r"expected saferunner\.tasks\.ping 1 times, got 0"):
        count_task_calls("two", "saferunner.tasks.ping", 1)
    with pytest.raises(AssertionError, match="expected 1 recorded tasks, got 0\nnothing was recorded"):
        assert_call_count("three", 1)


def test_clearing_forgets_runs_and_nothing_else(side_effects: Any) -> None:
    """The cache is the project's own, and the calls of the running test stay readable."""
    cache.set("mine", "kept")
    effect = side_effect(name="sms.send")(lambda: None)
    safely_run_processes("r", [(effect, {}, False)])
    clear_run_cache()

    assert get_process_run("r") == []
    assert cache.get("mine") == "kept"
    side_effects.assert_called("sms.send", times=1)
    safely_run_processes("r", [(effect, {}, False)])
    assert_call_count("r", 1)


def test_the_cache_is_not_used() -> None:
    """What a project does to its cache in a test changes nothing here."""
    safely_run_processes("r", [(hello, {"msg": "hi"}, False)])
    cache.clear()
    assert_call_count("r", 1)


def test_calls_that_were_dropped_are_not_taken_for_calls_that_never_were() -> None:
    """Of one run list: others are counted as ever. Clearing makes it countable again."""
    with override_settings(SIDE_EFFECTS={"LEDGER": {"MAX_CALLS": 20}}):
        safely_run_processes("early", [(hello, {"msg": "hi"}, False)])
        safely_run_processes("many", [(ping, {}, False)] * 60)
        with pytest.raises(AssertionError, match=r"calls of run list 'early' were dropped .* clear_run_cache\(\)"):
            assert_call_count("early", 1)
        with pytest.raises(AssertionError, match="calls of run list 'many' were dropped"):
            count_task_calls("many", "saferunner.tasks.ping", 60)
        safely_run_processes("late", [(hello, {"msg": "hi"}, False)])
        assert_call_count("late", 1)
        clear_run_cache()
        safely_run_processes("early", [(hello, {"msg": "hi"}, False)])
        assert_call_count("early", 1)


def test_tasks_recorded_in_a_child_process_are_read_here(tmp_path: Path) -> None:
    """dj-saferunner needed a cache server for that, and lost some."""
    program = tmp_path / "child.py"
    program.write_text(
        textwrap.dedent("""
            from sideeffects.saferunner import safely_run_processes

            def ping(to):
                raise SystemExit("it ran")

            safely_run_processes("child", [(ping, {"to": "ann"}, False)] * 3)
        """)
    )

    ran = subprocess.run(
        [sys.executable, program], env={**os.environ, "PYTHONPATH": clean_environment()["PYTHONPATH"]}, check=False
    )
    assert ran.returncode == 0
    assert_call_count("child", 3)
    assert get_process_run("child")[0]["task_args"] == "OrderedDict([('to', 'ann')])"


def test_run_ids_of_any_kind_stand_for_their_text() -> None:
    """As they did when they were part of a key."""
    safely_run_processes(42, [(hello, {"msg": "hi"}, False)])
    assert_call_count(42, 1)
    assert_call_count("42", 1)


# -- forcing


def test_everything_can_be_forced() -> None:
    """A forced task is not among the recorded ones."""
    with override_settings(FORCE_RUN_SIDE_EFFECTS="__all__"):
        tasks: list[Any] = [(ping, {"foo": "bar"}, False), (hello, {"msg": "hello world"}, False)]
        assert safely_run_processes("r", tasks) == (["pong", "hello world"], [])
    assert_call_count("r", 0)


def test_a_forced_task_in_the_background_is_handed_to_celery_by_delay() -> None:
    """Exactly as one would call it, so that tests which patch `delay` go on working."""
    with override_settings(FORCE_RUN_SIDE_EFFECTS="__all__"), mock.patch.object(ping, "delay") as delay:
        result = safely_run_processes("r", [(ping, {"foo": "bar"}, True)])
    delay.assert_called_once_with(foo="bar")
    assert result.results == [delay.return_value]


@pytest.mark.parametrize(
    ("forced", "is_run"),
    [
        ("saferunner.tasks.ping", True),
        ("ping", True),
        (["saferunner.tasks.ping"], True),
        (["ping", "other"], True),
        (("ping",), True),
        ("pingback", False),
        ("saferunner.tasks.pingback", False),
        ("pin", False),
        ("", False),
        ([], False),
        (None, False),
        (False, False),
    ],
)
def test_one_task_is_forced_by_its_whole_name(forced: Any, is_run: bool) -> None:
    """Its `name` or `__name__`, alone or in a list. A part of a name is none: `pingback` does not run `ping`."""
    with override_settings(FORCE_RUN_SIDE_EFFECTS=forced):
        results, mocked = safely_run_processes("r", [(ping, {}, False), (hello, {"msg": "hi"}, False)])
    assert results == (["pong"] if is_run else [])
    assert mocked == (["saferunner.tasks.hello"] if is_run else ["saferunner.tasks.ping", "saferunner.tasks.hello"])


def test_a_plain_function_is_forced_by_its_name() -> None:
    """`__name__` is all that it has."""

    def shout(text: str) -> str:
        return text.upper()

    with override_settings(FORCE_RUN_SIDE_EFFECTS=["shout"]):
        assert safely_run_processes("r", [(shout, {"text": "a"}, False)]) == (["A"], [])


# -- the rest


def test_errors_are_swallowed_when_sentry_is_used() -> None:
    """And end the list when it is not."""

    def fail() -> None:
        raise ValueError("no")

    tasks: list[Any] = [(fail, {}, False), (hello, {"msg": "hi"}, False)]
    with force_run("__all__"):
        with override_settings(SAFERUNNER_USE_SENTRY=True):
            result = safely_run_processes("r", tasks)
        assert (result.results, [str(error) for error in result.errors]) == (["hi"], ["no"])
        with override_settings(SAFERUNNER_USE_SENTRY=False), pytest.raises(ValueError, match="no"):
            safely_run_processes("r", tasks)


def test_a_refused_task_is_not_among_the_recorded() -> None:
    """It was not written down instead of being run: it was refused."""
    effect = side_effect(name="sms.send")(lambda: None)
    with forbid("sms.send"), pytest.raises(Exception, match=r"'sms\.send' was refused"):
        safely_run_processes("r", [(effect, {}, False)])
    assert_call_count("r", 0)


def test_the_example_of_the_old_readme_is_refused() -> None:
    """Its arguments are a set, for want of a colon."""
    with pytest.raises(MalformedTask, match=r"tasks\[0\] of run list 'r' has a set .* with a colon"):
        safely_run_processes("r", [(ping, {"url", "http://foo.com"}, False)])  # type: ignore[list-item]


def test_an_empty_list_does_nothing() -> None:
    """Also when it is left out."""
    assert safely_run_processes("r") == ([], [])
    assert_call_count("r", 0)


def test_nothing_is_kept_in_production(production: None) -> None:
    """Tasks run, and there is nothing to read back."""
    before = state.ledger.end
    assert safely_run_processes("r", [(hello, {"msg": "hi"}, False)]) == (["hi"], [])
    assert get_process_run("r") == []
    assert state.ledger.end == before


OLD_TESTS = '''
    """Tests as they were written for dj-saferunner, with other imports."""

    from unittest import mock

    from celery import shared_task
    from django.test import TestCase, override_settings

    from sideeffects.saferunner import (
        assert_call_count,
        clear_run_cache,
        count_task_calls,
        get_all_task_calls,
        get_process_run,
        safely_run_processes,
    )


    @shared_task
    def wait(**kwargs):
        raise AssertionError("it ran")


    @shared_task
    def ping(**kwargs):
        return "pong"


    @shared_task
    def hello(msg):
        return msg


    class Recording(TestCase):
        def setUp(self):
            clear_run_cache()
            tasks = [(hello, {"msg": "hi"}, False), (wait, {"sleep": 10}, True), (hello, {"msg": "hi"}, False)]
            safely_run_processes(run_id="this_is_a_test", task_list=tasks)

        def test_count(self):
            assert_call_count("this_is_a_test", 3)

        def test_count_again(self):
            assert_call_count("this_is_a_test", 3)

        def test_details(self):
            calls = get_all_task_calls("this_is_a_test", "test_old.hello")
            self.assertEqual([call.get("task_name") for call in calls], ["test_old.hello"] * 2)
            self.assertEqual(get_process_run("this_is_a_test")[1]["task_args"], "OrderedDict([('sleep', 10)])")

        def test_count_of_a_task(self):
            count_task_calls("this_is_a_test", "test_old.hello", 2)


    class Forcing(TestCase):
        @mock.patch("test_old.ping.delay")
        @override_settings(CELERY_ALWAYS_EAGER=True)
        @override_settings(FORCE_RUN_SIDE_EFFECTS="__all__")
        def test_in_the_background(self, delay):
            safely_run_processes("test_run", [(ping, {"foo": "bar"}, True)])
            self.assertEqual(delay.call_count, 1)

        @override_settings(FORCE_RUN_SIDE_EFFECTS="__all__")
        def test_here(self):
            results, mocked = safely_run_processes("test_run", [(ping, {"foo": "bar"}, False)])
            self.assertEqual(results, ["pong"])

        @override_settings(FORCE_RUN_SIDE_EFFECTS="__all__")
        def test_several(self):
            tasks = [(ping, {"foo": "bar"}, False), (hello, {"msg": "hello world"}, False)]
            results, mocked = safely_run_processes("test_run", tasks)
            self.assertEqual(results, ["pong", "hello world"])

        @override_settings(FORCE_RUN_SIDE_EFFECTS=["test_old.hello"])
        def test_one_of_two(self):
            tasks = [(ping, {"foo": "bar"}, False), (hello, {"msg": "hello world"}, False)]
            results, mocked = safely_run_processes("test_run", tasks)
            self.assertEqual(results, ["hello world"])
            self.assertEqual(mocked, ["test_old.ping"])
'''

SETTINGS = """
    SECRET_KEY = "old"
    INSTALLED_APPS = []
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
"""


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["-m", "django", "test", "--pythonpath", ".", "test_old"], "Ran 8 tests"),
        (["-m", "pytest", "-q", "-p", "sideeffects", "-p", "django", "test_old.py"], "8 passed"),
        (
            ["-m", "pytest", "-q", "-p", "sideeffects", "-p", "django", "-p", "xdist", "-n", "2", "test_old.py"],
            "8 passed",
        ),
    ],
    ids=["django", "pytest", "xdist"],
)
def test_tests_of_old_pass_under_every_runner(tmp_path: Path, command: list[str], said: str) -> None:
    """dj-saferunner itself was only safe under Django's."""
    (tmp_path / "settings.py").write_text(textwrap.dedent(SETTINGS))
    (tmp_path / "test_old.py").write_text(textwrap.dedent(OLD_TESTS))
    environment = clean_environment()
    ran = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env={
            **environment,
            "DJANGO_SETTINGS_MODULE": "settings",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": f"{tmp_path}:{environment['PYTHONPATH']}",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert said in ran.stdout + ran.stderr
