"""Effects inside open transactions are found, and each call knows what became of its transaction."""

import asyncio
import functools
import logging
import pickle
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import celery
import django_tasks
import pytest
from asgiref.sync import async_to_sync
from django.db import DatabaseError, IntegrityError, connection, connections, transaction
from django.db.transaction import TransactionManagementError
from django.test import TestCase, override_settings
from django_tasks.backends.dummy import DummyBackend

from sideeffects import Calls, dry_run, forbid, force_run, side_effect
from sideeffects._core.state import extension_points
from sideeffects._core.state.open_transactions import open_transactions
from sideeffects.guard import in_transactions
from sideeffects.guard.findings import Book, Finding, books
from sideeffects.testing import EffectInTransaction, isolated_registry
from tests.support.database import Database
from tests.support.projects import Project

executed: list[str] = []


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path, django_db_blocker: Any) -> Iterator[Database]:
    if request.param == "postgresql":
        given = request.getfixturevalue("postgres")
    else:
        given = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "dry.sqlite3")}
    with django_db_blocker.unblock():
        made = Database(given)
        try:
            yield made
            assert open_transactions.get() == ()
        finally:
            made.forget()


@pytest.fixture
def found() -> Iterator[Book]:
    """What is found during the test, apart from what this suite itself does."""
    book = Book()
    books.open.append(book)
    yield book
    books.open.remove(book)


@pytest.fixture(autouse=True)
def effects() -> Iterator[None]:
    executed.clear()
    with isolated_registry():
        yield


def declared(**options: Any) -> Any:
    @side_effect(name="sms.send", **options)
    def send(to: str = "") -> None:
        """Send."""
        executed.append(to)

    return send


def findings(book: Book) -> list[Finding]:
    return [noted.finding for noted in book.findings()]


def line_with(text: str) -> str:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    number = next(number for number, line in enumerate(lines, 1) if line.endswith(text))
    return f"tests/guard/test_in_transactions.py:{number}"


# -- what is found


def test_a_finding_names_the_effect_its_call_and_the_transaction(database: Database, found: Book) -> None:
    """In a test run recorded effects count as executing; several calls from one place are one finding."""
    send = declared()
    send()
    with database.atomic():  # opened here
        for _ in range(3):
            send("+1")  # called here
    (noted,) = found.findings()
    assert noted.count == 3
    finding = noted.finding
    assert (finding.kind, finding.what, finding.is_refused) == ("transaction", "sms.send", False)
    assert finding.caller == line_with("# called here")
    assert finding.detail.startswith(line_with("# opened here"))
    assert "test_a_finding_names" in finding.function
    assert "test_a_finding_names" in finding.test


def test_the_outermost_transaction_is_named(database: Database, found: Book) -> None:
    """That is the one whose commit counts; also where it is a decorator."""
    send = declared()

    @transaction.atomic(using="dry")  # outermost
    def place() -> None:
        with database.atomic():
            send()

    place()
    assert findings(found)[0].detail.startswith(line_with("# outermost"))


@pytest.mark.parametrize("options", [{"in_transaction": True}, {"on_commit": "dry"}])
def test_effects_that_may_be_inside(database: Database, found: Book, options: dict[str, Any]) -> None:
    """Those that are meant to, and those that wait for the commit."""
    send = declared(**options)
    with database.atomic():
        send()
    assert not findings(found)


def test_calls_after_the_commit_are_outside(database: Database, found: Book) -> None:
    """In callbacks, in the background, and after the block."""
    send = declared(async_ok=True)
    with database.atomic():
        transaction.on_commit(send, using="dry")
        send.enqueue()
    send()
    assert not findings(found)


def test_refused_calls_are_no_hazard(database: Database, found: Book) -> None:
    """Nothing happens."""
    send = declared()
    with database.atomic(), forbid("sms.send"), pytest.raises(Exception, match="refused"):
        send()
    assert not findings(found)


def test_transactions_of_tests_do_not_count(database: Database, found: Book) -> None:
    """Those that Django's TestCase opens; the application's inside them do, and end where they end."""
    send = declared()
    calls: list[Any] = []

    class Tests(TestCase):
        databases: ClassVar[set[str]] = {"dry"}

        def test(self) -> None:
            send("outside")
            with database.atomic():
                send("inside")
            with self.captureOnCommitCallbacks(using="dry", execute=True) as callbacks, database.atomic():
                transaction.on_commit(lambda: send("callback"), using="dry")
            calls.append(len(callbacks))

    result = unittest.TestResult()
    unittest.TestSuite([Tests("test")]).run(result)
    assert not result.errors + result.failures
    assert len(findings(found)) == 1
    assert calls == [1]


