"""Tasks of queues that nobody adapts, under `@side_effect`."""

import functools
from collections.abc import Callable
from typing import Any

import procrastinate
import pytest
from procrastinate import testing

from sideeffects import capture, declare, side_effect
from sideeffects.testing import isolated_registry


@pytest.fixture(autouse=True)
def _own_registry() -> Any:
    with isolated_registry():
        yield


def send(to: str) -> str:
    raise AssertionError("this would reach the outside world")


class Task:
    """What most queues make of a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


def test_a_task_of_procrastinate_is_refused_above_its_decorator_and_decided_below() -> None:
    """The message says where `@side_effect` belongs; there, a worker's call is recorded."""
    app = procrastinate.App(connector=testing.InMemoryConnector())
    task = app.task(name="above")(send)
    with pytest.raises(TypeError, match=r"a task of .*procrastinate.tasks.Task.*\.defer\(\).*below that"):
        side_effect(name="sms.above")(task)
    below = app.task(name="below")(side_effect(name="sms.below", returns="recorded")(send))
    with capture() as calls, app.open():
        below.defer(to="+15550100")
        app.run_worker(wait=False)
    calls.assert_called("sms.below", to="+15550100")


@pytest.mark.parametrize("way", "defer defer_async kiq send delay enqueue apply_async call_local schedule".split())
def test_every_way_into_a_queue_is_a_reason(way: str) -> None:
    """Whichever of these methods the class of a task has."""
    kind = type("QueueTask", (Task,), {way: lambda self, *args: None})
    with pytest.raises(TypeError, match="@side_effect stands above"):
        side_effect(name="sms.task")(kind(send))


def test_the_ways_may_be_attributes_of_the_object() -> None:
    """RQ's decorator, TaskTiger's and others give the function back, with one more attribute."""

    def function() -> None: ...

    function.delay = print  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match=r"made a task of .*function, whose \.delay\(\)"):
        side_effect(function)
    with pytest.raises(TypeError, match="@side_effect stands above"):
        side_effect(staticmethod(function))


def test_a_wrapper_around_a_task_is_refused_as_well() -> None:
    """What `functools.wraps` is around has been handed to its queue already."""
    task = type("QueueTask", (Task,), {"defer": print})(send)

    @functools.wraps(task)
    def wrapper(*args: Any) -> Any:
        return task(*args)

    with pytest.raises(TypeError, match=r"whose \.defer\(\)"):
        side_effect(name="sms.wrapped")(wrapper)


def test_declare_refuses_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that is not one's own cannot be declared where its queue would go around it."""
    kind = type("QueueTask", (Task,), {"kiq": print})
    monkeypatch.setattr(functools, "some_task", kind(send), raising=False)
    with pytest.raises(TypeError, match=r"whose \.kiq\(\)"):
        declare("functools:some_task", name="sms.declared")


def test_callable_objects_that_are_no_tasks_stay_effects() -> None:
    """An attribute of such a name that cannot be called says nothing, and no object is asked for what it has not."""

    class Greedy(Task):
        schedule = "daily"

        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"asked for {name}") if name in ("defer", "send") else AttributeError(name)

    with capture() as calls:
        side_effect(name="sms.object")(Greedy(send))("+15550100")
    assert calls.count("sms.object") == 1
