"""Law 3: one place acts. Every way to call an effect that we know goes through the runtime."""

import asyncio
import contextlib
import contextvars
import copy
import functools
import operator
import pickle
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import celery
import dramatiq
import huey
import pytest
from dramatiq.brokers.stub import StubBroker

from sideeffects import Mode, capture, side_effect
from sideeffects.testing import isolated_registry

RAN: list[Any] = []


@side_effect(name="tests.law-three.function")
def function(to: Any = "nobody") -> None:
    RAN.append(to)


class Gateway:
    @side_effect(name="tests.law-three.method")
    def send(self, to: str = "nobody") -> None:
        RAN.append(to)

    @classmethod
    @side_effect(name="tests.law-three.class-method")
    def of_class(cls, to: str) -> None:
        RAN.append(to)

    @side_effect(name="tests.law-three.static-method")
    @staticmethod
    def static(to: str) -> None:
        RAN.append(to)

    partial = functools.partialmethod(send, "ann")
    renamed = send
    borrowed = function


class Special(Gateway):
    def send(self, to: str = "nobody") -> None:
        super().send(to)

    @classmethod
    def of_class(cls, to: str) -> None:
        super().of_class(to)


class Calling:
    """Calls what it is given, as soon as it is made."""

    def __init__(self, called: Callable[[str], None]) -> None:
        called("ann")


gateway, special = Gateway(), Special()
declared = vars(Gateway)["send"]


def in_thread() -> None:
    thread = threading.Thread(target=function, args=("ann",))
    thread.start()
    thread.join()


def in_timer() -> None:
    timer = threading.Timer(0, function, args=("ann",))
    timer.start()
    timer.join()


def in_pool() -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(gateway.send, "ann").result()
        list(pool.map(gateway.send, ["ben"]))
        pool.submit(int).add_done_callback(function)


def in_loop() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(gateway.send, "ann")
        await loop.run_in_executor(None, function, "ann")
        loop.call_soon(function, "ann")
        await asyncio.sleep(0)

    asyncio.run(run())


def in_celery() -> None:
    app = celery.Celery("tests", broker="memory://", set_as_current=False)
    app.conf.task_always_eager = True
    task = app.task(name="tests.law-three", shared=False)(function)
    task.delay("ann")
    task.apply(("ann",))
    task("ann")


def in_dramatiq() -> None:
    broker = StubBroker()
    actor = dramatiq.actor(function, broker=broker, actor_name="law-three", max_retries=0)
    worker = dramatiq.Worker(broker, worker_timeout=20)
    worker.start()
    actor.send("ann")
    broker.join("default")
    worker.stop()
    actor("ann")


def in_huey() -> None:
    task = huey.MemoryHuey("law-three", immediate=True).task()(function)
    task("ann")
    task.call_local("ann")


def at_exit_of_a_stack() -> None:
    with contextlib.ExitStack() as stack:
        stack.callback(function, "ann")


def by_finalizer() -> None:
    weakref.finalize(Gateway(), function, "ann")


