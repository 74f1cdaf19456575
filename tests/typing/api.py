"""What type checkers make of the public API. Read by `make types`, never run."""

import abc
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any, Generic, Protocol, Self, TypeVar, assert_type

from django_tasks import TaskResult, task

from sideeffects import (
    Call,
    Calls,
    Decision,
    Mode,
    SideEffect,
    SideEffectBlocked,
    capture,
    declare,
    explain,
    forbid,
    force_run,
    observe,
    record,
    registry,
    side_effect,
    stub,
)
from sideeffects.testing import isolated_registry

T = TypeVar("T")
R = TypeVar("R")

# -- functions keep their signature, however they are declared


@side_effect
def bare(to: str, body: str = "hi") -> int:
    return len(to + body)


@side_effect()
def empty(to: str) -> int:
    return len(to)


@side_effect(
    name="sms.send",
    async_ok=True,
    on_commit="default",
    in_transaction=True,
    returns={"id": 1},
    raises=(ConnectionError,),
    sensitive=["body"],
    tags=("sms",),
    owner="team",
    reads=True,
    details=lambda to, **_: {"to": to},
)
def named(to: str, *rest: int, body: str, **more: bytes) -> dict[str, int]:
    return {to: len(body) + sum(rest) + len(more)}


assert_type(bare("ann"), int)
assert_type(bare("ann", body="hello"), int)
assert_type(empty(to="ann"), int)
assert_type(named("ann", 1, 2, body="hello", extra=b""), dict[str, int])
bare(3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
bare()  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
bare("ann", subject="x")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
empty("ann", "x")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
named("ann")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]

as_callable: Callable[[str, str], int] = bare
not_that_callable: Callable[[int], int] = bare  # type: ignore[assignment] # pyright: ignore[reportAssignmentType]

side_effect(3)  # type: ignore[call-overload] # pyright: ignore[reportArgumentType, reportCallIssue]
side_effect(name=3)  # type: ignore[call-overload] # pyright: ignore[reportArgumentType]
side_effect(retries=3)  # type: ignore[call-overload] # pyright: ignore[reportCallIssue]

# -- what a declared function has besides

assert_type(bare.effect, SideEffect)
assert_type(bare.effect.name, str)
assert_type(bare.effect.on_commit, bool | str)
assert_type(bare.effect.raises, tuple[type[BaseException], ...])
assert_type(bare.__wrapped__("ann"), int)
assert_type(bare.__name__, str)
assert_type(bare.__doc__, str | None)
bare.effect.name = "other"  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]
bare.nothing  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]

handle = named.enqueue("ann", body="hello")
assert_type(handle.id, str)
assert_type(handle.name, str)
assert_type(handle.done(), bool)
handle.result(timeout=3.0)
named.enqueue("ann")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
named.enqueue(3, body="x")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]

# -- methods of all kinds


class Gateway:
    @side_effect(name="gateway.charge", sensitive=["token"])
    def charge(self, cents: int, token: str = "") -> dict[str, int]:
        return {token: cents}

    @side_effect
    def bare(self, cents: int) -> int:
        return cents

    @classmethod
    @side_effect(name="gateway.below")
    def class_method_below(cls, cents: int) -> int:
        return cents

    @side_effect(name="gateway.above")
    @classmethod
    def class_method_above(cls, cents: int) -> int:
        return cents

    @side_effect
    @classmethod
    def bare_class_method(cls, cents: int) -> int:
        return cents

    @staticmethod
    @side_effect(name="gateway.static.below")
    def static_method_below(cents: int) -> int:
        return cents

    @side_effect(name="gateway.static.above")
    @staticmethod
    def static_method_above(cents: int) -> int:
        return cents

    @side_effect
    @staticmethod
    def bare_static_method(cents: int) -> int:
        return cents

    @side_effect(name="gateway.later")
    async def later(self, cents: int) -> int:
        return cents

    @side_effect(name="gateway.call")
    def __call__(self, cents: int) -> int:
        return cents


class Special(Gateway):
    def use_parent(self) -> int:
        assert_type(super().bare(1), int)
        return super().bare(1)


gateway = Gateway()
assert_type(gateway.charge(5), dict[str, int])
assert_type(gateway.charge(cents=5, token="x"), dict[str, int])
assert_type(gateway.bare(5), int)
assert_type(Gateway.charge(gateway, 5), dict[str, int])
assert_type(gateway.charge.effect, SideEffect)
assert_type(Gateway.charge.effect, SideEffect)
gateway.charge.enqueue(5)
gateway.charge("5")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
gateway.charge()  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
gateway.charge.enqueue("5")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]

