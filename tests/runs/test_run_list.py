"""Run lists: what they refuse, record and run, and what becomes of errors."""

import asyncio
import concurrent.futures
import functools
import importlib
import logging
import pickle
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import django
import dramatiq
import huey
import pytest
from celery import Celery
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.test import override_settings

from sideeffects import (
    AsyncNotAllowed,
    Call,
    Mode,
    SideEffectBlocked,
    capture,
    forbid,
    force_run,
    observe,
    record,
    run_side_effects,
    side_effect,
    stub,
)
from sideeffects._core.state import extension_points
from sideeffects._core.state.state import state
from sideeffects.errors import MalformedTask
from sideeffects.testing import isolated_registry
from tests.support.projects import clean_environment

ran: list[Any] = []


@pytest.fixture(autouse=True)
def own_registry() -> Iterator[None]:
    """Effects of one test are unknown to the next, and nothing has run."""
    ran.clear()
    with isolated_registry():
        yield


@pytest.fixture
def no_connection_left() -> Iterator[None]:
    """Django keeps connections to databases in memory open. The next test is not to find one."""
    yield
    if connection.connection is not None:
        connection.connection.close()
        connection.connection = None


@pytest.fixture
def table(no_connection_left: None, transactional_db: None) -> Iterator[None]:
    """A real table to write rows into."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE things (name TEXT NOT NULL UNIQUE)")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE things")


def send(to: str, body: str = "hello") -> str:
    ran.append((to, body))
    return f"sent to {to}"


def insert(name: str | None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO things VALUES (%s)", [name])


def names_in_table() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM things ORDER BY name")
        return [name for (name,) in cursor.fetchall()]


# -- in a test run


def test_a_test_run_records_the_tasks_under_the_run_id() -> None:
    """Nothing runs; each task is one call, told by the line that ran the list."""
    effect = side_effect(name="sms.send", async_ok=True)(send)
    with capture() as calls:
        result = run_side_effects("welcome", [(effect, {"to": "ann"}), (send, {"to": "ben", "body": "hi"}, False)])

    results, mocked = result
    assert (results, mocked) == (result.results, result.recorded) == ([], ["sms.send", "send"])
    assert result.errors == []
    assert ran == []
    assert [(call.name, call.run_id, call.mode, call.is_async) for call in calls] == [
        ("sms.send", "welcome", Mode.RECORD, True),
        ("send", "welcome", Mode.RECORD, False),
    ]
    assert [dict(call.arguments) for call in calls] == [
        {"to": "ann", "body": "hello"},
        {"to": "ben", "body": "hi"},
    ]
    assert {Path(call.caller.rpartition(":")[0]).name for call in calls} == {Path(__file__).name}


def test_what_a_test_names_is_run_and_the_rest_recorded() -> None:
    """Overrides, `FORCE_RUN` and dj-saferunner's setting decide on each task as on any call."""
    effect = side_effect(name="sms.send")(send)
    tasks = [(effect, {"to": "ann"}), (send, {"to": "ben"})]

    with force_run("sms.send"):
        assert run_side_effects("r", tasks) == (["sent to ann"], ["send"])
    with force_run("__all__"):
        assert run_side_effects("r", tasks) == (["sent to ann", "sent to ben"], [])
    with override_settings(SIDE_EFFECTS={"FORCE_RUN": ["sms.*"]}):
        assert run_side_effects("r", tasks) == (["sent to ann"], ["send"])
    with override_settings(FORCE_RUN_SIDE_EFFECTS="end"):  # no name, though part of one
        assert run_side_effects("r", [tasks[1]]) == ([], ["send"])


def test_what_is_recorded_returns_and_raises_what_its_stub_says() -> None:
    """A stub's exception comes where that of the real call would; the call is recorded all the same."""
    effect = side_effect(name="sms.send")(send)
    with stub("sms.send", raises=OSError("down")), pytest.raises(OSError, match="down"):
        run_side_effects("r", [(effect, {"to": "ann"})])
    with stub("sms.send", raises=OSError("down")):
        result = run_side_effects("r", [(effect, {"to": "ann"}), (send, {"to": "ben"})], swallow=True)
    assert (result.recorded, [str(error) for error in result.errors]) == (["sms.send", "send"], ["down"])


