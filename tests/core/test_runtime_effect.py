"""Methods, however they are reached: through other decorators, `__func__`, weak references and signals."""

from __future__ import annotations

import functools
import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import wrapt
from django.dispatch import Signal

from sideeffects import capture, force_run, record, side_effect, stub
from sideeffects._core.state.runtime_effect import effect_of
from sideeffects.testing import isolated_registry


@pytest.fixture(autouse=True)
def own_registry() -> Iterator[None]:
    """Effects of one test are unknown to the next."""
    with isolated_registry():
        yield


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    """A wrapper that says what it wraps."""

    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner


def silent(function: Callable[..., Any]) -> Callable[..., Any]:
    """A wrapper that does not."""
    return lambda *args, **kwargs: [function(*args, **kwargs)][0]


@wrapt.decorator
def proxied(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
    """A wrapper of wrapt's own."""
    return wrapped(*args, **kwargs)


def make_bank(above: Callable[..., Any]) -> Any:
    """A class with a method of each kind below `above`."""

    class Bank:
        @above
        @side_effect(name="refund", returns=lambda cents, note="": f"recorded {cents}{note}")
        def refund(self, cents: int, note: str = "") -> str:
            return f"{type(self).__name__} {cents}{note}"

        @classmethod
        @above
        @side_effect(name="open", returns=lambda cents: f"recorded {cents}")
        def open(cls, cents: int) -> str:
            return f"{cls.__name__} {cents}"

        @above
        @side_effect(name="__hidden", returns=lambda cents: f"recorded {cents}")
        def __hidden(self, cents: int) -> str:
            return f"{type(self).__name__} {cents}"

        def hidden(self, cents: int) -> Any:
            return self.__hidden(cents)

    return Bank


@pytest.mark.parametrize("above", [lambda f: f, logged, silent, proxied])
def test_wrappers_above_a_method_change_nothing_of_its_calls(above: Callable[..., Any]) -> None:
    """`self` and `cls` are no arguments, a callable stub gets what the caller gave, and the method still executes."""
    bank = make_bank(above)
    special = type("Special", (bank,), {})()
    with record("*"), capture() as calls:
        answers = [special.refund(5, note="!"), special.open(6), special.hidden(7)]
    assert answers == ["recorded 5!", "recorded 6", "recorded 7"]
    assert [dict(call.arguments) for call in calls] == [{"cents": 5, "note": "!"}, {"cents": 6}, {"cents": 7}]
    assert [call.instance for call in calls] == [special, type(special), special]
    with force_run("*"):
        answers = [special.refund(5), type(special).open(6), special.hidden(7)]
    assert answers == ["Special 5", "Special 6", "Special 7"]


def test_a_class_method_below_a_wrapper_gets_its_class_from_python() -> None:
    """`@classmethod` directly above `@side_effect`: on Python 3.13 it binds by itself."""

    class Bank:
        @classmethod
        @side_effect(name="charge")
        def charge(cls, cents: int) -> None: ...

    with stub("charge", returns=lambda cents: cents), capture() as calls:
        assert Bank.charge(5) == Bank().charge(5) == 5
    assert [call.instance for call in calls] == [Bank, Bank]


async def test_wrappers_above_asynchronous_methods_and_streams() -> None:
    """Coroutines, generators and context managers are told from their `self` as well."""

    class Bank:
        @logged
        @side_effect(name="later", returns=lambda cents: cents)
        async def later(self, cents: int) -> str:
            return f"later {cents}"

        @logged
        @side_effect(name="stream", returns=lambda cents: iter([cents]))
        def stream(self, cents: int) -> Iterator[Any]:
            yield f"stream {cents}"

        @logged
        @side_effect(name="opened", returns=lambda cents: cents)
        @contextmanager
        def opened(self, cents: int) -> Iterator[Any]:
            yield f"opened {cents}"

    bank = Bank()

    async def called() -> list[Any]:
        with bank.opened(3) as opened:
            return [await bank.later(1), *bank.stream(2), opened]

    with record("*"), capture() as calls:
        assert await called() == [1, 2, 3]
    assert {call.instance for call in calls} == {bank}
    with force_run("*"):
        assert await called() == ["later 1", "stream 2", "opened 3"]


def test_a_static_method_may_be_given_an_instance() -> None:
    """What a static method gets is an argument, also when it is an object of the class; so it is for functions."""

    class Bank:
        @staticmethod
        @side_effect(name="close")
        def close(bank: Any) -> None: ...

        @side_effect(name="merge")
        def merge(self, other: Any) -> None: ...

    @side_effect(name="close.function")
    def close(bank: Any) -> None: ...

    bank, other = Bank(), Bank()
    with record("*"), capture() as calls:
        Bank.close(bank)
        close(bank)
        bank.merge(other)
    assert [dict(call.arguments) for call in calls] == [{"bank": bank}, {"bank": bank}, {"other": other}]


def test_implicit_class_methods() -> None:
    """`__init_subclass__` and `__class_getitem__` get their class, with and without `@classmethod`."""

    class Plugin:
        known: list[Any] = []  # noqa: RUF012 - of all of them

        @side_effect(name="register")
        def __init_subclass__(cls, **options: Any) -> None:
            super().__init_subclass__()
            cls.known.append((cls.__name__, options))

        @logged
        @side_effect(name="item", returns=lambda key: f"recorded {key}")
        def __class_getitem__(cls, key: str) -> Any:
            return f"{cls.__name__} {key}"

    with record("*"), capture() as calls:
        recorded = type("Recorded", (Plugin,), {}, speed=1)
        assert recorded["x"] == "recorded x"  # type: ignore[misc]
    assert [(call.name, call.instance, dict(call.arguments)) for call in calls] == [
        ("register", recorded, {"options": {"speed": 1}}),
        ("item", recorded, {"key": "x"}),
    ]
    with force_run("*"):
        executed: Any = type("Executed", (Plugin,), {}, speed=2)
        assert executed["x"] == "Executed x"
    assert Plugin.known == [("Executed", {"speed": 2})]


def make_gateway() -> Any:
    """A class whose methods tell that they ran."""

    class Gateway:
        ran: list[str] = []  # noqa: RUF012 - of all of them

        @side_effect(name="method")
        def method(self, **_: Any) -> str:
            self.ran.append("method")
            return "done"

        @side_effect(name="above")
        @classmethod
        def above(cls, **_: Any) -> str:
            cls.ran.append("above")
            return "done"

        @classmethod
        @side_effect(name="below")
        def below(cls, **_: Any) -> str:
            cls.ran.append("below")
            return "done"

        @side_effect(name="static")
        @staticmethod
        def static(**_: Any) -> str:
            Gateway.ran.append("static")
            return "done"

        def plain(self, **_: Any) -> str:
            self.ran.append("plain")
            return "done"

    return Gateway


def test_func_is_no_way_around_a_decision() -> None:
    """`bound.__func__`, and that of what a class holds, are decided as the method is."""
    kind = make_gateway()
    gateway = kind()
    single = side_effect(name="single")(gateway.plain)
    calls_made: list[tuple[Any, tuple[Any, ...]]] = [
        (gateway.method.__func__, (gateway,)),
        (kind.above.__func__, (kind,)),
        (kind.below.__func__, (kind,)),
        (vars(kind)["method"], (gateway,)),
        (vars(kind)["above"].__func__, (kind,)),
        (vars(kind)["below"].__func__, (kind,)),
        (vars(kind)["static"].__func__, ()),
        (single.__func__, (gateway,)),
    ]
    with record("*"), capture() as calls:
        for function, args in calls_made:
            assert function(*args) is None
    assert kind.ran == []
    assert [call.name for call in calls] == ["method", "above", "below", "method", "above", "below", "static", "single"]
    assert [dict(call.arguments) for call in calls] == [{"_": {}}] * len(calls_made)
    with force_run("*"):
        assert [function(*args) for function, args in calls_made] == ["done"] * len(calls_made)
    with pytest.raises(TypeError, match="the method of one object"):
        single.__func__(kind())
    assert not hasattr(kind.method, "__func__")
    assert not hasattr(kind.static, "__func__")
    assert kind.static is kind().static


@pytest.mark.parametrize("name", ["method", "above", "below"])
def test_weak_references_to_methods(name: str) -> None:
    """`weakref.WeakMethod` of a bound effect gives it back, decided."""
    kind = make_gateway()
    gateway = kind()
    reference = weakref.WeakMethod(getattr(gateway, name))
    gc.collect()
    assert reference == weakref.WeakMethod(getattr(gateway, name))
    found: Any = reference()
    with record("*"), capture() as calls:
        found()
    assert [call.instance for call in calls] == [gateway if name == "method" else kind]
    with force_run("*"):
        assert found() == "done"


@pytest.mark.parametrize("name", ["method", "above", "below", "static"])
def test_bound_effects_are_receivers_of_signals(name: str) -> None:
    """Weakly, as Django's signals hold them: called, decided, disconnected, and gone with their object."""
    kind = make_gateway()
    gateway, ordered = kind(), Signal()
    ordered.connect(getattr(gateway, name))
    ordered.connect(getattr(gateway, name))  # the same: connected once
    gc.collect()
    with force_run("*"):
        assert [answer for _, answer in ordered.send(sender=None)] == ["done"]
    with record("*"), capture() as calls:
        ordered.send(sender=None)
    assert [call.name for call in calls] == [name]
    assert ordered.disconnect(getattr(gateway, name))
    assert ordered.send(sender=None) == []


def test_which_effect_something_is() -> None:
    """Told for effects, bound ones and wrappers; not for what has none below."""
    bank = make_bank(logged)
    instance = bank()
    for thing, bound_to, is_direct in (
        (bank.refund, None, False),
        (instance.refund, instance, False),
        (vars(bank)["open"], None, False),
        (instance.open, bank, False),
        (make_gateway()().method.__func__, None, True),
    ):
        reached = effect_of(thing)
        assert reached is not None
        assert (reached.instance, reached.is_direct) == (bound_to, is_direct)
    assert [effect_of(thing) for thing in (print, logged, 3, None, bank, instance, pytest.mark)] == [None] * 7
