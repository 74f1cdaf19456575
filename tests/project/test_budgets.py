"""Budgets: how many calls execute, counted in a cache over all processes, with a real Redis."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import override_settings

from sideeffects import budget
from sideeffects.project import budgets, checks
from tests.support.projects import Project, clean_environment
from tests.support.redis_server import redis_server

WORKER = """
    import json, os, sys

    from django.conf import settings

    settings.configure(
        CACHES={"default": json.loads(os.environ["CACHE"])},
        SIDE_EFFECTS=None,
    )
    from sideeffects import budget, side_effect, capture

    settings.SIDE_EFFECTS = {"POLICY": {"sms.*": budget(300, per="day", then="RECORD")}}


    @side_effect(name="sms.send", returns="recorded")
    def send(to):
        return "sent"


    with capture() as calls:
        sent = [send(str(number)) for number in range(100)].count("sent")
    reasons = sorted({call.reason for call in calls if call.mode.name == "RECORD"})
    print(json.dumps([sent, reasons]))
    """


def run(project: Project, cache: dict[str, Any], processes: int) -> tuple[int, set[str]]:
    """How many of 100 calls in each process were sent, and why the others were not."""
    project.write("worker.py", WORKER)
    started = [
        subprocess.Popen(
            [sys.executable, "worker.py"],
            cwd=project.root,
            env=clean_environment() | {"CACHE": json.dumps(cache)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    told = [json.loads(process.communicate(timeout=100)[0]) for process in started]
    return sum(sent for sent, _ in told), {reason for _, reasons in told for reason in reasons}


@pytest.mark.processes
def test_eight_processes_send_as_much_as_the_limit_says(tmp_path: Path) -> None:
    """Never more, and not less either; what exceeds it gets the other mode, with the reason."""
    with redis_server() as url:
        cache = {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": url,
            "KEY_PREFIX": str(os.getpid()),
        }
        sent, reasons = run(Project(tmp_path), cache, 8)
    assert sent == 300
    assert reasons == {
        "POLICY['sms.*'] is budget(300, per='day', then='RECORD'), and 300 calls have executed in this day"
    }


@pytest.mark.processes
@pytest.mark.parametrize(
    ("cache", "said"),
    [
        ({"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}, "each process has one of its own"),
        (
            {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1"},
            "ConnectionError",
        ),
    ],
    ids=["of one process", "not there"],
)
def test_a_cache_that_cannot_count_lets_nothing_out(tmp_path: Path, cache: dict[str, Any], said: str) -> None:
    """Nobody knows how many have executed, so each call is past the limit."""
    sent, reasons = run(Project(tmp_path), cache, 1)
    assert sent == 0
    assert "nobody can tell how many calls have executed" in next(iter(reasons))
    assert said in next(iter(reasons))


def test_a_period_ends_with_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last moment counts with those before it, the next one anew; each rule and each length by itself."""
    now = [1_000_000_020.0]  # a minute begins here
    monkeypatch.setattr(budgets, "clock", SimpleNamespace(now=lambda: now[0]))
    with redis_server() as url:
        cache = {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": url,
            "KEY_PREFIX": f"{os.getpid()}-periods",
        }
        with override_settings(CACHES={"default": cache}):
            assert [budgets.count("sms.*", 60, 2), budgets.count("mail.*", 60, 0)] == [True, False]
            now[0] += 59.999
            assert [budgets.count("sms.*", 60, 2) for _ in range(2)] == [True, False]
            assert budgets.count("sms.*", 3600, 1)
            now[0] += 0.001
            assert [budgets.count("sms.*", 60, 2) for _ in range(3)] == [True, True, False]
            assert not budgets.count("sms.*", 3600, 1)


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ("locmem.LocMemCache", "each process has one of its own"),
        ("dummy.DummyCache", "would count one call"),
        ("filebased.FileBasedCache", "would count one call"),
        ("db.DatabaseCache", "would count one call"),
    ],
)
def test_the_checks_say_so_beforehand(backend: str, said: str) -> None:
    """With the pattern, and what to use instead."""
    caches = {"default": {"BACKEND": f"django.core.cache.backends.{backend}", "LOCATION": "/tmp/none"}}
    policy = {"sms.*": budget(3, per="hour"), "mail.*": "RECORD"}
    with override_settings(CACHES=caches, SIDE_EFFECTS={"POLICY": policy}):
        from sideeffects.project import live_settings

        (message,) = checks.uncounted_budgets(live_settings.current_rules())
        assert budgets.trouble_with("default") in message.msg
        assert said in message.msg
        assert "'sms.*'" in message.msg
        assert "mail" not in message.msg
    with override_settings(CACHES={}):
        assert "cannot be used" in budgets.trouble_with("nowhere")
