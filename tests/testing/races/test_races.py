"""Races between processes: one gate, the test's world, and nothing silent."""

import gc
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core import mail
from django.db import transaction
from django.test import override_settings

from sideeffects import Calls, Mode, forbid, force_run, record, side_effect, stub
from sideeffects.testing import (
    CannotTravel,
    Race,
    RaceError,
    call_concurrently,
    isolated_registry,
    make_concurrent_calls,
    override_environment,
)
from sideeffects.testing.races import client
from tests.support import race_project
from tests.support.race_project import ALIAS, Account

pytestmark = pytest.mark.processes


@pytest.fixture(params=["sqlite", "postgresql"])
def account(request: pytest.FixtureRequest, tmp_path: Path, django_db_blocker: Any) -> Iterator[Account]:
    """A table to race on, on SQLite and on PostgreSQL; the in-memory default is none of the race's business."""
    with django_db_blocker.unblock():
        if request.param == "sqlite":
            given = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "races.sqlite3")}
        else:
            given = request.getfixturevalue("postgres")
        held = Account(given)
        held.reset()
        yield held
        held.close()


@pytest.fixture
def on_postgres(account: Account) -> Account:
    if account.connection.vendor != "postgresql":
        pytest.skip("about PostgreSQL")
    return account


ON_IT = {"databases": [ALIAS]}


# -- calling


def test_results_come_in_the_order_of_the_calls() -> None:
    """Whoever finishes first."""
    results = make_concurrent_calls(
        (race_project.sleep, {"seconds": 1.0}),
        (race_project.add, {"a": 1, "b": 2}),
        ("tests.support.race_project:add", {"a": 5}),
    )
    assert results == [1.0, 3, 5]
    assert (results.successes, results.errors) == ([1.0, 3, 5], [])
    assert results.durations[0] >= 1.0 > results.durations[1] > 0


def test_each_racer_is_a_process_of_its_own() -> None:
    """Different ones, and none of them this one."""
    pids = call_concurrently(4, os.getpid)
    assert len({*pids, os.getpid()}) == 5


def test_racers_start_together() -> None:
    """All of them stand at the gate before it opens: calls that only wait overlap."""
    assert 0 < call_concurrently(8, race_project.sleep, seconds=1.0).start_skew < 1.0


@pytest.mark.parametrize("how", ["lambda", "closure", "partial", "method", "coroutine", "class"])
def test_functions_travel_whatever_they_are(how: str) -> None:
    """By reference, or else by value."""
    import functools

    base = 40

    def closure(b: int) -> int:
        return base + b

    class Adder:
        def add(self, b: int) -> int:
            return base + b

    functions: dict[str, Any] = {
        "lambda": lambda b: b + 40,
        "closure": closure,
        "partial": functools.partial(race_project.add, a=40),
        "method": Adder().add,
        "coroutine": _coroutine,
        "class": Number,
    }
    assert call_concurrently(2, functions[how], b=2) == [42, 42]


async def _coroutine(b: int) -> int:
    return await race_project.wait_a_little(b + 40)


class Number:
    """An object of a test's own class, as a result."""

    def __init__(self, b: int) -> None:
        self.value = b + 40

    def __eq__(self, other: object) -> bool:
        return self.value == other

    __hash__ = None  # type: ignore[assignment]


def test_an_object_comes_back_as_what_it_is() -> None:
    """Its class is the test's, also when it was declared inside the test."""

    class Local:
        def __init__(self, value: int) -> None:
            self.value = value

    own, local = make_concurrent_calls((Number, {"b": 1}), (Local, {"value": 2}))
    assert type(own) is Number
    assert type(local) is Local
    assert local.value == 2


@pytest.mark.parametrize(
    ("calls", "problem"),
    [
        ([(race_project.add, {"a": threading.Lock()})], r"argument 'a' of add \(_thread.lock\) cannot travel"),
        ([(threading.Lock().acquire, {})], r"the function .*acquire"),
        ([(race_project.add, {"a": (i for i in "")})], r"argument 'a' of add \(generator\) .*using=\"threads\""),
    ],
)
def test_what_cannot_travel_is_named(calls: Any, problem: str) -> None:
    """Before anything starts."""
    with pytest.raises(CannotTravel, match=problem):
        make_concurrent_calls(*calls)


