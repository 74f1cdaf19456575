"""`--save` and `--apply`, inside one process: a command that is a function, on SQLite and on PostgreSQL."""

import asyncio
import datetime
import itertools
import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connections, transaction
from django.test import override_settings

from sideeffects import dry_run, record, side_effect
from sideeffects.dryrun import DryRunRefused
from sideeffects.dryrun.applying import Applied, Applying, side_by_side
from sideeffects.dryrun.gate import fate_of
from sideeffects.dryrun.planned_calls import Ignored
from sideeffects.dryrun.saved_plan import NotApplicable, SavedPlan, load, save
from sideeffects.errors import PlanChanged
from tests.dryrun.effects import executed
from tests.support.database import Database

#: All of these are run on each of the three.
pytestmark = pytest.mark.parametrize("database", ["sqlite", "postgresql", "mariadb"], indirect=True)
HOUR = datetime.timedelta(hours=1)
CODE = {"sideeffects": "1"}


class Trial:
    """A plan is made in a folder, and applied."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "plan.json"

    def plan(self, command: Callable[[], object], ignored: Sequence[Ignored] = (), code: int = 0) -> SavedPlan:
        with dry_run(max_calls=1000) as plan:
            command()
        save(self.file, plan, ["bill"], code, ignored, CODE)
        return load(str(self.file))

    def apply(self, command: Callable[[], object], *, is_atomic: bool = True, is_whole: bool = False) -> Applied:
        saved = load(str(self.file))
        saved.check(HOUR, CODE)

        def run() -> int:
            answer = command()
            return answer if isinstance(answer, int) else 0

        self.progress: list[int] = []
        applying = Applying(
            saved, is_atomic=is_atomic, is_whole=is_whole, passed=lambda count, _: self.progress.append(count)
        )
        return applying.run(run)


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(tmp_path)


def done(applied: Applied) -> list[str]:
    return [call.arguments["to"] for call in applied.calls if not fate_of(call)]


def test_what_was_planned_is_done(database: Database, send: Any, trial: Trial) -> None:
    """Rows and effects, also inside `atomic(durable=True)`; plan and reality stand side by side."""

    def command() -> None:
        with database.atomic(durable=True):
            database.insert("one")
            database.insert("two")
            send("+1", token="hunter2")
        database.execute(f"UPDATE {database.rows} SET name = 'three' WHERE name = %s", ["two"])
        send("+2")

    saved = trial.plan(command)
    assert executed == []
    applied = trial.apply(command)
    assert (applied.changed, applied.error, applied.missing, applied.rolled_back) == (None, None, [], [])
    assert executed == ["+1", "+2"]
    assert trial.progress == [1, 2]
    assert database.committed() == ["kept", "one", "three"]
    effects, rows = side_by_side(saved, applied)
    assert effects == [["sms.send", "2", "2"]]
    assert rows == [["dry", "rows", "2 inserted, 1 updated", "2 inserted, 1 updated"]]


def test_rows_are_counted_whatever_the_statements_return(database: Database, trial: Trial) -> None:
    """The same statement many times, and another between."""

    def insert(name: str) -> None:
        database.execute(f"INSERT INTO {database.rows} (name) VALUES (%s) RETURNING id", [name])

    def command() -> None:
        for name in ("one", "two", "three"):
            insert(name)
        database.execute(f"DELETE FROM {database.rows} WHERE name IN ('one', 'two')")
        insert("four")

    saved = trial.plan(command)
    applied = trial.apply(command)
    assert applied.error is None
    assert database.committed() == ["kept", "three", "four"]
    assert side_by_side(saved, applied)[1] == [["dry", "rows", "4 inserted, 2 deleted", "4 inserted, 2 deleted"]]


@pytest.mark.parametrize("is_atomic", [True, False])
def test_a_call_that_differs_is_refused_before_it_executes(
    database: Database, send: Any, trial: Trial, is_atomic: bool
) -> None:
    """With its argument and both values; what follows is refused too, though the error be swallowed."""
    numbers = itertools.count()
    phone = ["+2"]

    def command() -> None:
        database.insert(f"row {next(numbers)}")
        send("+1")
        try:
            send(phone[0])
        except PlanChanged:
            with pytest.raises(PlanChanged, match="a call before it differed"):
                send("+3")
        else:
            send("+3")

    trial.plan(command)
    phone[0] = "+9"
    applied = trial.apply(command, is_atomic=is_atomic)
    assert applied.changed is not None
    assert (applied.changed.name, applied.changed.argument) == ("sms.send", "to")
    assert (applied.changed.planned, applied.changed.given) == ("'+2'", "'+9'")
    assert executed == done(applied) == ["+1"]
    assert ("dry" in applied.rolled_back) is is_atomic
    assert database.committed() == ["kept"] + ["row 1"] * (not is_atomic)


def test_redacted_values_are_compared_and_told_by_no_one(database: Database, send: Any, trial: Trial) -> None:
    """The file holds keyed digests; the refusal names the argument."""
    token = ["hunter2"]

    def command() -> None:
        send("+1", token=token[0])

    trial.plan(command)
    assert "hunter" not in trial.file.read_text()
    token[0] = "hunter3"
    applied = trial.apply(command)
    assert applied.changed is not None
    assert applied.changed.argument == "token"
    assert "[redacted]" in applied.changed.planned
    assert applied.changed.planned != applied.changed.given
    assert "hunter" not in str(applied.changed)
    assert executed == []


def test_another_effect_and_one_too_many_are_refused(database: Database, send: Any, trial: Trial) -> None:
    """The refusal says what was due."""
    names: list[str] = ["send"]

    @side_effect(name="mail.send")
    def mail(to: str) -> None:
        """Mail."""
        executed.append(to)

    def command() -> None:
        for name in names:
            {"send": send, "mail": mail}[name]("+1")

    trial.plan(command)
    names[:] = ["mail"]
    applied = trial.apply(command)
    assert "what comes next in the plan is 'sms.send'" in str(applied.changed)
    trial.plan(lambda: None)
    assert "the plan has no further call here" in str(trial.apply(command).changed)
    assert executed == []


def test_calls_that_never_came_are_told(database: Database, send: Any, trial: Trial) -> None:
    """All that was done is kept."""
    phones = ["+1", "+2"]

    def command() -> None:
        for phone in phones:
            send(phone)
            database.insert(phone)

    trial.plan(command)
    phones.pop()
    applied = trial.apply(command)
    assert [call.arguments["to"] for call in applied.missing] == ["+2"]
    assert database.committed() == ["kept", "+1"]


def test_ignored_arguments_are_not_compared(database: Database, trial: Trial) -> None:
    """Times and keys are others in each run; `--ignore` names them, and the plan keeps that."""
    times = itertools.count()

    @side_effect(name="shop.note")
    def note(to: str, at: int) -> None:
        """Note."""
        executed.append(to)

    def command() -> None:
        note("a", next(times))

    trial.plan(command, [Ignored("shop.*", "at")])
    assert trial.apply(command).changed is None
    trial.plan(command)
    changed = trial.apply(command).changed
    assert changed is not None
    assert "--ignore shop.note.at" in str(changed)


def test_what_looks_the_same_whatever_is_in_it_is_not_compared(database: Database, trial: Trial) -> None:
    """Neither saved nor passed, unless it is left out: nobody could tell that it has changed."""
    given: list[Any] = ["fine"]

    @side_effect(name="shop.note")
    def note(to: Any) -> None:
        """Note."""
        executed.append(str(to))

    def command() -> None:
        note(given[0])

    class Opaque:
        """It shows nothing of what it has."""

    trial.plan(command)
    given[0] = Opaque()
    applied = trial.apply(command)
    assert "cannot be compared: --ignore shop.note.to leaves it out" in str(applied.changed)
    assert executed == []
    with pytest.raises(NotApplicable, match=r"shop.note, called at .*: its argument 'to' is '<.*Opaque object"):
        trial.plan(command)
    trial.plan(command, [Ignored("shop.note", "to")])
    assert trial.apply(command).changed is None
    assert len(executed) == 1


def test_callbacks_after_the_commit(database: Database, send: Any, trial: Trial) -> None:
    """With one transaction they come at its end, without where they came in the dry run; both are as planned."""

    @side_effect(name="mail.send", on_commit="dry")
    def mail(to: str) -> None:
        """Mail, after the commit."""
        executed.append(to)

    def command() -> None:
        with database.atomic():
            transaction.on_commit(lambda: send("after"), using="dry")
            mail("mail")
            send("inside")
        transaction.on_commit(lambda: send("at once"), using="dry")
        send("last")

    trial.plan(command)
    assert trial.apply(command).changed is None
    assert executed == ["inside", "last", "after", "mail", "at once"]
    executed.clear()
    trial.plan(command)
    assert trial.apply(command, is_atomic=False).changed is None
    assert executed == ["inside", "after", "mail", "at once", "last"]


def test_what_waits_for_the_commit_is_rehearsed(database: Database, send: Any, trial: Trial) -> None:
    """A difference there is found before the commit. The rehearsal leaves nothing, and counts for nothing."""
    phone = ["+1"]

    def after() -> None:
        with database.atomic():
            database.insert("later")
            transaction.on_commit(lambda: send("nested"), using="dry")
        send(phone[0])
        raise ZeroDivisionError

    def command() -> None:
        with database.atomic():
            database.insert("row")
            transaction.on_commit(after, using="dry", robust=True)

    saved = trial.plan(command)
    phone[0] = "+2"
    applied = trial.apply(command)
    assert applied.changed is not None
    assert applied.changed.given == "'+2'"
    assert "dry" in applied.rolled_back
    assert database.committed() == ["kept"]
    assert executed == []
    phone[0] = "+1"
    trial.plan(command)
    applied = trial.apply(command)
    assert (applied.changed, applied.error, applied.missing, applied.rolled_back) == (None, None, [], [])
    assert executed == ["nested", "+1"]
    assert database.committed() == ["kept", "row", "later"]
    assert side_by_side(saved, applied)[1] == [["dry", "rows", "2 inserted", "2 inserted"]]


def test_what_changes_after_the_commit_cannot_be_taken_back(database: Database, send: Any, trial: Trial) -> None:
    """A callback that does another thing than in the rehearsal; the rows are kept then, and that is said."""
    phones = iter(["+1", "+1", "+2"])

    def command() -> None:
        with database.atomic():
            database.insert("row")
            transaction.on_commit(lambda: send(next(phones)), using="dry")

    trial.plan(command)
    applied = trial.apply(command)
    assert applied.changed is not None
    assert "dry" not in applied.rolled_back
    assert database.committed() == ["kept", "row"]
    assert executed == []


def test_a_rehearsal_that_is_refused_takes_all_back(database: Database, send: Any, trial: Trial) -> None:
    """What cannot be run dry after the commit cannot be known before it."""
    is_real = [False]

    def after() -> None:
        if is_real[0]:
            with database.connection.cursor() as cursor:
                cursor.execute("COMMIT")

    def command() -> None:
        with database.atomic():
            database.insert("row")
            transaction.on_commit(after, using="dry")

    trial.plan(command)
    is_real[0] = True
    applied = trial.apply(command)
    assert isinstance(applied.error, DryRunRefused)
    assert database.committed() == ["kept"]


def test_threads_pools_and_tasks_are_compared_by_strand(database: Database, send: Any, trial: Trial) -> None:
    """Jobs of a pool fall to other threads each time, and tasks wait elsewhere; the order inside each counts."""
    turned = [False]

    def job(number: int) -> None:
        calls = [f"first {number}", f"second {number}"]
        for to in reversed(calls) if turned[0] and number == 3 else calls:
            send(to)

    async def tasks() -> None:
        async def one(number: int) -> None:
            send(f"task {number}")
            await asyncio.sleep(0)
            send(f"task {number} again")

        await asyncio.gather(*(one(number) for number in range(3)))

    def command() -> None:
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(job, range(5)))
        threads = [threading.Thread(target=job, args=[number]) for number in (10, 11)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        asyncio.run(tasks())

    trial.plan(command)
    applied = trial.apply(command)
    assert (applied.changed, applied.error, applied.missing) == (None, None, [])
    assert len(executed) == 20
    trial.plan(command)
    turned[0] = True
    assert trial.apply(command).changed is not None


def test_effects_of_an_executing_effect_are_no_steps_of_the_plan(database: Database, send: Any, trial: Trial) -> None:
    """The dry run did not execute it. Those of effects that only read are."""

    @side_effect(name="shop.pay")
    def pay() -> None:
        """Pay, and tell."""
        send("paid")

    @side_effect(name="rates.get", reads=True)
    def rate() -> int:
        """Read; it should send nothing, and does."""
        send("read")
        return 2

    def command() -> None:
        pay()
        assert rate() == 2

    saved = trial.plan(command)
    assert [effect["name"] for effect in saved.data["effects"]] == ["shop.pay", "sms.send"]
    assert saved.data["reads"] == {"rates.get": 1}
    applied = trial.apply(command)
    assert applied.changed is None
    assert executed == ["paid", "read"]


def test_a_command_that_ends_otherwise_is_taken_back(database: Database, send: Any, trial: Trial) -> None:
    """By an error, or with another exit code than the plan's."""

    def command(code: int = 0) -> int:
        database.insert("row")
        if code == 9:
            raise ZeroDivisionError
        return code

    trial.plan(command)
    assert trial.apply(lambda: command(3)).code == 3
    assert isinstance(trial.apply(lambda: command(9)).error, ZeroDivisionError)
    assert database.committed() == ["kept"]
    trial.plan(command, code=3)
    assert trial.apply(lambda: command(3)).rolled_back == []
    assert database.committed() == ["kept", "row"]


