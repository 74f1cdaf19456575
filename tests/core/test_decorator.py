"""Declaring with `@side_effect`: every form of function, what it keeps of it, and what it refuses."""

import abc
import asyncio
import contextlib
import copy
import functools
import importlib
import inspect
import multiprocessing
import pickle
import string
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import celery
import pytest
from django.utils.decorators import method_decorator
from hypothesis import given, strategies as st

from sideeffects import (
    AsyncNotAllowed,
    DuplicateSideEffect,
    Mode,
    SideEffectBlocked,
    UnknownSideEffect,
    capture,
    explain,
    forbid,
    force_run,
    registry,
    side_effect,
    stub,
)
from sideeffects.errors import DeclarationError
from sideeffects.testing import isolated_registry

pytestmark = pytest.mark.usefixtures("own_registry")


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Any]:
    """Writes a module and imports it; children find it too."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def make(name: str, source: str) -> Any:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        importlib.invalidate_caches()
        monkeypatch.delitem(sys.modules, name, raising=False)
        imported = importlib.import_module(name)
        monkeypatch.setitem(sys.modules, name, imported)
        return imported

    return make


class Ran(list[Any]):
    """What really ran."""


@pytest.fixture
def ran() -> Ran:
    return Ran()


# -- the forms: declared, called, recorded, executed when forced


def make_function(ran: Ran) -> Callable[..., Any]:
    @side_effect(name="it")
    def send(to: str) -> str:
        ran.append(to)
        return f"sent to {to}"

    return send


def make_method(ran: Ran) -> Callable[..., Any]:
    class Gateway:
        @side_effect(name="it")
        def send(self, to: str) -> str:
            ran.append(to)
            return f"sent to {to}"

    return Gateway().send


def make_class_method_below(ran: Ran) -> Callable[..., Any]:
    class Gateway:
        @classmethod
        @side_effect(name="it")
        def send(cls, to: str) -> str:
            assert cls is Gateway
            ran.append(to)
            return f"sent to {to}"

    return Gateway.send


def make_class_method_above(ran: Ran) -> Callable[..., Any]:
    class Gateway:
        @side_effect(name="it")
        @classmethod
        def send(cls, to: str) -> str:
            assert cls is Gateway
            ran.append(to)
            return f"sent to {to}"

    return Gateway().send


def make_static_method_below(ran: Ran) -> Callable[..., Any]:
    class Gateway:
        @staticmethod
        @side_effect(name="it")
        def send(to: str) -> str:
            ran.append(to)
            return f"sent to {to}"

    return Gateway.send


def make_static_method_above(ran: Ran) -> Callable[..., Any]:
    class Gateway:
        @side_effect(name="it")
        @staticmethod
        def send(to: str) -> str:
            ran.append(to)
            return f"sent to {to}"

    return Gateway().send


def make_subclass_calling_super(ran: Ran) -> Callable[..., Any]:
    class Gateway:
        @side_effect(name="it")
        def send(self, to: str) -> str:
            ran.append(to)
            return f"sent to {to}"

    class Special(Gateway):
        def send(self, to: str) -> str:
            return super().send(to)

    return Special().send


def make_callable_object(ran: Ran) -> Callable[..., Any]:
    class Gateway:
        def __call__(self, to: str) -> str:
            ran.append(to)
            return f"sent to {to}"

    return side_effect(name="it")(Gateway())


def make_partial(ran: Ran) -> Callable[..., Any]:
    def send(prefix: str, to: str) -> str:
        ran.append(to)
        return f"{prefix} {to}"

    return side_effect(name="it")(functools.partial(send, "sent to"))


def make_lambda(ran: Ran) -> Callable[..., Any]:
    return side_effect(name="it")(lambda to: (ran.append(to), f"sent to {to}")[1])


def make_wrapped(ran: Ran) -> Callable[..., Any]:
    def send(to: str) -> str:
        ran.append(to)
        return f"sent to {to}"

    @side_effect(name="it")
    @functools.wraps(send)
    def wrapper(*args: Any, **kwargs: Any) -> str:
        return send(*args, **kwargs)

    return wrapper


def make_cached(ran: Ran) -> Callable[..., Any]:
    @side_effect(name="it")
    @functools.lru_cache
    def send(to: str) -> str:
        ran.append(to)
        return f"sent to {to}"

    return send


def make_below_a_context_decorator(ran: Ran) -> Callable[..., Any]:
    class Inside(contextlib.ContextDecorator):
        def __enter__(self) -> None: ...

        def __exit__(self, *raised: object) -> None: ...

    @side_effect(name="it")
    @Inside()
    def send(to: str) -> str:
        ran.append(to)
        return f"sent to {to}"

    return send


def make_bound_method(ran: Ran) -> Callable[..., Any]:
    class Gateway:
        def send(self, to: str) -> str:
            ran.append(to)
            return f"sent to {to}"

    return side_effect(name="it")(Gateway().send)


FORMS = {name.removeprefix("make_"): factory for name, factory in list(globals().items()) if name.startswith("make_")}


@pytest.mark.parametrize("form", FORMS)
def test_a_test_run_records_every_form(form: str, ran: Ran) -> None:
    """Whatever the form, the call is written down with its arguments and nothing runs."""
    send = FORMS[form](ran)
    with capture() as calls:
        assert send("ann") is None
        assert send(to="ben") is None
    assert [call.arguments["to"] for call in calls] == ["ann", "ben"]
    assert {call.mode for call in calls} == {Mode.RECORD}
    assert calls[0].caller.rpartition(":")[0] == __file__ or form == "subclass_calling_super"
    assert not ran


@pytest.mark.parametrize("form", FORMS)
def test_a_forced_call_executes_every_form(form: str, ran: Ran) -> None:
    """A named effect runs as the bare function would, and its outcome is added."""
    send = FORMS[form](ran)
    with capture() as calls, force_run("it"):
        assert send("ann") == "sent to ann"
    assert ran == ["ann"]
    outcome = calls.one("it").outcome
    assert outcome is not None
    assert (outcome.result, outcome.error) == ("sent to ann", None)
    assert outcome.duration >= 0


@pytest.mark.parametrize("form", FORMS)
def test_a_forbidden_call_raises_in_every_form(form: str, ran: Ran) -> None:
    """A refusal raises at the call, and nothing runs."""
    send = FORMS[form](ran)
    with forbid("it"), pytest.raises(SideEffectBlocked, match="'it' was refused"):
        send("ann")
    assert not ran


@pytest.mark.parametrize("form", FORMS)
def test_production_executes_every_form(form: str, ran: Ran, production: None) -> None:
    """Outside a test run all forms run, again and again, with or without a capture."""
    send = FORMS[form](ran)
    assert send("ann") == "sent to ann"
    assert send("ben") == "sent to ben"
    with capture() as calls:
        assert send("cay") == "sent to cay"
    assert [call.arguments["to"] for call in calls] == ["cay"]
    assert ran == ["ann", "ben", "cay"]


@pytest.mark.parametrize("form", FORMS)
def test_wrong_arguments_are_refused_while_recording(form: str, ran: Ran) -> None:
    """A recorded call with wrong arguments fails as the real one would, and is not written down."""
    send = FORMS[form](ran)
    with capture() as calls, pytest.raises(TypeError, match="argument"):
        send("ann", nonsense=1)
    assert len(calls) == 0


def test_bare_it_is_named_by_module_and_qualified_name() -> None:
    """Without a name the name is `module.qualname`, for functions and methods."""

    @side_effect
    def send() -> None: ...

    class Gateway:
        @side_effect
        def send(self) -> None: ...

    here = f"{__name__}.test_bare_it_is_named_by_module_and_qualified_name"
    assert send.effect.name == f"{here}.send"
    assert Gateway.send.effect.name == f"{here}.Gateway.send"
    assert list(registry) == [f"{here}.Gateway.send", f"{here}.send"]


def test_empty_parentheses_are_as_good_as_none() -> None:
    """`@side_effect()` declares too."""

    @side_effect()
    def send() -> None: ...

    assert send.effect.name.endswith("send")


def test_a_lambda_without_a_name_is_named_lambda() -> None:
    """Names derived from lambdas are valid names."""
    assert side_effect(lambda: None).effect.name.endswith(".lambda")


def test_a_class_method_is_recorded_with_its_class_and_its_subclass() -> None:
    """The instance of a class method's call is the class that it was called on."""

    class Gateway:
        @classmethod
        @side_effect(name="below")
        def below(cls, to: str) -> None: ...

        @side_effect(name="above")
        @classmethod
        def above(cls, to: str) -> None: ...

    class Special(Gateway): ...

    with capture() as calls:
        for kind in (Gateway, Special):
            kind.below("ann")
            kind().below("ann")
            kind.above("ann")
            kind().above("ann")
    assert [call.instance for call in calls] == [Gateway] * 4 + [Special] * 4
    assert all(dict(call.arguments) == {"to": "ann"} and call.args == ("ann",) for call in calls)


