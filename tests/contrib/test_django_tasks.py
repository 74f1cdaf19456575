"""Effects that are Django tasks, in this process: every way into them, with the backends of both packages."""

import asyncio
import copy
import functools
import importlib
import inspect
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, transaction
from django.test import override_settings

from sideeffects import (
    Mode,
    SideEffectBlocked,
    capture,
    declare,
    explain,
    forbid,
    force_run,
    record,
    redirect,
    registry,
    run_side_effects,
    side_effect,
    stub,
)
from sideeffects.testing import isolated_registry
from tests.support.projects import Project

PACKAGES = ["django_tasks"]
if importlib.util.find_spec("django.tasks") is not None:
    PACKAGES.append("django.tasks")

TASKS = '''
    import functools

    from {package} import task, task_backends
    from sideeffects import side_effect

    executed = []


    @side_effect(name="above", returns={{"id": "stub"}}, sensitive=["token"])
    @task(priority=3)
    def above(to, token=""):
        """Send."""
        executed.append(("above", to))
        return "really above"


    @task
    @side_effect(name="below", returns={{"id": "stub"}})
    def below(to):
        executed.append(("below", to))
        return "really below"


    @side_effect(name="context.above")
    @task(takes_context=True)
    def context_above(context, to):
        executed.append(("context.above", to))
        return context.attempt


    @task(takes_context=True)
    @side_effect(name="context.below")
    def context_below(context, to):
        executed.append(("context.below", to))
        return context.attempt


    @side_effect(name="later.above")
    @task
    async def later_above(to):
        executed.append(("later.above", to))
        return "later"


    @task
    @side_effect(name="later.below")
    async def later_below(to):
        executed.append(("later.below", to))
        return "later"


    @task
    def outer(to):
        executed.append(("outer", to))
        below.call(to)
        return "outer"


    @side_effect(name="again")
    @task
    def again(times):
        executed.append(("again", times))
        if times:
            again.enqueue(times - 1)


    @side_effect(name="waits", on_commit=True)
    @task
    def waits(to):
        executed.append(("waits", to))


    def changing(function):
        @functools.wraps(function)
        def changed(to):
            return function(to, "more")

        return changed


    @task
    @changing
    @side_effect(name="changed")
    def changed(to, more):
        executed.append(("changed", to))
        return more


    bare = task(lambda to: executed.append(("bare", to)))
'''
EFFECTS = ["above", "below", "context_above", "context_below", "later_above", "later_below"]
_numbers = itertools.count()


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both packages, where there are two; the test's backend is the immediate one, `never` is the dummy."""
    backends = {
        "default": {"BACKEND": f"{request.param}.backends.immediate.ImmediateBackend"},
        "never": {"BACKEND": f"{request.param}.backends.dummy.DummyBackend"},
        "kept": {"BACKEND": f"{__name__}.{KEPT[request.param]}"},
    }
    for name in PACKAGES:  # they learn of changed settings once these are imported
        importlib.import_module(f"{name}.signals")
    with override_settings(TASKS=backends), isolated_registry():
        yield request.param


@pytest.fixture
def shop(package: str) -> Iterator[Any]:
    """A module with tasks in every order."""
    import textwrap

    module = ModuleType(f"shop_tasks_{next(_numbers)}")
    sys.modules[module.__name__] = module
    exec(compile(textwrap.dedent(TASKS.format(package=package)), __file__, "exec"), module.__dict__)
    yield module
    del sys.modules[module.__name__]


