"""How soon a pause reaches processes that run: `pauses.py` prints the seconds of the slowest of four, as JSON.

`pauses.py follow` is one of the four: it says when it is ready, and when the pause is in force.
"""

import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

PROCESSES = 4
REFRESH = 2.0
TURNS = 3


def set_up(database):
    """A project with the outbox."""
    import django
    from django.conf import settings

    settings.configure(
        SECRET_KEY="bench",
        USE_TZ=True,
        DATABASES={"default": database},
        INSTALLED_APPS=["sideeffects", "sideeffects.outbox"],
        SIDE_EFFECTS={"OUTBOX": {"REFRESH": REFRESH}},
    )
    django.setup()
    logging.getLogger("sideeffects").setLevel(logging.ERROR)
    from sideeffects import side_effect

    side_effect(name="sms.send")(lambda: None)


def wait_for(mode):
    """Ask until the effect has this mode, and say when that is."""
    from sideeffects import explain

    while explain("sms.send").mode.name != mode:
        time.sleep(0.005)
    print(time.time(), flush=True)


def follow():
    set_up(json.loads(os.environ["DATABASE"]))
    for _ in range(TURNS):
        wait_for("EXECUTE")
        wait_for("RECORD")


def main():
    from tests.support.postgres_server import postgres_server

    with postgres_server() as database:
        set_up(database)
        from django.core.management import call_command

        from sideeffects.outbox import pauses

        call_command("migrate", verbosity=0)
        environment = os.environ | {"DATABASE": json.dumps(database)}
        started = [
            subprocess.Popen([sys.executable, __file__, "follow"], env=environment, stdout=subprocess.PIPE, text=True)
            for _ in range(PROCESSES)
        ]
        slowest = 0.0
        for turn in range(TURNS):
            for process in started:
                process.stdout.readline()  # it executes
            time.sleep(REFRESH / TURNS * turn)  # at another moment between two of its looks
            pauses.pause("sms.*", why="a loop", by="bench", mode="record")
            begin = time.time()
            slowest = max(slowest, *(float(process.stdout.readline()) - begin for process in started))
            pauses.resume("sms.*", by="bench")
        for process in started:
            process.wait()
        json.dump(slowest, sys.stdout)


if __name__ == "__main__":
    follow() if len(sys.argv) > 1 else main()