def test_a_class_that_is_handed_over_is_what_the_call_is_made_on() -> None:
    """As `classmethod` does since Python 3.13, also for a subclass; then it is no argument."""

    class Gateway:
        @classmethod
        @side_effect(name="send")
        def send(cls, to: str) -> None: ...

    class Special(Gateway): ...

    function = vars(Gateway)["send"].__func__
    with capture() as calls:
        function(Gateway, "ann")
        function(Special, to="ann")
    assert [call.instance for call in calls] == [Gateway, Special]
    assert all(dict(call.arguments) == {"to": "ann"} for call in calls)


def test_a_class_that_is_an_ordinary_argument_stays_one() -> None:
    """A class passed to a method or a function is an argument, not what a class method is called on."""

    class Gateway:
        @staticmethod
        @side_effect(name="make")
        def make(kind: type) -> None: ...

        @side_effect(name="send")
        def send(self, kind: type | None = None) -> None: ...

    with capture() as calls:
        Gateway.make(Gateway)
        Gateway().send(Gateway)
    assert [dict(call.arguments) for call in calls] == [{"kind": Gateway}, {"kind": Gateway}]
    assert calls[0].instance is None


def test_a_method_called_on_its_class_is_recorded_with_the_instance() -> None:
    """`Gateway.send(gateway, ...)` is the same call as `gateway.send(...)`."""

    class Gateway:
        @side_effect(name="send")
        def send(self, to: str) -> None: ...

    gateway = Gateway()
    with capture() as calls:
        Gateway.send(gateway, "ann")
    assert calls[0].instance is gateway
    assert dict(calls[0].arguments) == {"to": "ann"}


def test_an_overriding_method_is_an_effect_of_its_own() -> None:
    """A subclass that overrides without declaring is not recorded; what it calls of its parent is."""
    ran = []

    class Gateway:
        @side_effect(name="send")
        def send(self, to: str) -> None:
            ran.append("parent")

    class Special(Gateway):
        def send(self, to: str) -> None:
            ran.append("child")
            super().send(to.upper())

    with capture() as calls:
        Special().send("ann")
    assert ran == ["child"]
    assert dict(calls.one("send").arguments) == {"to": "ANN"}


def test_abstract_methods_stay_abstract() -> None:
    """`@side_effect` above `@abstractmethod` leaves the class abstract, and an implementation may call it."""

    class Gateway(abc.ABC):
        @side_effect(name="send")
        @abc.abstractmethod
        def send(self, to: str) -> None: ...

    with pytest.raises(TypeError, match="abstract"):
        Gateway()  # type: ignore[abstract]

    class Real(Gateway):
        def send(self, to: str) -> None:
            super().send(to)  # type: ignore[safe-super]

    with capture() as calls:
        Real().send("ann")
    assert calls.one("send").instance.__class__ is Real


def test_protocols_are_met_by_effects() -> None:
    """A class whose method is declared meets a protocol as before."""

    @runtime_checkable
    class Sends(Protocol):
        def send(self, to: str) -> None: ...

    class Gateway:
        @side_effect(name="send")
        def send(self, to: str) -> None: ...

    assert isinstance(Gateway(), Sends)


def test_builtins_can_be_declared() -> None:
    """Functions written in C are recorded, with their arguments by name where Python knows them."""
    import os

    remove = side_effect(name="remove")(os.remove)
    largest = side_effect(name="max", sensitive=["anything"])(max)
    with capture() as calls:
        remove("/nowhere/at/all")
        largest(1, 1000)
    assert calls.one("remove").arguments["path"] == "/nowhere/at/all"
    assert calls.one("max").args == (1, 1000)
    assert remove.effect.location == "posix:remove:0"


# -- asynchronous functions