def test_a_refused_task_ends_the_list() -> None:
    """It is raised as at any call."""
    effect = side_effect(name="sms.send")(send)
    with forbid("sms.send"), pytest.raises(SideEffectBlocked) as raised:
        run_side_effects("r", [(send, {"to": "ben"}), (effect, {"to": "ann"}), (send, {"to": "cay"})])
    assert raised.value.run_list.recorded == ("send",)  # type: ignore[attr-defined]
    assert raised.value.run_list.not_run == ("send",)  # type: ignore[attr-defined]


def test_wrong_arguments_are_the_type_error_of_the_function() -> None:
    """While recording too."""
    with pytest.raises(TypeError, match=r"send\(\) missing 1 required positional argument: 'to'"):
        run_side_effects("r", [(send, {"body": "hi"})])


def test_arguments_are_kept_as_they_were() -> None:
    """What the caller does to its dicts afterwards does not show."""
    nested: dict[str, Any] = {"to": ["ann"]}
    flat: dict[str, Any] = {"to": "ann"}
    with capture() as calls:
        run_side_effects("r", [(send, nested), (send, flat)])
    nested["to"].append("ben")
    nested["body"] = flat["body"] = "changed"
    assert [dict(call.kwargs) for call in calls] == [{"to": ["ann"]}, {"to": "ann"}]


# -- what may be in a list


def test_each_kind_of_callable_runs_under_its_name(production: None) -> None:
    """Functions, methods of all kinds, effects, partials, callable objects, coroutine functions and lambdas."""

    class Gateway:
        def __init__(self, name: str) -> None:
            self.name_of_it = name

        def plain(self, to: str) -> str:
            return f"{self.name_of_it} {to}"

        @side_effect(name="gateway.send")
        def send(self, to: str) -> str:
            return f"{self.name_of_it} {to}"

        @classmethod
        @side_effect(name="gateway.open")
        def open(cls, to: str) -> str:
            return f"{cls.__name__} {to}"

        @side_effect(name="gateway.close")
        @staticmethod
        def close(to: str) -> str:
            return to

        def __call__(self, to: str) -> str:
            return f"called {to}"

    async def later(to: str) -> str:
        await asyncio.sleep(0)
        return f"later {to}"

    gateway = Gateway("g1")
    effect = side_effect(name="sms.later")(later)
    callables = [
        (gateway.plain, "plain", "g1 x"),
        (gateway.send, "gateway.send", "g1 x"),
        (gateway.open, "gateway.open", "Gateway x"),
        (Gateway.open, "gateway.open", "Gateway x"),
        (gateway.close, "gateway.close", "x"),
        (gateway, "Gateway", "called x"),
        (later, "later", "later x"),
        (effect, "sms.later", "later x"),
        (functools.partial(send, body="hi"), "send", "sent to x"),
        (lambda to: f"lambda {to}", "<lambda>", "lambda x"),
    ]
    tasks: list[Any] = [(function, {"to": "x"}) for function, _, _ in callables]

    assert run_side_effects("r", tasks) == ([result for _, _, result in callables], [])
    with capture() as calls:
        assert run_side_effects("r", tasks)[0] == [result for _, _, result in callables]
    assert [call.name for call in calls] == [name for _, name, _ in callables]
    assert [call.outcome.result for call in calls] == [result for *_, result in callables]  # type: ignore[union-attr]
    assert all(dict(call.arguments)["to"] == "x" for call in calls)
    with record():
        assert run_side_effects("r", tasks) == ([], [name for _, name, _ in callables])


