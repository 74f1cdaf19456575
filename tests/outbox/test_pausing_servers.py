"""Pausing from a terminal, with a real gunicorn and a real Celery worker that run already."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.celery_project import for_celery
from tests.support.pause_project import PauseProject
from tests.support.projects import clean_environment
from tests.support.redis_server import redis_server

pytestmark = pytest.mark.processes

#: Seconds after which all processes know: `REFRESH` of the project, and what a busy machine takes.
PATIENCE = 20


@contextmanager
def started(project: PauseProject, *arguments: str, **environment: str) -> Iterator[None]:
    """A server or worker, ended with the block together with its children."""
    with (project.root / "output").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=project.root,
            env=clean_environment() | project.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)


def until(holds: Callable[[], bool], project: PauseProject) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if holds():
                return
        except OSError:  # it does not listen yet
            pass
        time.sleep(0.05)
    raise AssertionError((project.root / "output").read_text(encoding="utf-8") + project.log)


def test_servers_and_workers_that_run_follow_a_pause(tmp_path: Path, postgres: dict[str, Any]) -> None:
    """Each of 2 workers of gunicorn and of 2 of Celery: paused, stricter, resumed; others than the paused go on."""
    project = PauseProject(tmp_path, postgres)
    project.manage("migrate", "--verbosity=0")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def ask(path: str) -> tuple[str, str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}/ann/", timeout=PATIENCE) as answer:
            pid, came = re.fullmatch(r"(\d+) (.*)", answer.read().decode()).groups()
        return pid, came

    with redis_server() as redis_url:
        url = for_celery(redis_url)

        def all_say(came: str) -> Callable[[], bool]:
            """All processes, asked often enough to reach each, say the same of `sms.send`; and mail is sent."""

            def holds() -> bool:
                answers = {path: [ask(path) for _ in range(8)] for path in ("sms", "remind", "mail")}
                pids.update(pid for some in answers.values() for pid, _ in some)
                said = {path: {came for _, came in some} for path, some in answers.items()}
                return said == {"sms": {came}, "remind": {came}, "mail": {"sent"}}

            return holds

        pids: set[str] = set()
        gunicorn = ("-m", "gunicorn", "--preload", "--workers=2", f"--bind=127.0.0.1:{port}", "wsgi:application")
        worker = ("-m", "celery", "-A", "tasks", "worker", "--concurrency=2", "--loglevel=warning")
        with started(project, *gunicorn, BROKER=url), started(project, *worker, BROKER=url):
            until(all_say("sent"), project)
            said = project.manage("side_effects", "--pause", "sms.*", "--mode", "record", "--why", "a loop")
            assert said.startswith("sms.* (1 effect) is RECORD from now on, paused by ")
            until(all_say("not sent"), project)
            executed = (tmp_path / "executed").read_text().count("sms")
            assert all_say("not sent")()
            assert (tmp_path / "executed").read_text().count("sms") == executed
            assert "a loop" in project.manage("side_effects", "sms.send", "--explain")
            assert "sms.* is no longer RECORD" in project.manage("side_effects", "--resume", "sms.*")
            until(all_say("sent"), project)
    assert len(pids) >= 3, "not enough processes were asked"
    assert project.log.count("sms.* is RECORD: paused by ") >= 3