async def test_a_coroutine_function_is_decided_when_it_is_awaited() -> None:
    """Calling gives a coroutine; the decision is that of the moment at which it is awaited."""
    ran = []

    @side_effect(name="send")
    async def send(to: str) -> str:
        ran.append(to)
        return f"sent to {to}"

    with capture() as calls:
        with force_run("send"):
            created = send("ann")
        assert len(calls) == 0
        assert await created is None
        with force_run("send"):
            assert await send("ben") == "sent to ben"
    assert ran == ["ben"]
    assert [call.mode for call in calls] == [Mode.RECORD, Mode.EXECUTE]


async def test_a_coroutine_executes_in_production(production: None) -> None:
    """Outside a test run a coroutine function gives what it gives."""

    @side_effect(name="send")
    async def send(to: str) -> str:
        return to

    assert await send("ann") == "ann"
    with capture() as calls:
        assert await send("ben") == "ben"
    assert calls[0].outcome is not None
    assert calls[0].outcome.result == "ben"


async def test_a_failing_coroutine_notes_its_error() -> None:
    """What a coroutine raises arrives, and is its outcome."""

    @side_effect(name="send")
    async def send() -> None:
        raise ConnectionError

    with capture() as calls, force_run("send"), pytest.raises(ConnectionError):
        await send()
    assert isinstance(calls[0].outcome.error, ConnectionError)  # type: ignore[union-attr]


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_stubs_of_coroutines_may_be_asynchronous(asynchronous: bool) -> None:
    """A recorded coroutine gives what `returns` or a stub gives, awaited where that is needed."""

    async def later(to: str) -> str:
        return f"stubbed {to}"

    @side_effect(name="send", returns=later if asynchronous else lambda to: f"stubbed {to}")
    async def send(to: str) -> str:
        raise AssertionError

    assert await send("ann") == "stubbed ann"
    with stub("send", returns=later):
        assert await send("ben") == "stubbed ben"
    with stub("send", raises=TimeoutError), capture() as calls, pytest.raises(TimeoutError):
        await send("cay")
    assert isinstance(calls[0].outcome.error, TimeoutError)  # type: ignore[union-attr]


def test_a_coroutine_that_is_never_awaited_is_named_in_the_warning() -> None:
    """The warning of Python names the function, not the library's own."""

    @side_effect(name="send")
    async def send_later() -> None: ...

    with pytest.warns(RuntimeWarning, match="send_later"):
        send_later()


async def test_asynchronous_methods_of_all_kinds_are_recorded() -> None:
    """Methods, class methods and static methods may be coroutine functions."""

    class Gateway:
        @side_effect(name="method")
        async def method(self, to: str) -> str:
            raise AssertionError

        @classmethod
        @side_effect(name="below")
        async def below(cls, to: str) -> str:
            raise AssertionError

        @side_effect(name="above")
        @staticmethod
        async def above(to: str) -> str:
            raise AssertionError

        async def __call__(self, to: str) -> str:
            raise AssertionError

    gateway = side_effect(name="object")(Gateway())
    with capture() as calls:
        for send in (Gateway().method, Gateway.below, Gateway.above, gateway):
            await send("ann")
    assert [call.name for call in calls] == ["method", "below", "above", "object"]
    assert {call.arguments["to"] for call in calls} == {"ann"}
    assert calls[1].instance is Gateway


# -- generators


def test_a_generator_is_driven_as_the_bare_one() -> None:
    """`send`, `throw`, `close` and the returned value pass through an executing generator."""
    log: list[Any] = []

    @side_effect(name="pull")
    def pull() -> Any:
        try:
            got = yield 1
            log.append(got)
            try:
                yield 2
            except LookupError as error:
                log.append(error)
            yield 3
        finally:
            log.append("closed")
        return "done"

    error = LookupError()
    with capture() as calls, force_run("pull"):
        generator = pull()
        assert next(generator) == 1
        assert generator.send("hello") == 2
        assert generator.throw(error) == 3
        assert calls[0].outcome is None
        with pytest.raises(StopIteration) as stopped:
            next(generator)
        assert stopped.value.value == "done"
        assert calls[0].outcome.result == "done"

        closing = pull()
        next(closing)
        closing.close()
    assert log == ["hello", error, "closed", "closed"]
    assert calls[1].outcome.error is None


def test_a_failing_generator_notes_its_error() -> None:
    """What a generator raises arrives, and is its outcome."""

    @side_effect(name="pull")
    def pull() -> Iterator[int]:
        yield 1
        raise ConnectionError

    with capture() as calls, force_run("pull"), pytest.raises(ConnectionError):
        list(pull())
    assert isinstance(calls[0].outcome.error, ConnectionError)


def test_a_recorded_generator_is_empty_or_gives_the_stub() -> None:
    """Nothing runs; without a stub there is nothing to iterate over."""

    @side_effect(name="pull")
    def pull(start: int) -> Iterator[int]:
        raise AssertionError
        yield 1

    def counted(start: int) -> Iterator[int]:
        yield start

    with capture() as calls:
        assert list(pull(1)) == []
        with stub("pull", returns=[1, 2]):
            assert list(pull(1)) == [1, 2]
        with stub("pull", returns=counted):
            assert list(pull(7)) == [7]
    assert calls.count("pull") == 3
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'start'"):
        pull()  # type: ignore[call-arg]


def test_a_generator_is_decided_at_the_call() -> None:
    """Later changes neither loosen nor tighten what was decided when the generator was made (law 4)."""
    ran = []

    @side_effect(name="pull")
    def pull() -> Iterator[int]:
        ran.append(1)
        yield 1

    recorded = pull()
    with force_run("pull"):
        assert list(recorded) == []
        executing = pull()
    with forbid("pull"):
        assert list(executing) == [1]
    assert ran == [1]


def test_a_generator_executes_in_production(production: None) -> None:
    """Outside a test run the bare generator is given."""

    @side_effect(name="pull")
    def pull() -> Iterator[int]:
        yield 1

    assert list(pull()) == [1]
    assert inspect.isgenerator(pull())