def test_transactions_by_hand(database: Database, found: Book, side_effects: Calls) -> None:
    """From the first statement to the commit or the rollback; `atomic` inside is a part of them."""
    send = declared()
    transaction.set_autocommit(False, using="dry")  # by hand
    try:
        send("not begun")
        database.insert("one")
        send("committed")
        assert side_effects[1].transaction == "pending"
        transaction.commit(using="dry")
        send("between")
        database.insert("two")
        send("rolled back")
        transaction.rollback(using="dry")
        with database.atomic():
            send("inside")
        transaction.commit(using="dry")
        database.insert("three")
        transaction.commit(using="dry")
        connections["dry"].close()
        send("closed")
    finally:
        transaction.set_autocommit(True, using="dry")
    send("after")
    assert {call.arguments["to"]: call.transaction for call in side_effects} == {
        "not begun": None,
        "committed": "committed",
        "between": None,
        "rolled back": "rolled back",
        "inside": "committed",
        "closed": None,
        "after": None,
    }
    assert [finding.detail for finding in findings(found)] == [
        f"{line_with('# by hand')} in test_transactions_by_hand"
    ] * 3


def test_a_commit_by_hand_that_fails_has_rolled_back(database: Database, side_effects: Calls) -> None:
    """What was sent before it is told so; and who commits without a transaction by hand opens none."""
    send = declared(in_transaction=True)
    with pytest.raises(TransactionManagementError), database.atomic():
        transaction.commit(using="dry")
    transaction.set_autocommit(False, using="dry")
    try:
        database.execute("INSERT INTO parts (row_id) VALUES (99)")
        send()
        with pytest.raises(IntegrityError):
            transaction.commit(using="dry")
        transaction.rollback(using="dry")
    finally:
        transaction.set_autocommit(True, using="dry")
    assert side_effects[0].transaction == "rolled back"


def text(to: str) -> None:
    """Send, as a task."""
    executed.append(to)


def test_publishing_a_task_inside_is_found(database: Database, found: Book) -> None:
    """A queue hands it on before the commit, and keeps it after a rollback. In callbacks it is fine.

    Celery's tasks wait for the commit, but of another database here.
    """
    app = celery.Celery("hazards", broker="memory://", set_as_current=False)
    sent = app.task(name="in_transactions.text", shared=False)(side_effect(name="sms.celery")(text))
    with override_settings(TASKS={"default": {"BACKEND": "django_tasks.backends.dummy.DummyBackend"}}):
        queued = django_tasks.task()(side_effect(name="sms.django")(text))
        for way in (sent.delay, lambda to: sent.apply_async((to,)), queued.enqueue):
            way("outside")
            with database.atomic():
                transaction.on_commit(functools.partial(way, "after"), using="dry")
                way("inside")
        with database.atomic(), override_settings(SIDE_EFFECTS={"TRANSACTIONS": "raise"}):
            for way in (sent.delay, queued.enqueue):
                with pytest.raises(EffectInTransaction):
                    way("refused")
    assert sorted(finding.what for finding in findings(found)) == [*["sms.celery"] * 3, *["sms.django"] * 2]
    assert not executed


def test_a_celery_task_waits_for_the_commit_by_itself(found: Book, django_db_blocker: Any) -> None:
    """It is published when the transaction commits, and not when it rolls back: there is nothing to find."""
    app = celery.Celery("hazards", broker="memory://", set_as_current=False)
    sent = app.task(name="in_transactions.waiting", shared=False)(side_effect(name="sms.celery")(text))
    ways = (sent.delay, lambda to: sent.apply_async((to,)), lambda to: sent.s(to).delay())
    with django_db_blocker.unblock(), override_settings(SIDE_EFFECTS={"TRANSACTIONS": "raise"}):
        for way in ways:
            with transaction.atomic():
                way("recorded")
            with force_run("sms.celery"), transaction.atomic():
                way("published")
        with app.connection_for_read() as broker:
            queue = broker.default_channel.queue_declare(app.conf.task_default_queue)
        connection.close()
    assert queue.message_count == len(ways)
    assert not findings(found)


def test_a_backend_that_waits_for_the_commit_by_itself_is_no_hazard(database: Database, found: Book) -> None:
    """Huey's backend for Django tasks, and others, have an option for that."""
    kept = {"BACKEND": "tests.guard.test_in_transactions.WaitingBackend"}
    with override_settings(TASKS={"default": kept}), database.atomic():
        django_tasks.task()(side_effect(name="sms.django")(text)).enqueue("inside")
    assert not findings(found)


class WaitingBackend(DummyBackend):
    """Hands its tasks over with `transaction.on_commit`."""

    enqueue_on_commit = True


def test_what_is_enqueued_in_djangos_database_goes_with_the_transaction(database: Database, found: Book) -> None:
    """It is a row like any other."""
    kept = {"BACKEND": "tests.guard.test_in_transactions.DatabaseBackend"}
    with override_settings(TASKS={"default": kept}), database.atomic():
        django_tasks.task()(side_effect(name="sms.django")(text)).enqueue("inside")
    assert not findings(found)


