"""Ledgers that processes share: what is written, read back, refused and lost."""

import datetime
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.core import checks as django_checks
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.test import override_settings
from hypothesis import given, settings as hypothesis_settings, strategies as st

from sideeffects import Call, Mode, SideEffectBlocked, capture, force_run, run_side_effects, side_effect
from sideeffects._core.records.lines import locked
from sideeffects._core.runtime.worker import run_parcel
from sideeffects._core.state.state import state
from sideeffects.errors import LedgerError
from sideeffects.ledgers import shared_calls
from sideeffects.ledgers.cache import CacheLog
from sideeffects.ledgers.file import FileLog
from sideeffects.project.checks import check_settings
from sideeffects.saferunner import assert_call_count, clear_run_cache, count_task_calls, get_process_run

pytestmark = pytest.mark.usefixtures("own_registry")

LOCMEM = "django.core.cache.backends.locmem.LocMemCache"


@pytest.fixture
def use(tmp_path: Path) -> Iterator[Callable[..., dict[str, Any]]]:
    """Put a ledger into force: `use("file")` or `use("locmem")`, with more keys for `SIDE_EFFECTS`."""
    with ExitStack() as stack:

        def enter(kind: str, ledger: Any = None, options: Any = None, **more: Any) -> dict[str, Any]:
            spelt: dict[str, Any] = {
                "file": {"BACKEND": "file", "PATH": tmp_path / "ledger.jsonl"},
                "locmem": {"BACKEND": "cache", "ALIAS": "shared"},
            }[kind]
            spelt |= ledger or {}
            cache = {"BACKEND": LOCMEM, "LOCATION": str(tmp_path), "OPTIONS": options or {"MAX_ENTRIES": 10_000}}
            stack.enter_context(
                override_settings(
                    CACHES={"default": {"BACKEND": LOCMEM}, "shared": cache}, SIDE_EFFECTS={"LEDGER": spelt, **more}
                )
            )
            return spelt

        yield enter
    clear_run_cache()


both = pytest.mark.parametrize("kind", ["file", "locmem"])


# -- what is written


@both
def test_production_writes_what_it_executes_records_and_refuses(kind: str, use: Any, production: None) -> None:
    """Each call once, with its outcome; and nothing stays in this process's memory (law 7)."""
    use(kind, POLICY={"sms.*": "record", "card.*": "raise"})
    before = state.ledger.end
    side_effect(name="sms.send")(lambda to: None)("ann")
    side_effect(name="http.get")(lambda url: 200)("/")
    side_effect(name="sms.ask", returns={"id": 1})(lambda: None)()
    with pytest.raises(SideEffectBlocked):
        side_effect(name="card.charge")(lambda cents: None)(100)
    with pytest.raises(ZeroDivisionError):
        side_effect(name="http.fail")(lambda: 1 / 0)()

    told = [(call.name, call.mode.value, call.outcome and call.outcome.result) for call in shared_calls()]
    assert told == [
        ("sms.send", "record", None),
        ("http.get", "execute", 200),
        ("sms.ask", "record", {"id": 1}),
        ("card.charge", "raise", None),
        ("http.fail", "execute", None),
    ]
    errors = [str(call.outcome and call.outcome.error).partition(":")[0] for call in shared_calls()]
    assert errors == ["None", "None", "None", "SideEffectBlocked", "ZeroDivisionError"]
    assert state.ledger.end == before


def test_a_call_that_cannot_be_held_is_written_as_refused(use: Any, production: None, tmp_path: Path) -> None:
    """Its only outcome is the refusal: that it would be answered with nothing is not known before it is kept."""
    use("file", POLICY={"sms.*": "hold"})
    with pytest.raises(SideEffectBlocked, match="needs the outbox"):
        side_effect(name="sms.send")(lambda to: None)("ann")
    (call,) = shared_calls()
    assert call.mode is Mode.HOLD
    assert call.outcome is not None
    assert "SideEffectBlocked" in str(call.outcome.error)