async def test_an_async_generator_is_driven_as_the_bare_one() -> None:
    """`asend`, `athrow` and `aclose` pass through an executing asynchronous generator."""
    log: list[Any] = []

    @side_effect(name="pull")
    async def pull() -> Any:
        try:
            log.append((yield 1))
            try:
                yield 2
            except LookupError as error:
                log.append(error)
            yield 3
        finally:
            await asyncio.sleep(0)
            log.append("closed")

    error = LookupError()
    with capture() as calls, force_run("pull"):
        generator = pull()
        assert len(calls) == 0, "it is decided at the first step"
        assert await anext(generator) == 1
        assert await generator.asend("hello") == 2
        assert await generator.athrow(error) == 3
        assert calls[0].outcome is None
        with pytest.raises(StopAsyncIteration):
            await anext(generator)
        assert calls[0].outcome.error is None

        closing = pull()
        await anext(closing)
        await closing.aclose()
    assert log == ["hello", error, "closed", "closed"]
    assert calls[1].outcome.error is None


async def test_a_failing_async_generator_notes_its_error() -> None:
    """What it raises arrives, and is its outcome; what is thrown in and not caught as well."""

    @side_effect(name="pull")
    async def pull() -> AsyncIterator[int]:
        yield 1
        raise ConnectionError

    with capture() as calls, force_run("pull"):
        with pytest.raises(ConnectionError):
            _ = [item async for item in pull()]
        generator = pull()
        await anext(generator)
        with pytest.raises(LookupError):
            await generator.athrow(LookupError)
    assert [type(call.outcome.error) for call in calls] == [ConnectionError, LookupError]


async def test_a_recorded_async_generator_is_empty_or_gives_the_stub() -> None:
    """The stub may be a list, an asynchronous generator, or a coroutine that gives one of them."""

    @side_effect(name="pull")
    async def pull(start: int) -> AsyncIterator[int]:
        raise AssertionError
        yield 1

    async def counted(start: int) -> AsyncIterator[int]:
        yield start

    async def listed(start: int) -> list[int]:
        return [start]

    async def pulled() -> list[int]:
        return [item async for item in pull(7)]

    assert await pulled() == []
    for returns, expected in (([1, 2], [1, 2]), (counted, [7]), (listed, [7])):
        with stub("pull", returns=returns):
            assert await pulled() == expected
    with stub("pull", raises=TimeoutError), pytest.raises(TimeoutError):
        await pulled()


async def test_an_async_generator_executes_in_production(production: None) -> None:
    """Outside a test run it gives what it gives, and an abandoned one is closed."""
    closed = []

    @side_effect(name="pull")
    async def pull() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    assert [item async for item in pull()] == [1, 2]
    abandoned = pull()
    await anext(abandoned)
    await abandoned.aclose()
    assert closed == [True, True]


# -- context managers


class Door:
    """A context manager that notes what happens to it, in its four forms."""

    def __init__(self, *, suppresses: bool = False) -> None:
        self.log: list[Any] = []

        @side_effect(name="door")
        @contextlib.contextmanager
        def opened(key: str) -> Iterator[str]:
            self.log.append(f"open {key}")
            try:
                yield key
            except LookupError:
                if not suppresses:
                    raise
            finally:
                self.log.append("shut")

        @side_effect(name="async-door")
        @contextlib.asynccontextmanager
        async def opened_async(key: str) -> AsyncIterator[str]:
            self.log.append(f"open {key}")
            try:
                yield key
            except LookupError:
                if not suppresses:
                    raise
            finally:
                self.log.append("shut")

        self.opened, self.opened_async = opened, opened_async


def test_a_recorded_context_manager_enters_nothing() -> None:
    """The block runs, with `None` or what the stub says as the value; the door stays shut."""
    door = Door()
    with capture() as calls:
        with door.opened("k") as value:
            assert value is None
        with stub("door", returns="stubbed"), door.opened("k") as value:
            assert value == "stubbed"
        with stub("door", returns=contextlib.nullcontext("inner")), door.opened("k") as value:
            assert value == "inner"
    assert [call.outcome is not None for call in calls] == [True] * 3
    assert door.log == []
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'key'"):
        door.opened()  # type: ignore[call-arg]


async def test_a_recorded_async_context_manager_enters_nothing() -> None:
    """The same for asynchronous ones, which are decided on entering."""
    door = Door()
    with capture() as calls:
        async with door.opened_async("k") as value:
            assert value is None
        with stub("async-door", returns="stubbed"):
            async with door.opened_async("k") as value:
                assert value == "stubbed"
        with stub("async-door", returns=contextlib.nullcontext("inner")):
            async with door.opened_async("k") as value:
                assert value == "inner"
    assert len(calls) == 3
    assert door.log == []


async def test_a_generator_below_contextmanager_enters_nothing_either() -> None:
    """`@contextmanager` above the effect: the block runs all the same, and what it raises comes out of it."""
    opened: list[str] = []

    @contextlib.contextmanager
    @side_effect(name="below")
    def below() -> Iterator[str]:
        opened.append("below")
        yield "open"

    @contextlib.asynccontextmanager
    @side_effect(name="async-below")
    async def async_below() -> AsyncIterator[str]:
        opened.append("async below")
        yield "open"

    with below() as value:
        assert value is None
    async with async_below() as value:
        assert value is None
    with stub("*", returns=["stubbed"]), below() as value:
        assert value == "stubbed"
    with pytest.raises(LookupError), below():
        raise LookupError
    with pytest.raises(LookupError):
        async with async_below():
            raise LookupError
    assert opened == []
    with force_run("*"), below() as value:
        assert value == "open"


@pytest.mark.parametrize("suppresses", [True, False])
async def test_an_executing_context_manager_sees_the_exception_of_its_block(suppresses: bool) -> None:
    """What the block raises goes through the manager, which may suppress it; the outcome tells."""
    door = Door(suppresses=suppresses)
    error = LookupError("in the block")
    expected = contextlib.nullcontext() if suppresses else pytest.raises(LookupError)
    with capture() as calls, force_run("*"):
        with expected as caught, door.opened("k"):
            raise error
        with contextlib.nullcontext() if suppresses else pytest.raises(LookupError):
            async with door.opened_async("k"):
                raise error
    assert door.log == ["open k", "shut"] * 2
    assert [call.outcome.error for call in calls] == ([None, None] if suppresses else [error, error])
    assert suppresses or caught.value is error


async def test_a_context_manager_that_fails_to_open_notes_its_error() -> None:
    """An exception on entering, or on leaving, arrives and is the outcome."""

    @side_effect(name="opening")
    @contextlib.contextmanager
    def opening() -> Iterator[None]:
        raise ConnectionError
        yield

    @side_effect(name="leaving")
    @contextlib.contextmanager
    def leaving() -> Iterator[None]:
        yield
        raise ConnectionError

    with capture() as calls, force_run("*"):
        for manager in (opening, leaving):
            with pytest.raises(ConnectionError), manager():
                pass
    assert [type(call.outcome.error) for call in calls] == [ConnectionError, ConnectionError]