def _kept(package: str) -> type[Any]:
    """A backend as they are on PyPI: it keeps JSON, which a worker of another process runs later."""
    backends = importlib.import_module(f"{package}.backends.base")
    base = importlib.import_module(f"{package}.base")

    class Kept(backends.BaseTaskBackend):  # type: ignore[misc,name-defined]
        supports_async_task = True
        supports_priority = True
        task_class = base.Task

        def __init__(self, alias: str, params: Any) -> None:
            super().__init__(alias, params)
            self.queue: list[Any] = []

        def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
            self.validate_task(task)
            given = {"id": "1", "status": base.TaskResultStatus.READY, "backend": self.alias, "errors": []}
            times = dict.fromkeys(("enqueued_at", "started_at", "last_attempted_at", "finished_at"))
            result = base.TaskResult(task=task, args=args, kwargs=kwargs, worker_ids=["one"], **given, **times)
            self.queue.append(copy.deepcopy(result))
            return result

        def work(self, by: str = "call") -> list[Any]:
            """What a worker does: run all that is queued, by this method or attribute of the task."""
            done = []
            while self.queue:
                result = self.queue.pop(0)
                context = [base.TaskContext(task_result=result)] if result.task.takes_context else []
                done.append(_now(getattr(result.task, by)(*context, *result.args, **result.kwargs)))
                assert result.kwargs == {} or not context
            return done

    return Kept


def _now(result: Any) -> Any:
    return asyncio.run(result) if asyncio.iscoroutine(result) else result


KEPT = {"django_tasks": "KeptOfPackage", "django.tasks": "KeptOfDjango"}
for _package in PACKAGES:
    globals()[KEPT[_package]] = _kept(_package)


# -- every way into a task


def ways(task: Any, to: str) -> dict[str, Callable[[], Any]]:
    """Every way in, by name."""
    context = importlib.import_module(type(task).__module__).TaskContext
    first = [context(task_result=SimpleNamespace(attempts=1))] if task.takes_context else []
    asynchronous = inspect.iscoroutinefunction(task.func)
    again = task.using(priority=7)
    backend = task.get_backend()
    return {
        "func": lambda: async_to_sync(task.func)(*first, to) if asynchronous else task.func(*first, to),
        "call": lambda: task.call(*first, to),
        "acall": lambda: async_to_sync(task.acall)(*first, to),
        "enqueue": lambda: task.enqueue(to),
        "keyword": lambda: task.enqueue(to=to),
        "aenqueue": lambda: async_to_sync(task.aenqueue)(to),
        "using": lambda: again.enqueue(to),
        "using async": lambda: async_to_sync(again.aenqueue)(to=to),
        "using call": lambda: again.call(*first, to),
        "copied": lambda: copy.copy(task).enqueue(to),
        "backend": lambda: backend.enqueue(task, (to,), {}),
        "backend async": lambda: async_to_sync(backend.aenqueue)(task=again, args=[to], kwargs={}),
        "run list": lambda: run_side_effects("r", [(task, {"to": to})]),
    }


@pytest.mark.parametrize("backend", ["default", "never", "kept"])
@pytest.mark.parametrize("effect", EFFECTS)
def test_no_way_into_a_task_executes_or_publishes_in_a_test_run(shop: Any, effect: str, backend: str) -> None:
    """Each call is written down once, under the same name, with its argument, and nothing reaches the backend."""
    task = getattr(shop, effect).using(backend=backend)
    with capture() as calls:
        for way, go in ways(task, "ann").items():
            go()
            assert len(calls) == 1 + list(ways(task, "ann")).index(way), way
    assert shop.executed == []
    assert {(call.name, call.arguments["to"], call.mode) for call in calls} == {
        (effect.replace("_", "."), "ann", Mode.RECORD)
    }
    handed_over = [call.is_async for call in calls]
    assert handed_over == ["call" not in way and way != "func" for way in ways(task, "ann")]
    assert not getattr(task.get_backend(), "results", None)
    assert not getattr(task.get_backend(), "queue", None)