assert_type(Gateway.class_method_below(5), int)
assert_type(Gateway.class_method_above(5), int)
assert_type(Gateway.bare_class_method(5), int)
assert_type(gateway.class_method_below(5), int)
assert_type(gateway.class_method_above(5), int)
assert_type(Gateway.static_method_below(5), int)
assert_type(Gateway.static_method_above(5), int)
assert_type(Gateway.bare_static_method(5), int)
assert_type(gateway.static_method_below(5), int)
assert_type(gateway.static_method_above(5), int)
assert_type(Gateway.class_method_above.effect, SideEffect)
assert_type(Gateway.static_method_above.effect, SideEffect)
Gateway.class_method_above("5")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
Gateway.static_method_above("5")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]

assert_type(Special().bare(5), int)
assert_type(gateway(5), int)

# -- methods that return `Self`, that are generic, overridden, abstract, part of a protocol


class Returning:
    """Methods that return their own class, and those that are overridden."""

    @side_effect(name="returning.me")
    def me(self, again: int = 0) -> Self:
        return self

    @side_effect
    def bare_me(self) -> Self:
        return self

    @side_effect(name="returning.later")
    async def later(self) -> Self:
        return self

    @classmethod
    @side_effect(name="returning.below")
    def below(cls, cents: int) -> Self:
        return cls()

    @side_effect(name="returning.above")
    @classmethod
    def above(cls, cents: int) -> Self:
        return cls()

    @side_effect(name="returning.cents")
    def cents(self, cents: int) -> int:
        return cents

    @side_effect(name="returning.same")
    def same(self) -> "Returning":
        return self

    @side_effect(name="returning.anything")
    def anything(self) -> Any: ...

    @side_effect
    def untyped(self, cents):  # type: ignore[no-untyped-def] # pyright: ignore[reportMissingParameterType]
        return cents.whatever

    @side_effect(name="returning.anything.later")
    async def anything_later(self) -> Any: ...

    @side_effect(name="returning.anything.class")
    @classmethod
    def class_anything(cls) -> Any: ...

    @side_effect(name="returning.optional")
    def optional(self) -> int | None: ...

    @side_effect(name="returning.plain")
    @classmethod
    def plain(cls, cents: int) -> int:
        return cents


class Overriding(Returning):
    @side_effect(name="overriding.me")
    def me(self, again: int = 0) -> Self:
        return super().me(again)

    def bare_me(self) -> Self:
        return super().bare_me()

    def cents(self, cents: int) -> int:
        return super().cents(cents)

    @classmethod
    def plain(cls, cents: int) -> int:
        return super().plain(cents)


assert_type(Overriding().me(), Overriding)
assert_type(Overriding().me(again=1).cents(1), int)
assert_type(Overriding().bare_me(), Overriding)
assert_type(Overriding.below(1), Overriding)
assert_type(Overriding.above(1), Overriding)
assert_type(Overriding().above(cents=1), Overriding)
assert_type(Returning().me(), Returning)
assert_type(Overriding().same(), Returning)
assert_type(Overriding().anything(), Any)
assert_type(Overriding.class_anything(), Any)
assert_type(Overriding().optional(), int | None)
Overriding().untyped(3).whatever
assert_type(Returning().me.effect, SideEffect)
assert_type(Returning.above.effect, SideEffect)
Returning().me.enqueue(again=1)
Returning().cents.__self__
Returning().me("x")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
Returning.above("x")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


async def use_returning() -> None:
    assert_type(await Overriding().later(), Overriding)
    assert_type(await Overriding().anything_later(), Any)


class Box(Generic[T]):
    def __init__(self, content: T) -> None:
        self.content = content

    @side_effect(name="box.map")
    def map(self, function: Callable[[T], R]) -> "Box[R]":
        return Box(function(self.content))

    @side_effect(name="box.get")
    def get(self) -> T:
        return self.content


assert_type(Box(1).map(str), Box[str])
assert_type(Box(1).get(), int)


class HasCents(Protocol):
    def cents(self, cents: int) -> int: ...


has_cents: HasCents = Returning()
has_other_cents: HasCents = Overriding()


class Abstract(abc.ABC):
    @side_effect(name="abstract.go")
    @abc.abstractmethod
    def go(self, cents: int) -> None: ...


class Concrete(Abstract):
    def go(self, cents: int) -> None: ...


class ConcreteEffect(Abstract):
    @side_effect(name="concrete.go")
    def go(self, cents: int) -> None: ...


assert_type(ConcreteEffect().go.effect, SideEffect)


@side_effect(name="function.of.self")
def of_self(self: Gateway, cents: int) -> int:
    return cents


assert_type(of_self(gateway, 3), int)


# -- asynchronous functions, generators, context managers


@side_effect(name="later", returns=3)
async def later(to: str) -> int:
    return len(to)


@side_effect
def pull(start: int) -> Iterator[int]:
    yield start


@side_effect
def talk(start: int) -> Generator[int, str, bool]:
    return (yield start) == ""