def test_a_result_that_cannot_travel_is_an_error() -> None:
    """Never a silent `None`; the racer's index and the result's type are named."""
    locked, exploded = make_concurrent_calls((threading.Lock, {}), (race_project.unpickled_badly, {}))
    assert isinstance(locked.error, CannotTravel)
    assert "the result of racer 0 (_thread.lock) cannot travel" in str(locked.error)
    assert "it exploded" in str(exploded)
    assert "The result of racer 1 cannot be unpickled here" in exploded.error.__notes__


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: call_concurrently(0, race_project.simple), "concurrency is a number of calls"),
        (lambda: call_concurrently(1, "tests.support.race_project.simple"), "write 'package.module:name'"),
        (lambda: call_concurrently(1, 5), "no function"),  # type: ignore[arg-type]
        (lambda: make_concurrent_calls(race_project.simple), "a pair of a function"),  # type: ignore[arg-type]
        (lambda: make_concurrent_calls((race_project.add, [1])), "a mapping of names"),  # type: ignore[arg-type]
        (lambda: Race(using="fibres"), '"processes" or "threads"'),  # type: ignore[arg-type]
        (lambda: Race(timeout=0), "timeout is a number of seconds above 0"),
        (lambda: Race(repeat=0), "repeat is a number of runs"),
        (lambda: Race(seed="x"), "seed is a whole number"),  # type: ignore[arg-type]
        (lambda: Race(databases="default"), r"a list of aliases: \['default'\]"),
        (lambda: Race(check=5), "check is a function"),  # type: ignore[arg-type]
        (lambda: Race(switch_interval=0.1), 'is for Race\\(using="threads"\\)'),
        (
            lambda: Race(meet_at="racing.chrage").call_concurrently(1, race_project.simple),
            "Did you mean 'racing.charge'",
        ),
    ],
)
def test_wrong_use_is_refused_with_the_right_one(call: Any, problem: str) -> None:
    """When the race is made or called."""
    with pytest.raises((ValueError, TypeError, KeyError), match=problem):
        call()


def test_a_race_of_nobody_is_over_at_once() -> None:
    """As a list of calls may be computed empty."""
    assert make_concurrent_calls() == []


# -- the test's world


def test_racers_see_the_rows_of_the_test(account: Account) -> None:
    """And the test sees theirs."""
    account.execute("UPDATE account SET balance = 77")
    assert Race(**ON_IT).call_concurrently(3, race_project.balance) == [77, 77, 77]
    assert Race(**ON_IT).call_concurrently(5, race_project.pay_once).count(True) == 1
    assert account.value("paid") == 1


def test_racers_have_sessions_of_their_own(on_postgres: Account) -> None:
    """As many as there are racers, and none of them is the test's."""
    mine = race_project.session()
    assert len({mine, *Race(**ON_IT).call_concurrently(4, race_project.session)}) == 5


def test_twenty_racers_charge_once(account: Account, side_effects: Calls) -> None:
    """The calls of all racers are in the result, and in the test's own calls; each tells its racer."""
    result = Race(**ON_IT).call_concurrently(20, race_project.pay_once)
    assert result.errors == []
    call = result.calls.one("racing.charge")
    assert result.index(True) == call.racer
    assert side_effects.one("racing.charge").racer == call.racer


def test_calls_come_in_the_order_of_time_with_their_racers(side_effects: Calls) -> None:
    """Those of a racer's threads, too; those of the test itself are no racer's."""
    race_project.notify("here")
    result = call_concurrently(4, race_project.notify_in_a_thread)
    assert sorted(call.racer for call in result.calls) == [0, 1, 2, 3]
    assert [call.at for call in result.calls] == sorted(call.at for call in result.calls)
    assert len(side_effects) == 5
    assert side_effects[0].racer is None
    assert "racer" not in result.calls[0].as_data()


def test_a_racers_own_children_and_racers_are_told_of(side_effects: Calls) -> None:
    """What they call is the racer's: a race inside a race hands on what it has collected, and nothing else changes."""
    result = make_concurrent_calls((race_project.simple, {}), (race_project.notify_in_a_child, {}))
    assert [(call.racer, call.arguments["to"]) for call in result.calls] == [(1, "from a child")]
    result = make_concurrent_calls((race_project.simple, {}), (race_project.race_again, {}))
    assert sorted(result[1]) == [0, 1]
    assert {call.racer for call in result.calls} == {1}
    assert [call.arguments["to"] for call in result.calls] == ["before", "inside", "inside", "after"]
    side_effects.assert_called("racing.notify", times=5)


def test_nothing_executes_that_was_not_named(side_effects: Calls) -> None:
    """Racers are in the test's run."""
    assert call_concurrently(3, race_project.charge, cents=1) == ["recorded"] * 3
    assert {call.mode for call in side_effects} == {Mode.RECORD}