class DatabaseBackend(DummyBackend):
    """Named as those of `django_tasks_db` and others are."""


def test_in_coroutines_too(database: Database, found: Book) -> None:
    """What `async_to_sync` runs inside a transaction is inside it."""

    @side_effect(name="hook.post")
    async def post() -> None:
        """Post."""

    async def work() -> None:
        await asyncio.sleep(0)
        await post()

    with database.atomic():
        async_to_sync(work)()
    assert [finding.what for finding in findings(found)] == ["hook.post"]


def test_what_a_package_calls_is_found_where_the_users_code_asked_for_it(database: Database, found: Book) -> None:
    """An effect that is handed to `async_to_sync` is called by asgiref: nobody can mend it there."""

    @side_effect(name="hook.post")
    async def post() -> None:
        """Post."""

    with database.atomic():
        async_to_sync(post)()
    assert [(finding.file, finding.function) for finding in findings(found)] == [
        ("tests/guard/test_in_transactions.py", "test_what_a_package_calls_is_found_where_the_users_code_asked_for_it")
    ]


# -- the levels


def test_raise(database: Database, found: Book, side_effects: Calls) -> None:
    """The call is refused, forced or not, and written down with its error."""
    send = declared()
    with override_settings(SIDE_EFFECTS={"TRANSACTIONS": "raise"}), force_run("sms.send"):
        with database.atomic(), pytest.raises(EffectInTransaction, match="on_commit=True") as caught:
            send("+1")
        send("+2")
    assert executed == ["+2"]
    assert side_effects[0].outcome is not None
    assert side_effects[0].outcome.error is caught.value
    assert findings(found)[0].is_refused
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert line_with('send("+1")').rpartition("/")[2].partition(":")[0] in again.caller


def test_off(database: Database, found: Book, side_effects: Calls) -> None:
    """Nothing is found; calls know their transactions all the same."""
    send = declared()
    with override_settings(SIDE_EFFECTS={"TRANSACTIONS": "off"}), database.atomic():
        send()
    assert not findings(found)
    assert side_effects[0].transaction == "committed"


@pytest.mark.usefixtures("production")
def test_in_production(database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Off unless the settings say otherwise; a warning once for each place; the fast switch stays on meanwhile."""
    monkeypatch.setattr(in_transactions, "_logged", set())
    send = declared()
    with database.atomic():
        send("off")
    with override_settings(SIDE_EFFECTS={"TRANSACTIONS": "warn"}), caplog.at_level(logging.WARNING, "sideeffects"):
        send("before")
        for _ in range(2):
            with database.atomic():
                send("warned")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "cannot be undone if that rolls back" in caplog.text
    with override_settings(SIDE_EFFECTS={"TRANSACTIONS": "raise"}):
        send("before")
        with pytest.raises(EffectInTransaction), database.atomic():
            send("refused")
    assert executed == ["off", "before", "warned", "warned", "before"]


# -- what became of a call's transaction


def test_calls_know_what_became_of_their_transactions(database: Database, side_effects: Calls) -> None:
    """Pending while it is open, then committed or rolled back; `None` without one."""
    send = declared(in_transaction=True)
    send("none")
    with database.atomic():
        send("committed")
        assert side_effects[1].transaction == "pending"
    with pytest.raises(ZeroDivisionError), database.atomic():
        send("rolled back")
        raise ZeroDivisionError
    with database.atomic():
        send("marked")
        transaction.set_rollback(True, using="dry")
    fates = {call.arguments["to"]: call.transaction for call in side_effects}
    assert fates == {"none": None, "committed": "committed", "rolled back": "rolled back", "marked": "rolled back"}


def test_parts_of_a_transaction(database: Database, side_effects: Calls) -> None:
    """A savepoint that is rolled back decides for what is inside; otherwise the whole does."""
    send = declared(in_transaction=True)
    with database.atomic():
        with pytest.raises(ZeroDivisionError), database.atomic():
            with database.atomic():
                send("inner")
            raise ZeroDivisionError
        with database.atomic():
            send("released")
            assert side_effects[1].transaction == "pending"
        assert side_effects[1].transaction == "pending"
    assert [call.transaction for call in side_effects] == ["rolled back", "committed"]
    with pytest.raises(ZeroDivisionError), database.atomic():
        with database.atomic():
            send("released")
        raise ZeroDivisionError
    assert side_effects[2].transaction == "rolled back"


def test_a_commit_that_fails_has_rolled_back(database: Database, side_effects: Calls) -> None:
    """And a callback that fails after it has not."""
    send = declared(in_transaction=True)
    with pytest.raises(IntegrityError), database.atomic():
        database.execute("INSERT INTO parts (row_id) VALUES (99)")
        send()

    def fail() -> None:
        raise DatabaseError

    with pytest.raises(DatabaseError), database.atomic():
        transaction.on_commit(fail, using="dry")
        send()
    assert [call.transaction for call in side_effects] == ["rolled back", "committed"]
    connections["dry"].close()


def test_transactions_of_several_databases(database: Database, side_effects: Calls) -> None:
    """One that is rolled back decides, then one that is open."""
    send = declared(in_transaction=True)
    with transaction.atomic():
        with pytest.raises(ZeroDivisionError), database.atomic():
            send()
            raise ZeroDivisionError
        with database.atomic():
            send()
        assert [call.transaction for call in side_effects] == ["rolled back", "pending"]
    assert side_effects[1].transaction == "committed"


def test_a_dry_run_inside_a_transaction_is_not_inside_it(database: Database, found: Book) -> None:
    """Nothing of it stays, whatever becomes of the transaction; its own transactions do count."""
    send = declared()
    with database.atomic():
        with dry_run() as plan:
            send()
            assert not findings(found)
            with database.atomic():
                send()
        send()
    assert [call.transaction for call in plan] == [None, "committed"]
    assert len(findings(found)) == 2


# -- in whole test runs

PROJECT = """
    from django.conf import settings
    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        SIDE_EFFECTS=__import__("json").loads(__import__("os").environ.get("GIVEN", "{}")),
    )
    import django
    django.setup()