WAYS: dict[str, Callable[[], object]] = {
    "direct": lambda: function("ann"),
    "keyword": lambda: function(to="ann"),
    "unpacked": lambda: function(*["ann"]),
    "default": function,
    "__call__": lambda: function.__call__("ann"),
    "__call__ of the type": lambda: type(function).__call__(function, "ann"),
    "operator.call": lambda: operator.call(function, "ann"),
    "eval": lambda: eval("function('ann')", {"function": function}),
    "bound": lambda: gateway.send("ann"),
    "__call__ of the bound": lambda: gateway.send.__call__("ann"),
    "unbound": lambda: Gateway.send(gateway, "ann"),
    "unbound, on something else": lambda: Gateway.send(object(), "ann"),  # type: ignore[call-overload]
    "class method": lambda: Gateway.of_class("ann"),
    "class method on an instance": lambda: gateway.of_class("ann"),
    "static method": lambda: Gateway.static("ann"),
    "static method on an instance": lambda: gateway.static("ann"),
    "descriptor": lambda: declared.__get__(gateway, Gateway)("ann"),
    "descriptor without an owner": lambda: declared.__get__(gateway)("ann"),
    "descriptor, bound later": lambda: declared.__get__(None, Gateway).__get__(gateway, Gateway)("ann"),
    "getattr": lambda: operator.attrgetter("send")(gateway)("ann"),
    "renamed": lambda: gateway.renamed("ann"),
    "borrowed from a module": gateway.borrowed,
    "override that calls super": lambda: special.send("ann"),
    "class method's override that calls super": lambda: Special.of_class("ann"),
    "super by name": lambda: super(Special, special).send("ann"),
    "set on an instance": lambda: setattr(special, "own", function) or special.own("ann"),  # type: ignore[attr-defined]
    "methodcaller": lambda: operator.methodcaller("send", "ann")(gateway),
    "partial": functools.partial(function, "ann"),
    "partial of a partial": functools.partial(functools.partial(function), "ann"),
    "partialmethod": gateway.partial,
    "staticmethod": lambda: staticmethod(function)("ann"),
    "map": lambda: list(map(function, ["ann"])),
    "filter": lambda: list(filter(function, ["ann"])),
    "sorted": lambda: sorted(["ann"], key=function),  # type: ignore[arg-type]
    "iter": lambda: next(iter(functools.partial(function, "ann"), 1)),
    "reduce": lambda: functools.reduce(Reducing(function), ["ann"], None),
    "cache": lambda: functools.cache(function)("ann"),
    "singledispatch": lambda: functools.singledispatch(function)("ann"),
    "constructor": lambda: Calling(function),
    "copy": lambda: copy.copy(function)("ann"),
    "deepcopy": lambda: copy.deepcopy(function)("ann"),
    "deepcopy of the bound": lambda: copy.deepcopy(gateway.send)("ann"),
    "pickle": lambda: pickle.loads(pickle.dumps(function))("ann"),
    "pickle of the bound": lambda: pickle.loads(pickle.dumps(gateway.send))("ann"),
    "pickle of the class method": lambda: pickle.loads(pickle.dumps(Gateway.of_class))("ann"),
    "pickle of the static method": lambda: pickle.loads(pickle.dumps(Gateway.static))("ann"),
    "pickle of a partial": pickle.loads(pickle.dumps(functools.partial(function, "ann"))),
    "weak reference": lambda: weakref.ref(function)()("ann"),  # type: ignore[misc]
    "context": lambda: contextvars.copy_context().run(function, "ann"),
    "thread": in_thread,
    "timer": in_timer,
    "pool": in_pool,
    "event loop": in_loop,
    "eager Celery": in_celery,
    "Dramatiq beside its broker": in_dramatiq,
    "immediate Huey": in_huey,
    "exit stack": at_exit_of_a_stack,
    "finalizer": by_finalizer,
}


class Reducing:
    def __init__(self, called: Callable[[str], None]) -> None:
        self._called = called

    def __call__(self, before: object, to: str) -> None:
        self._called(to)


@pytest.fixture(autouse=True)
def nothing_ran() -> Iterator[None]:
    """What ran is forgotten between the tests."""
    RAN.clear()
    yield
    RAN.clear()


@pytest.mark.parametrize("way", WAYS)
def test_no_way_to_call_an_effect_executes_it_in_a_test_run(way: str) -> None:
    """Each way is written down, as a recorded call, and nothing runs."""
    with capture() as calls:
        WAYS[way]()
    assert {call.mode for call in calls} == {Mode.RECORD}
    assert not RAN


@pytest.mark.parametrize("way", WAYS)
def test_every_way_executes_in_production(way: str, production: None) -> None:
    """The ways are real ones: outside a test run each of them reaches the function."""
    WAYS[way]()
    assert RAN


def test_an_effect_declared_on_an_instance_is_recorded() -> None:
    """A bound method that is declared as it is keeps its instance and its arguments."""
    ran = []

    class Client:
        def send(self, to: str) -> None:
            ran.append(to)

    client = Client()
    with isolated_registry(), capture() as calls:
        side_effect(name="client.send")(client.send)("ann")
    assert calls[0].instance is client
    assert dict(calls[0].arguments) == {"to": "ann"}
    assert not ran
