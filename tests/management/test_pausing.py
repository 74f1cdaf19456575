"""`manage.py side_effects --pause`, `--resume` and `--calls`: what they say, and what they refuse."""

import json
from pathlib import Path

import pytest

from tests.support.pause_project import PauseProject

COMMANDS = """
    import io, json, os, sys

    os.environ["DJANGO_SETTINGS_MODULE"] = "config"
    import django

    django.setup()
    from django.core.management import CommandError, call_command

    told = []
    for arguments in json.loads(sys.argv[1]):
        out, err = io.StringIO(), io.StringIO()
        code = 0
        try:
            call_command(*arguments, stdout=out, stderr=err)
        except CommandError as error:
            code = getattr(error, "returncode", 1)
            err.write(str(error))
        told.append([code, out.getvalue(), err.getvalue()])
    print(json.dumps(told))
    """


@pytest.fixture
def project(tmp_path: Path) -> PauseProject:
    return PauseProject(tmp_path)


def run(project: PauseProject, *commands: str, **environment: str) -> list[tuple[int, str, str]]:
    """What each command printed, with its exit code; all in one process."""
    given = [["side_effects", *command.split()] if command != "migrate" else [command] for command in commands]
    printed = project.program(COMMANDS, json.dumps(given), environment={**project.environment, **environment})
    return [tuple(one) for one in json.loads(printed.splitlines()[-1])]


def test_what_they_say(project: PauseProject) -> None:
    """Who, when, why and how to end it; in the listing, too. A pause of a pattern replaces an earlier one."""
    told = run(
        project,
        "migrate",
        "--pause sms.* --why twice --mode record --for 2h",
        "--pause sms.* --why thrice --mode raise",
        "sms.send --explain",
        "--resume sms.send",
        "--resume s*",
        "--resume sms.*",
    )
    code, out, _ = told[1]
    assert code == 0
    assert out.startswith("sms.* (1 effect) is RECORD from now on, paused by ")
    assert " UTC until 2" in out
    assert out.endswith("All processes follow within 0.2 s.\nTo end it: manage.py side_effects --resume 'sms.*'\n")
    code, out, err = told[3]
    assert "sms.send" in out
    assert ": thrice" in out
    assert "sms.* is RAISE, paused by " in err
    code, _, err = told[4]
    assert code == 2
    assert err.startswith("no pause of 'sms.send' is in force\nin force:\n  sms.*: RAISE, paused by ")
    code, out, _ = told[5]
    assert out.startswith("sms.* is no longer RAISE; it was paused by ")
    assert "twice" not in out
    assert told[6][0] == 2


def test_what_they_refuse(project: PauseProject) -> None:
    """A pause without a reason, of nothing, for no time, without a table; and options that go with others."""
    told = run(
        project,
        "--pause sms.* --why twice",
        "migrate",
        "--pause sms.*",
        "--pause smss.send --why x",
        "--pause sms.* --why x --for 2",
        "--pause sms.* --why x --for 0h",
        "--pause sms.* --why x --mode execute",
        "--pause sms.* --resume sms.* --why x",
        "--why x",
        "--resume sms.* --for 2h",
        "--pause sms.* --why x --format json",
        "sms.send --pause sms.* --why x",
        "--follow",
    )
    assert [code for code, _, _ in told] == [2, 0, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2]
    messages = [err for _, _, err in told]
    assert messages[0].startswith("nothing was paused: no such table: sideeffects_outbox_pause")
    assert "Has manage.py migrate been run?" in messages[0]
    assert messages[2].startswith("--pause needs --why")
    assert messages[3].startswith("no side effect is named 'smss.send'. Did you mean 'sms.send' or 'mail.send'?")
    assert "'2' is no span of time: write 45s, 30m, 2h, 1d or 1h30m" in messages[4]
    assert "'0h' must be above 0" in messages[5]
    assert messages[9] == "--for: only with --pause GLOB"
    assert messages[10] == "--pause does not go with --format"
    assert messages[12] == "--follow: only with --calls"


CALL = """
    import os

    os.environ["DJANGO_SETTINGS_MODULE"] = "config"
    import django

    django.setup()
    from shop.effects import mail, send

    send("ann", token="tok-5f3759df")
    mail("ben")
    """


def test_calls_of_the_shared_ledger(project: PauseProject) -> None:
    """Each on a line with time, mode, redacted arguments and what came of it; or as JSON, a line each."""
    ledger = {"BACKEND": "file", "PATH": str(project.root / "ledger")}
    rules = json.dumps({"LEDGER": ledger, "POLICY": {"mail.*": "RECORD"}})
    project.manage("migrate", "--verbosity=0")
    project.program(CALL, environment={**project.environment, "RULES": rules})
    told = run(project, "--calls", "mail.* --calls --explain", "--calls --format json", "none.* --calls", RULES=rules)
    lines = told[0][1].splitlines()
    assert len(lines) == 2
    assert "  EXECUTE   sms.send(to='ann', token=[redacted])" in lines[0]
    assert lines[0].endswith(" ms")
    assert "  RECORD    mail.send(to='ben')" in lines[1]
    assert 'settings.SIDE_EFFECTS["POLICY"]' in told[1][1] or "POLICY" in told[1][1]
    data = [json.loads(line) for line in told[2][1].splitlines()]
    assert [(call["name"], call["mode"], call["is_error"]) for call in data] == [
        ("sms.send", "EXECUTE", False),
        ("mail.send", "RECORD", False),
    ]
    assert told[3][1:] == ("", "No calls.\n")
    assert "tok-5f3759df" not in json.dumps(told)


def test_calls_without_a_ledger_are_those_of_the_outbox(project: PauseProject) -> None:
    """Held calls by their state; where there is neither, the message says what to set."""
    told = run(project, "migrate", "--calls")
    assert told[1] == (0, "", "No calls.\n")
    project.write("config.py", (project.root / "config.py").read_text().replace('    "sideeffects.outbox",\n', ""))
    told = run(project, "--calls", "--pause sms.* --why x")
    assert [code for code, _, _ in told] == [2, 2]
    assert "SIDE_EFFECTS['LEDGER']" in told[0][2]
    assert told[1][2].startswith("a pause is a row: add 'sideeffects.outbox' to INSTALLED_APPS")
