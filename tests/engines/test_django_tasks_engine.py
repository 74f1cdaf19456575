"""The engine `"django_tasks"` in this process, with the backends of both packages; workers are in their own suite."""

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.test import override_settings

from sideeffects import Mode, SideEffectError, UnknownSideEffect, capture, force_run, run_side_effects, side_effect
from sideeffects._core.calls.registry import store
from sideeffects.engines import django_tasks
from sideeffects.engines.django_tasks import DjangoTasksEngine
from sideeffects.testing import isolated_registry

PACKAGES = ["django_tasks"]
if importlib.util.find_spec("django.tasks") is not None:
    PACKAGES.append("django.tasks")

ran: list[Any] = []
#: Engines for other backends, as a project has them.
urgent = DjangoTasksEngine("never", queue_name="urgent", priority=50)
missing = DjangoTasksEngine("nowhere")
wrong_queue = DjangoTasksEngine("never", queue_name="nobodys")


@pytest.fixture(autouse=True, params=PACKAGES)
def package(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both packages, where there are two."""
    ran.clear()
    backends = {
        "default": {"BACKEND": f"{request.param}.backends.immediate.ImmediateBackend"},
        "never": {"BACKEND": f"{request.param}.backends.dummy.DummyBackend", "QUEUES": ["slow", "urgent"]},
    }
    for name in PACKAGES:  # they learn of changed settings once these are imported
        importlib.import_module(f"{name}.signals")
    with override_settings(TASKS=backends, SIDE_EFFECTS={"ENGINE": "django_tasks"}), isolated_registry():
        yield request.param


def send(to: str, secret: Any = None) -> Any:
    ran.append(to)
    if to == "nobody":
        raise ConnectionError("no network")
    return {"to": to} if secret is None else secret


async def send_later(to: str) -> str:
    ran.append(to)
    return to


def test_an_enqueued_call_runs_on_the_backend_and_is_one_call() -> None:
    """The handle has its id, name and result; the call its outcome; coroutines run to their end."""
    effect = side_effect(name="sms.send", async_ok=True)(send)
    later = side_effect(name="sms.later", async_ok=True)(send_later)
    with force_run("sms.*"), capture() as calls:
        handle = effect.enqueue("ann")
        assert later.enqueue("ben").result(1) == "ben"
        assert run_side_effects("r", [(effect, {"to": "kim"})]).results[0].result(1) == {"to": "kim"}
    assert (handle.name, handle.done(), handle.result(1)) == ("sms.send", True, {"to": "ann"})
    assert ran == ["ann", "ben", "kim"]
    assert handle.id == calls[0].id
    assert [(call.mode, call.is_async) for call in calls] == [(Mode.EXECUTE, True)] * 3
    assert [call.outcome and call.outcome.result for call in calls] == [{"to": "ann"}, "ben", {"to": "kim"}]


def test_a_recorded_call_never_reaches_the_backend() -> None:
    """In a test run, unless it is named: the handle is finished, with what `returns` says."""
    with override_settings(SIDE_EFFECTS={"ENGINE": f"{__name__}.urgent"}):
        effect = side_effect(name="sms.send", async_ok=True, returns="stub")(send)
        assert effect.enqueue("ann").result(0) == "stub"
        assert run_side_effects("r", [(effect, {"to": "ann"})]).recorded == ["sms.send"]
    assert ran == []
    assert backend("never").results == []


def test_it_runs_in_production(production: None) -> None:
    """Without anybody watching, and an error is that of the call itself."""
    effect = side_effect(name="sms.send", async_ok=True)(send)
    assert effect.enqueue("ann").result() == {"to": "ann"}
    with pytest.raises(ConnectionError, match="no network"):
        effect.enqueue("nobody").result(1)
    assert ran == ["ann", "nobody"]


def test_a_result_that_cannot_travel_is_lost_and_not_the_call(caplog: pytest.LogCaptureFixture) -> None:
    """The effect has run: its task is a success, with a warning; here, in this process, the result is there."""
    effect = side_effect(name="sms.send", async_ok=True)(lambda: {"a set"})
    with force_run("sms.send"):
        assert effect.enqueue().result(0) == {"a set"}
    assert "sms.send returned a set, which cannot travel" in caplog.text


def test_arguments_that_cannot_travel_are_named_when_they_are_enqueued() -> None:
    """Whatever the backend; nothing has run then, and the error is the call's outcome."""
    effect = side_effect(name="sms.send", async_ok=True)(send)
    with force_run("sms.send"), capture() as calls:
        with pytest.raises(TypeError, match=r"'sms.send' cannot be enqueued: argument 1 \(object\)"):
            effect.enqueue(object())
        with pytest.raises(TypeError, match=r"cannot be enqueued: secret \(set\)"):
            effect.enqueue("ann", secret={1})
    assert ran == []
    assert [type(call.outcome.error) for call in calls if call.outcome] == [TypeError, TypeError]


class Gateway:
    """Has effects that are methods."""

    @side_effect(name="gateway.send", async_ok=True)
    def send(self, to: str = "nobody") -> str:
        """Note that it ran."""
        ran.append(to)
        return to

    @side_effect(name="gateway.ping", async_ok=True)
    @classmethod
    def ping(cls, to: str) -> str:
        """Note that it ran."""
        ran.append(to)
        return f"{cls.__name__} {to}"

    @staticmethod
    @side_effect(name="gateway.log", async_ok=True)
    def log(to: str) -> str:
        """Note that it ran."""
        ran.append(to)
        return to


class Backup(Gateway):
    """Inherits them."""


def test_what_a_method_is_bound_to_must_be_found_by_a_worker(production: None) -> None:
    """The class that has it is; an instance or a subclass is refused when the call is enqueued."""
    store.add(Gateway.ping.effect, vars(Gateway)["ping"])
    store.add(Gateway.send.effect, vars(Gateway)["send"])
    assert Gateway.ping.enqueue("ann").result(1) == "Gateway ann"
    with pytest.raises(TypeError, match=r"'gateway.send' cannot be enqueued: it is a method, and .* the Gateway that"):
        Gateway().send.enqueue("ann")
    with pytest.raises(TypeError, match=r"'gateway.ping' cannot be enqueued: .* the Backup that it is bound to"):
        Backup.ping.enqueue("ann")
    assert ran == ["ann"]
    with override_settings(SIDE_EFFECTS={"ENGINE": "threads"}):
        assert Gateway().send.enqueue("ben").result(60) == "ben"
        assert Backup.ping.enqueue("kim").result(60) == "Backup kim"
        assert Gateway.send.enqueue(Backup(), "lea").result(60) == "lea"
        assert Backup.log.enqueue("zoe").result(60) == "zoe"


def test_an_engine_for_another_backend_is_named_by_its_path(package: str) -> None:
    """With its queue and priority. Where the backend keeps no results, the handle says so."""
    effect = side_effect(name="sms.send", async_ok=True)(send)
    with override_settings(SIDE_EFFECTS={"ENGINE": f"{__name__}.urgent"}), force_run("sms.send"):
        handle = effect.enqueue("ann", secret="s")
    (result,) = backend("never").results
    assert (result.task.queue_name, result.task.priority, result.backend) == ("urgent", 50, "never")
    assert result.task.module_path == "sideeffects.engines.django_tasks.run_effect"
    assert type(result.task).__module__ == f"{package}.base"
    assert not handle.done()
    with pytest.raises(SideEffectError, match=r"the backend 'never' of settings\.TASKS does not keep results"):
        handle.result(0)
    assert ran == []


@pytest.mark.parametrize(("path", "said"), [("missing", "backend 'nowhere'"), ("wrong_queue", "Queue 'nobodys'")])
def test_a_backend_that_is_not_there_is_an_error_when_it_is_enqueued(path: str, said: str) -> None:
    """And names what is missing."""
    effect = side_effect(name="sms.send", async_ok=True)(send)
    engine = {"ENGINE": f"{__name__}.{path}"}
    with override_settings(SIDE_EFFECTS=engine), force_run("sms.send"), pytest.raises(SideEffectError, match=said):
        effect.enqueue("ann")


def test_a_worker_finds_the_task_whatever_the_backends_are_called(package: str) -> None:
    """It looks it up by its path, and puts its own backend and queue in the place of what it finds."""
    with override_settings(TASKS={"only": {"BACKEND": f"{package}.backends.dummy.DummyBackend", "QUEUES": ["q"]}}):
        task = django_tasks.run_effect
        assert (task.backend, task.queue_name) == ("only", "q")
    with pytest.raises(AttributeError, match="no attribute 'run'"):
        _ = django_tasks.run
    with pytest.raises(UnknownSideEffect):
        task.func({"id": "1-a-1", "name": "gone", "args": [], "kwargs": {}, "is_forced": True, "run_id": None})


def test_work_is_handed_over_when_the_transaction_commits(django_db_blocker: Any) -> None:
    """Not before, and not at all when it rolls back; what cannot be handed over is refused before."""
    elsewhere = {"ENGINE": f"{__name__}.missing"}
    effect = side_effect(name="sms.send", async_ok=True)(send)
    with django_db_blocker.unblock(), force_run("sms.send"):
        connection.ensure_connection()
        with transaction.atomic():
            handle = effect.enqueue("ann")
            assert ran == []
            with pytest.raises(TypeError, match="argument 1"):
                effect.enqueue(object())
            with pytest.raises(SideEffectError, match="nowhere"), override_settings(SIDE_EFFECTS=elsewhere):
                effect.enqueue("ann")
        assert handle.result(0) == {"to": "ann"}
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            effect.enqueue("ben")
            raise ZeroDivisionError
        connection.close()
    assert ran == ["ann"]


def test_a_backend_may_deliver_twice(package: str) -> None:
    """The effect runs again, as it would in a worker, and the handle has what came first."""

    def enqueue_twice(self: Any, task: Any, args: Any, kwargs: Any) -> Any:
        above: Any = super(twice, self)
        assert above.enqueue(task, args, kwargs).status == above.enqueue(task, args, kwargs).status == "SUCCESSFUL"

    kind = type(backend("default"))
    twice = type("Twice", (kind,), {"enqueue": enqueue_twice})
    effect = side_effect(name="sms.send", async_ok=True)(send)
    globals()["Twice"] = twice
    with override_settings(TASKS={"default": {"BACKEND": f"{__name__}.Twice"}}), force_run("sms.send"):
        assert effect.enqueue("ann").result(0) == {"to": "ann"}
    assert ran == ["ann", "ann"]


def test_what_the_effect_enqueues_itself_is_another_call() -> None:
    """It is decided, and handed to the backend, while the first one runs."""
    inner = side_effect(name="inner", async_ok=True)(send_later)

    def call_inner() -> Any:
        return inner.enqueue("ann").result(1)

    outer = side_effect(name="outer", async_ok=True)(call_inner)
    with force_run("outer"):
        assert outer.enqueue().result(1) is None
    with force_run("outer", "inner"):
        assert outer.enqueue().result(1) == "ann"
    assert ran == ["ann"]


def test_settings_know_the_engine() -> None:
    """It is accepted by name; a misspelling of it is told."""
    effect = side_effect(name="sms.send", async_ok=True)(send)
    with (
        override_settings(SIDE_EFFECTS={"ENGINE": "django_task"}),
        pytest.raises(ImproperlyConfigured, match="did you mean 'django_tasks'"),
    ):
        effect.enqueue("ann")


def backend(alias: str) -> Any:
    """A backend, of the package that the settings use."""
    return django_tasks._package_of(alias).task_backends[alias]