def test_an_effect_without_a_place_is_decided_too(tmp_path: Path, side_effects: Calls) -> None:
    """Declared inside a test, as a function or a method, it travels with its declaration, never without."""
    trace = tmp_path / "executed"
    with isolated_registry():

        @side_effect(name="local.send", returns={"id": 1}, sensitive=["token"])
        def send(to: str, token: str = "") -> None:
            trace.touch()

        class Terminal:
            @side_effect(name="local.charge", returns="charged")
            def charge(self, cents: int) -> None:
                trace.touch()

        def both() -> Any:
            return send("ann", token="secret"), Terminal().charge(5)

        assert call_concurrently(2, send, to="ann") == [{"id": 1}] * 2
        assert call_concurrently(2, Terminal().charge, cents=5) == ["charged"] * 2
        assert call_concurrently(2, both) == [({"id": 1}, "charged")] * 2
        assert not trace.exists()
        side_effects.assert_called("local.send", times=4)
        assert [call.arguments["token"] for call in side_effects.named("local.send")] == ["[redacted]"] * 4
        with force_run("local.send"):
            call_concurrently(1, both)
        assert trace.exists()


def test_overrides_hold_in_racers() -> None:
    """With the stub's own values, closures included, in the order in which they speak."""
    with force_run("racing.charge"):
        assert call_concurrently(2, race_project.charge, cents=1) == ["executed"] * 2
        with stub("racing.*", returns=lambda cents: f"stubbed {cents}"):
            assert call_concurrently(2, race_project.charge, cents=1) == ["stubbed 1"] * 2
        with record("racing.charge"):
            assert call_concurrently(2, race_project.charge, cents=1) == ["recorded"] * 2
    with stub("racing.charge", raises=race_project.Refused(1, reason="declined")):
        error = call_concurrently(1, race_project.charge, cents=1).errors[0].error
        assert (type(error), error.reason) == (race_project.Refused, "declined")  # type: ignore[attr-defined]
    assert call_concurrently(2, race_project.charge, cents=1) == ["recorded"] * 2


@pytest.mark.side_effects(force_run=["racing.charge"])
def test_a_marker_holds_in_racers() -> None:
    """As in the test."""
    assert call_concurrently(2, race_project.charge, cents=1) == ["executed"] * 2


def test_a_refusal_in_a_racer_comes_back(side_effects: Calls) -> None:
    """With its fields."""
    with forbid("racing.notify"):
        error = call_concurrently(1, race_project.try_a_raise).errors[0].error
    assert "'racing.notify' was refused" in str(error)
    side_effects.assert_called("racing.notify", times=1)


def test_a_stub_that_cannot_travel_is_refused() -> None:
    """Rather than left out."""
    with (
        stub("racing.charge", returns=threading.Lock()),
        pytest.raises(CannotTravel, match=r"what stub\('racing.charge'\)"),
    ):
        call_concurrently(1, race_project.simple)


def test_settings_in_force_hold_in_racers() -> None:
    """Overridden, assigned and deleted ones; afterwards as before."""
    with override_settings(RACING=[1], USE_TZ=False, LANGUAGE_CODE="de"), override_settings(RACING=[2]):
        assert call_concurrently(1, race_project.setting, name="RACING") == [[2]]
        assert call_concurrently(1, race_project.setting, name="USE_TZ") == [False]
        del settings.LANGUAGE_CODE
        assert call_concurrently(1, race_project.setting, name="LANGUAGE_CODE") == ["not there"]
    assert call_concurrently(1, race_project.setting, name="RACING") == ["not there"]
    assert call_concurrently(1, race_project.setting, name="LANGUAGE_CODE") == ["en-us"]
    with override_settings(RACING=threading.Lock()), pytest.raises(CannotTravel, match="the setting RACING"):
        call_concurrently(1, race_project.simple)


def test_the_policy_of_the_settings_holds_in_racers() -> None:
    """They are read as in the test."""
    with override_settings(SIDE_EFFECTS={"FORCE_RUN": ["racing.charge"]}):
        assert call_concurrently(1, race_project.charge, cents=1) == ["executed"]


def test_the_environment_holds_in_racers() -> None:
    """Set and unset; restored after exceptions."""
    with pytest.raises(ZeroDivisionError), override_environment(RACING="yes", HOME=None):
        assert call_concurrently(1, race_project.variable, name="RACING") == ["yes"]
        assert call_concurrently(1, race_project.variable, name="HOME") == [None]
        raise ZeroDivisionError
    assert "RACING" not in os.environ
    assert call_concurrently(1, race_project.variable, name="RACING") == [None]
    with pytest.raises(TypeError, match="RACING takes a string, not 5: write '5'"), override_environment(RACING=5):  # type: ignore[arg-type]
        pass


