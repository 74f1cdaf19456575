"""`manage.py dry_run`, as one types it: in a project of its own, on SQLite, with effects that leave a trace."""

import json
import os
import select
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.listed_project import listed_project
from tests.support.projects import Project, clean_environment

pytestmark = pytest.mark.processes

SETTINGS = """\
INSTALLED_APPS = ["shop", "sideeffects"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "shop.sqlite3"}}
SIDE_EFFECTS = {"POLICY": {"shop.confirm": "record"}}
"""

BILL = '''
    import atexit
    import os
    import queue
    import sys
    import threading

    from django.core.management.base import BaseCommand, CommandError
    from django.db import connection, transaction

    from effects import confirm, send
    from shop import sms, workers


    def late():
        send("at exit")
        try:
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO bills (cents) VALUES (4)")
        except Exception as error:
            print("at exit:", type(error).__name__)


    class Command(BaseCommand):
        """Bill."""

        def add_arguments(self, parser):
            parser.add_argument("--way", default="")
            parser.add_argument("--format", default="own")

        def handle(self, way, format, **options):
            print("printed by", format)
            self.stdout.write("written")
            with transaction.atomic(durable=True):
                with connection.cursor() as cursor:
                    cursor.execute("INSERT INTO bills (cents) VALUES (1), (2)")
                transaction.on_commit(lambda: sms.send("+1", token="hunter2"))
                confirm("confirmed")
            thread = threading.Thread(target=send, args=["a thread"])
            thread.start()
            thread.join()
            if way == "queue":
                workers.ask("a queue")
            if way == "ask":
                try:
                    print("answered", input("Really? "))
                except EOFError:
                    print("not answered")
            if way == "row":
                workers.ask("a row")
            if way == "process":
                os.system("true")
            if way == "fail":
                raise CommandError("no bills", returncode=7)
            if way == "exit":
                sys.exit("said at the end")
            if way == "crash":
                raise ZeroDivisionError
            if way == "commit":
                try:
                    with connection.cursor() as cursor:
                        cursor.execute("COMMIT")
                except Exception:
                    pass
            if way == "late":
                atexit.register(late)
                workers.late.append("a queue")
            if way == "answer":
                print("got", send("+2"))
'''

WORKERS = '''
    """A thread that is there before every command, with a queue of its own, which is emptied when the process ends."""
    import atexit
    import queue
    import threading

    from django.db import connection

    from effects import send

    asked, answered = queue.Queue(), queue.Queue()


    def work():
        while True:
            place = asked.get()
            send(place)
            if place == "a row":
                try:
                    with connection.cursor() as cursor:
                        cursor.execute("INSERT INTO bills (cents) VALUES (3)")
                except Exception:
                    pass
            answered.put(place)


    threading.Thread(target=work, daemon=True).start()


    def ask(place):
        asked.put(place)
        answered.get(timeout=10)


    late = []


    @atexit.register
    def flush():
        for place in late:
            ask(place)
            print("flushed", place)
'''


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = listed_project(tmp_path_factory.mktemp("bills"), SETTINGS)
    made.write("shop/management/__init__.py", "")
    made.write("shop/management/commands/__init__.py", "")
    made.write("shop/management/commands/bill.py", BILL)
    made.write("shop/workers.py", WORKERS)
    with sqlite3.connect(made.root / "shop.sqlite3") as connection:
        connection.execute("CREATE TABLE bills (cents int)")
    connection.close()
    return made


def is_untouched(project: Project) -> bool:
    connection = sqlite3.connect(project.root / "shop.sqlite3")
    rows = connection.execute("SELECT * FROM bills").fetchall()
    connection.close()
    return not rows and not project.executed