def test_a_context_manager_can_be_entered_once() -> None:
    """Entering the same one again is the error that it always was, and adds no second outcome."""
    door = Door()
    with capture() as calls, force_run("door"):
        manager = door.opened("k")
        with manager:
            pass
        with pytest.raises((AttributeError, RuntimeError)), manager:
            pass
    assert len(calls) == 1


async def test_a_context_manager_executes_in_production(production: None) -> None:
    """Outside a test run both kinds open and shut, also as decorators."""
    door = Door()

    @door.opened("d")
    def work() -> None:
        door.log.append("work")

    @door.opened_async("a")
    async def work_later() -> None:
        door.log.append("work")

    with door.opened("k") as key:
        assert key == "k"
    async with door.opened_async("k") as key:
        assert key == "k"
    work()
    work()
    await work_later()
    await work_later()
    assert door.log == ["open k", "shut"] * 2 + ["open d", "work", "shut"] * 2 + ["open a", "work", "shut"] * 2


async def test_a_context_manager_used_as_a_decorator_is_decided_at_each_call() -> None:
    """Decorating under `force_run` (or at import, in production) does not let later calls of the function open it."""
    door = Door()
    with force_run("*"):
        decorate, decorate_async = door.opened("k"), door.opened_async("k")

    @decorate
    def work() -> str:
        return "worked"

    @decorate_async
    async def work_later() -> str:
        return "worked"

    with capture() as calls:
        assert work() == "worked"
        line = inspect.currentframe().f_lineno - 1  # type: ignore[union-attr]
        assert await work_later() == "worked"
    assert door.log == []
    assert calls.one("door").caller == f"{__file__}:{line}"
    assert calls.one("async-door").mode is Mode.RECORD

    with force_run("*"):
        assert (work(), work(), await work_later()) == ("worked",) * 3
    assert door.log == ["open k", "shut"] * 3


# -- what is kept of the function


def test_inspect_sees_the_function() -> None:
    """Signature, docs, source, annotations, name and kind are those of the wrapped function."""

    def send(to: str, *, body: str = "hi") -> str:
        """Send it.

        At length.
        """
        return to

    declared = side_effect(name="send")(send)
    assert inspect.signature(declared) == inspect.signature(send)
    assert inspect.getdoc(declared) == "Send it.\n\nAt length."
    assert inspect.getsource(declared) == inspect.getsource(send)
    assert declared.__annotations__ == send.__annotations__
    assert (declared.__name__, declared.__qualname__, declared.__module__) == (
        send.__name__,
        send.__qualname__,
        send.__module__,
    )
    assert declared.__wrapped__ is send
    assert inspect.unwrap(declared) is send
    assert inspect.isfunction(declared)
    assert isinstance(declared, type(send))


def test_inspect_tells_the_kinds_apart() -> None:
    """A declared coroutine function or generator function is still seen as one."""

    @side_effect(name="coroutine")
    async def coroutine() -> None: ...

    @side_effect(name="generator")
    def generator() -> Iterator[int]:
        yield 1

    @side_effect(name="async-generator")
    async def async_generator() -> AsyncIterator[int]:
        yield 1

    assert inspect.iscoroutinefunction(coroutine)
    assert inspect.isgeneratorfunction(generator)
    assert inspect.isasyncgenfunction(async_generator)
    assert [effect.kind for effect in registry.values()] == ["async generator", "coroutine function", "generator"]


def test_the_effect_describes_the_function() -> None:
    """`.effect` has where it is, what it takes, what its docstring says, and the options."""

    @side_effect(
        name="sms.send",
        async_ok=True,
        on_commit="default",
        in_transaction=True,
        raises=[ConnectionError],
        sensitive=["body"],
        tags=["mail"],
        owner="team",
        reads=True,
    )
    def send(to: str, body: str) -> str:
        """Send it.

        At length.
        """
        return to

    effect = send.effect
    assert effect is registry["sms.send"]
    assert effect.location == f"{__file__}:{send.__wrapped__.__code__.co_firstlineno}"
    assert effect.dotted_path == f"{__name__}:{send.__qualname__}"
    assert (effect.kind, effect.short_name) == ("function", "send")
    assert (effect.doc, effect.docstring) == ("Send it.", "Send it.\n\nAt length.")
    assert effect.signature == inspect.signature(send)
    assert (effect.async_ok, effect.on_commit, effect.in_transaction) == (True, "default", True)
    assert (effect.raises, effect.sensitive, effect.tags, effect.owner) == (
        (ConnectionError,),
        ("body",),
        ("mail",),
        "team",
    )
    assert effect.reads
    with pytest.raises(AttributeError):
        effect.name = "other"


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("function", "function"),
        ("method", "function"),
        ("class_method_above", "classmethod"),
        ("static_method_above", "staticmethod"),
        ("callable_object", "callable object"),
        ("partial", "callable object"),
        ("lambda", "function"),
        ("below_a_context_decorator", "function"),
    ],
)
def test_the_kind_names_the_form(form: str, kind: str, ran: Ran) -> None:
    """`SideEffect.kind` tells what was decorated."""
    FORMS[form](ran)
    assert registry["it"].kind == kind


@pytest.mark.parametrize("form", FORMS)
def test_the_location_is_that_of_the_code(form: str, ran: Ran) -> None:
    """`file:line` lead to the code below partials, caches, objects and wrappers."""
    FORMS[form](ran)
    effect = registry["it"]
    assert effect.file == __file__
    assert (
        "def " in (line := Path(__file__).read_text().splitlines()[effect.line - 1]) or "lambda" in line or "@" in line
    )


def test_a_partial_is_described_by_what_it_calls() -> None:
    """A partial has neither name nor docs of its own, so those of the function are shown."""

    def send(prefix: str, to: str) -> None:
        """Send it."""

    declared = side_effect(name="send")(functools.partial(send, "x"))
    assert declared.effect.doc == "Send it."
    assert declared.effect.dotted_path == f"{__name__}:{send.__qualname__}"
    assert declared.effect.short_name == "send"


# -- what cannot be decorated


