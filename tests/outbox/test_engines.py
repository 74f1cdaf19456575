"""Released calls that the workers of an engine execute: only the row's number travels to them."""

from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from sideeffects import hold, side_effect
from tests.support.celery_project import for_celery
from tests.support.pause_project import PauseProject
from tests.support.redis_server import redis_server


@pytest.mark.parametrize("package", ["django.tasks", "django_tasks"])
def test_django_tasks_execute_released_calls(outbox: Any, package: str) -> None:
    """Here at once; an effect without `async_ok` as well."""
    pytest.importorskip(package)
    from sideeffects.outbox import actions

    sent = []

    @side_effect(name="sms.send", sensitive=["pin"])
    def send(to: str, pin: str) -> None:
        sent.append((to, pin))

    with hold():
        send("ann", "secret-pin")
    tasks = {"default": {"BACKEND": f"{package}.backends.immediate.ImmediateBackend"}}
    rules = {"OUTBOX": {"DATABASE": "outbox"}, "ENGINE": "django_tasks"}
    with override_settings(TASKS=tasks, SIDE_EFFECTS=rules):
        result = actions.release([outbox.get().pk], by="eve")
    assert (result.handed_over, sent) == (1, [("ann", "secret-pin")])
    assert outbox.get().state == "done"


PROGRAM = """
    import os, subprocess, sys, time

    import redis
    import tasks
    from django.core.management import call_command
    from shop.effects import send
    from sideeffects import hold
    from sideeffects.outbox.models import HeldCall

    call_command("migrate", verbosity=0)
    with hold("sms.*"):
        for number in range(20):
            send(str(number), token="secret-token")
    worker = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--concurrency=2", "--loglevel=warning"]
    call_command("outbox", "release", "--all")
    call_command("outbox", "release", "--all")  # somebody is impatient
    print("waiting:", HeldCall.objects.filter(state="released").count())
    queued = redis.Redis.from_url(os.environ["REDIS"]).lrange(os.environ["QUEUE"], 0, -1)
    print("messages:", len(queued), "with a secret:", sum(b"secret" in message for message in queued))
    with subprocess.Popen(worker, start_new_session=True) as process:
        for _ in range(600):
            if not HeldCall.objects.exclude(state="done").exists():
                break
            time.sleep(0.05)
        process.terminate()
    print("states:", sorted(set(HeldCall.objects.values_list("state", flat=True))))
"""


@pytest.mark.processes
def test_a_celery_worker_executes_each_released_call_once(tmp_path: Path, migrated: dict[str, Any]) -> None:
    """Though each was handed over twice; no argument is in a message."""
    project = PauseProject(tmp_path, migrated)
    with redis_server() as redis_url:
        environment = {**project.environment, "BROKER": for_celery(redis_url), "QUEUE": "outbox", "REDIS": redis_url}
        environment["RULES"] = '{"ENGINE": "celery"}'
        project.write("program.py", PROGRAM)
        printed = project.run("program.py", environment=environment).stdout
    assert "20 calls released: 20 handed over to the workers." in printed
    assert "waiting: 20\nmessages: 40 with a secret: 0\n" in printed
    assert printed.endswith("states: ['done']\n")
    assert sorted((tmp_path / "executed").read_text().split("\n")) == sorted(["", *(f"sms {n}" for n in range(20))])