async def test_coroutines_run_to_their_end_inside_a_running_loop() -> None:
    """The list waits for them, in a thread of its own."""

    @side_effect(name="later")
    async def later(to: str) -> str:
        await asyncio.sleep(0)
        return f"{to} in {threading.current_thread() is threading.main_thread()}"

    with force_run("later"):
        assert run_side_effects("r", [(later, {"to": "ann"})]).results == ["ann in False"]
    assert run_side_effects("r", [(later, {"to": "ann"})]).recorded == ["later"]


class Queue:
    """A task of some queue, as dj-saferunner told them: callable, and with `delay`."""

    name = "queue.task"
    __name__ = "task"

    def __call__(self, to: str) -> str:
        return f"called {to}"

    def delay(self, to: str) -> str:
        return f"delayed {to}"


def test_tasks_of_other_queues_are_handed_to_them(production: None) -> None:
    """By `delay`, unless the list says otherwise."""
    task = Queue()
    tasks: list[Any] = [(task, {"to": "a"}), (task, {"to": "a"}, True), (task, {"to": "a"}, False)]
    assert run_side_effects("r", tasks).results == ["delayed a", "delayed a", "called a"]


def test_a_task_is_decided_under_the_name_that_it_has_now() -> None:
    """Not under one that it had when an earlier list was run."""
    task = Queue()
    assert run_side_effects("r", [(task, {"to": "a"})]).recorded == ["queue.task"]
    task.name = "queue.renamed"
    with override_settings(FORCE_RUN_SIDE_EFFECTS="queue.task"):
        assert run_side_effects("r", [(task, {"to": "a"})]).recorded == ["queue.renamed"]


def test_a_task_that_is_an_effect_below_is_one_call() -> None:
    """The effect's name decides; neither the task nor the effect below it is decided a second time."""
    app = Celery("runs", broker="memory://", backend="cache+memory://", set_as_current=False)

    @app.task(name="tasks.send", shared=False, bind=True, autoretry_for=(OSError,))
    @side_effect(name="sms.send")
    def task(self: Any, to: str) -> str:
        ran.append(self.name)
        return f"sent to {to}"

    with capture() as calls:
        assert run_side_effects("r", [(task, {"to": "ann"}), (task, {"to": "ann"}, False)]).recorded == ["sms.send"] * 2
        with force_run("sms.send"):
            assert run_side_effects("r", [(task, {"to": "ann"}, False)]).results == ["sent to ann"]
    assert ran == ["tasks.send"]
    assert [(call.name, call.is_async, call.mode.name, dict(call.arguments)) for call in calls] == [
        ("sms.send", True, "RECORD", {"to": "ann"}),
        ("sms.send", False, "RECORD", {"to": "ann"}),
        ("sms.send", False, "EXECUTE", {"to": "ann"}),
    ]