def test_mail_of_racers_lands_in_the_outbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a racer that dies, too."""
    monkeypatch.setattr(mail, "outbox", [], raising=False)
    make_concurrent_calls(
        *[(race_project.mail_somebody, {"number": number}) for number in range(3)],
        (race_project.mail_and_die, {"number": 3}),
    )
    assert sorted(message.subject for message in mail.outbox) == ["number 0", "number 1", "number 2", "number 3"]


# -- what is refused


def test_memory_is_refused_with_the_setting(django_db_blocker: Any) -> None:
    """No other process can see it."""
    with django_db_blocker.unblock(), pytest.raises(RaceError) as caught:
        call_concurrently(2, race_project.simple)
    assert 'DATABASES[\'default\']["TEST"] = {"NAME": BASE_DIR / "test_default.sqlite3"}' in str(caught.value)
    assert "in-memory SQLite" in str(caught.value)


def test_an_open_transaction_is_refused(account: Account) -> None:
    """Nobody would see its rows."""
    said = r"a transaction is open on the database 'races'.*TransactionTestCase.*django_db\(transaction=True\)"
    with transaction.atomic(using=ALIAS), pytest.raises(RaceError, match=said):
        Race(**ON_IT).call_concurrently(2, race_project.balance)


def test_a_database_that_the_test_may_not_use_is_refused_to_racers(account: Account, django_db_blocker: Any) -> None:
    """They might otherwise write to the one that is no test's."""
    with django_db_blocker.block():
        result = call_concurrently(1, race_project.balance)
        assert "may not use the database 'races': this test has no database access" in str(result.errors[0])
        (again,) = call_concurrently(1, race_project.race_for, name="balance")
        assert "may not use the database 'races': this test has no database access" in again[0]
        with pytest.raises(RaceError, match="racers cannot use the database 'races', because the test may not"):
            Race(**ON_IT).call_concurrently(1, race_project.balance)
    result = Race(databases=[]).call_concurrently(1, race_project.balance)
    assert "it is not among the databases of this race: Race(databases=[])" in str(result.errors[0])
    with pytest.raises(RaceError, match="there is no database 'other'; the aliases are default, races"):
        Race(databases=["other"]).call_concurrently(1, race_project.balance)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything starts."""
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RaceError, match=r"need cloudpickle and tblib: pip install 'sideeffects\[races\]'"):
        call_concurrently(1, race_project.simple)


def test_a_system_without_fork_is_told_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as Windows."""
    monkeypatch.delattr(os, "fork")
    with pytest.raises(RaceError, match=r'need os.fork, which this system lacks: use Race\(using="threads"\)'):
        call_concurrently(1, race_project.simple)


# -- repeating, meeting


def test_a_race_is_repeated_until_it_fails(account: Account) -> None:
    """It says in which run, by what seed, and why; `setup` comes before each run."""
    runs = []

    def setup() -> dict[str, float]:
        runs.append(account.reset())
        return {"seconds": 0.05 if len(runs) == 3 else 0.0}

    def check(result: Any) -> None:
        assert len(runs) < 3 or result.calls.count("racing.charge") == 1

    result = Race(repeat=20, setup=setup, check=check, **ON_IT).call_concurrently(3, race_project.pay_carelessly)
    assert (result.runs, result.failures, len(runs)) == (3, 1, 3)
    assert isinstance(result.seed, int)
    assert isinstance(result.failure, AssertionError)
    assert f"it failed in run 3 (seed {result.seed})" in result.summary()


def test_a_race_that_does_not_fail_is_run_to_the_end() -> None:
    """And says so."""
    result = Race(repeat=3, check=lambda result: len(result) == 2).call_concurrently(2, race_project.simple)
    assert (result.runs, result.failures, result.failure) == (3, 0, None)
    assert "it did not fail in 3 runs" in result.summary()
    failed = Race(check=lambda result: False).call_concurrently(2, race_project.simple)
    assert (failed.runs, failed.failures, str(failed.failure)) == (1, 1, "the check returned False")