def test_classes_and_properties_are_refused_with_what_to_decorate_instead() -> None:
    """The error says where the decorator belongs."""
    with pytest.raises(TypeError, match=r"cannot decorate the class .*Gateway: decorate the method"):

        @side_effect
        class Gateway: ...

    for make in (property, functools.cached_property):
        with pytest.raises(TypeError, match=r"cannot decorate the property .*balance: .* into a method"):

            class Account:
                @side_effect(name="balance")
                @make
                def balance(self) -> int:
                    return 1

    with pytest.raises(TypeError, match=r"cannot decorate the property \?"):
        side_effect(name="x")(property())


@pytest.mark.parametrize("nothing", [3, [], object(), functools.singledispatchmethod(print)])
def test_what_cannot_be_called_is_refused(nothing: Any) -> None:
    """The error says what `side_effect` is for."""
    with pytest.raises(TypeError, match="decorates functions and methods, not"):
        side_effect(name="x")(nothing)


def test_an_effect_cannot_be_declared_twice() -> None:
    """A second decorator on the same function names the first."""

    @side_effect(name="send")
    def send() -> None: ...

    class Gateway:
        @side_effect(name="method")
        def send(self) -> None: ...

    for again in (send, Gateway.send, Gateway().send, classmethod(send), staticmethod(send)):
        with pytest.raises(TypeError, match=r"is a side effect already, named '(send|method)'"):
            side_effect(name="other")(again)


def test_its_signature_tells_its_options() -> None:
    """`help()` and editors show what it takes, with the defaults."""
    parameters = inspect.signature(side_effect).parameters
    assert {name: parameter.default for name, parameter in parameters.items()} == {
        "name": None,
        "async_ok": False,
        "on_commit": False,
        "in_transaction": None,
        "returns": None,
        "raises": (),
        "sensitive": (),
        "tags": (),
        "owner": "",
        "reads": False,
        "details": None,
    }


def test_options_that_do_not_fit_are_refused() -> None:
    """Each option says what it takes, at decoration."""

    def plain(to: str) -> None: ...

    def refused(kind: type[Exception], message: str, *args: Any, function: Any = plain, **options: Any) -> None:
        with pytest.raises(kind, match=message):
            side_effect(*args, **options)(function)

    def generator() -> Iterator[int]:
        yield 1

    refused(TypeError, "unexpected keyword argument 'retries'", name="x", retries=3)
    refused(TypeError, "async_ok is True or False, not 'yes'", name="x", async_ok="yes")
    refused(TypeError, "on_commit is True, False or a database alias, not 3", name="x", on_commit=3)
    refused(TypeError, "in_transaction is True, False or None, not 'yes'", name="x", in_transaction="yes")
    refused(TypeError, "owner must be a string, not 5", name="x", owner=5)
    refused(TypeError, "reads is True or False, not 1", name="x", reads=1)
    refused(TypeError, "tags takes a list, not the string 'mail'", name="x", tags="mail")
    refused(TypeError, "tags takes strings, not 3", name="x", tags=[3])
    refused(TypeError, "raises takes exception classes, not 3", name="x", raises=[3])
    refused(TypeError, "raises takes exception classes, not <class 'int'>", name="x", raises=int)
    refused(TypeError, "sensitive takes a list", name="x", sensitive="to")
    refused(ValueError, "has no parameter 'token' to be sensitive; it has to", name="x", sensitive=["token"])
    refused(ValueError, "it has none", name="x", sensitive=["token"], function=lambda: None)
    refused(TypeError, "a generator cannot wait for a commit", name="x", on_commit=True, function=generator)
    refused(TypeError, "a generator cannot run in the background", name="x", async_ok=True, function=generator)
    refused(ValueError, "has no name of its own: give one", function=functools.partial(plain, "x"))
    with pytest.raises(TypeError, match="give the options in @side_effect"):
        side_effect(plain, returns=3)  # type: ignore[call-overload]
    assert list(registry) == []


def test_one_exception_class_is_as_good_as_a_list() -> None:
    """`raises=CardDeclined` is taken for what is meant."""

    @side_effect(name="x", raises=ConnectionError)  # type: ignore[call-overload]
    def send() -> None: ...

    assert send.effect.raises == (ConnectionError,)


SEGMENT = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=8)


@given(st.lists(SEGMENT, min_size=1, max_size=4).map(".".join))
def test_names_of_the_grammar_are_accepted(name: str) -> None:
    """Dot-separated segments of letters, digits, `_` and `-` are names."""
    if name == "__all__":
        return
    with isolated_registry():
        assert side_effect(name=name)(lambda: None).effect.name == name
        assert registry[name].name == name


@given(st.text(max_size=12))
def test_other_names_are_refused_at_decoration(name: str) -> None:
    """Whatever is no such name is a `ValueError` that tells the rule, before there is a function."""
    allowed = set(string.ascii_letters + string.digits + "_-")
    if name != "__all__" and all(segment and set(segment) <= allowed for segment in name.split(".")):
        return
    with pytest.raises(ValueError, match="is no side effect name: use letters, digits"):
        side_effect(name=name)


@pytest.mark.parametrize("name", ["", ".", "a.", ".a", "a..b", "a b", "sms.sénd", "sms.*", "__all__", "a\n", "a:b"])
def test_names_that_are_nearly_right_are_refused(name: str) -> None:
    """Empty segments, spaces, globs, the word for all, and letters beyond ASCII are no names."""
    with pytest.raises(ValueError, match="is no side effect name"):
        side_effect(name=name)
    assert list(registry) == []


# -- one name, several functions


def test_two_functions_under_one_name_are_refused_with_both_places() -> None:
    """The error has both `file:line`s, and the first one stays."""

    @side_effect(name="send")
    def first() -> None: ...

    def second() -> None: ...

    with pytest.raises(DuplicateSideEffect) as refused:
        side_effect(name="send")(second)
    assert (refused.value.name, refused.value.first, refused.value.second) == (
        "send",
        first.effect.location,
        f"{__file__}:{second.__code__.co_firstlineno}",
    )
    assert registry["send"] is first.effect


def test_two_lambdas_and_two_partials_under_one_name_are_refused() -> None:
    """What has no name of its own is told apart by where its code is."""
    side_effect(name="one")(lambda: 1)
    with pytest.raises(DuplicateSideEffect):
        side_effect(name="one")(lambda: 2)

    def first(to: str) -> None: ...

    def second(to: str) -> None: ...

    side_effect(name="two")(functools.partial(first, "x"))
    with pytest.raises(DuplicateSideEffect):
        side_effect(name="two")(functools.partial(second, "x"))


