"""What becomes of a held call: a row in the caller's transaction, or a refusal that says why not."""

import asyncio
import datetime
import enum
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connections, transaction
from django.test import override_settings

from sideeffects import SideEffectBlocked, hold, side_effect

ALL = pytest.mark.parametrize("outbox", ["sqlite", "postgres", "mariadb"], indirect=True)


class Size(enum.Enum):
    BIG = 1


@ALL
def test_a_held_call_is_a_row(outbox: Any) -> None:
    """With what is shown redacted, and what is executed encrypted; the texts that databases dislike included."""

    @side_effect(name="sms.send", sensitive=["pin"], details=lambda to, *_, **__: {"country": to[:3]})
    def send(to: str, body: str = "hello", *, pin: str = "") -> None:
        raise AssertionError

    with hold("sms.*"):
        assert send("+44 1", "a\0b \ud800", pin="secret-pin") is None
        send("+44 2")
    first, second = outbox.order_by("pk")
    assert (first.effect, first.state) == ("sms.send", "held")
    assert first.arguments == {"to": "+44 1", "body": "a\0b \ud800", "pin": "[redacted]"}
    assert first.details == {"country": "+44"}
    assert first.reason == 'held by hold("sms.*")'
    assert first.decided_by.startswith(__file__)
    assert first.caller.startswith(__file__)
    assert first.origin.startswith("test tests/outbox/test_keeping.py")
    assert datetime.datetime.now(datetime.UTC) - first.at < datetime.timedelta(minutes=5)
    assert first.is_encrypted
    assert not second.is_encrypted
    assert not any("secret-pin" in str(value) for value in vars(first).values())
    assert first.call_id != second.call_id


@ALL
def test_it_exists_exactly_if_the_rows_around_it_do(outbox: Any) -> None:
    """A transaction that rolls back takes its held calls along, and one that commits keeps them: hundreds as well."""

    @side_effect(name="sms.send")
    def send(to: int) -> None:
        raise AssertionError

    with hold(), transaction.atomic("outbox"):
        for number in range(250):
            send(number)
    with hold(), pytest.raises(ZeroDivisionError), transaction.atomic("outbox"):
        for number in range(1000, 1150):
            send(number)
        assert outbox.count() == 400
        send(1 // 0)
    assert [row.arguments["to"] for row in outbox.order_by("pk")] == list(range(250))


@pytest.mark.parametrize("outbox", ["postgres"], indirect=True)
def test_a_hundred_of_one_transaction_share_an_insert(outbox: Any) -> None:
    """Outside a transaction each has its own, at once."""

    @side_effect(name="sms.send")
    def send(to: int) -> None:
        raise AssertionError

    statements: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        statements.append(sql)
        return execute(sql, params, many, context)

    with connections["outbox"].execute_wrapper(note), hold():
        send(1)
        send(2)
        alone = [sql for sql in statements if sql.startswith("INSERT")]
        assert len(alone) == 2
        with transaction.atomic("outbox"):
            for number in range(1000):
                send(number)
    assert len([sql for sql in statements if sql.startswith("INSERT")]) == 12
    assert outbox.count() == 1002


def test_what_json_cannot_carry_is_refused(outbox: Any) -> None:
    """With the argument's name, and what to pass instead; nothing is kept."""

    @side_effect(name="crm.update")
    def update(**values: Any) -> None:
        raise AssertionError

    from django.contrib.auth.models import User  # there while its app is

    loop: list[Any] = []
    loop.append(loop)
    refused = {
        "argument values['who'] is a User, which may have changed.* Pass an id": User(username="ann"),
        "argument values['who'] is a datetime, which JSON cannot carry": datetime.datetime(2026, 1, 1),  # noqa: DTZ001
        "argument values['who'] is a Size, which JSON cannot carry": Size.BIG,
        "argument values['who'] is nan, which JSON cannot carry": float("nan"),
        r"argument values['who'][1] has the key 7; in JSON a key is a string": [1, {7: "x"}],
        "argument values['who'].* is nested too deep, or holds itself": loop,
        "arguments cannot be carried by JSON: Exceeds the limit": 10**5000,
    }
    for message, value in refused.items():
        pattern = message.replace("[", r"\[").replace("]", r"\]")
        with hold(), pytest.raises(SideEffectBlocked, match=f"it would have been held .* and cannot be: .*{pattern}"):
            update(who=value)
    with hold():
        update(who={"id": (1, 2.5, None, True)})
    assert [row.arguments for row in outbox] == [{"values": {"who": {"id": [1, 2.5, None, True]}}}]


class Gateway:
    @side_effect(name="gateway.charge")
    def charge(self, cents: int) -> None:
        raise AssertionError

    @classmethod
    @side_effect(name="gateway.reset")
    def reset(cls) -> None:
        raise AssertionError


def test_what_cannot_wait_is_refused(outbox: Any) -> None:
    """Methods of objects that nobody finds again, generators and context managers."""
    import contextlib

    @side_effect(name="lines.read")
    def lines() -> Any:
        yield 1

    @side_effect(name="lock.take")
    @contextlib.contextmanager
    def lock() -> Any:
        yield

    class Local:
        @classmethod
        def send(cls) -> None:
            raise AssertionError

    local = side_effect(name="local.send")(Local.send)
    for call, message in (
        (lambda: Gateway().charge(5), "it is a method, and the Gateway that it is called on cannot be kept"),
        (lines, "it is a generator: the code that uses it, in a block or a loop, cannot wait"),
        (lock, "it is a context manager: "),
        (local, "the class test_what_cannot_wait_is_refused.<locals>.Local cannot be found again under its name"),
        (side_effect(name="n" * 300)(lambda: None), "names of at most 255 characters"),
    ):
        with hold(), pytest.raises(SideEffectBlocked, match=message):
            call()
    assert outbox.count() == 0


def test_secrets_need_something_to_encrypt_them(outbox: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without cryptography they are refused, never written."""
    import sys

    from sideeffects.outbox import encryption

    encryption._made_of.cache_clear()
    monkeypatch.setitem(sys.modules, "cryptography.fernet", None)

    @side_effect(name="sms.send")
    def send(password: str) -> None:
        raise AssertionError

    with hold(), pytest.raises(SideEffectBlocked, match="needs cryptography: pip install 'sideeffects"):
        send("hunter2")
    assert outbox.count() == 0


def test_without_time_zones_times_are_local(outbox: Any) -> None:
    """As Django's own are then."""

    @side_effect(name="sms.send")
    def send() -> None:
        raise AssertionError

    with override_settings(USE_TZ=False), hold():
        send()
        assert outbox.get().at.tzinfo is None


@ALL
def test_coroutines_are_held_in_the_transaction_around_their_loop(outbox: Any) -> None:
    """And a plain function that is called in a loop is written by itself."""

    @side_effect(name="sms.send")
    async def send(to: str) -> None:
        raise AssertionError

    @side_effect(name="sms.ring")
    def ring(to: str) -> None:
        raise AssertionError

    async def both() -> None:
        await send("ann")
        ring("ben")

    with hold(), pytest.raises(ZeroDivisionError), transaction.atomic("outbox"):
        async_to_sync(send)("cay")
        send(1 // 0)
    assert outbox.count() == 0

    async def forgotten() -> None:
        await sync_to_async(forget)()

    def forget() -> None:  # in the thread that Django's queries have in loops
        connections["outbox"].close()
        del connections["outbox"]

    with hold():
        asyncio.run(both())
    asyncio.run(forgotten())
    assert {row.effect for row in outbox} == {"sms.send", "sms.ring"}
