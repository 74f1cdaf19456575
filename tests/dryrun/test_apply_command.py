"""`dry_run --save` and `--apply` as one types them, in a project of its own on SQLite."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from sideeffects.management.commands.dry_run import Command
from tests.support.listed_project import listed_project
from tests.support.projects import Project

SETTINGS = """\
INSTALLED_APPS = ["shop", "sideeffects"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "shop.sqlite3"}}
"""

BILL = '''
    import datetime

    from django.core.management.base import BaseCommand
    from django.db import connection, transaction

    from effects import note
    from shop import sms
    from sideeffects import side_effect


    @side_effect(name="shop.stamp")
    def stamp(at, secret):
        note("executed", "stamp")


    class Command(BaseCommand):
        """Bill."""

        def add_arguments(self, parser):
            parser.add_argument("--way", default="")

        def handle(self, way, **options):
            stamp(datetime.datetime.now(), secret=way)
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT phone FROM bills ORDER BY phone")
                for (phone,) in cursor.fetchall():
                    sms.send(phone)
                    cursor.execute("UPDATE bills SET phone = phone || '!' WHERE phone = %s", [phone])
            self.stdout.write("billed")
'''


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = listed_project(tmp_path, SETTINGS)
    made.write("shop/management/__init__.py", "")
    made.write("shop/management/commands/__init__.py", "")
    made.write("shop/management/commands/bill.py", BILL)
    database = sqlite3.connect(made.root / "shop.sqlite3", isolation_level=None)
    database.execute("CREATE TABLE bills (phone text)")
    database.execute("INSERT INTO bills VALUES ('+1'), ('+2')")
    made.database = database  # type: ignore[attr-defined]
    yield made
    database.close()


def phones(project: Project) -> list[str]:
    rows = project.database.execute("SELECT phone FROM bills ORDER BY phone").fetchall()  # type: ignore[attr-defined]
    return [phone for (phone,) in rows]


@pytest.mark.processes
def test_from_the_plan_to_the_deed(project: Project) -> None:
    """It is saved, shown, applied, and not applied twice."""
    run = project.run
    said = run("manage.py", "dry_run", "--save", "plan.json", "--ignore", "shop.stamp.at", "bill", "--way", "hunter2")
    assert "Saved. To do just that: manage.py dry_run --apply plan.json" in said.stderr
    assert not project.executed
    assert "secret='hunter2'" not in (project.root / "plan.json").read_text()
    shown = run("manage.py", "dry_run", "--format", "markdown", "plan.json").stdout
    assert "| 2 | sms.send | to='+1', body=\\[redacted\\], token=\\[redacted\\] |" in shown
    assert "Not compared: shop.stamp.at." in shown
    assert json.loads(run("manage.py", "dry_run", "--format", "json", "plan.json").stdout)["counts"]["sms.send"] == 2
    applied = run("manage.py", "dry_run", "--apply", "plan.json")
    assert "1 of 3: shop.stamp(" in applied.stderr
    assert "3 of 3: sms.send(to='+2'" in applied.stderr
    lines = applied.stdout.splitlines()
    assert lines[0] == "billed"
    assert "  sms.send    2        2" in lines
    assert "  default   bills  2 updated  2 updated" in lines
    assert phones(project) == ["+1!", "+2!"]
    assert project.executed == {"stamp": 1, "sms.send": 2}
    again = run("manage.py", "dry_run", "--apply", "plan.json", code=2)
    assert "plan.json: it was applied before, at 20" in again.stderr
    assert "Applied 20" in run("manage.py", "dry_run", "plan.json").stdout


@pytest.mark.processes
def test_what_is_not_as_planned(project: Project) -> None:
    """A changed row, other code, an age that none has, and a plan of which a call never comes."""
    run = project.run
    execute = project.database.execute  # type: ignore[attr-defined]
    save = "manage.py", "dry_run", "--save", "plan.json", "--ignore", "shop.stamp.at", "bill"
    run(*save)
    said = run("manage.py", "dry_run", "--apply", "plan.json", "--max-age", "0s", code=2)
    assert "--max-age: '0s' must be above 0" in said.stderr
    execute("UPDATE bills SET phone = '+9' WHERE phone = '+2'")
    said = run("manage.py", "dry_run", "--apply", "plan.json", code=2)
    assert "its argument 'to' is '+9', and in the plan it is '+2'" in said.stderr
    assert "These were done:\n  shop.stamp(" in said.stdout
    assert "All rows were rolled back (default)." in said.stdout
    assert phones(project) == ["+1", "+9"]
    run(*save)
    execute("DELETE FROM bills WHERE phone = '+9'")
    said = run("manage.py", "dry_run", "--apply", "plan.json", "--no-atomic", code=1)
    assert "These calls of the plan never came:\n  sms.send(to='+9'" in said.stdout
    assert "1 call of the plan never came" in said.stderr
    assert phones(project) == ["+1!"]
    run(*save)
    project.write("shop/management/commands/bill.py", BILL.replace("billed", "billed!"))
    assert "it was made by other code (command: " in run("manage.py", "dry_run", "--apply", "plan.json", code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--apply", "plan.json", "check"], "--apply runs the command of the plan: leave out 'check'"),
        (["--apply", "plan.json", "--save", "x"], "--save goes with dry runs"),
        (["--apply", "plan.json", "--ignore", "a.b"], "--ignore goes with --save"),
        (["--apply", "plan.json"], "plan.json: it cannot be read: No such file"),
        (["--max-age", "1h", "check"], "--max-age goes with --apply"),
        (["--no-atomic", "check"], "--atomic goes with --apply"),
        (["--ignore", "a.b", "check"], "--ignore goes with --save"),
        (["--save", "x", "--ignore", "at", "check"], "--ignore takes EFFECT.ARGUMENT, such as sms.send.at, not 'at'"),
        (["--save", "x", "--ignore", "sms.send.at", "check"], "no side effect is named 'sms.send'"),
    ],
)
def test_options_that_say_nothing_are_refused(
    arguments: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what they go with."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CommandError) as raised:
        call_command(Command(), *arguments)
    assert reason in str(raised.value)
    assert raised.value.returncode == 2