def test_the_plan_then_what_the_command_said(project: Project) -> None:
    """Effects in order with arguments, redacted, and their place; counts; rows; the command's output and exit code."""
    said = project.run("manage.py", "dry_run", "bill", "--format", "x")
    lines = said.stdout.splitlines()
    assert lines[0].startswith("Dry run of `bill --format x`")
    assert "3 effects would have happened, in this order:" in lines
    effects = [line.split("(")[0].strip() for line in lines if line.lstrip()[:2] in ("1.", "2.", "3.")]
    assert effects == ["1. shop.confirm", "2. sms.send", "3. shop.send"]
    assert "hunter2" not in said.stdout
    assert "shop/management/commands/bill.py:" in said.stdout
    assert "  default  bills  2 inserted" in lines
    assert lines[-3:] == ["The command ended with exit code 0, and printed:", "printed by x", "written"]
    assert is_untouched(project)


def test_what_happens_while_the_process_ends_is_held_back(project: Project) -> None:
    """Callbacks that the command has registered, and a queue that is emptied by a thread that was there before it."""
    said = project.run("manage.py", "dry_run", "bill", "--way", "late")
    assert said.stdout.splitlines()[-2:] == ["at exit: DryRunRefused", "flushed a queue"]
    assert is_untouched(project)


def test_json(project: Project) -> None:
    """One document, with all of it."""
    data = json.loads(project.run("manage.py", "dry_run", "--format", "json", "bill", "--way", "fail", code=7).stdout)
    assert data["command"] == ["bill", "--way", "fail"]
    assert data["exit_code"] == 7
    assert [effect["name"] for effect in data["effects"]] == ["shop.confirm", "sms.send", "shop.send"]
    assert data["effects"][1]["arguments"] == {"to": "+1", "body": "[redacted]", "token": "[redacted]"}
    assert [effect["for_real"]["mode"] for effect in data["effects"]] == ["record", "execute", "execute"]
    assert data["counts"] == {"shop.confirm": 1, "shop.send": 1, "sms.send": 1}
    assert data["writes"][0]["inserted"] == 2
    assert data["output"] == "printed by own\nwritten\n"
    assert is_untouched(project)


def test_markdown_into_a_file(project: Project, tmp_path: Path) -> None:
    """Then the command's output comes as it is printed, and nothing else."""
    file = tmp_path / "plan.md"
    said = project.run("manage.py", "dry_run", "--format=markdown", "--output", str(file), "bill")
    assert said.stdout == "printed by own\nwritten\n"
    assert file.read_text().startswith("# Dry run of `bill`")
    assert "| 2 | sms.send |" in file.read_text()


@pytest.mark.parametrize(
    ("options", "code", "stream", "expected"),
    [
        (["--fail-on", "sms.*", "bill"], 1, "stderr", "the plan has sms.send, which --fail-on names"),
        (["--fail-on", "shop.ring", "bill"], 0, "stdout", "written"),
        (["--fail-on", "nothing.at.all", "bill"], 2, "stderr", "no side effect is named 'nothing.at.all'"),
        (["--stub", 'shop.send={"id": 3}', "bill", "--way", "answer"], 0, "stdout", "got {'id': 3}"),
        (["--stub", "shop.send", "bill"], 2, "stderr", "--stub takes NAME=JSON"),
        (["--stub", "shop.sent=1", "bill"], 2, "stderr", "Did you mean 'shop.send'"),
        (["--output", "/nowhere/at/all", "bill"], 2, "stderr", "cannot be written"),
        (["bil"], 2, "stderr", "there is no command 'bil'. Did you mean 'bill'?"),
        ([], 2, "stderr", "which command?"),
        (["bill", "--way", "exit"], 1, "stderr", "said at the end"),
        (["bill", "--way", "crash"], 1, "stderr", "ZeroDivisionError"),
        (["bill", "--way", "commit"], 2, "stderr", "'COMMIT' begins or ends a transaction"),
        (["bill", "--way", "queue"], 0, "stdout", "4. shop.send(place='a queue')"),
        (["bill", "--way", "ask"], 0, "stderr", "Really? "),
        (["bill", "--way", "ask"], 0, "stdout", "written\nnot answered"),
        (["bill", "--way", "row"], 2, "stderr", "writes, in another thread"),
        (["bill", "--unknown"], 2, "stderr", "unrecognized arguments: --unknown"),
    ],
)
def test_exit_codes(project: Project, options: list[str], code: int, stream: str, expected: str) -> None:
    """The command's own, 1 for --fail-on, 2 for what was refused or could not be run; nothing is ever kept."""
    said = project.run("manage.py", "dry_run", *options, code=code)
    assert expected in getattr(said, stream)
    assert is_untouched(project)


