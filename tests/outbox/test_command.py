"""`manage.py outbox`: what it shows, what it does, and how it exits."""

import io
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections
from django.test import override_settings

from sideeffects import hold, side_effect


def run(*arguments: str) -> tuple[int, str, str]:
    """The exit code, the output and what was said beside it."""
    from sideeffects.management.commands.outbox import Command

    out, err = io.StringIO(), io.StringIO()
    try:
        call_command(Command(), *arguments, stdout=out, stderr=err)
    except CommandError as error:
        return error.returncode, out.getvalue(), f"{err.getvalue()}{error}"
    return 0, out.getvalue(), err.getvalue()


@pytest.fixture
def held(outbox: Any) -> Any:
    """Four held calls: to ann (1), to ben (2), to bad (3), and a report (4)."""

    @side_effect(name="sms.send", sensitive=["pin"])
    def send(to: str, order: Any = None, *, pin: str = "") -> None:
        print("an effect prints")  # noqa: T201 - which must not come into the report
        if to == "bad":
            raise ValueError(f"no {pin}")

    @side_effect(name="report.send")
    def report(rows: list[int]) -> None:
        raise KeyboardInterrupt

    with hold():
        send("ann", {"id": 7}, pin="secret-pin")
        send("ben", {"id": 8})
        send("bad", pin="secret-pin")
        report([1, 2])
    return outbox


def states(outbox: Any) -> list[str]:
    return [row.state for row in outbox.order_by("pk").all()]