@side_effect
async def pull_later(start: int) -> AsyncIterator[int]:
    yield start


@side_effect
async def talk_later(start: int) -> AsyncGenerator[int, str]:
    yield start


@side_effect(name="opened")
@contextmanager
def opened(path: str) -> Generator[bytes]:
    yield path.encode()


@side_effect
@asynccontextmanager
async def opened_later(path: str) -> AsyncGenerator[bytes]:
    yield path.encode()


assert_type(pull(1), Iterator[int])
assert_type(talk(1), Generator[int, str, bool])
assert_type(pull_later(1), AsyncIterator[int])
assert_type(talk_later(1), AsyncGenerator[int, str])
as_coroutine_function: Callable[[str], Coroutine[Any, Any, int]] = later
as_manager: AbstractContextManager[bytes] = opened("x")
as_async_manager: AbstractAsyncContextManager[bytes] = opened_later("x")


async def use_them() -> None:
    assert_type(await later("ann"), int)
    assert_type(await gateway.later(5), int)
    async for item in pull_later(1):
        assert_type(item, int)
    with opened("x") as content:
        assert_type(content, bytes)
    async with opened_later("x") as content:
        assert_type(content, bytes)
    await later(3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    opened(3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


# -- overrides


@force_run(bare, "sms.*")
def forced(to: str) -> int:
    return bare(to)


@record()
async def recorded(to: str) -> int:
    return await later(to)


@forbid("gateway.*")
class Case:
    def test_it(self) -> None: ...


assert_type(forced("ann"), int)
Case().test_it()
forced(3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]

with force_run(gateway.charge, Gateway.class_method_below, bare.effect), record(bare), forbid():
    pass
with stub(bare, returns=3), stub("sms.send", raises=ConnectionError), stub(named, raises=ConnectionError("no")):
    pass
stub()  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
stub(bare, raises="no")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


async def use_overrides() -> None:
    assert_type(await recorded("ann"), int)
    async with force_run(bare):
        pass


# -- reading back

with capture() as calls:
    assert_type(calls, Calls)
    assert_type(calls[0], Call)
    assert_type(calls[1:], list[Call])
    assert_type(len(calls), int)
    assert_type(calls.named(bare), Calls)
    assert_type(calls.count("sms.*"), int)
    assert_type(calls.one(named), Call)
    assert_type(calls.as_data(), list[dict[str, Any]])
    calls.assert_called(bare, times=1, where=lambda call: call.is_async, arguments={"to": "ann"}, body="hello")
    calls.assert_not_called(bare, to="ann")
    calls.assert_only(bare, "sms.*")
    calls.assert_order(bare, named)
    calls.assert_called()  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    calls.assert_called(bare, times="1")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    for call in calls:
        assert_type(call, Call)

call = calls.one(bare)
assert_type(call.name, str)
assert_type(call.arguments, Mapping[str, Any])
assert_type(call.args, tuple[Any, ...])
assert_type(call.mode, Mode)
assert_type(call.decision, Decision)
assert_type(call.run_id, str | None)
assert_type(call.pid, int)
call.name = "x"  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]
if call.outcome is not None:
    assert_type(call.outcome.error, BaseException | None)
    assert_type(call.outcome.duration, float)
call.outcome.result  # type: ignore[union-attr] # pyright: ignore[reportOptionalMemberAccess]


def watching(call: Call) -> None: ...


def watching_something_else(call: int) -> None: ...


assert_type(observe(watching), Callable[[], None])
observe(watching_something_else)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]

# -- deciding, the registry, declaring

# -- tasks stay tasks, whichever decorator is above


@side_effect(name="tasks.above", returns=1)
@task
def task_above(to: str) -> int:
    return len(to)


@task
@side_effect(name="tasks.below")
def task_below(to: str) -> int:
    return len(to)


assert_type(task_above.using(priority=1).enqueue("ann"), TaskResult[int])
assert_type(task_below.enqueue("ann"), TaskResult[int])
assert_type(task_above.call("ann"), int)
task_above.enqueue(1)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
force_run(task_above)

assert_type(explain("sms.send"), Decision)
assert_type(explain(bare).mode, Mode)
assert_type(registry["sms.send"], SideEffect)
assert_type(registry.match("sms.*"), tuple[SideEffect, ...])
assert_type(list(registry), list[str])
assert_type(Mode.EXECUTE < Mode.RECORD, bool)
registry["x"] = bare.effect  # type: ignore[index] # pyright: ignore[reportIndexIssue]

declare("smtplib:SMTP.send_message", name="smtp.send", sensitive=["msg"])
declare(3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]

with isolated_registry() as own:
    assert_type(own["sms.send"], SideEffect)

try:
    bare("ann")
except SideEffectBlocked as blocked:
    assert_type(blocked.name, str)
    assert_type(blocked.origin, str)