SHOP = """
    from sideeffects import side_effect

    @side_effect(name="shop.send")
    def send(to):
        raise AssertionError("sent")

    class Gateway:
        @side_effect(name="shop.charge")
        def charge(self, cents):
            raise AssertionError("charged")

        @classmethod
        @side_effect(name="shop.refund")
        def refund(cls, cents):
            raise AssertionError("refunded")

    def bare(to):
        raise AssertionError("the bare function ran")

    renamed = side_effect(name="shop.renamed")(bare)

    if __name__ == "__main__":
        import shop_again
        from sideeffects import registry
        print(len(registry), registry["shop.send"].dotted_path)
"""


def test_a_reloaded_module_replaces_its_effects(module: Callable[[str, str], Any]) -> None:
    """The same function, declared again by a reload, replaces itself, also when it has moved."""
    shop = module("shop_reloaded", SHOP)
    before = shop.send
    Path(shop.__file__).write_text("\n\n\n" + textwrap.dedent(SHOP))
    importlib.reload(shop)
    assert shop.send is not before
    assert registry["shop.send"] is shop.send.effect
    assert shop.send.effect.line == before.effect.line + 3
    with capture() as calls:
        before("ann")
        shop.send("ben")
    assert calls.count("shop.send") == 2


def test_what_was_imported_by_name_before_a_reload_answers_as_the_new_module_says(
    module: Callable[[str, str], Any],
) -> None:
    """However often it is loaded again, and whether it has been called before."""
    source = "from sideeffects import side_effect\n@side_effect(name='shop.ask', returns={!r})\ndef ask(): ...\n"
    shop = module("shop_returns", source.format(None))
    handles = [shop.ask]
    for answer in ("old", "newer", "the newest"):
        assert [handle() for handle in handles] == [handles[-1]()] * len(handles)
        Path(shop.__file__).write_text(source.format(answer))
        importlib.reload(shop)
        handles.append(shop.ask)
        assert [handle() for handle in handles] == [answer] * len(handles)


def test_a_module_imported_again_under_another_name_replaces_its_effects(
    module: Callable[[str, str], Any], tmp_path: Path
) -> None:
    """A file that runs as `__main__` and is imported as well declares each effect once."""
    module("shop_again", SHOP)
    import subprocess

    ran = subprocess.run(
        [sys.executable, str(tmp_path / "shop_again.py")], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (ran.stdout, ran.returncode) == ("4 shop_again:send\n", 0), ran.stderr


# -- pickling and copying


def test_effects_travel_by_reference(module: Callable[[str, str], Any]) -> None:
    """Pickled and copied effects are the same objects; bound ones are bound to the copy of their instance."""
    shop = module("shop_pickled", SHOP)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(shop.send, protocol)) is shop.send
    assert copy.copy(shop.send) is shop.send
    assert copy.deepcopy([shop.send])[0] is shop.send

    gateway = shop.Gateway()
    gateway.label = ["blue"]
    for twin in (pickle.loads(pickle.dumps(gateway.charge)), copy.deepcopy(gateway.charge)):
        with capture() as calls:
            assert twin(5) is None
        instance = calls.one("shop.charge").instance
        assert instance is not gateway
        assert instance.label == ["blue"]
        assert instance.label is not gateway.label
    assert copy.copy(bound := gateway.charge) is bound

    for refund in (pickle.loads(pickle.dumps(shop.Gateway.refund)), copy.deepcopy(shop.Gateway.refund)):
        with capture() as calls:
            assert refund(5) is None
        assert calls.one("shop.refund").instance is shop.Gateway

    unbound = pickle.loads(pickle.dumps(shop.Gateway.charge))
    with capture() as calls:
        assert unbound(gateway, 5) is None
    assert calls.one("shop.charge").instance is gateway
    assert copy.deepcopy(shop.Gateway.charge) is not None


def test_the_pickle_of_a_renamed_effect_never_gives_the_bare_function(module: Callable[[str, str], Any]) -> None:
    """Where the function's own name leads to the undeclared function, unpickling gives the effect all the same."""
    shop = module("shop_renamed", SHOP)
    again = pickle.loads(pickle.dumps(shop.renamed))
    assert again is shop.renamed
    with capture() as calls:
        again("ann")
    assert calls.count("shop.renamed") == 1


def test_the_pickle_of_an_effect_that_is_not_declared_here_is_refused(module: Callable[[str, str], Any]) -> None:
    """Without the declaration there is no effect to give, and the bare function is not given instead."""
    shop = module("shop_undeclared", SHOP)
    pickled = pickle.dumps(shop.renamed)
    with isolated_registry(), pytest.raises(UnknownSideEffect, match=r"shop\.renamed"):
        pickle.loads(pickled)


def test_a_local_effect_cannot_be_pickled() -> None:
    """It could not be found again, which the error says."""

    @side_effect(name="send")
    def send() -> None: ...

    class Gateway:
        @staticmethod
        @side_effect(name="local")
        def send() -> None: ...

    for local in (send, Gateway.send):
        with pytest.raises(pickle.PicklingError, match=r"local side effect .*: define it in its module"):
            pickle.dumps(local)
    assert copy.deepcopy(send) is send


def test_an_effect_is_an_argument_of_a_spawned_process(module: Callable[[str, str], Any]) -> None:
    """A child started anew gets the effect, calls it, and the parent reads the recorded calls."""
    shop = module("shop_spawned", SHOP)
    with capture() as calls:
        for target, arguments in ((shop.send, ("ann",)), (shop.Gateway().charge, (5,)), (shop.Gateway.refund, (7,))):
            child = multiprocessing.get_context("spawn").Process(target=target, args=arguments)
            child.start()
            child.join(60)
            assert child.exitcode == 0
    assert [(call.name, dict(call.arguments)) for call in calls] == [
        ("shop.send", {"to": "ann"}),
        ("shop.charge", {"cents": 5}),
        ("shop.refund", {"cents": 7}),
    ]


# -- the background


def test_enqueue_needs_leave() -> None:
    """Only effects with `async_ok=True` run in the background; the others are refused before anything is decided."""

    @side_effect(name="send")
    def send() -> None: ...

    class Gateway:
        @side_effect(name="charge")
        def charge(self) -> None: ...

    with capture() as calls:
        for effect in (send, Gateway().charge):
            with pytest.raises(AsyncNotAllowed, match="async_ok=True"):
                effect.enqueue()
    assert len(calls) == 0


