"""What the racers of `test_races.py` call, and the databases that they race on."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from django.conf import settings
from django.core import mail
from django.db import connections, transaction

from sideeffects import side_effect
from sideeffects.testing import call_concurrently

ALIAS = "races"


class Account:
    """The database `races` with one table, as long as it is open.

    Args:
        given: an entry of Django's `DATABASES`.
    """

    def __init__(self, given: dict[str, Any]) -> None:
        defaults = dict(connections.settings["default"])
        connections.settings[ALIAS] = {**defaults, **given, "TEST": dict(defaults["TEST"])}
        self.connection = connections[ALIAS]
        self.execute("CREATE TABLE account (id integer PRIMARY KEY, balance integer, paid integer)")

    def execute(self, sql: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(sql)

    def reset(self) -> None:
        """One account with a balance of 100, unpaid."""
        self.execute("DELETE FROM account")
        self.execute("INSERT INTO account VALUES (1, 100, 0)")

    def value(self, column: str) -> int:
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT {column} FROM account WHERE id = 1")
            found: int = cursor.fetchone()[0]
            return found

    def close(self) -> None:
        self.execute("DROP TABLE account")
        self.connection.close()
        del connections[ALIAS]
        del connections.settings[ALIAS]


# -- what racers call


@side_effect(name="racing.charge", returns="recorded")
def charge(cents: int) -> str:
    return "executed"


@side_effect(name="racing.notify")
def notify(to: str = "") -> None: ...


def simple() -> bool:
    return True


def add(a: int, b: int = 0) -> int:
    return a + b


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


async def wait_a_little(value: int) -> int:
    await asyncio.sleep(0)
    return value


def pay_carelessly(seconds: float = 0.0) -> bool:
    """Check, then act: two that check at the same time both pay."""
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("SELECT paid FROM account WHERE id = 1")
        if cursor.fetchone()[0]:
            return False
        time.sleep(seconds)
        charge(cents=100)
        cursor.execute("UPDATE account SET paid = 1 WHERE id = 1")
    return True


def pay_carelessly_later(seconds: float) -> bool:
    """As one who has more to do before it looks."""
    time.sleep(seconds)
    return pay_carelessly()


def pay_once() -> bool:
    """The fix: whoever turns the flag pays."""
    with transaction.atomic(using=ALIAS), connections[ALIAS].cursor() as cursor:
        cursor.execute("UPDATE account SET paid = 1 WHERE id = 1 AND paid = 0")
        if not cursor.rowcount:
            return False
        charge(cents=100)
    return True


def balance() -> int:
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("SELECT balance FROM account WHERE id = 1")
        found: int = cursor.fetchone()[0]
        return found


def session() -> int:
    """The session's own number on PostgreSQL."""
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        found: int = cursor.fetchone()[0]
        return found


def hold_the_row(seconds: float) -> None:
    """Keep a lock, in the server, for longer than anybody waits."""
    with transaction.atomic(using=ALIAS), connections[ALIAS].cursor() as cursor:
        cursor.execute("UPDATE account SET balance = 0 WHERE id = 1")
        cursor.execute("SELECT SLEEP(%s)" if cursor.db.vendor == "mysql" else "SELECT pg_sleep(%s)", [seconds])


class Refused(Exception):
    """Has more arguments than `args`."""

    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__(f"refused: {reason}")
        self.code = code
        self.reason = reason


def refuse() -> None:
    sys.stdout.write("about to refuse\n")
    sys.stderr.write("with a warning\n")
    raise Refused(7, reason="no cover")


def refuse_for_a_reason() -> None:
    try:
        raise KeyError("the cause")
    except KeyError as error:
        raise ValueError("the effect") from error


def refuse_locally() -> None:
    class Local(Exception):
        def __init__(self) -> None:
            super().__init__("local")
            self.lock = threading.Lock()

        def __reduce__(self) -> Any:
            raise TypeError("I stay here")

    raise Local


def recur() -> None:
    recur()


class Nameless(Exception):
    """Cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no words")


def refuse_without_words() -> None:
    raise Nameless("nothing")


class Worded(Exception):
    """Makes its text of what it is given: unpickled, it would get that text."""

    def __init__(self, what: str) -> None:
        super().__init__(f"there is no {what}")


def refuse_in_its_words() -> None:
    raise Worded("cover")


class Unlooked(Exception):
    """Cannot be looked at."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("look away")


def refuse_to_be_looked_at() -> None:
    raise Unlooked("here")


def end_by(how: str) -> None:
    if how == "exit":
        os._exit(3)
    if how == "segfault":
        ctypes.string_at(0)
    if how == "sys.exit":
        sys.exit(4)
    os.kill(os.getpid(), getattr(signal, how))


def end_or_return(index: int) -> int:
    if index == 1:
        os._exit(1)
    if index == 2:
        raise ValueError(index)
    return index


def unpickled_badly() -> "Grenade":
    return Grenade()


class Grenade:
    """Can be sent, and not be received."""

    def __reduce__(self) -> Any:
        return _explode, ()


def _explode() -> None:
    raise ValueError("it exploded")


def setting(name: str) -> Any:
    return getattr(settings, name, "not there")


def variable(name: str) -> str | None:
    return os.environ.get(name)


def mail_somebody(number: int) -> int:
    return mail.EmailMessage(f"number {number}", "text", "a@example.com", ["b@example.com"]).send()


def mail_and_die(number: int) -> None:
    mail_somebody(number)
    os._exit(1)


def notify_in_a_thread() -> None:
    thread = threading.Thread(target=notify, args=("from a thread",))
    thread.start()
    thread.join()


CHILD = """
from sideeffects import side_effect

side_effect(name="racing.notify")(lambda to: None)("from a child")
"""


def notify_in_a_child() -> None:
    subprocess.run([sys.executable, "-c", CHILD], check=True)


def race_again() -> list[int | None]:
    """What a racer's own racers call."""
    notify("before")
    inner = call_concurrently(2, notify, to="inside")
    notify("after")
    return [call.racer for call in inner.calls]


def race_for(name: str) -> list[Any]:
    """What another race gives, in words where it fails."""
    return [str(result) for result in call_concurrently(1, f"tests.support.race_project:{name}")]


class Tardy:
    """Takes long to be unpickled."""

    def __reduce__(self) -> Any:
        return time.sleep, (60,)


def notify_then_hang(seconds: float) -> None:
    notify("before")
    time.sleep(seconds)


def start_a_child(seconds: float) -> int:
    """What a racer starts and forgets."""
    return subprocess.Popen(["sleep", str(seconds)]).pid


def try_a_raise() -> str:
    notify()
    return "went on"