def test_a_task_that_is_an_effect_is_one_call_in_its_queue_too() -> None:
    """What the queue makes of it is the outcome of the call that the list wrote down, and observers hear of it once."""
    app = Celery("runs", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.task_always_eager = True
    seen: list[Call] = []

    @app.task(name="tasks.send", shared=False)
    @side_effect(name="sms.send")
    def task(to: str) -> str:
        return f"sent to {to}"

    remove = observe(seen.append)
    try:
        with capture() as calls, force_run("sms.send"):
            [result] = run_side_effects("r", [(task, {"to": "ann"})]).results
    finally:
        remove()
    assert result.get() == "sent to ann"
    call = calls.one("sms.send")
    assert seen == [call]
    assert (call.run_id, call.is_async, call.outcome.result) == ("r", True, "sent to ann")  # type: ignore[union-attr]
    assert Path(call.caller.rpartition(":")[0]).name == Path(__file__).name


def notify(to: str) -> str:
    return f"plain {to}"


def notify_in_context(context: Any, to: str) -> str:
    return f"attempt {context.attempt} {to}"


async def notify_later(to: str) -> str:
    return f"later {to}"


def test_undeclared_django_tasks_are_decided_and_handed_to_their_backend() -> None:
    """Under their name, with the arguments that the caller gives; here they are called, coroutines as well."""
    task = importlib.import_module("django.tasks" if django.VERSION >= (6, 0) else "django_tasks").task

    plain, later = task(notify), task(notify_later)
    with_context = task(takes_context=True)(notify_in_context)
    tasks: list[Any] = [(task, {"to": "ann"}) for task in (plain, with_context, later)]
    with capture() as calls:
        assert run_side_effects("r", tasks).recorded == ["notify", "notify_in_context", "notify_later"]
    assert [(call.is_async, dict(call.arguments)) for call in calls] == [(True, {"to": "ann"})] * 3
    with force_run("__all__"):
        here: list[Any] = [(plain, {"to": "ann"}, False), (later, {"to": "ann"}, False)]
        assert run_side_effects("r", here).results == ["plain ann", "later ann"]
        results = run_side_effects("r", tasks).results
    assert [result.return_value for result in results] == ["plain ann", "attempt 1 ann", "later ann"]


def test_effects_that_may_run_in_the_background_do_so(production: None) -> None:
    """In the order that the engine keeps; `is_async=False` runs them here. The result is a handle."""

    @side_effect(name="where", async_ok=True)
    def where() -> str:
        return threading.current_thread().name

    def plain() -> str:
        return threading.current_thread().name

    here = threading.current_thread().name
    with capture() as calls:
        given: list[Any] = [(where, {}), (where, {}, None), (where, {}, False), (plain, {}), (plain, {}, True)]
        first, second, third, fourth, fifth = run_side_effects("r", given).results
    assert [handle.result(60).startswith("sideeffects-") for handle in (first, second, fifth)] == [True] * 3
    assert (third, fourth) == (here, here)
    assert [call.is_async for call in calls] == [True, True, False, False, True]
    assert {call.run_id for call in calls} == {"r"}


def test_an_effect_that_waits_for_the_commit_waits_in_a_list(production: None, table: None) -> None:
    """`on_commit` means the same as at a call: after the commit, and not at all when it rolls back."""
    effect = side_effect(name="sms.send", on_commit=True)(send)
    with transaction.atomic():
        assert run_side_effects("r", [(effect, {"to": "ann"})]).results == [None]
        assert ran == []
    assert ran == [("ann", "hello")]
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        run_side_effects("r", [(effect, {"to": "ben"})], swallow=True)
        raise ZeroDivisionError
    assert ran == [("ann", "hello")]


# -- refused before anything runs


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ((send, {"url", "http://example.com"}), r"has a set where a dict of keyword arguments belongs; write .*colon"),
        ((send, None), "has a NoneType where a dict"),
        ((send, ["ann"], True), "has a list where a dict"),
        ((send, {1: "ann"}), "has the keyword argument a int, which is no name"),
        ((send,), "has 1 parts instead of two or three"),
        ((send, {}, True, 1), "has 4 parts"),
        (("myapp.tasks.send", {}), "begins with a str, which cannot be called"),
        ((send, {}, "yes"), "has a str for is_async"),
        (send, "is no tuple but a function"),
        ({send, "x"}, "is no tuple but a set"),
        ("ab", "is no tuple but a str"),
    ],
)
def test_a_malformed_entry_is_refused_before_anything_runs(production: None, entry: Any, reason: str) -> None:
    """The error has the index and the reason; it shows no values, which may be secret."""
    with pytest.raises(MalformedTask, match=reason) as raised:
        run_side_effects("signup", [(send, {"to": "ann"}), entry])
    assert (raised.value.index, raised.value.run_id) == (1, "signup")
    assert str(raised.value).startswith("tasks[1] of run list 'signup' ")
    assert isinstance(raised.value, TypeError)
    assert isinstance(raised.value, ValueError)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)
    assert ran == []


def test_streams_are_refused() -> None:
    """A generator does nothing until somebody iterates: nobody would."""

    @side_effect(name="rows")
    def rows() -> Iterator[int]:
        yield 1

    with pytest.raises(MalformedTask, match="is rows, a generator, which does nothing by itself"):
        run_side_effects("r", [(rows, {})])