def test_a_refused_run_does_not_say_what_it_cannot_know(project: Project) -> None:
    """It was not carried to its end; in all formats."""
    options = ("bill", "--way", "process")
    said = project.run("manage.py", "dry_run", *options, code=2).stdout
    assert "It was not carried to its end, and what would have come after that is not known." in said
    assert "effects were reached, in this order:" in said
    assert "would have happened" not in said
    data = json.loads(project.run("manage.py", "dry_run", "--format", "json", *options, code=2).stdout)
    assert (data["is_complete"], data["is_certain"]) == (False, True)
    markdown = project.run("manage.py", "dry_run", "--format", "markdown", *options, code=2).stdout
    assert "It was not carried to its end" in markdown
    assert is_untouched(project)


def test_the_plan_comes_before_the_traceback_which_is_folded(project: Project) -> None:
    """Frames of Django and of ours say nothing about the command; `--traceback` shows them."""
    said = project.run("manage.py", "dry_run", "bill", "--way", "crash", code=1)
    assert "It was not carried to its end" in said.stdout
    assert "bill.py" in said.stderr
    assert "site-packages/django" not in said.stderr
    assert "dry_run.py" not in said.stderr
    assert "--traceback shows them" in said.stderr
    whole = project.run("manage.py", "dry_run", "--traceback", "bill", "--way", "crash", code=1).stderr
    assert "core/management/base.py" in whole


def test_on_a_terminal_it_prints_as_it_goes(project: Project) -> None:
    """Somebody types at `dry_run shell`, and sees each answer before the next question."""
    pty = pytest.importorskip("pty", reason="terminals of Unix")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "manage.py", "dry_run", "shell", "-i", "python"],
        cwd=project.root,
        env=clean_environment() | {"TERM": "dumb"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as shell:
        os.close(theirs)
        try:
            _read_until(ours, ">>> ")
            os.write(ours, b"print('answer', 6 * 7)\n")
            _read_until(ours, "answer 42")
            os.write(ours, b"from shop import sms; sms.send('+1')\n")
            _read_until(ours, "held back: sms.send(to='+1'")
            os.write(ours, b"exit()\n")
            _read_until(ours, "The command ended with exit code 0.")
        finally:
            shell.kill()
            os.close(ours)


def _read_until(terminal: int, wanted: str) -> None:
    """Read until it says so; a run that never does ends with its time limit."""
    text = ""
    while wanted not in text:
        ready, _, _ = select.select([terminal], [], [], 60)
        assert ready, text
        text += os.read(terminal, 4096).decode()


SHARED = """
    import faulthandler
    import threading
    import time

    import django
    from django.conf import settings
    from django.db import connection, connections

    faulthandler.dump_traceback_later(20, exit=True)
    settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
    django.setup()
    from sideeffects import dry_run

    connection.inc_thread_sharing()
    shared = connections["default"]
    until = time.monotonic() + 0.7


    def work(thread):
        number = 0
        while time.monotonic() < until:
            number += 1
            with shared.cursor() as cursor:
                cursor.execute(f"SELECT {number}, {thread}")
                cursor.fetchall()


    with dry_run():
        shared.cursor().execute("CREATE TABLE rows (id int)")
        threads = [threading.Thread(target=work, args=[number]) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not connection.introspection.table_names()
    print("ended")
"""


def test_threads_that_share_a_connection_do_not_wait_for_each_other_for_ever(tmp_path: Path) -> None:
    """SQLite would hold its lock while it asks, and Python its own while it waits for SQLite's."""
    assert Project(tmp_path).program(SHARED) == "ended\n"