def test_list_shows_what_waits(held: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By effect, argument and state; cut to the terminal, or as JSON; secrets are shown nowhere, nor asked for."""
    code, out, err = run("list")
    assert (code, err) == (0, "")
    assert "to='ann', order={'id': 7}, pin=[redacted]" in out
    assert "secret-pin" not in out
    assert "ann" not in run("list", "--effect", "report.*")[1]
    assert [row["id"] for row in json.loads(run("list", "--format", "json", "--where", "to=b*")[1])] == [2, 3]
    assert [row["id"] for row in json.loads(run("list", "--format", "json", "--where", "order.id=8")[1])] == [2]
    assert [row["id"] for row in json.loads(run("list", "--format", "json", "--where", "rows=2")[1])] == [4]
    assert json.loads(run("list", "--format", "json", "--where", "order=x", "--where", "to=ann")[1]) == []
    assert run("list", "--where", "pin=s*") == (
        2,
        "",
        "--where cannot ask for pin: it is sensitive, and the outbox keeps it encrypted",
    )
    assert run("list", "--where", "to")[2].startswith("--where takes name=value")
    assert run("list", "--effect", "smss.send")[2].endswith("did you mean 'sms.send'?")
    assert run("list", "--state", "done")[1:] == ("", "Nothing is held.\n")
    assert run("list", "--limit", "3")[2] == "... and 1 more call; --limit 0 shows all.\n"
    monkeypatch.setenv("COLUMNS", "70")
    assert max(map(len, run("list")[1].splitlines())) <= 70


def test_show_has_everything(held: Any) -> None:
    """But secrets."""
    code, out, _ = run("show", "1", str(held.get(pk=4).call_id))
    assert code == 0
    parts = ["1  sms.send  held", "to = 'ann'", "pin = [redacted]", "reason    held by hold()", __file__, "rows = [1"]
    assert [part for part in parts if part not in out] == []
    assert "secret-pin" not in out
    assert json.loads(run("show", "1", "--format", "json")[1])[0]["origin"].startswith("test ")
    assert run("show", "99") == (2, "", "the outbox has no call 99")


def test_release_retry_reject_and_prune(held: Any) -> None:
    """What was done is said, what was not is an exit code; `--dry-run` only looks."""
    assert run("release")[0] == 2
    code, out, err = run("release", "--effect", "sms.*", "--dry-run")
    assert (code, err.strip()) == (0, "3 calls would be released. Nothing was done.")
    assert states(held) == ["held"] * 4
    with override_settings(SECRET_KEY="rotated"):
        assert "cannot be executed: its arguments are encrypted" in run("release", "1", "--dry-run")[1]
    assert run("reject", "2", "--by", "eve")[:2] == (0, "1 call rejected.\n")
    code, out, err = run("release", "1", "2", "3")
    assert (code, out) == (1, "2 calls released: 1 done, 1 failed.\n")
    assert "2 (sms.send) is rejected (by eve), and was not released." in err
    assert err.endswith("1 call failed, 1 call could not be released; `manage.py outbox list --all` says why")
    assert "ValueError: no [redacted]" in run("list")[1]
    code, out, _ = run("retry", "--effect", "sms.*", "--format", "json")
    assert (code, json.loads(out)["failed"]) == (1, 1)
    assert run("prune")[1] == "0 calls deleted.\n"
    assert run("prune", "--older-than", "0", "--dry-run")[2].startswith("2 calls would be deleted.")
    assert run("prune", "--older-than", "0")[1] == "2 calls deleted.\n"
    assert states(held) == ["failed", "held"]


def test_numbers_that_mean_nothing_delete_nothing(held: Any) -> None:
    """A negative age would be all ages."""
    run("reject", "1", "2")
    for arguments in (("prune", "--older-than", "-5"), ("list", "--limit", "-1"), ("prune", "--older-than", "x")):
        assert "is no number from 0 on" in run(*arguments)[2]
    assert run("prune", "--older-than", "9" * 15)[1] == "0 calls deleted.\n"
    assert run("show", "9" * 30) == (2, "", f"the outbox has no call {'9' * 30}")
    assert states(held)[:2] == ["rejected", "rejected"]


def test_what_ends_the_work_is_said(held: Any) -> None:
    """With what was done until then; without a table nothing was."""
    rules = {"OUTBOX": {"DATABASE": "outbox"}, "ENGINE": "django_tasks"}
    with override_settings(TASKS={"default": {"BACKEND": "nowhere.Backend"}}, SIDE_EFFECTS=rules):
        code, out, err = run("release", "1", "2")
    assert (code, out) == (1, "2 calls released.\n")
    assert err.startswith("stopped by ")
    assert err.endswith("; the others wait as before")
    assert states(held)[:2] == ["released", "released"]
    with connections["outbox"].cursor() as cursor:
        cursor.execute("ALTER TABLE sideeffects_outbox_heldcall RENAME TO gone")
    code, _, err = run("list")
    assert (code, err) == (
        2,
        "nothing was done: no such table: sideeffects_outbox_heldcall. Has manage.py migrate been run?",
    )
    with connections["outbox"].cursor() as cursor:
        cursor.execute("ALTER TABLE gone RENAME TO sideeffects_outbox_heldcall")


def test_ctrl_c_says_what_it_left(held: Any) -> None:
    """Exit code 130; the call that ran is perhaps done."""
    code, out, err = run("release", "4")
    assert (code, out) == (130, "1 call released.\n")
    assert err == "stopped: the call that ran is perhaps done, and the others wait as before"
    assert states(held)[3] == "unknown"


def test_whoever_looks_is_told_of_workers_that_died(held: Any) -> None:
    """What they ran is perhaps done: it is listed, and nobody runs it again by itself."""
    from sideeffects.outbox.workers import this_worker

    held.filter(pk=1).update(state="running", worker=f"{this_worker().rpartition(':')[0]}:1", attempts=1)
    _, out, err = run("list")
    assert err == "1 call ran in a worker that has died: perhaps done (unknown).\n"
    assert out.splitlines()[1].split()[:2] == ["1", "unknown"]
    assert run("release", "--effect", "sms.send", "--where", "to=ann")[1] == "0 calls released.\n"
    assert run("retry", "1")[1] == "1 call released again: 1 done.\n"


def test_long_work_tells_how_far_it_is(held: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every two seconds; here the clock runs."""
    from sideeffects.management import outbox_actions

    monkeypatch.setattr(outbox_actions, "_EVERY", 0.0)
    assert "1 of 3" in run("release", "--effect", "sms.*")[2]


def test_without_the_app_it_says_what_to_do(production: None) -> None:
    """Exit code 2."""
    assert run("list") == (
        2,
        "",
        "nothing can be held: add 'sideeffects.outbox' to INSTALLED_APPS, and run `migrate`",
    )