@pytest.mark.parametrize("effect", EFFECTS)
def test_every_way_executes_where_a_test_names_the_effect(shop: Any, effect: str) -> None:
    """The ways are real ones: on the immediate backend each reaches the function, once, and is one call."""
    task = getattr(shop, effect)
    name = effect.replace("_", ".")
    with force_run(name), capture() as calls:
        for go in ways(task, "ann").values():
            go()
    assert shop.executed == [(name, "ann")] * len(calls)
    assert len(calls) == len(ways(task, "ann"))
    assert all(call.outcome is not None and call.outcome.error is None for call in calls)


@pytest.mark.parametrize("effect", EFFECTS)
def test_every_way_executes_in_production(shop: Any, effect: str, production: None) -> None:
    """Nothing is in the way there, and a refusal by policy is."""
    task = getattr(shop, effect)
    for way in ("enqueue", "aenqueue", "using", "backend"):
        assert ways(task, "ann")[way]().return_value in ("really above", "really below", 1, "later")
    assert len(shop.executed) == 4
    with override_settings(SIDE_EFFECTS={"POLICY": {"*": "raise"}}):
        for way in ("enqueue", "aenqueue", "using", "backend", "call", "acall", "func"):
            with pytest.raises(SideEffectBlocked):
                ways(task, "ann")[way]()
    assert len(shop.executed) == 4


def test_a_recorded_task_gives_a_finished_result(shop: Any, package: str) -> None:
    """Of the right package, successful, with the stub's value; it can be refreshed and copied."""
    base = importlib.import_module(f"{package}.base")
    for task in (shop.above, shop.below):
        for way in ("enqueue", "aenqueue", "using"):
            result = ways(task, "ann")[way]()
            assert isinstance(result, base.TaskResult)
            assert result.status == base.TaskResultStatus.SUCCESSFUL
            assert (result.is_finished, result.return_value, result.errors) == (True, {"id": "stub"}, [])
            assert (result.args or list(result.kwargs.values()), result.backend) == (["ann"], "default")
            assert result.finished_at is not None
            result.refresh()
            async_to_sync(result.arefresh)()
            copied = copy.deepcopy(result)
            copied.refresh()
            assert copied == result
            assert copied.return_value == {"id": "stub"}
            assert result.task.func is task.func
    assert shop.above.using(priority=9).priority == 9
    assert shop.above.priority == 3


def test_an_effect_is_named_by_its_task(shop: Any) -> None:
    """Wherever an effect is given, its task stands for it."""
    with force_run(shop.above, shop.context_below), capture() as calls:
        assert explain(shop.above).mode is Mode.EXECUTE
        assert shop.above.enqueue("ann").return_value == "really above"
        assert shop.context_below.enqueue("ann").return_value == 1
    calls.assert_called(shop.above, to="ann")
    with stub(shop.below, returns="other"):
        assert shop.below.call("ann") == "other"


def test_a_stub_answers_as_the_task_would(shop: Any) -> None:
    """With what it returns for the arguments, or with a failed result that names its exception."""
    with stub("above", returns=lambda to, token="": (to, token)):
        assert shop.above.enqueue("ann", token="t").return_value == ["ann", "t"]
    with stub("context.below", returns=lambda to: to):
        assert shop.context_below.enqueue("ann").return_value == "ann"
    with stub("below", raises=ConnectionError("no network")):
        result = shop.below.enqueue("ann")
    assert result.status == "FAILED"
    assert result.errors[0].exception_class is ConnectionError
    assert "no network" in result.errors[0].traceback


def test_a_call_says_where_it_was_enqueued(shop: Any) -> None:
    """By the line of the test, from synchronous and asynchronous code; secrets are redacted."""

    async def asynchronously() -> None:
        await shop.above.aenqueue("ann", token="secret")

    with capture() as calls:
        shop.above.enqueue("ann", token="secret")
        shop.above.using(priority=1).enqueue("ann", "secret")
        asyncio.run(asynchronously())
    assert [call.caller.partition(":")[0] for call in calls] == [__file__] * 3
    assert {call.arguments["token"] for call in calls} == {"[redacted]"}


