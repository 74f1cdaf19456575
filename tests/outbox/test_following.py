"""`manage.py side_effects --calls --follow`: held calls and those of the shared ledger, as they come, until Ctrl-C."""

import io
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import override_settings

from sideeffects import hold, side_effect
from sideeffects.management import calls

SECRET = "tok-5f3759df"


class Terminal(io.StringIO):
    """What the command writes to; between two looks, something happens, and Ctrl-C at last.

    Args:
        happens: what happens, one after each look.
    """

    def __init__(self, *happens: Callable[[], object]) -> None:
        super().__init__()
        self._happens = iter(happens)
        self.looks: list[list[str]] = []

    def flush(self) -> None:
        """The command does so after each look."""
        self.looks.append(self.getvalue().splitlines())
        self.truncate(self.seek(0))
        next(self._happens, lambda: signal.raise_signal(signal.SIGINT))()


def follow(*happens: Callable[[], object], arguments: tuple[str, ...] = ()) -> list[list[str]]:
    """The lines of each look."""
    terminal = Terminal(*happens)
    call_command("side_effects", "--calls", *arguments, stdout=terminal, stderr=io.StringIO())
    return terminal.looks


@pytest.fixture
def send(outbox: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(calls, "_PAUSE", 0.0)

    @side_effect(name="sms.send", sensitive=["pin"])
    def send(to: str, pin: str = "") -> None:
        if to == "bad":
            raise ConnectionError(f"the gateway did not take {pin}")

    return send


def test_held_calls_are_followed(outbox: Any, send: Any) -> None:
    """Each once, and again whenever something has become of it: one that fails for the second time as well."""
    from sideeffects.outbox import actions

    def ids() -> list[int]:
        return list(outbox.order_by("pk").values_list("pk", flat=True))

    with hold():
        send("ann", pin=SECRET)
        looks = follow(
            lambda: None,
            lambda: send("bad", pin=SECRET),
            lambda: actions.release(ids(), by="eve"),
            lambda: actions.retry(ids(), by="eve"),
            arguments=("--follow", "--explain"),
        )
    heads = [[" ".join(line.split()[2:4]) for line in look if not line.startswith(" ")] for look in looks]
    assert heads == [
        ["HELD sms.send(to='ann',"],
        [],
        ["HELD sms.send(to='bad',"],
        ["DONE sms.send(to='ann',", "FAILED sms.send(to='bad',"],
        ["FAILED sms.send(to='bad',"],
    ]
    assert looks[4][0].endswith("ConnectionError: the gateway did not take [redacted]")
    assert "held by hold()" in looks[0][1]
    assert SECRET not in json.dumps(looks)
    (line,) = follow(arguments=("sms.*", "--follow", "--format", "json"))[0][1:]
    shown = json.loads(line)
    assert (shown["mode"], shown["arguments"], shown["is_error"]) == (
        "FAILED",
        {"to": "bad", "pin": "[redacted]"},
        True,
    )


def test_calls_of_the_shared_ledger_are_followed(send: Any, tmp_path: Path) -> None:
    """Those of the effects that were asked for."""
    side_effect(name="mail.send")(lambda: None)
    rules = {"OUTBOX": {"DATABASE": "outbox"}, "LEDGER": {"BACKEND": "file", "PATH": str(tmp_path / "ledger")}}
    with override_settings(SIDE_EFFECTS=rules):
        send("ann")
        looks = follow(lambda: None, lambda: send("ben"), arguments=("sms.*", "--follow"))
    assert [len(look) for look in looks] == [1, 0, 1]
    assert "EXECUTE   sms.send(to='ann', pin=[redacted])" in looks[0][0]
    assert "EXECUTE   sms.send(to='ben', pin=[redacted])" in looks[2][0]