"""
TESTS = """
    from django.db import transaction
    from django.test import TestCase
    from effects import send


    @transaction.atomic
    def place():
        send("a place")


    class Tests(TestCase):
        def test(self):
            send("outside")
            place()
"""


@pytest.mark.processes
def test_a_run_ends_with_a_summary_and_shares_the_guards_baseline(tmp_path: Path) -> None:
    """By pytest and by unittest; accepted findings are silent, and refused only when they are new."""
    project = Project(tmp_path)
    project.write("conftest.py", PROJECT)
    project.write("run.py", PROJECT + "    import unittest\n    unittest.main('test_it')\n")
    project.write("test_it.py", TESTS)
    expected = ("test_it.py:8 in place: shop.send", "the transaction was opened at test_it.py:6 in place")
    said = project.pytest().stdout
    assert "side effects in open transactions" in said
    for text in expected:
        assert text in said
    said = project.run("run.py").stderr
    for text in expected:
        assert text in said

    baseline = "--side-effects-baseline=accepted.json"
    refusing = {"GIVEN": '{"TRANSACTIONS": "raise"}'}
    assert "EffectInTransaction" in project.pytest(environment=refusing, code=1).stdout
    assert "1 accepted" in project.pytest(baseline, "--side-effects-update-baseline").stdout
    assert "open transactions" not in project.pytest(baseline, environment=refusing).stdout
    assert not project.executed


def test_without_wiring_nothing_is_placed(database: Database, side_effects: Calls) -> None:
    """The core knows no database: what looks at transactions is plugged in."""
    send = declared()
    found = list(extension_points.places)
    for place in found:
        extension_points.places.remove(place)
    try:
        with database.atomic():
            send()
    finally:
        for place in found:
            extension_points.places.add(place)
    assert side_effects[0].transaction is None


@pytest.mark.processes
def test_a_refusal_that_the_code_swallows_fails_its_test(tmp_path: Path) -> None:
    """As it does for what the guard and `forbid` refuse. Who reads the call, or gets the error, has noticed."""
    project = Project(tmp_path)
    project.write("conftest.py", PROJECT)
    project.write(
        "careless.py",
        """
        from django.db import transaction
        from effects import send

        def place():
            with transaction.atomic():
                try:
                    send("a place")
                except Exception:
                    pass
        """,
    )
    project.write(
        "test_it.py",
        """
        from careless import place
        from django.db import transaction
        from django.test import TestCase
        from effects import send
        from sideeffects.testing import EffectInTransaction, SideEffectsMixin

        class Tests(SideEffectsMixin, TestCase):
            def test_swallowed(self):
                place()

            def test_read(self):
                place()
                self.side_effects.assert_called("shop.send")

            def test_expected(self):
                with transaction.atomic(), self.assertRaises(EffectInTransaction):
                    send("a place")
        """,
    )
    project.write("run.py", PROJECT + "    import unittest\n    unittest.main('test_it')\n")
    refusing = {"GIVEN": '{"TRANSACTIONS": "raise"}'}

    said = project.pytest(environment=refusing, code=1).stdout
    assert "1 failed, 2 passed" in said
    assert "refused inside an open transaction, and the test did not notice" in said
    assert "FAILED (failures=1)" in project.run("run.py", environment=refusing, code=1).stderr
    assert not project.executed