def test_wrong_arguments_and_those_that_cannot_travel_are_refused_where_they_are_given(shop: Any) -> None:
    """As the function would refuse them, or naming the argument; nothing is written down."""
    with capture() as calls:
        with pytest.raises(TypeError, match="missing"):
            shop.above.enqueue()
        with pytest.raises(TypeError, match=r"'above' cannot be enqueued: argument 1 \(object\) cannot be serialised"):
            shop.above.enqueue(object())
        with pytest.raises(TypeError, match=r"'below' cannot be enqueued: to \(set\)"):
            async_to_sync(shop.below.aenqueue)(to={1})
        slow = type(shop.above.using(backend="never").get_backend())("slow", {"QUEUES": ["slow"]})
        with pytest.raises(Exception, match="Queue 'default' is not valid for backend"):
            slow.enqueue(shop.above, ["ann"], {})
    assert len(calls) == 0


# -- declaring


HOOKED_LATE = """
    import dataclasses
    from {package}.backends.immediate import ImmediateBackend
    from {package}.base import Task
    from django.conf import settings

    settings.configure(TASKS={{"default": {{"BACKEND": "__main__.Own"}}}})

    class Own(ImmediateBackend):
        def enqueue(self, task, args, kwargs):
            return super().enqueue(task, args, kwargs)

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Louder(Task):
        def call(self, *args, **kwargs):
            return str(super().call(*args, **kwargs)).upper()

    def send(to):
        print("executed", to)
        return to

    before = Louder(priority=0, func=send, backend="default", queue_name="default", run_after=None)
    from sideeffects import capture, force_run, side_effect
    assert side_effect(name="send", returns="stub")(before) is before
    with capture() as calls:
        assert before.enqueue("ann").return_value == "stub"
        assert before.call("ann") == before.call("ann", __side_effects__={{}}) == "STUB"
        with force_run("send"):
            assert before.using(priority=1).enqueue("ben").return_value == "BEN"
    assert len(calls) == 4
"""


def test_classes_that_were_there_before_the_library_are_decided_too(package: str, tmp_path: Path) -> None:
    """Task classes and backends of one's own, made before `sideeffects` was imported."""
    source = HOOKED_LATE.format(package=package)
    told = Project(tmp_path).program(source, environment={"SIDE_EFFECTS_TEST_RUN": "1"})
    assert told.split("\n") == ["executed ben", ""]


def test_a_declared_task_stays_the_task_that_it_is(shop: Any, package: str) -> None:
    """The same object, with its options, name and path, equal to what it was; `.effect` tells of it."""
    base = importlib.import_module(f"{package}.base")
    plain = shop.bare
    alias, before = plain, hash(plain)
    enqueued, called = plain.using(backend="kept"), plain.using(priority=5)
    assert not hasattr(plain, "effect")
    assert side_effect(name="bare")(plain) is plain
    assert type(plain) is base.Task
    assert (hash(plain), plain.effect.name, shop.above.name) == (before, "bare", "above")
    assert shop.above.module_path == f"{shop.__name__}.above"
    assert registry["bare"] is plain.effect
    assert explain("bare").mode is Mode.RECORD
    alias.enqueue("ann")
    enqueued.enqueue("ann")
    called.call("ann")
    assert (shop.executed, enqueued.get_backend().queue) == ([], [])


def test_a_task_is_one_effect(shop: Any) -> None:
    """Declared twice, it is refused, whichever order the decorators are in; the same again is none the worse."""
    for task in (shop.above, shop.below):
        with pytest.raises(TypeError, match=f"is a side effect already, named '{task.name}'"):
            side_effect(name="second")(task)
    with isolated_registry():
        assert side_effect(name="above")(shop.above) is shop.above
        assert "above" in registry


def test_tasks_of_others_are_declared_by_their_path(shop: Any) -> None:
    """`declare` makes an effect of a task, and whoever has imported it already holds the effect."""
    imported = shop.outer
    declare(f"{shop.__name__}:outer", name="other.outer")
    imported.enqueue("ann")
    assert shop.executed == []


