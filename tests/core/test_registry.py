"""The registry: a read-only mapping of names to effects, and its isolation."""

import os
import sys
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from sideeffects import UnknownSideEffect, registry, side_effect
from sideeffects.testing import isolated_registry

pytestmark = pytest.mark.usefixtures("own_registry")


def declare(*names: str) -> None:
    for name in names:
        side_effect(name=name)(lambda: None)


def test_it_is_a_mapping_sorted_by_name() -> None:
    """Names come sorted, whatever the order of their declarations."""
    declare("b", "c", "a")
    assert isinstance(registry, Mapping)
    assert list(registry) == ["a", "b", "c"]
    declare("aa")
    assert list(registry) == ["a", "aa", "b", "c"]
    assert [effect.name for effect in registry.values()] == ["a", "aa", "b", "c"]
    assert len(registry) == 4
    assert "a" in registry
    assert "d" not in registry


def test_it_cannot_be_written() -> None:
    """The mapping is read-only."""
    declare("a")
    writable: Any = registry
    with pytest.raises(TypeError):
        writable["b"] = registry["a"]
    with pytest.raises(TypeError):
        del writable["a"]


def test_its_repr_counts() -> None:
    """It says how many there are, in English."""
    declare("a")
    assert repr(registry) == "<registry of 1 side effect>"
    declare("b")
    assert repr(registry) == "<registry of 2 side effects>"


@pytest.mark.parametrize("name", ["smss.send", 3, None, ["sms.send"]])
def test_an_unknown_name_raises_with_close_matches(name: Any) -> None:
    """A misspelt name is a `KeyError` that offers what it may have meant; other keys are unknown as well."""
    declare("sms.send", "mail.send")
    with pytest.raises(KeyError) as refused:
        registry[name]
    assert isinstance(refused.value, UnknownSideEffect)
    assert registry.get(str(name)) is None
    if name == "smss.send":
        assert refused.value.close == ("sms.send", "mail.send")


def test_parts_of_names_are_offered_as_well() -> None:
    """`send` is not close to `shop.orders.notifications.send` by letters, but it is its last part."""
    declare("shop.orders.notifications.send", "warehouse.report")
    assert registry.close_to("send") == ("shop.orders.notifications.send",)
    assert registry.close_to("warehouse") == ("warehouse.report",)
    assert registry.close_to("nothing.like.it") == ()


def test_match_takes_names_and_globs() -> None:
    """`*` crosses dots, case counts, `__all__` means all, and the result is sorted."""
    declare("sms.send", "sms.bulk.send", "mail.send", "SMS.send")

    def matched(pattern: str) -> list[str]:
        return [effect.name for effect in registry.match(pattern)]

    assert matched("sms.*") == ["sms.bulk.send", "sms.send"]
    assert matched("*.send") == ["SMS.send", "mail.send", "sms.bulk.send", "sms.send"]
    assert matched("sms.send") == ["sms.send"]
    assert matched("sms.sen") == []
    assert matched("sms.s?nd") == ["sms.send"]
    assert matched("[sm]*.send") == ["mail.send", "sms.bulk.send", "sms.send"]
    assert matched("[!s]*") == ["SMS.send", "mail.send"]
    assert matched("__all__") == matched("*") == list(registry)


def test_isolation_nests_and_comes_back_after_exceptions() -> None:
    """Inside there is nothing; afterwards everything is as before, with one declaration per registry."""
    declare("a")
    with pytest.raises(RuntimeError), isolated_registry() as inner:
        assert list(inner) == []
        declare("a", "b")
        assert list(registry) == ["a", "b"]
        with isolated_registry():
            assert list(registry) == []
        assert list(registry) == ["a", "b"]
        raise RuntimeError
    assert list(registry) == ["a"]


def test_threads_declare_at_once() -> None:
    """No declaration of many threads is lost, and listing meanwhile never fails."""
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for index in range(50):
                declare(f"n{number}.e{index}")
                assert f"n{number}.e{index}" in list(registry)
        except BaseException as error:  # noqa: BLE001 - asserted on below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(registry) == 400


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_child_forked_while_another_thread_declares_can_list() -> None:
    """A lock that another thread held at the fork does not stay locked in the child."""
    from sideeffects._core.calls.registry import store

    declare("a")
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with store.lock:
            held.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(60)
    child = os.fork()
    if child == 0:
        import signal

        signal.alarm(20)
        os._exit(0 if list(registry) == ["a"] and registry.match("*") else 1)
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_who_waits_for_a_declaration_is_told_of_the_first_one_only() -> None:
    """At once if there is one already; and not at all if it has gone."""
    from sideeffects._core.calls.registry import store

    told: list[str] = []
    store.when_declared(lambda: told.append("first"))
    gone = store.when_declared(lambda: told.append("gone"))
    gone()
    gone()
    declare("a")
    declare("b")
    assert told == ["first"]
    late = store.when_declared(lambda: told.append("late"))
    late()
    assert told == ["first", "late"]