def test_the_command_may_close_its_connections(database: Database, send: Any, trial: Trial) -> None:
    """All commands do at their end; the transaction around them goes on. Inside a block it is an error as ever."""

    def command() -> None:
        database.insert("row")
        database.connection.close()
        database.insert("another")

    trial.plan(command)
    assert trial.apply(command).error is None
    assert database.committed() == ["kept", "row", "another"]

    def closing() -> None:
        with database.atomic():
            database.connection.close()

    trial.plan(lambda: None)
    applied = trial.apply(closing)
    assert applied.error is None
    assert applied.rolled_back == ["dry"]


def test_a_database_that_is_not_there(database: Database, send: Any, trial: Trial) -> None:
    """It stops nobody who does not use it; who does gets the error, and all is taken back."""
    nowhere = {"ENGINE": "django.db.backends.postgresql", "NAME": "x", "HOST": "127.0.0.1", "PORT": "1", "USER": "x"}
    connections.settings["nowhere"] = {**connections.settings["default"], **nowhere}
    uses: list[str] = []
    numbers = itertools.count()

    def command() -> None:
        database.insert(f"row {next(numbers)}")
        for alias in uses:
            with connections[alias].cursor():
                pass

    try:
        trial.plan(command)
        applied = trial.apply(command)
        assert (applied.error, applied.rolled_back) == (None, [])
        assert database.committed() == ["kept", "row 1"]
        uses.append("nowhere")
        with pytest.raises(OperationalError), dry_run():
            command()
        applied = trial.apply(command)
        assert isinstance(applied.error, OperationalError)
        assert database.committed() == ["kept", "row 1"]
    finally:
        del connections["nowhere"]
        del connections.settings["nowhere"]


