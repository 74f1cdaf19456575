"""The page "Let an assistant run your code": thirty ways to harm the shop, and what the page names as not held."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.projects import ROOT, clean_environment

pytestmark = [pytest.mark.processes, pytest.mark.once]

DEMO = ROOT / "docs" / "demo"


def test_thirty_ways_to_harm_the_shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is refused, and nothing arrives; each decision has its line. What the page names is not held."""
    monkeypatch.syspath_prepend(str(DEMO))
    from receivers import listening

    database, lines, file = tmp_path / "shop.sqlite3", tmp_path / "calls.jsonl", tmp_path / "harm"
    with listening() as receivers:
        environment = clean_environment() | {
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(DEMO)]),
            "DJANGO_SETTINGS_MODULE": "shop.settings",
            "SHOP_HTTP_PORT": str(receivers.http_port),
            "SHOP_SMTP_PORT": str(receivers.smtp_port),
            "SHOP_DATABASE": str(database),
            "HARM_FILE": str(file),
        }

        def run(*arguments: str, **more: str) -> str:
            command = [sys.executable, *arguments]
            done = subprocess.run(
                command, cwd=DEMO, env=environment | more, capture_output=True, text=True, timeout=300, check=False
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        run("manage.py", "migrate", "--verbosity=0")
        order = 'Order.objects.create(email="b@example.com", phone="+44", total_cents=990)'
        run("manage.py", "shell", "-v0", "-c", order, SIDE_EFFECTS_MODE="record")
        said = run(
            "held.py",
            str(ROOT / "tests" / "docs" / "harm.py"),
            SIDE_EFFECTS_MODE="raise",
            SIDE_EFFECTS_LIVE=str(lines),
            SHOP_DATABASE=f"file:{database}?mode=ro",
        )
        arrived = [arrival["to"] for arrival in receivers.take()]
    held, named = json.loads(said.splitlines()[-1])
    assert len(held) >= 30
    assert [name for name, error in held.items() if not error] == []
    assert dict.fromkeys(named, "") == named
    assert arrived == ["POST /sms"] * 3
    assert file.exists()
    decisions = [json.loads(line) for line in lines.read_text().splitlines()]
    assert {decision["mode"] for decision in decisions} == {"raise"}
    assert {decision["name"] for decision in decisions} >= {"sms.send", "card.charge", "mail.confirm_order"}
    connection = sqlite3.connect(database)
    assert connection.execute("SELECT count(*) FROM shop_order").fetchone() == (1,)
    connection.close()