def test_task_classes_and_backends_of_ones_own_are_decided(package: str) -> None:
    """A task class that calls its function by itself, and a backend that calls the one that it is made from."""
    base = importlib.import_module(f"{package}.base")
    immediate = importlib.import_module(f"{package}.backends.immediate")

    class Loud(base.Task):  # type: ignore[misc,name-defined]
        def call(self, *args: Any, **kwargs: Any) -> Any:
            return str(self.func(*args, **kwargs)).upper()

    class Own(immediate.ImmediateBackend):  # type: ignore[misc,name-defined]
        task_class = Loud

        def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
            return super().enqueue(task=task, args=args, kwargs=kwargs)

        async def aenqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
            return await super().aenqueue(task, args, kwargs)

    backend = Own("default", {})
    # Django 6.0 has no defaults for these.
    made = Loud(priority=0, func=module_level, backend="default", queue_name="default", run_after=None)
    task = side_effect(name="loud")(made)
    assert type(task) is Loud
    with capture() as calls:
        assert backend.enqueue(task, ["ann"], {}).return_value is None
        assert len(calls) == 1
        with force_run("loud"):
            assert backend.enqueue(task, ["ann"], {}).return_value == "ANN"
            assert async_to_sync(backend.aenqueue)(task, ["ann"], {}).return_value == "ANN"
    assert all(call.is_async for call in calls)
    assert [call.mode.name for call in calls] == ["RECORD", "EXECUTE", "EXECUTE"]


def test_a_backend_made_from_another_is_one_backend(shop: Any, package: str) -> None:
    """What it asks the other one to enqueue, synchronously or not, is the call that was decided."""

    class Own(globals()[KEPT[package]]):  # type: ignore[misc]
        def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
            return super().enqueue(task, args, kwargs)

        async def aenqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
            return await super().aenqueue(task, args, kwargs)

    backend = Own("default", {})
    with force_run("above"), capture() as calls:
        backend.enqueue(shop.above, ["ann"], {})
        async_to_sync(backend.aenqueue)(shop.above, ["ben"], {})
    assert [call.arguments["to"] for call in calls] == ["ann", "ben"]
    assert backend.work() == ["really above", "really above"]


def test_a_backend_whose_methods_come_from_elsewhere_is_decided(shop: Any, package: str) -> None:
    """A class that knows nothing of tasks may bring `enqueue` into a backend."""
    reached = []

    class Publishing:
        def enqueue(self, task: Any, args: Any, kwargs: Any) -> None:
            reached.append(args)

    base = importlib.import_module(f"{package}.backends.base").BaseTaskBackend

    class Brought(Publishing, base):  # type: ignore[misc,valid-type]
        pass

    class Disguised(base):  # type: ignore[misc,valid-type]
        @functools.wraps(base.enqueue)
        def enqueue(self, task: Any, args: Any, kwargs: Any) -> None:
            reached.append(args)

    Disguised.__abstractmethods__ = frozenset()
    for kind in (Brought, Disguised):
        assert kind("default", {}).enqueue(shop.below, ["ann"], {}).return_value == {"id": "stub"}
        assert async_to_sync(kind("default", {}).aenqueue)(shop.below, ["ann"], {}).return_value == {"id": "stub"}
    assert reached == []


def module_level(to: str) -> str:
    return to


# -- what travels