def test_other_contexts_are_left_alone(database: Database, send: Any, trial: Trial) -> None:
    """Inside a program that does other things as well; where the process does nothing else, they are held too."""
    go, went = threading.Event(), threading.Event()
    refused: list[BaseException] = []

    def elsewhere() -> None:
        for _ in range(2):
            go.wait(30)
            go.clear()
            try:
                send("elsewhere")
            except PlanChanged as error:
                refused.append(error)
            went.set()

    def command() -> None:
        go.set()
        went.wait(30)
        went.clear()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    trial.plan(lambda: None)
    assert trial.apply(command).changed is None
    assert executed == ["elsewhere"]
    trial.plan(lambda: None)
    assert trial.apply(command, is_whole=True).changed is not None
    thread.join()
    assert executed == ["elsewhere"]
    assert len(refused) == 1


def test_a_call_that_something_else_holds_back_is_told(database: Database, send: Any, trial: Trial) -> None:
    """It is a step of the plan, and was not done."""
    trial.plan(lambda: send("+1"))
    with record("sms.send"):
        applied = trial.apply(lambda: send("+1"))
    assert done(applied) == []
    assert fate_of(applied.calls[0]) == 'record: recorded by record("sms.send")'


# -- the file


def test_a_plan_is_refused_with_the_reason(database: Database, send: Any, trial: Trial, tmp_path: Path) -> None:
    """Too old, changed, by other code, elsewhere, applied before, no plan at all."""
    saved = trial.plan(lambda: send("+1"))
    with pytest.raises(NotApplicable, match="ago, and --max-age is"):
        saved.check(datetime.timedelta(seconds=-1), CODE)
    with pytest.raises(NotApplicable, match=r"by other code \(sideeffects: 1, now 2\)"):
        saved.check(HOUR, {"sideeffects": "2"})
    elsewhere = saved._replace(data={**saved.data, "databases": {"default": "sqlite /elsewhere"}})
    with pytest.raises(NotApplicable, match="on another database"):
        elsewhere.check(HOUR, CODE)
    saved.claim()
    with pytest.raises(NotApplicable, match="applied before"):
        saved.claim()
    with pytest.raises(NotApplicable, match="applied before"):
        load(str(trial.file)).check(HOUR, CODE)
    trial.file.unlink()
    with pytest.raises(NotApplicable, match="somebody else"):
        saved.claim()
    with pytest.raises(NotApplicable, match="cannot be read"):
        load(str(trial.file))
    for text, reason in (("no JSON", "it is no plan"), ("{}", "it is no plan that")):
        trial.file.write_text(text)
        with pytest.raises(NotApplicable, match=reason):
            load(str(trial.file))