def test_what_may_not_run_in_the_background_is_refused_before_anything_runs(production: None) -> None:
    """The error names the effect, and its note the place in the list."""
    effect = side_effect(name="sms.send")(send)
    with pytest.raises(AsyncNotAllowed, match=r"'sms\.send' may not run in the background") as raised:
        run_side_effects("signup", [(send, {"to": "ann"}), (effect, {"to": "ann"}, True)])
    assert raised.value.__notes__ == [
        "It is tasks[1] of run list 'signup', with is_async=True. Nothing of the list was run."
    ]
    assert ran == []


class Elsewhere:
    """An engine whose workers are other processes."""

    def check(self, parcel: Any) -> None:
        parcel.to_data()

    def submit(self, parcel: Any, handle: Any, work: Any) -> None:
        ran.append(parcel.to_data())


def test_an_undeclared_function_cannot_travel_to_the_workers_of_another_engine(
    production: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They find effects by name. A declared one is handed over, with the run list that it belongs to."""
    monkeypatch.setattr(extension_points.engine, "last", Elsewhere)
    effect = side_effect(name="sms.send", async_ok=True)(send)
    with pytest.raises(AsyncNotAllowed) as raised:
        run_side_effects("r", [(effect, {"to": "ann"}), (send, {"to": "ann"}, True)])
    assert "no name under which the workers" in raised.value.__notes__[1]
    assert ran == []
    run_side_effects("r", [(effect, {"to": "ann"})])
    assert [(parcel["name"], parcel["kwargs"], parcel["run_id"]) for parcel in ran] == [
        ("sms.send", {"to": "ann"}, "r")
    ]


@pytest.mark.parametrize(("run_id", "tasks"), [(7, []), ("r", {"a": 1}), ("r", "ab")])
def test_what_is_no_list_is_refused(run_id: Any, tasks: Any) -> None:
    """A dict or a text can be iterated, and is none all the same."""
    with pytest.raises(TypeError, match=r"run_id must be a string|are a list of entries"):
        run_side_effects(run_id, tasks)


def test_lists_and_mappings_of_any_kind_will_do(production: None) -> None:
    """Generators of entries, entries that are lists, mappings that are no dicts; an empty list does nothing."""
    entries: Any = ([send, MappingProxyType({"to": to})] for to in ("ann", "ben"))
    assert run_side_effects("r", entries).results == ["sent to ann", "sent to ben"]
    assert run_side_effects("r", []) == ([], [])


# -- errors


def fail(how: type[BaseException] = ValueError) -> None:
    raise how("no")


def test_the_first_error_propagates_and_says_how_far_the_list_got(production: None) -> None:
    """What ran and what did not is on the exception, as values and as a note, and survives pickling."""
    tasks: list[Any] = [(send, {"to": "ann"}), (fail, {}), (send, {"to": "ben"}), (fail, {})]
    with pytest.raises(ValueError, match="no") as raised:
        run_side_effects("signup", tasks)
    stopped = raised.value.run_list  # type: ignore[attr-defined]
    assert (stopped.run_id, stopped.index, stopped.failed) == ("signup", 1, "fail")
    assert (stopped.ran, stopped.not_run, stopped.recorded) == (("send",), ("send", "fail"), ())
    assert raised.value.__notes__ == ["tasks[1] (fail) ended run list 'signup'; ran: send; not run: send, fail"]
    assert ran == [("ann", "hello")]
    assert pickle.loads(pickle.dumps(raised.value)).run_list == stopped


def test_swallowed_errors_are_kept_and_the_rest_runs(production: None, caplog: pytest.LogCaptureFixture) -> None:
    """In order, each with a note that names its task, and each in the log."""
    with caplog.at_level(logging.ERROR, "sideeffects"):
        result = run_side_effects(
            "signup", [(fail, {}), (send, {"to": "ann"}), (fail, {"how": KeyError})], swallow=True
        )
    assert result == (["sent to ann"], [])
    assert result != (["sent to ann"], [], [])
    assert [type(error) for error in result.errors] == [ValueError, KeyError]
    assert [error.__notes__ for error in result.errors] == [
        ["tasks[0] (fail) of run list 'signup'"],
        ["tasks[2] (fail) of run list 'signup'"],
    ]
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("run list 'signup': tasks[0] (fail) failed, and the rest runs:\nTraceback")
    assert "ValueError: no" in first
    assert "tasks[2] (fail)" in second


@pytest.mark.parametrize(
    ("settings", "swallow", "is_swallowed"),
    [
        ({}, None, False),
        ({"SIDE_EFFECTS": {"USE_SENTRY": True}}, None, True),
        ({"SAFERUNNER_USE_SENTRY": True}, None, True),
        ({"SAFERUNNER_USE_SENTRY": True, "SIDE_EFFECTS": {"USE_SENTRY": False}}, None, True),
        ({"SAFERUNNER_USE_SENTRY": True}, False, False),
        ({"SIDE_EFFECTS": {"USE_SENTRY": False}}, True, True),
    ],
)
def test_settings_say_whether_errors_are_swallowed_unless_the_call_does(
    production: None, settings: dict[str, Any], swallow: bool | None, is_swallowed: bool
) -> None:
    """`swallow` wins over both settings, and either setting suffices."""
    with override_settings(**settings):
        if is_swallowed:
            assert len(run_side_effects("r", [(fail, {})], swallow=swallow).errors) == 1
        else:
            with pytest.raises(ValueError, match="no"):
                run_side_effects("r", [(fail, {})], swallow=swallow)


@pytest.mark.parametrize(
    "kind",
    [KeyboardInterrupt, SystemExit, asyncio.CancelledError, concurrent.futures.CancelledError, GeneratorExit],
    ids=lambda kind: f"{kind.__module__}.{kind.__name__}",
)
def test_interrupts_and_cancellation_are_never_swallowed(production: None, kind: type[BaseException]) -> None:
    """They end the list, and say how far it got, errors swallowed before included."""
    tasks: list[Any] = [(fail, {}), (send, {"to": "ann"}), (fail, {"how": kind}), (send, {"to": "ben"})]
    with pytest.raises(kind) as raised:
        run_side_effects("r", tasks, swallow=True)
    stopped = raised.value.run_list  # type: ignore[attr-defined]
    assert (stopped.swallowed, stopped.ran, stopped.not_run) == (("fail",), ("send",), ("send",))


async def test_a_cancelled_coroutine_ends_the_list(production: None) -> None:
    """Also where it runs in a thread of its own."""

    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run_side_effects("r", [(cancelled, {})], swallow=True)


def test_a_failing_task_does_not_poison_the_transaction(production: None, table: None) -> None:
    """Inside `atomic` each task has a savepoint: what it wrote before it failed is undone, the rest is kept."""

    def insert_then_fail(name: str) -> None:
        insert(name)
        insert(name)

    tasks: list[Any] = [(insert, {"name": "a"}), (insert_then_fail, {"name": "b"}), (insert, {"name": "c"})]
    with transaction.atomic():
        result = run_side_effects("r", tasks, swallow=True)
        assert len(result.errors) == 1
        insert("d")
    assert names_in_table() == ["a", "c", "d"]


def test_what_fails_after_the_commit_is_swallowed_too(
    production: None, table: None, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody who commits hears of it, what waits besides runs, and `errors` has it by then; interrupts get through."""
    failing = side_effect(name="sms.fail", on_commit=True)(fail)
    waiting = side_effect(name="sms.send", on_commit=True)(send)
    with transaction.atomic():
        result = run_side_effects("r", [(failing, {}), (waiting, {"to": "ann"})], swallow=True)
        assert result.errors == []
    assert ran == [("ann", "hello")]
    assert [type(error) for error in result.errors] == [ValueError]
    assert result.errors[0].__notes__ == ["tasks[0] (sms.fail) of run list 'r'"]
    assert caplog.text.count("tasks[0] (sms.fail) failed") == 1

    for swallow, kind in ((False, ValueError), (True, KeyboardInterrupt), (True, concurrent.futures.CancelledError)):
        with pytest.raises(kind), transaction.atomic():
            run_side_effects("r", [(failing, {"how": kind})], swallow=swallow)


def test_without_a_transaction_or_swallowing_there_are_no_savepoints(production: None, table: None) -> None:
    """And none for what is only recorded: a list costs no queries of its own."""
    statements: list[str] = []

    def watch(execute: Any, sql: str, *rest: Any) -> Any:
        statements.append(sql)
        return execute(sql, *rest)

    tasks: list[Any] = [(send, {"to": "a"})]
    with connection.execute_wrapper(watch):
        run_side_effects("r", tasks, swallow=True)
        with transaction.atomic():
            run_side_effects("r", tasks)
            with record():
                run_side_effects("r", tasks, swallow=True)
        assert [sql for sql in statements if "SAVEPOINT" in sql] == []
        with transaction.atomic():
            run_side_effects("r", tasks, swallow=True)
        assert [sql.partition(" ")[0] for sql in statements if "SAVEPOINT" in sql] == ["SAVEPOINT", "RELEASE"]


def test_the_log_and_who_reports_see_no_secrets(production: None, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in the arguments nor in the words of the exception."""
    reported: list[tuple[BaseException, Call]] = []

    @side_effect(name="card.charge", sensitive=["token"])
    def charge(token: str, cents: int) -> None:
        raise ValueError(f"the bank refused {token}")

    stop = extension_points.errors.add(lambda error, call: reported.append((error, call)))
    try:
        run_side_effects("pay", [(charge, {"token": "tok_visa", "cents": 5})], swallow=True)
    finally:
        stop()
    [(error, call)] = reported
    assert (call.name, call.run_id, call.is_async) == ("card.charge", "pay", False)
    assert dict(call.arguments) == {"token": "[redacted]", "cents": 5}
    assert call.scrubbed(str(error)) == "the bank refused [redacted]"
    assert "the bank refused [redacted]" in caplog.text
    assert "tok_visa" not in caplog.text


def test_who_reports_changes_nothing(production: None, caplog: pytest.LogCaptureFixture) -> None:
    """What it raises is logged; the errors of wrong arguments and of refusals are reported as well."""
    reported: list[tuple[str, Mode]] = []

    def report(error: BaseException, call: Call) -> None:
        reported.append((type(error).__name__, call.mode))
        raise OSError("no network")

    effect = side_effect(name="sms.send")(send)
    stop = extension_points.errors.add(report)
    try:
        with forbid("sms.send"):
            tasks: list[Any] = [(effect, {"to": "ann"}), (send, {"who": "ann"}), (send, {"to": "ben"})]
            result = run_side_effects("r", tasks, swallow=True)
    finally:
        stop()
    assert result.results == ["sent to ben"]
    assert reported == [("SideEffectBlocked", Mode.RAISE), ("TypeError", Mode.EXECUTE)]
    assert caplog.text.count("could not report an error of") == 2


def test_one_exception_that_is_raised_again_and_again_keeps_one_note(production: None) -> None:
    """It would grow with every list otherwise."""
    error = ValueError("again")

    def fail_alike() -> None:
        raise error

    for _ in range(3):
        run_side_effects("r", [(fail_alike, {})], swallow=True)
    assert error.__notes__ == ["tasks[0] (fail_alike) of run list 'r'"]


def test_invalid_settings_let_nothing_run(production: None) -> None:
    """Swallowing does not swallow doubt."""
    with override_settings(SIDE_EFFECTS={"MODE": "maybe"}), pytest.raises(ImproperlyConfigured):
        run_side_effects("r", [(send, {"to": "ann"})], swallow=True)
    assert ran == []


# -- in production


def test_nothing_accumulates_in_production() -> None:
    """Neither calls nor functions, nor what was known of these: they are gone when the list is."""
    program = """
        import gc, weakref
        from sideeffects import run_side_effects, side_effect
        from sideeffects._core.state.runtime_effect import Declared
        from sideeffects._core.state.state import state

        @side_effect(name="sms.send")
        def send():
            pass

        def declared():
            gc.collect()
            return sum(isinstance(thing, Declared) for thing in gc.get_objects())

        def run():
            function = lambda: 1
            assert run_side_effects("r", [(send, {}), (function, {})]).results == [None, 1]
            return weakref.ref(function)

        run()
        before = declared()
        gone = [run() for _ in range(50)]
        assert declared() == before, declared()
        assert {reference() for reference in gone} == {None}
        assert state.ledger.end == 0
        assert not send._self_declared.switch  # known to execute, with nobody watching
        print("nothing")
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        env=clean_environment(),
    )
    assert ran.stdout == "nothing\n", ran.stderr


def test_a_policy_holds_for_undeclared_tasks_by_their_name(production: None) -> None:
    """And they are told in the log."""
    with override_settings(SIDE_EFFECTS={"POLICY": {"sen*": "record"}}):
        assert run_side_effects("r", [(send, {"to": "ann"})]) == ([], ["send"])
    assert ran == []


def test_observers_and_captures_see_the_tasks_of_a_list(production: None) -> None:
    """Each once, with its outcome and its list."""
    seen: list[tuple[str, str | None, Any]] = []
    effect = side_effect(name="sms.send")(send)
    remove = observe(lambda call: seen.append((call.name, call.run_id, call.outcome.result)))  # type: ignore[union-attr]
    try:
        run_side_effects("r", [(effect, {"to": "ann"}), (send, {"to": "ben"})])
    finally:
        remove()
    assert seen == [("sms.send", "r", "sent to ann"), ("send", "r", "sent to ben")]


def test_a_test_run_that_begins_in_the_middle_of_a_list_is_noticed(production: None) -> None:
    """Each task is decided when its turn comes: nothing that is known of an earlier one is taken for granted."""
    effect = side_effect(name="sms.send")(send)
    run_side_effects("warm", [(effect, {"to": "ann"})])

    def begin_tests() -> None:
        state.test_run.latch("a test")

    result = run_side_effects("r", [(effect, {"to": "ben"}), (begin_tests, {}), (effect, {"to": "cay"})])
    assert result.recorded == ["sms.send"]
    assert ran == [("ann", "hello"), ("ben", "hello")]


def test_tasks_of_dramatiq_huey_and_rq_go_to_their_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call each, under the effect's name; forced, by the queue's own way in, and at once where the list says so."""
    from dramatiq.brokers.stub import StubBroker

    done: list[str] = []
    broker = StubBroker()
    queue = huey.MemoryHuey("run-list")
    delayed: list[str] = []

    def note(to: str) -> None:
        done.append(to)

    with isolated_registry():
        actor = side_effect(name="list.actor")(dramatiq.actor(note, broker=broker, actor_name="list"))
        task = side_effect(name="list.task")(queue.task(name="list")(note))
        plain = dramatiq.actor(note, broker=broker, actor_name="plain")
        effect = side_effect(name="list.job")(note)
        effect.delay = lambda **kwargs: delayed.append(kwargs["to"])  # type: ignore[attr-defined] # as RQ's decorator does
        entries = [(actor, {"to": "a"}), (task, {"to": "b"}), (plain, {"to": "c"}), (effect, {"to": "d"})]
        with capture() as calls:
            assert run_side_effects("r", entries).recorded == ["list.actor", "list.task", "note", "list.job"]
        assert [(call.name, call.run_id) for call in calls] == [
            (name, "r") for name in ("list.actor", "list.task", "note", "list.job")
        ]
        assert done == delayed == []
        with force_run("list.*"), capture() as calls:
            run_side_effects("r", entries[:2] + entries[3:])
            run_side_effects("now", [(actor, {"to": "e"}, False), (task, {"to": "f"}, False)])
        assert [call.run_id for call in calls] == ["r", "r", "r", "now", "now"]
    assert (broker.queues["default"].qsize(), len(queue.pending()), delayed) == (1, 1, ["d"])
    assert done == ["e", "f"]