@pytest.mark.parametrize("by", ["call", "func"])
def test_what_a_test_named_travels_with_the_work_and_is_taken_off_again(shop: Any, by: str) -> None:
    """A worker that is in no test run executes what was named and records the rest; nobody sees what travelled."""
    outer, below = shop.outer.using(backend="kept"), shop.below.using(backend="kept")
    context = shop.context_below.using(backend="kept")
    backend = outer.get_backend()
    assert outer.enqueue("unnamed").kwargs == {}
    with force_run("below"), capture() as calls:
        assert outer.enqueue("named").kwargs == {}
        assert below.enqueue("named").kwargs == {}
    assert [call.name for call in calls] == ["below"]
    context.enqueue("unnamed")
    with force_run("context.below"):
        context.enqueue("named")
    with force_run("later.below"):
        shop.later_below.using(backend="kept").enqueue("named")
    assert backend.work(by) == ["outer", "outer", "really below", 1, "later"]
    assert shop.executed == [
        ("outer", "unnamed"),
        ("outer", "named"),
        ("below", "named"),
        ("below", "named"),
        ("context.below", "named"),
        ("later.below", "named"),
    ]


def test_a_wrapper_that_changes_the_arguments_lets_the_call_be_decided_where_it_runs(shop: Any) -> None:
    """It reaches the backend, and is recorded, or executed, there."""
    kept = shop.changed.using(backend="kept")
    with capture() as calls:
        assert shop.changed.enqueue("ann").return_value is None
        assert kept.enqueue("ann").args == ["ann"]
        with force_run("changed"):
            kept.enqueue("ben")
            shop.changed.enqueue("kim")
        assert kept.get_backend().work() == [None, "more"]
    assert shop.executed == [("changed", "kim"), ("changed", "ben")]
    assert [call.mode.name for call in calls] == ["RECORD", "EXECUTE", "RECORD", "EXECUTE"]


def test_nothing_travels_where_nothing_is_declared(shop: Any) -> None:
    """A project that has no effects notices nothing."""
    with isolated_registry():
        shop.outer.using(backend="kept").enqueue("ann")
    assert shop.outer.using(backend="kept").get_backend().queue.pop().kwargs == {}


def test_nothing_travels_where_there_is_nothing_to_tell(shop: Any, production: None) -> None:
    """In production the backend is handed what the task was given, and no more."""
    for name in EFFECTS:
        task = getattr(shop, name).using(backend="kept")
        task.enqueue(to="ann")
        assert task.get_backend().queue.pop().kwargs == {"to": "ann"}
    shop.above.using(backend="never").enqueue("ann")
    assert shop.above.using(backend="never").get_backend().results[0].args == ["ann"]


def test_what_cannot_be_read_counts_as_a_test_run_that_named_nothing(shop: Any, production: None) -> None:
    """Whatever somebody else put into the place of what travels."""
    for header in ("broken", None, {"test_run": True}, {"test_run": True, "forced": "below", "call": "x"}):
        assert shop.outer.call("ann", __side_effects__=header) == "outer"
        assert async_to_sync(shop.below.acall)("ann", __side_effects__=header) == {"id": "stub"}
    assert shop.executed == [("outer", "ann")] * 4


def test_backends_in_this_process_see_the_arguments_alone(shop: Any) -> None:
    """What a test finds in the dummy backend is what was enqueued; the immediate one needs nothing to travel."""
    with force_run("above", "below"), capture() as calls:
        assert shop.above.using(backend="never").enqueue(to="ann").kwargs == {"to": "ann"}
        shop.outer.using(backend="never").enqueue("ann")
        assert shop.below.enqueue("ann").return_value == "really below"
    backend = shop.above.using(backend="never").get_backend()
    assert [(result.args, result.kwargs) for result in backend.results] == [([], {"to": "ann"}), (["ann"], {})]
    assert [call.outcome and call.outcome.result for call in calls] == [None, "really below"]


def test_a_task_that_enqueues_itself_is_decided_each_time(shop: Any) -> None:
    """On the spot too, where the first one still runs."""
    with force_run("again"), capture() as calls:
        shop.again.enqueue(2)
    assert shop.executed == [("again", 2), ("again", 1), ("again", 0)]
    assert [(call.arguments["times"], call.is_async) for call in calls] == [(2, True), (1, True), (0, True)]