def test_enqueue_is_recorded_in_a_test_run() -> None:
    """The handle is finished, with the stub as its result; the call says that it went to the background."""

    class Gateway:
        @side_effect(name="charge", async_ok=True, returns={"id": 1})
        def charge(self, cents: int) -> dict[str, int]:
            raise AssertionError

    gateway = Gateway()
    with capture() as calls:
        handle = gateway.charge.enqueue(5)
    call = calls.one("charge")
    assert (handle.name, handle.id) == ("charge", call.id)
    assert handle.done()
    assert handle.result() == {"id": 1}
    assert call.is_async
    assert call.instance is gateway
    assert dict(call.arguments) == {"cents": 5}
    assert call.caller.startswith(__file__)


# -- other people's tasks


def celery_app() -> celery.Celery:
    # Were it the current app, the shared tasks of other tests would be looked up in it.
    app = celery.Celery("tests", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.task_always_eager = True
    app.conf.task_eager_propagates = True
    return app


@pytest.mark.parametrize("bind", [False, True])
def test_a_celery_task_above_an_effect_is_decided_on_every_path(bind: bool) -> None:
    """Called directly, by `.delay()`, `.apply_async()` and `.apply()`, the innermost function is recorded."""
    app = celery_app()

    if bind:

        @app.task(bind=True, name="tests.bound", shared=False)
        @side_effect(name="send")
        def send(self: Any, to: str) -> None:
            raise AssertionError
    else:

        @app.task(name="tests.plain", shared=False)
        @side_effect(name="send")
        def send(to: str) -> None:
            raise AssertionError

    with capture() as calls:
        send("direct")
        send.delay("delay")
        send.apply_async(("apply_async",))
        send.apply(args=("apply",))
        send.run("run")
        send.s("signature").apply()
    assert [call.arguments["to"] for call in calls] == ["direct", "delay", "apply_async", "apply", "run", "signature"]
    with forbid("send"), pytest.raises(SideEffectBlocked):
        send.delay("ann")


def test_a_forced_celery_task_runs() -> None:
    """Naming the effect lets the task run, with its result."""
    app = celery_app()

    @app.task(name="tests.forced", shared=False)
    @side_effect(name="send")
    def send(to: str) -> str:
        return f"sent to {to}"

    with force_run("send"):
        assert send.delay("ann").get() == "sent to ann"


# -- around a decision


def test_the_wrapped_function_is_the_documented_way_around() -> None:
    """`.__wrapped__` runs at once, undecided and unrecorded."""

    @side_effect(name="send")
    def send(to: str) -> str:
        return to

    with capture() as calls:
        assert send.__wrapped__("ann") == "ann"
    assert len(calls) == 0


def test_a_switch_that_went_off_in_production_is_on_in_the_test_run(production: None) -> None:
    """What production executes directly is decided again as soon as anything might object."""
    ran = []

    @side_effect(name="send")
    def send(to: str) -> None:
        ran.append(to)

    held = send
    for _ in range(3):
        held("ann")
    with forbid("send"), pytest.raises(SideEffectBlocked):
        held("ben")
    assert ran == ["ann"] * 3


# -- explain


def test_explain_takes_names_and_effects() -> None:
    """Both give the decision in force; a misspelt name has close matches."""

    @side_effect(name="sms.send")
    def send() -> None: ...

    assert explain("sms.send") == explain(send) == explain(send.effect)
    assert explain(send).mode is Mode.RECORD
    with pytest.raises(UnknownSideEffect, match=r"Did you mean 'sms.send'\?"):
        explain("smss.send")


def test_its_repr_says_that_it_is_an_effect() -> None:
    """By name, without addresses for functions; bound ones show what they are bound to."""

    class Gateway:
        def __repr__(self) -> str:
            return "Gateway()"

        @side_effect(name="method")
        def send(self) -> None: ...

    assert repr(side_effect(name="send")(lambda: None)) == "<side effect send>"
    assert repr(Gateway().send).startswith("<side effect method, bound: <bound method")
    assert "Gateway()" in repr(Gateway().send)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are evaluated lazily from Python 3.14 on")
@pytest.mark.parametrize("options", ["", "()", "(sensitive=('to',))"])
def test_annotations_may_name_what_is_defined_later(
    options: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or only for type checkers: declaring and calling evaluate none, and once defined they are there as ever."""
    (tmp_path / "lazily_annotated.py").write_text(
        textwrap.dedent(f"""
            from sideeffects import side_effect

            @side_effect{options}
            def send(to: Later, body: OnlyForTypeCheckers.Body = None) -> Later | None:
                return None

            class Gateway:
                @side_effect{options}
                def send(self, to: Later) -> Later | None:
                    return None

            class Later:
                pass
        """)
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "lazily_annotated", raising=False)
    module = importlib.import_module("lazily_annotated")

    with capture() as calls:
        for call in (module.send, module.Gateway().send):
            with stub(call.effect.name, returns=None):
                assert call(module.Later()) is None

    assert len(calls) == 2
    assert inspect.get_annotations(module.Gateway.send)["to"] is module.Later


def test_method_decorator_is_refused_where_it_is_written() -> None:
    """Django applies its decorators to a new function at each call, which is no declaration."""
    for decorator in (side_effect, side_effect(name="view.post")):
        with pytest.raises(DeclarationError, match=r"put @side_effect.* right above the method itself"):

            class View:
                @method_decorator(decorator)
                def post(self) -> None: ...

    assert list(registry) == []


def test_a_second_declaration_at_run_time_says_where_it_was_made() -> None:
    """A wrapper that declares at each call is the usual cause, so the message names it."""

    def declaring(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda: side_effect(name="again")(functools.partial(function))

    first, second = declaring(print), declaring(input)
    first()
    with pytest.raises(
        DuplicateSideEffect, match=r"inside .*declaring.*<lambda>\(\) at .*test_decorator.py:\d+"
    ) as raised:
        second()
    assert pickle.loads(pickle.dumps(raised.value)).inside == raised.value.inside
    with pytest.raises(DuplicateSideEffect) as raised:
        exec(
            "@side_effect(name='again')\ndef other(): ...",
            {"side_effect": side_effect, "__name__": "shop"},
        )
    assert raised.value.inside == ""