@both
def test_sensitive_values_are_never_stored_and_expectations_are_converted_alike(
    kind: str, use: Any, production: None, tmp_path: Path
) -> None:
    """A tuple and a date are compared as they travelled; of a secret nobody can tell."""
    use(kind, MODE="RECORD", SENSITIVE=["iban"])
    day = datetime.date(2026, 1, 2)

    @side_effect(name="pay.send", sensitive=["token"])
    def pay(to: Any, on: Any, token: str, more: Any) -> None: ...

    pay(("ann", 1), day, "t0p-s3cret", {"iban": "DE00-s3cret", "n": 1})
    calls = shared_calls()
    calls.assert_called("pay.send", to=("ann", 1), on=day, more={"iban": "anything", "n": 1}, times=1)
    calls.assert_not_called("pay.send", to=("ben", 1))
    with pytest.raises(AssertionError, match=r"token of pay\.send is sensitive"):
        calls.assert_called("pay.send", token="t0p-s3cret")
    if kind == "file":
        stored = (tmp_path / "ledger.jsonl").read_text()
    else:
        stored = repr([caches["shared"].get(key.split(":", 2)[2]) for key in [*caches["shared"]._cache]])
    assert "pay.send" in stored
    assert "s3cret" not in stored


@both
def test_the_readers_of_dj_saferunner_read_it(kind: str, use: Any, production: None) -> None:
    """Outside a test run as well, where the memory has nothing."""
    use(kind, MODE="RECORD")
    send = side_effect(name="sms.send")(lambda to: None)
    run_side_effects("signup", [(send, {"to": number}) for number in range(250)])
    run_side_effects("other", [(send, {"to": "x"})])
    assert_call_count("signup", 250)
    count_task_calls("signup", "sms.send", 250)
    assert [call["arguments"]["to"] for call in get_process_run("signup")] == list(range(250))
    assert get_process_run("other")[0]["task_args"] == "OrderedDict([('to', 'x')])"


@both
def test_clearing_removes_our_records_and_nothing_else(kind: str, use: Any, production: None) -> None:
    """Whoever is writing goes on afterwards."""
    use(kind, MODE="RECORD")
    caches["shared"].set("mine", "kept")
    send = side_effect(name="sms.send")(lambda: None)
    log = state.rules_source().shared.log  # type: ignore[union-attr]
    for _ in range(2):
        run_side_effects("r", [(send, {})] * 3)
        assert_call_count("r", 3)
        clear_run_cache()
        assert_call_count("r", 0)
    send()
    log._lines = {}  # as a process that was writing before, and another one that clears
    clear_run_cache()
    send()
    assert len(shared_calls()) == 1
    assert shared_calls().dropped == 0
    assert caches["shared"].get("mine") == "kept"


def test_a_writer_goes_on_after_another_process_has_cleared(use: Any, production: None) -> None:
    """What it has written before is not missed, and what it writes then is there."""
    use("locmem", MODE="RECORD")
    one, other = CacheLog("shared", 60, is_trusted=False), CacheLog("shared", 60, is_trusted=False)
    cursor: dict[str, Any] = {}
    one.append(["1", "2"])
    assert other.read(cursor)[0] == ["1", "2"]
    one.append(["3"])
    other.clear()
    one.append(["4"])
    assert other.read(cursor) == (["4"], (0, ""))
    assert other.read({}) == (["4"], (0, ""))


@both
def test_what_executes_in_a_run_list_is_written_before_it_does(kind: str, use: Any, production: None) -> None:
    """With all that was recorded before, although recorded tasks are written several at a time."""
    use(kind, POLICY={"sms.send": "record"})
    seen: list[list[str]] = []
    send = side_effect(name="sms.send")(lambda: None)
    look = side_effect(name="http.get")(lambda: seen.append([call.name for call in shared_calls()]))
    run_side_effects("r", [(send, {}), (send, {}), (look, {}), (send, {})])
    assert seen == [["sms.send", "sms.send", "http.get"]]
    assert_call_count("r", 3)


@both
def test_records_of_a_run_list_that_an_error_ends_are_kept(kind: str, use: Any, production: None) -> None:
    """Those before the error."""
    use(kind, POLICY={"sms.send": "record"})
    send = side_effect(name="sms.send")(lambda: None)
    with pytest.raises(ZeroDivisionError):
        run_side_effects("r", [(send, {}), (lambda: 1 / 0, {}), (send, {})])
    assert_call_count("r", 1)