def test_a_plan_that_was_edited_or_signed_elsewhere_is_refused(database: Database, send: Any, trial: Trial) -> None:
    """What was reviewed is what is applied."""
    trial.plan(lambda: send("+1"))
    text = trial.file.read_text()
    trial.file.write_text(text.replace("+1", "+2"))
    with pytest.raises(NotApplicable, match="changed after it was saved"):
        load(str(trial.file))
    trial.file.write_text(json.dumps(json.loads(text)))
    load(str(trial.file))
    with override_settings(SECRET_KEY="another"), pytest.raises(NotApplicable, match="another SECRET_KEY"):
        load(str(trial.file))


def test_the_note_that_it_was_applied_cannot_be_taken_out(database: Database, send: Any, trial: Trial) -> None:
    """The file is signed anew."""
    trial.plan(lambda: send("+1")).claim()
    data = json.loads(trial.file.read_text())
    assert load(str(trial.file)).applied_at
    del data["applied"]
    trial.file.write_text(json.dumps(data))
    with pytest.raises(NotApplicable, match="changed after it was saved"):
        load(str(trial.file))


def test_of_several_who_apply_it_at_once_one_can(database: Database, send: Any, trial: Trial) -> None:
    """The others are told so, whenever they come."""
    for _ in range(20):
        saved = trial.plan(lambda: send("+1"))
        start = threading.Barrier(4)

        def claim(saved: SavedPlan = saved, start: threading.Barrier = start) -> bool:
            start.wait(30)
            try:
                saved.claim()
            except NotApplicable:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            assert sum(future.result(30) for future in [pool.submit(claim) for _ in range(4)]) == 1
        assert load(str(trial.file)).applied_at


def test_statements_that_fail_are_the_commands_own(database: Database, send: Any, trial: Trial) -> None:
    """In a block of its own, whatever is around it."""

    def command() -> None:
        with pytest.raises(IntegrityError), database.atomic():
            database.insert("kept")
        database.insert("row")

    trial.plan(command)
    assert trial.apply(command).error is None
    assert database.committed() == ["kept", "row"]
