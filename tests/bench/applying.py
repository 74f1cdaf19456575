"""A command that writes 10,000 rows and calls 100 effects, by itself and along its plan in turns: seconds, medians."""

import contextlib
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import django
from django.conf import settings
from django.db import connections, models, transaction

from sideeffects import dry_run, side_effect
from sideeffects.dryrun.applying import Applying
from sideeffects.dryrun.saved_plan import load, save
from tests.support.postgres_server import postgres_server

ROWS = 10_000
EFFECTS = 100
TURNS = 5


def main():
    with tempfile.TemporaryDirectory() as folder, postgres_server() as postgres:
        sqlite = {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": f"{folder}/bench.sqlite3",
            "OPTIONS": {"init_command": "PRAGMA synchronous=OFF"},
        }
        databases = {"sqlite": sqlite, "postgresql": postgres}
        settings.configure(SECRET_KEY="bench", DATABASES={"default": {}, **databases}, USE_TZ=True)
        django.setup()

        class Row(models.Model):
            name = models.CharField(max_length=40)
            number = models.IntegerField()

            class Meta:
                app_label = "bench"

            def __str__(self):
                return self.name

        @side_effect(name="bench.send")
        def send(number):
            """Send."""

        costs = {}
        for alias in databases:
            with connections[alias].schema_editor() as editor:
                editor.create_model(Row)

            def command(alias=alias):
                for number in range(ROWS):
                    Row(name=f"row {number}", number=number).save(using=alias)
                    if number % (ROWS // EFFECTS) == 0:
                        send(number)

            def alone(alias=alias, command=command):
                with transaction.atomic(using=alias):
                    command()

            file = Path(folder) / f"{alias}.json"
            with dry_run() as plan:
                command()
            save(file, plan, ["bench"], 0, [], {})

            def along(file=file, command=command):
                applying = Applying(load(str(file)), is_atomic=True, is_whole=True, passed=lambda *_: None)
                applied = applying.run(lambda: command() or 0)
                assert (applied.error, applied.changed, applied.missing) == (None, None, []), applied

            taken = {alone: [], along: []}
            for turn in range(TURNS):
                for way in (alone, along) if turn % 2 else (along, alone):
                    with connections[alias].schema_editor() as editor:  # nobody finds the rows that another has left
                        editor.delete_model(Row)
                        editor.create_model(Row)
                    started = time.perf_counter()
                    way()
                    taken[way].append(time.perf_counter() - started)
            costs[alias] = [statistics.median(seconds) for seconds in taken.values()]
        with contextlib.suppress(Exception):
            connections.close_all()
    print(json.dumps(costs))


if __name__ == "__main__":
    main()