def test_racers_that_meet_make_a_rare_race_certain(account: Account) -> None:
    """All have checked before the first one acts. One who looks later has else seen by then that it was paid."""
    calls = (race_project.pay_carelessly, {}), (race_project.pay_carelessly_later, {"seconds": 0.1})

    def charges(race: Race) -> int:
        account.reset()
        result = race.make_concurrent_calls(*calls)
        assert result.errors == []
        return result.calls.count("racing.charge")

    assert sorted(charges(Race(**ON_IT)) for _ in range(3))[:2] == [1, 1]
    assert [charges(Race(meet_at="racing.charge", **ON_IT)) for _ in range(3)] == [2, 2, 2]
    account.reset()
    result = Race(meet_at="racing.charge", **ON_IT).call_concurrently(6, race_project.pay_carelessly)
    assert result.errors == []
    assert result.calls.count("racing.charge") == 6
    assert result.met == [0, 1, 2, 3, 4, 5]


def test_correct_code_is_not_held_for_good(account: Account) -> None:
    """Who holds the lock waits in vain for those who wait for it: patience ends, and one has paid."""
    result = Race(meet_at=race_project.charge, patience=0.3, **ON_IT).call_concurrently(4, race_project.pay_once)
    assert result.errors == []
    assert sorted(result) == [False, False, False, True]
    assert len(result.met) == 1


def test_who_finishes_is_not_waited_for() -> None:
    """Although it never reached the effect."""
    started = time.monotonic()
    result = Race(meet_at="racing.charge", patience=60).make_concurrent_calls(
        (race_project.charge, {"cents": 1}), (race_project.charge, {"cents": 2}), (race_project.simple, {})
    )
    assert time.monotonic() - started < 20
    assert result == ["recorded", "recorded", True]
    assert result.met == [0, 1]


# -- nothing is left behind


def _processes() -> set[int]:
    """This process's descendants."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found: set[int] = set()
    todo = [os.getpid()]
    while todo:
        for child in parents.get(todo.pop(), []):
            found.add(child)
            todo.append(child)
    return found


def _descriptors(pid: int | str = "self") -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _sessions(account: Account) -> list[tuple[str]]:
    """What the sessions of others did last."""
    with account.connection.cursor() as cursor:
        cursor.execute(
            "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        found: list[tuple[str]] = cursor.fetchall()
        return found


def _settles(measure: Any, wanted: Any) -> Any:
    """A server takes a moment to let a session go."""
    deadline = time.monotonic() + 10
    while measure() != wanted and time.monotonic() < deadline:
        time.sleep(0.01)
    return measure()


@pytest.mark.once
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts in /proc")
def test_two_hundred_races_leave_nothing(on_postgres: Account) -> None:
    """No process, descriptor or session more than before; in the fork server neither."""
    race = Race(**ON_IT)
    race.call_concurrently(2, race_project.balance)
    server = client._held.server
    assert server is not None
    gc.collect()
    before = _processes(), _descriptors(), _descriptors(server._process.pid)
    for _ in range(200):
        assert race.call_concurrently(2, race_project.balance) == [100, 100]
    gc.collect()
    assert _settles(lambda: _sessions(on_postgres), []) == []
    assert (_processes(), _descriptors(), _descriptors(server._process.pid)) == before


def test_a_killed_racer_leaves_no_lock_behind(on_postgres: Account) -> None:
    """PostgreSQL would not notice for a minute: the session is ended, so that the next test gets at the row."""
    result = Race(timeout=0.5, **ON_IT).call_concurrently(2, race_project.hold_the_row, seconds=60)
    assert len(result.errors) == 2
    assert _settles(lambda: _sessions(on_postgres), []) == []
    on_postgres.execute("SET lock_timeout = '1s'")
    on_postgres.execute("UPDATE account SET balance = 5 WHERE id = 1")
    on_postgres.execute("SET lock_timeout = 0")


def test_what_a_racer_starts_ends_with_it() -> None:
    """Killed or not."""
    pids = call_concurrently(2, race_project.start_a_child, seconds=60)
    for pid in pids:
        assert _settles(lambda pid=pid: _is_running(pid), False) is False


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_ctrl_c_ends_the_race(on_postgres: Account) -> None:
    """No process and no session is left, and the next race works."""
    Race(**ON_IT).call_concurrently(1, race_project.simple)
    before = _processes()
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        Race(**ON_IT).call_concurrently(3, race_project.hold_the_row, seconds=60)
    assert _processes() < before
    assert _settles(lambda: _sessions(on_postgres), []) == []
    assert Race(**ON_IT).call_concurrently(2, race_project.balance) == [100, 100]


def test_a_dead_fork_server_is_replaced() -> None:
    """By the next race."""
    call_concurrently(1, race_project.simple)
    server = client._held.server
    assert server is not None
    server._process.kill()  # it may still be dying when it is asked
    assert call_concurrently(1, race_project.simple) == [True]
    assert client._held.server is not server
