"""What a process knows of pauses, whatever happens to the database: in processes outside any test run."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.pause_project import PauseProject

BEGIN = """
    import datetime, json, logging, os, sys, threading, time

    os.environ["DJANGO_SETTINGS_MODULE"] = "config"
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection, transaction
    from django.utils import timezone
    from shop.effects import mail, send
    from sideeffects import SideEffectBlocked, explain
    from sideeffects.outbox import pauses
    from sideeffects.outbox.models import HeldCall

    told = {}


    def until(wanted, ask=lambda: explain("sms.send").mode.name):
        for _ in range(600):
            if ask() == wanted:
                return ask()
            time.sleep(0.03)
        return ask()


    def came_of(function=send):
        try:
            return function("ann")
        except SideEffectBlocked as error:
            return str(error)

"""

STORY = (
    BEGIN
    + """
    start = threading.Thread.start


    def no_more(thread):
        raise RuntimeError("can't start new thread")


    threading.Thread.start = no_more
    told["no thread"] = came_of()
    threading.Thread.start = start
    told["no table"] = came_of()
    call_command("migrate", verbosity=0)
    row = pauses.pause("sms.*", why="they come twice", by="ann on web1", mode="record")
    told["paused"] = until("RECORD"), came_of(), came_of(mail), str(explain("sms.send"))
    pauses.pause("sms.send", why="and thrice", by="ben", mode="raise")
    told["stricter"] = until("RAISE"), came_of()
    pauses.resume("sms.send", by="ben")
    told["less strict"] = until("RECORD")
    pauses.pause("mail.*", why="look first", by="cay", mode="hold")
    until("HOLD", lambda: explain("mail.send").mode.name)
    came_of(mail)
    held = HeldCall.objects.get()
    told["held"] = held.reason, held.decided_by
    pauses.resume("mail.*", by="cay")
    until("EXECUTE", lambda: explain("mail.send").mode.name)

    with transaction.atomic():  # whatever the caller's own connection is in
        try:
            connection.cursor().execute("SELECT * FROM nowhere")
        except Exception:
            told["in a broken transaction"] = came_of()

    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        before = explain("sms.send").mode.name
        pauses.resume("sms.*", by="child")
        os.write(write, json.dumps([before, until("EXECUTE"), came_of()]).encode())
        os._exit(0)
    os.waitpid(child, 0)
    told["child"] = json.loads(os.read(read, 1000))
    told["after the child"] = until("EXECUTE")

    soon = timezone.now() + datetime.timedelta(seconds=1.5)
    pauses.pause("sms.*", why="for a moment", by="ann", mode="record", until=soon)
    told["for a moment"] = until("RECORD"), until("EXECUTE")

    pauses.pause("mail.*", why="the last known", by="ann", mode="record")
    until("RECORD", lambda: explain("mail.send").mode.name)
    database = connection.settings_dict["NAME"]
    content = open(database, "rb").read()
    open(database, "wb").write(b"no database at all" * 1000)
    time.sleep(0.7)
    told["unreadable"] = came_of(mail), came_of(send)
    open(database, "wb").write(content)
    time.sleep(0.7)
    told["readable"] = came_of(mail)
    connection.cursor().execute("ALTER TABLE sideeffects_outbox_pause RENAME TO gone")
    time.sleep(0.7)
    told["table is gone"] = came_of(mail)
    told["threads"] = [thread.name for thread in threading.enumerate() if "pauses" in thread.name]
    print(json.dumps(told))
    """
)


@pytest.mark.processes
def test_a_process_follows_the_pauses(tmp_path: Path) -> None:
    """Stricter and less strict ones, until they end; without a table, after a fork, and while it cannot be read."""
    project = PauseProject(tmp_path)
    told = json.loads(project.program(STORY, environment=project.environment))

    assert "the thread that reads the pauses could not be started (can't start new thread)" in told["no thread"]
    assert told["no table"] == "sent"
    assert project.log.count("there is no table sideeffects_outbox_pause") == 1
    mode, sms, mail, explained = told["paused"]
    assert (mode, sms, mail) == ("RECORD", "not sent", "sent")
    assert explained.startswith("RECORD: paused by ann on web1 at 20")
    assert explained.endswith(" UTC: they come twice [pause 1 of 'sms.*']")
    mode, refused = told["stricter"]
    assert mode == "RAISE"
    assert "paused by ben at 20" in refused
    assert told["less strict"] == "RECORD"
    reason, rule = told["held"]
    assert reason.startswith("paused by cay at 20")
    assert reason.endswith(" UTC: look first")
    assert rule == "pause 3 of 'mail.*'"
    assert told["in a broken transaction"] == "not sent"
    assert told["child"] == ["RECORD", "EXECUTE", "sent"]
    assert told["after the child"] == "EXECUTE"
    assert told["for a moment"] == ["RECORD", "EXECUTE"]
    assert told["unreadable"] == ["not sent", "sent"]
    assert told["readable"] == "not sent"
    assert told["table is gone"] == "not sent"
    for why in ("DatabaseError: file is not a database", "LookupError: the table sideeffects_outbox_pause is gone"):
        assert f"the pauses could not be read ({why}); until they can be, what was known last stays" in project.log
    assert "pauses can be read again" in project.log
    assert told["threads"] == ["sideeffects-pauses"]
    for line in ("sms.* is RECORD: paused by ann on web1", "sms.* is no longer paused", "recorded <Call sms.send("):
        assert line in project.log


UNREADABLE = (
    BEGIN
    + """
    begin = time.monotonic()
    told["first"] = came_of()
    told["waited"] = time.monotonic() - begin
    told["recorded"] = came_of(mail)
    told["explained"] = str(explain("sms.send"))
    time.sleep(float(sys.argv[1]))
    told["later"] = came_of()
    if len(sys.argv) > 2:
        os.remove(connection.settings_dict["NAME"])
        told["readable"] = until("EXECUTE"), came_of()
    print(json.dumps(told))
    """
)


@pytest.mark.processes
def test_nothing_executes_before_the_pauses_were_read(tmp_path: Path) -> None:
    """Where the database cannot be read what would execute is refused; what would not stays as it is."""
    project = PauseProject(tmp_path)
    (tmp_path / "db.sqlite3").write_bytes(b"no database at all" * 1000)
    rules = json.dumps({"POLICY": {"mail.*": "RECORD"}})
    told = json.loads(project.program(UNREADABLE, "0", "mend", environment={**project.environment, "RULES": rules}))
    assert "whether it is paused is not known: the pauses could not be read (DatabaseError: " in told["first"]
    assert told["recorded"] == "not sent"
    assert told["explained"].startswith("RAISE: whether it is paused is not known")
    assert told["later"] == told["first"]
    assert told["readable"] == ["EXECUTE", "sent"]
    assert "no call executes" in project.log


def test_a_test_run_asks_no_store(tmp_path: Path) -> None:
    """A process in a test run has no thread for it, and needs no database."""
    project = PauseProject(tmp_path)
    (tmp_path / "db.sqlite3").write_bytes(b"no database at all" * 1000)
    source = (
        BEGIN
        + """
    from sideeffects import force_run
    with force_run("sms.send"):
        print(came_of(), came_of(mail), [thread.name for thread in threading.enumerate() if "pauses" in thread.name])
    """
    )
    environment = {**project.environment, "SIDE_EFFECTS_TEST_RUN": "1"}
    assert project.program(source, environment=environment) == "sent not sent []\n"


SNAPSHOT = (
    BEGIN
    + """
    call_command("migrate", verbosity=0)
    connection.commit()
    told["first"] = came_of()
    pauses.pause("sms.*", why="x", by="ann", mode="record")
    connection.commit()
    told["paused"] = until("RECORD"), came_of()
    print(json.dumps(told))
    """
)


@pytest.mark.once
def test_a_database_without_autocommit_is_followed(tmp_path: Path, migrated: dict[str, Any]) -> None:
    """The reader's own connection has it on: otherwise it would read one snapshot for ever."""
    project = PauseProject(tmp_path, migrated)
    project.environment["DATABASE"] = json.dumps(json.loads(project.environment["DATABASE"]) | {"AUTOCOMMIT": False})
    told = json.loads(project.program(SNAPSHOT, environment=project.environment))
    assert told == {"first": "sent", "paused": ["RECORD", "not sent"]}