@both
def test_threads_that_write_at_once_lose_nothing(kind: str, use: Any, production: None) -> None:
    """Eight threads, single calls."""
    use(kind, MODE="RECORD")
    send = side_effect(name="sms.send")(lambda thread, number: None)

    def write(thread: int) -> None:
        for number in range(25):
            send(thread, number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    calls = shared_calls()
    assert len({(call.arguments["thread"], call.arguments["number"]) for call in calls}) == len(calls) == 200


@both
def test_a_call_in_the_background_is_one_call_with_its_outcome(kind: str, use: Any, production: None) -> None:
    """Whether a thread of this process runs it or a worker elsewhere."""
    use(kind, POLICY={"*.refused": "raise"})
    get = side_effect(name="http.get", async_ok=True)(lambda url: f"got {url}")
    assert get.enqueue("/a").result(30) == "got /a"
    [call] = shared_calls()
    assert (call.is_async, call.outcome and call.outcome.result) == (True, "got /a")

    # What a worker does with a parcel, whose outcome it writes: under the id of the call, whoever wrote that.
    record = call.to_record() | {"process": [7, "web"], "serial": 1, "outcome": None}
    parcel = {"id": "7-web-1", "name": "http.get", "args": ["/b"], "kwargs": {}, "is_forced": False, "run_id": None}
    run_parcel(parcel)
    state.rules_source().shared.log.append([json.dumps({"call": record})])  # type: ignore[union-attr]
    told = {call.id: call.outcome and call.outcome.result for call in shared_calls()}
    assert told == {call.id: "got /a", "7-web-1": "got /b"}


@both
def test_a_test_run_learns_what_came_of_a_call_that_a_worker_ran(kind: str, use: Any) -> None:
    """It is its own call that gets the outcome."""
    use(kind)
    get = side_effect(name="http.get", async_ok=True)(lambda url: f"got {url}")
    shared: Any = state.rules_source().shared
    with capture() as calls, force_run("http.get"):
        get("/a")
    waiting = calls[0].to_record() | {"outcome": None}
    call = Call.from_record(waiting)
    shared.expect(call)
    with capture() as since:
        shared.log.append([json.dumps({"call": waiting}), json.dumps(calls[0].outcome_record() | {"at": time.time()})])
        assert len(since) == 0
    assert call.outcome is not None


# -- in a test run


@both
def test_a_test_run_sees_what_others_write_during_a_block(kind: str, use: Any) -> None:
    """Not what they wrote before, nor its own calls twice; own values stay true ones."""
    use(kind)
    send = side_effect(name="sms.send")(lambda to: None)
    shared: Any = state.rules_source().shared
    with capture() as elsewhere:
        send(("ben", 1))
    record = elsewhere[0].to_record() | {"process": [1, "other"]}
    shared.log.append([json.dumps({"call": record | {"serial": 1, "at": time.time() - 10_000}})])
    with capture() as before:
        shared.log.append([json.dumps({"call": record | {"serial": 2}})])
        send(("ann", 1))
        before.assert_called("sms.send", to=("ben", 1), times=1)
        before.assert_called("sms.send", to=("ann", 1), times=1)
    with capture() as calls:
        shared.log.append([json.dumps({"call": record | {"serial": 3, "outcome": None}})])
        outcome = {"process": [1, "other"], "serial": 3, "outcome": record["outcome"], "at": time.time()}
        shared.log.append([json.dumps(outcome)])
    assert [call.id for call in calls] == ["1-other-3"]
    assert calls[0].outcome is not None
    assert len(before) == 2


@both
def test_a_record_of_another_version_is_an_error_that_names_the_ledger(
    kind: str, use: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever asks for all calls gets it; a test run counts the record as dropped, and goes on with the others."""
    use(kind)
    send = side_effect(name="sms.send")(lambda: None)
    with capture() as calls:
        send()
    record = calls[0].to_record() | {"process": [1, "other"]}
    shared: Any = state.rules_source().shared
    where = "ledger.jsonl" if kind == "file" else "the cache 'shared'"
    strange = [record | {"mode": "delay"}, {"at": time.time()}, record | {"run_id": "r", "arguments": 1}]
    with capture() as since:
        shared.log.append([json.dumps({"call": one}) for one in (*strange, record | {"serial": 2})])
        assert [call.id for call in since] == ["1-other-2"]
        assert since.dropped == 3
    assert where in caplog.text
    for read in (lambda: list(shared_calls()), lambda: get_process_run("r")):
        with pytest.raises(LedgerError, match=r"another version") as caught:
            read()
        assert where in str(caught.value)


@both
def test_calls_of_other_processes_stand_in_the_order_of_time(kind: str, use: Any) -> None:
    """Whenever they were read; those of one process stay in its order, also where its clock was set back."""
    use(kind)
    send = side_effect(name="sms.send")(lambda to: None)
    shared: Any = state.rules_source().shared
    with capture() as elsewhere:
        send("")
    record = elsewhere[0].to_record() | {"process": [1, "other"]}

    def theirs(to: str, at: float, serial: int) -> str:
        return json.dumps({"call": record | {"arguments": {"to": to}, "at": at, "serial": serial}})

    with capture() as calls:
        send("first")
        between = time.time()
        time.sleep(0.002)
        send("third")
        shared.log.append([theirs("second", between, 1), theirs("after it", between - 0.001, 2)])
        assert [call.arguments["to"] for call in calls] == ["first", "second", "after it", "third"]


@both
def test_a_frozen_clock_loses_and_expires_nothing(kind: str, use: Any) -> None:
    """Neither one that stands in the past nor one in the future."""
    freeze_time: Any = pytest.importorskip("freezegun").freeze_time
    use(kind)
    send = side_effect(name="sms.send")(lambda to: None)
    for day in ("2020-01-01", "2040-01-01", "2050-01-01"):
        with freeze_time(day):
            send(day)
            assert shared_calls()[-1].arguments["to"] == day
    send("today")
    assert [call.arguments["to"][:4] for call in shared_calls()] == ["2020", "2040", "2050", "toda"]


@both
def test_lines_that_cannot_be_read_count_as_dropped(kind: str, use: Any) -> None:
    """In a test run they end an assertion; so they do for the readers of dj-saferunner."""
    use(kind)
    shared: Any = state.rules_source().shared
    with capture() as calls:
        shared.log.append(['{"call": {"na'])
        with pytest.raises(AssertionError, match="1 of the calls were dropped"):
            calls.assert_not_called("*")
    with pytest.raises(AssertionError, match="1 records are missing from it: a process was killed while it wrote"):
        assert_call_count("r", 0)


def test_a_call_that_is_in_the_journal_too_is_counted_once(use: Any, tmp_path: Path) -> None:
    """A child of a test writes both."""
    use("file")
    send = side_effect(name="sms.send")(lambda: None)
    shared: Any = state.rules_source().shared
    with capture() as calls:
        send()
        record = calls[0].to_record() | {"process": [1, "child"]}
        shared.log.append([json.dumps({"call": record, "journal": state.children._journal.path})])  # type: ignore[union-attr]
        assert len(calls) == 1


def test_wrong_settings_do_not_end_reading(use: Any) -> None:
    """A test may be about them."""
    use("file")
    with capture() as calls, override_settings(SIDE_EFFECTS={"MODE": "?"}):
        assert len(calls) == 0


# -- expiry, eviction


@both
def test_records_expire(kind: str, use: Any, production: None) -> None:
    """They are neither there nor missed."""
    use(kind, {"TIMEOUT": 2}, MODE="RECORD")
    send = side_effect(name="sms.send")(lambda: None)
    run_side_effects("r", [(send, {})] * 3)
    assert_call_count("r", 3)
    _until(lambda: not get_process_run("r"))
    assert_call_count("r", 0)
    run_side_effects("r", [(send, {})] * 2)
    assert_call_count("r", 2)


def test_a_file_grows_no_further_than_its_timeout(tmp_path: Path) -> None:
    """It moves aside when it is older than that, in place of one of which everything has expired."""
    log = FileLog(str(tmp_path / "ledger"), 0.05)
    cursor: dict[str, Any] = {}
    read: list[str] = []
    for number in range(8):
        log.append([str(number)])
        read += log.read(cursor)[0]
        time.sleep(0.03)
    assert read == list("01234567")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ledger", "ledger.1"]
    assert len(log.read({})[0]) < 8


def test_a_line_goes_into_the_file_that_is_there_when_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may remove or replace it between the opening and the lock."""
    log, other = (FileLog(str(tmp_path / "ledger"), 60) for _ in range(2))
    log.append(["before"])

    def locked_late(descriptor: int) -> Any:
        monkeypatch.undo()
        other.clear()
        return locked(descriptor)

    monkeypatch.setattr("sideeffects.ledgers.file.locked", locked_late)
    log.append(["after"])
    assert other.read({})[0] == ["after"]


@pytest.mark.parametrize("entries", [4, 12])
def test_evicted_records_are_not_taken_for_calls_that_never_were(entries: int, use: Any, production: None) -> None:
    """A cache that throws records away does not make a run shorter."""
    use("locmem", options={"MAX_ENTRIES": entries}, MODE="RECORD")
    send = side_effect(name="sms.send")(lambda: None)
    for _ in range(30):
        run_side_effects("r", [(send, {})])
    with pytest.raises(AssertionError, match=r"\d+ records are missing from it: the cache has evicted"):
        assert_call_count("r", 30)
    with pytest.raises(LedgerError, match=r"\d+ records are missing from it: the cache has evicted"):
        get_process_run("r")
    with pytest.raises(AssertionError, match="calls were dropped"):
        shared_calls("r").assert_called("sms.send", times=30)
    clear_run_cache()
    run_side_effects("r", [(send, {})])
    assert_call_count("r", 1)


def test_an_evicted_place_is_taken_anew(use: Any) -> None:
    """Also when another process has taken it meanwhile: both streams can be found."""
    use("locmem")
    one, other = CacheLog("shared", 60, is_trusted=False), CacheLog("shared", 60, is_trusted=False)
    one.append(["1"])
    place = next(key.split(":", 2)[2] for key in caches["shared"]._cache if ".place." in key)
    caches["shared"].delete(place)
    other.append(["2"])
    one.append(["3"])
    assert sorted(one.read({})[0]) == ["1", "2", "3"]
    many = [CacheLog("shared", 60, is_trusted=False) for _ in range(40)]
    for log in many:
        log.append(["x"])
    assert len(one.read({})[0]) == 43


def test_a_stream_of_which_only_the_place_is_left_is_missed(use: Any) -> None:
    """Until it is cleared."""
    use("locmem")
    log = CacheLog("shared", 60, is_trusted=False)
    log.append(["1"])
    for key in [key for key in caches["shared"]._cache if ".place." not in key]:
        caches["shared"].delete(key.split(":", 2)[2])
    assert log.read({})[1].records == 1
    log.clear()
    assert log.read({})[1].records == 0


def test_who_has_written_misses_what_has_gone_altogether(use: Any) -> None:
    """Nothing is left in the cache, and its writer knows better; until it is cleared."""
    use("locmem")
    log = CacheLog("shared", 60, is_trusted=False)
    log.append(["1"])
    caches["shared"].clear()
    assert log.read({})[1].records == 1
    log.clear()
    assert log.read({})[1].records == 0


def test_what_comes_late_is_waited_for(use: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As from a replica, or from a server that stores keys one by one."""
    use("locmem")
    monkeypatch.setattr("sideeffects.ledgers.cache.PAUSE", 0.5)
    log = CacheLog("shared", 60, is_trusted=False)
    log.append(["1"])
    for part in (".head.", ".call."):
        key = next(key.split(":", 2)[2] for key in caches["shared"]._cache if part in key)
        value = caches["shared"].get(key)
        caches["shared"].delete(key)
        timer = threading.Timer(0.03, caches["shared"].set, (key, value))
        timer.start()
        assert log.read({}) == (["1"], (0, ""))
        timer.join()


def test_long_records_are_spread_over_pages(use: Any) -> None:
    """Memcached takes a megabyte at most."""
    use("locmem")
    log = CacheLog("shared", 60, is_trusted=False)
    lines = [str(number) * 90_000 for number in range(7)]
    log.append(lines)
    assert log.read({})[0] == lines
    assert max(len(value) for value in caches["shared"]._cache.values()) < 300_000


# -- a broken store


def test_a_call_that_cannot_be_written_is_not_executed(use: Any, production: None, tmp_path: Path) -> None:
    """Nor recorded, nor refused, as if it had been; the error says what to do (law 2)."""
    use("file", {"PATH": tmp_path / "no" / "ledger"}, POLICY={"sms.send": "record", "card.charge": "raise"})
    done: list[str] = []
    for name in ("http.get", "sms.send", "card.charge"):
        effect = side_effect(name=name)(lambda: done.append("executed"))
        with pytest.raises(LedgerError, match=r"could not be written: there is no folder .*/no: create it"):
            effect()
        with pytest.raises(LedgerError):
            run_side_effects("r", [(effect, {})])
    assert not done


def test_a_call_that_cannot_be_written_shows_in_a_test_run(use: Any, tmp_path: Path) -> None:
    """With the error as its outcome, since somebody may have swallowed it."""
    use("file", {"PATH": tmp_path / "no" / "ledger"})
    send = side_effect(name="sms.send")(lambda: None)
    calls = state.ledger.end
    with pytest.raises(LedgerError):
        send()
    [call] = state.ledger.read(calls)[0]
    assert isinstance(call.outcome and call.outcome.error, LedgerError)


def test_an_outcome_that_cannot_be_written_is_logged(
    use: Any, production: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The effect has run, and its result arrives."""
    folder = tmp_path / "folder"
    folder.mkdir()
    use("file", {"PATH": folder / "ledger"})

    @side_effect(name="http.get")
    def get() -> int:
        (folder / "ledger").unlink()
        folder.rmdir()
        return 200

    with caplog.at_level(logging.ERROR, "sideeffects"):
        assert get() == 200
    assert "could not write the outcome of http.get" in caplog.text
    folder.mkdir()


def test_records_that_cannot_be_written_do_not_hide_the_error_of_a_list(
    use: Any, production: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They are logged then."""
    folder = tmp_path / "folder"
    folder.mkdir()
    use("file", {"PATH": folder / "ledger"}, POLICY={"sms.*": "record"})
    send = side_effect(name="sms.send")(lambda: None)

    def fail() -> None:
        folder.rmdir()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_side_effects("r", [(send, {}), (side_effect(name="sms.send.too", returns=fail)(lambda: None), {})])
    assert "could not write recorded calls of run list 'r'" in caplog.text
    folder.mkdir()


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda path: path.mkdir(), "PATH is a folder"),
        (lambda path: path.write_text("a database"), "does not begin as a ledger does"),
    ],
    ids=["folder", "another file"],
)
def test_what_is_no_ledger_is_left_alone(prepare: Any, said: str, use: Any, production: None, tmp_path: Path) -> None:
    """Neither written, nor moved aside, nor removed."""
    path = tmp_path / "ledger.jsonl"
    prepare(path)
    use("file", MODE="RECORD")
    send = side_effect(name="sms.send")(lambda: None)
    for attempt in (send, lambda: get_process_run("r"), clear_run_cache):
        with pytest.raises(LedgerError, match=said):
            attempt()
    assert path.is_dir() or path.read_text() == "a database"
    path.rmdir() if path.is_dir() else path.unlink()


def test_what_stands_where_the_older_file_belongs_is_left_alone(tmp_path: Path) -> None:
    """Unless it is a ledger."""
    log = FileLog(str(tmp_path / "ledger"), 0.01)
    (tmp_path / "ledger.1").write_text("mine")
    log.append(["1"])
    time.sleep(0.02)
    with pytest.raises(LedgerError, match="does not begin"):
        log.append(["2"])
    assert (tmp_path / "ledger.1").read_text() == "mine"


def test_the_store_cannot_be_an_effect_itself(use: Any, production: None) -> None:
    """It would be written down for ever."""
    use("locmem")
    caches["shared"].set_many = side_effect(name="cache.set_many")(caches["shared"].set_many)
    with pytest.raises(LedgerError, match="itself declared as a side effect"):
        side_effect(name="sms.send")(lambda: None)()


class _Handlers:
    """Stands for a signal handler: `come` is called in the midst of a write, and of a read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, come: Callable[[], object]) -> None:
        def locked_and_disturbed(descriptor: int) -> Any:
            handler, self.come = self.come, bool
            handler()
            return locked(descriptor)

        self.come: Callable[[], object] = come
        monkeypatch.setattr("sideeffects.ledgers.file.locked", locked_and_disturbed)


def test_a_call_from_inside_the_writing_of_another_is_written_after_it(
    use: Any, production: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler has come between: the file's lock is held by the very thread that would wait for it."""
    use("file")
    send = side_effect(name="sms.send")(lambda to: to)
    _Handlers(monkeypatch, lambda: send("handler"))
    assert send("main") == "main"
    assert [call.arguments["to"] for call in shared_calls()] == ["main", "handler"]
    assert [call.outcome and call.outcome.result for call in shared_calls()] == ["main", "handler"]


def test_a_call_from_inside_the_reading_of_the_ledger_is_written_after_it(
    use: Any, production: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does reading wait for itself; a handler that reads is told so."""
    use("file")
    send = side_effect(name="sms.send")(lambda to: to)
    send("first")
    handlers = _Handlers(monkeypatch, lambda: send("handler"))
    assert [call.arguments["to"] for call in shared_calls()] == ["first"]
    assert [call.arguments["to"] for call in shared_calls()] == ["first", "handler"]
    handlers.come = lambda: list(shared_calls())
    with pytest.raises(LedgerError, match="a signal handler"):
        send("main")


def test_a_call_from_inside_the_writing_into_a_cache_is_told_why(
    use: Any, production: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection is in use, and what writes it may be an effect itself."""
    use("locmem")
    send = side_effect(name="sms.send")(lambda to: None)
    set_many = caches["shared"].set_many

    def disturbed(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.undo()
        with pytest.raises(LedgerError, match="a signal handler or a finaliser"):
            send("handler")
        return set_many(*args, **kwargs)

    monkeypatch.setattr(caches["shared"], "set_many", disturbed)
    send("main")
    assert [call.arguments["to"] for call in shared_calls()] == ["main"]


# -- settings


class Unknown(LocMemCache):
    """A backend that nobody has heard of."""


def _messages(ledger: Any, **caches_setting: Any) -> list[django_checks.CheckMessage]:
    given = {"default": {"BACKEND": LOCMEM}, **caches_setting}
    with override_settings(CACHES=given, SIDE_EFFECTS={"LEDGER": ledger}):
        return [message for message in check_settings() if "LEDGER" in str(message.msg)]


@pytest.mark.parametrize(
    ("cache", "said"),
    [
        ("django.core.cache.backends.filebased.FileBasedCache", "FileBasedCache cannot append without losing records"),
        ("django.core.cache.backends.dummy.DummyCache", "DummyCache keeps nothing"),
        ("tests.ledgers.test_shared.NoSuch", "Could not find backend"),
    ],
)
def test_a_cache_that_loses_records_is_refused(cache: str, said: str, tmp_path: Path, production: None) -> None:
    """By the system check, and when it is used: nothing is executed."""
    ledger = {"BACKEND": "cache", "ALIAS": "poor"}
    poor = {"BACKEND": cache, "LOCATION": str(tmp_path)}
    [message] = _messages(ledger, poor=poor)
    assert message.id == "sideeffects.E026"
    assert said in message.msg
    done: list[int] = []
    with override_settings(CACHES={"default": {"BACKEND": LOCMEM}, "poor": poor}, SIDE_EFFECTS={"LEDGER": ledger}):
        with pytest.raises(LedgerError, match=said):
            side_effect(name="sms.send")(lambda: done.append(1))()
        with pytest.raises(LedgerError, match=said):
            get_process_run("r")
    assert not done


def test_a_cache_that_is_not_known_needs_the_word_of_its_user() -> None:
    """`ATOMIC_ADD` is that word."""
    from sideeffects.ledgers.media import medium_of

    class Foreign:
        """No backend of Django's."""

    assert "is not known to append" in str(medium_of(Foreign(), is_trusted=False))
    assert not isinstance(medium_of(Foreign(), is_trusted=True), str)


@pytest.mark.parametrize(
    ("ledger", "id_", "said"),
    [
        ({"BACKEND": "cache"}, "W002", "LocMemCache is the memory of one process"),
        ({"BACKEND": "cache", "ALIAS": "none"}, "E026", "The connection 'none' doesn't exist"),
        ({"BACKEND": "file", "PATH": "/no/such/ledger"}, "E026", "there is no folder /no/such"),
        ({"BACKEND": "file"}, "E007", "PATH must be the absolute path"),
        ({"BACKEND": "file", "PATH": "ledger.jsonl"}, "E007", "PATH must be the absolute path"),
        ({"BACKEND": "cache", "ALIAS": 1}, "E007", "ALIAS must be a key of CACHES"),
        ({"BACKEND": "cache", "TIMEOUT": None}, "E007", "TIMEOUT must be a number of seconds"),
        ({"BACKEND": "cache", "TIMEOUT": 0.5}, "E007", "TIMEOUT must be a number of seconds"),
        ({"BACKEND": "cache", "ATOMIC_ADD": "yes"}, "E007", "ATOMIC_ADD must be True or False"),
        ({"BACKEND": "cache", "PATH": "/x"}, "E007", "has no key 'PATH' for the backend 'cache'"),
        ({"BACKEND": "redis"}, "E007", "must be 'memory'"),
    ],
)
def test_the_checks_say_what_is_wrong_with_a_ledger(ledger: Any, id_: str, said: str) -> None:
    """Each with its number."""
    [message] = _messages(ledger)
    assert (message.id, said in message.msg) == (f"sideeffects.{id_}", True), message.msg


def test_a_ledger_in_a_file_has_nothing_to_say(tmp_path: Path) -> None:
    """When all is well."""
    assert _messages({"BACKEND": "file", "PATH": tmp_path / "ledger"}) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """Before the first call."""
    tmp_path.chmod(0o500)
    [message] = _messages({"BACKEND": "file", "PATH": tmp_path / "ledger"})
    tmp_path.chmod(0o700)
    assert "is not writable for this process" in message.msg


def test_calls_in_memory_are_shared_with_nobody() -> None:
    """Who asks for them is told."""
    with pytest.raises(LedgerError, match="only this process has it"):
        shared_calls()


# -- interleavings


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 2), st.integers(1, 4)),
        st.tuples(st.just("read"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("clear"), st.integers(0, 2), st.just(0)),
    ),
    max_size=25,
)


@pytest.mark.parametrize("kind", ["file", "locmem"])
@hypothesis_settings(max_examples=60)
@given(actions=ACTIONS)
def test_readers_see_each_line_once_however_appends_reads_and_clears_take_turns(
    kind: str, actions: list[tuple[str, int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Against a model: three writers, two readers that go on where they were, and one that begins anew."""
    folder = tmp_path_factory.mktemp("ledger")
    cache = {"BACKEND": LOCMEM, "LOCATION": str(folder), "OPTIONS": {"MAX_ENTRIES": 10_000}}
    with override_settings(CACHES={"default": cache}):
        logs: list[Any] = [
            FileLog(str(folder / "log"), 60) if kind == "file" else CacheLog("default", 60, is_trusted=False)
            for _ in range(3)
        ]
        cursors: list[dict[str, Any]] = [{}, {}]
        unread: list[list[str]] = [[], []]
        kept: list[str] = []
        serial = 0
        for action, who, count in actions:
            if action == "append":
                lines = [f"{who}-{serial + n:04}" for n in range(count)]
                serial += count
                logs[who].append(lines)
                for holder in (kept, *unread):
                    holder.extend(lines)
            elif action == "read":
                found, loss = logs[2].read(cursors[who])
                assert loss.records == 0
                assert sorted(found) == sorted(unread[who])
                for writer in "012":  # each writer's own order is kept
                    mine = [line for line in found if line.startswith(writer)]
                    assert mine == sorted(mine)
                unread[who] = []
            else:
                logs[who].clear()
                kept, unread = [], [[], []]
        found, loss = logs[0].read({})
        assert (sorted(found), loss.records) == (sorted(kept), 0)


def _until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
