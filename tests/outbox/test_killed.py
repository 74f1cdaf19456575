"""Workers that are killed: nothing is run twice, nothing is lost, and what is not known is said to be."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.projects import Project

pytestmark = pytest.mark.once

SETTINGS = """
    import json, os

    if os.environ.get("MYSQL_DRIVER") == "pymysql":
        import pymysql

        pymysql.install_as_MySQLdb()

    SECRET_KEY = "shop"
    USE_TZ = True
    INSTALLED_APPS = ["sideeffects", "sideeffects.outbox"]
    DATABASES = {"default": json.loads(os.environ["DATABASE"])}
    SIDE_EFFECTS = {"POLICY": {"sms.send": "HOLD"}}
"""

#: Each phase of releasing a call, in which one of the workers is killed at its third call.
PHASES = ("marking", "taking", "before the effect", "after the effect", "noted")

PROGRAM = """
    import json, os, signal, sys
    from collections import Counter

    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    django.setup()

    from django.core.management import call_command
    from django.db import connection, transaction
    from sideeffects import side_effect
    from sideeffects.outbox import actions
    from sideeffects.outbox.models import HeldCall

    CALLS, WORKERS = map(int, sys.argv[1:3])
    phase = None
    seen = 0


    def die_here(here):
        global seen
        if here == phase:
            seen += 1
            if seen == 3 or here == "marking":
                os.kill(os.getpid(), signal.SIGKILL)


    @side_effect(name="sms.send")
    def send(number):
        die_here("before the effect")
        file = os.open("executed", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, f"{number}\\n".encode())
        os.close(file)
        die_here("after the effect")


    def watch(execute, sql, params, many, context):
        is_update = sql.startswith("UPDATE")
        result = execute(sql, params, many, context)
        if is_update and "released" in params[:1]:
            die_here("marking")
        elif is_update and "running" in params:
            die_here("taking" if "running" in params[:3] else "noted")
        return result


    def work(killed_in, victim_lives):
        global phase
        connection.close()
        pid = os.fork()
        if pid == 0:
            phase = killed_in
            if killed_in is None:
                os.read(victim_lives, 1)  # until it is dead: otherwise the others may leave it nothing to die of
            with connection.execute_wrapper(watch):
                actions.release(list(HeldCall.objects.values_list("pk", flat=True)), by="test")
            os._exit(0)
        return pid


    call_command("migrate", verbosity=0)
    for killed_in in sys.argv[3:]:
        HeldCall.objects.all().delete()
        if os.path.exists("executed"):
            os.remove("executed")
        with transaction.atomic():
            for number in range(CALLS):
                send(number)
        victim_lives, held_by_victim = os.pipe()
        workers = [work(killed_in, victim_lives)]
        os.close(held_by_victim)
        workers += [work(None, victim_lives) for _ in range(WORKERS - 1)]
        os.close(victim_lives)
        ended = [os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) for worker in workers]
        before = Counter(HeldCall.objects.values_list("state", flat=True))
        actions.release(list(HeldCall.objects.values_list("pk", flat=True)), by="test")
        executed = Counter(map(int, open("executed").read().split()))
        states = {row.arguments["number"]: row.state for row in HeldCall.objects.all()}
        unknown = [number for number, state in states.items() if state == "unknown"]
        print(json.dumps({
            "phase": killed_in,
            "ended": ended,
            "running": before["running"],
            "states": Counter(states.values()),
            "twice": [number for number, times in executed.items() if times > 1],
            "done and not executed": [n for n, state in states.items() if state == "done" and n not in executed],
            "executed and not done": [number for number in executed if states[number] != "done"],
            "unknown": unknown,
            "error": HeldCall.objects.filter(state="unknown").values_list("error", flat=True).first(),
        }))
"""


@pytest.mark.parametrize("migrated", ["sqlite", "postgres", "mariadb"], indirect=True)
def test_each_call_is_executed_at_most_once_and_none_is_lost(migrated: dict[str, Any], tmp_path: Path) -> None:
    """Of four workers one is killed by -9 in each phase; on SQLite, the only one. The rest is executed by others."""
    vendor = migrated["ENGINE"].rpartition(".")[2]
    project = Project(tmp_path)
    project.write("settings.py", SETTINGS)
    project.write("program.py", PROGRAM)
    workers = 1 if vendor == "sqlite3" else 4
    environment = {"DATABASE": json.dumps(migrated), "MYSQL_DRIVER": "pymysql" if vendor == "mysql" else ""}
    ran = project.run("program.py", "24", str(workers), *PHASES, environment=environment)
    found = {line["phase"]: line for line in map(json.loads, ran.stdout.splitlines())}
    assert list(found) == list(PHASES)
    for phase, one in found.items():
        is_unknown = phase in ("before the effect", "after the effect")
        assert one["ended"] == [-9] + [0] * (workers - 1), phase
        assert one["twice"] == one["done and not executed"] == [], phase
        assert one["running"] in (0, 1), phase
        assert one["states"] == ({"done": 23, "unknown": 1} if is_unknown else {"done": 24}), phase
        assert len(one["executed and not done"]) == (phase == "after the effect"), phase
        if is_unknown:
            assert "died while it executed the call" in one["error"]