def test_one_call_of_a_run_list_is_one_call(shop: Any) -> None:
    """It is written by the list, under its `run_id`, and its outcome is added where the task runs."""
    with force_run("below", "context.above"), capture() as calls:
        outcome = run_side_effects("signup", [(shop.below, {"to": "ann"}), (shop.context_above, {"to": "ben"})])
        run_side_effects("signup", [(shop.below, {"to": "kim"}, False)])
    assert [result.return_value for result in outcome.results] == ["really below", 1]
    assert [(call.name, call.run_id, call.is_async) for call in calls] == [
        ("below", "signup", True),
        ("context.above", "signup", True),
        ("below", "signup", False),
    ]
    assert [call.outcome and call.outcome.result for call in calls] == ["really below", 1, "really below"]


# -- transactions


@pytest.fixture
def database(django_db_blocker: Any) -> Iterator[None]:
    """A database in memory."""
    with django_db_blocker.unblock():
        connection.ensure_connection()
        yield
        connection.close()


def test_the_hour_of_handing_over_is_the_backends(shop: Any, database: None) -> None:
    """A task is handed over at once, inside a transaction too: its backend may be in that very database."""
    task = shop.below.using(backend="kept")
    with force_run("below"), transaction.atomic():
        task.enqueue("ann")
        assert len(task.get_backend().queue) == 1


@pytest.mark.parametrize("way", ["enqueue", "aenqueue"])
def test_an_effect_on_commit_is_handed_over_when_the_transaction_commits(shop: Any, database: None, way: str) -> None:
    """And never when it rolls back. The result follows that of the backend."""
    task = shop.waits.using(backend="kept")
    queue = task.get_backend().queue
    with force_run("waits"), capture() as calls:
        with transaction.atomic():
            result = ways(task, "ann")[way]()
            result.refresh()
            assert (result.status, result.id == "1", queue) == ("READY", False, [])
        assert (len(queue), result.id) == (1, "1")
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            ways(task, "ben")[way]()
            raise ZeroDivisionError
        assert ways(task, "kim")[way]().id == "1"
    assert [queued.args[0] for queued in queue] == ["ann", "kim"]
    assert len(calls) == 3
    with record("waits"), transaction.atomic():
        assert ways(task, "ann")[way]().return_value is None
    assert len(queue) == 2


def test_a_backend_that_refuses_is_the_outcome(shop: Any) -> None:
    """What it raises arrives, and stands in the call."""
    task = shop.below.using(backend="kept")
    task.get_backend().queue = None
    with force_run("below"), capture() as calls, pytest.raises(AttributeError):
        task.enqueue("ann")
    outcome = calls.one("below").outcome
    assert outcome is not None
    assert isinstance(outcome.error, AttributeError)


def test_a_forbidden_task_is_refused_where_it_is_enqueued(shop: Any) -> None:
    """The refusal is raised, and the backend sees nothing."""
    with forbid("above"):
        for way in ("enqueue", "aenqueue", "using", "backend", "call"):
            with pytest.raises(SideEffectBlocked):
                ways(shop.above.using(backend="kept"), "ann")[way]()
    assert shop.above.using(backend="kept").get_backend().queue == []


def test_a_redirect_changes_what_the_backend_gets(shop: Any, production: None) -> None:
    """Once: what runs at once, or arrives, has been redirected where it was enqueued."""
    shifted = redirect(to=lambda arguments: arguments["to"] + "+")
    with override_settings(SIDE_EFFECTS={"POLICY": {"*": shifted}}), capture() as calls:
        for name in EFFECTS:
            task = getattr(shop, name).using(backend="kept")
            task.enqueue(to="ann")
            assert task.get_backend().queue.pop().kwargs["to"] == "ann+"
        shop.above.enqueue("ben")
    assert shop.executed[-1:] == [("above", "ben+")]
    assert calls[-1].asked is not None
    assert calls[-1].asked["to"] == "ben"
