"""A command that writes 10,000 rows, for real and dry in turns, on SQLite and on PostgreSQL: medians, in seconds.

Neither syncs anything to disk. Where commits are synced, as they should be, a run for real takes longer, by far where
each row is one, and a dry run does not.
"""

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
from tests.support.postgres_server import postgres_server

ROWS = 10_000
TURNS = 5


def main():
    with tempfile.TemporaryDirectory() as folder, postgres_server() as postgres:
        sqlite = {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": f"{folder}/bench.sqlite3",
            "OPTIONS": {"init_command": "PRAGMA synchronous=OFF"},
        }
        settings.configure(DATABASES={"default": {}, "sqlite": sqlite, "postgresql": postgres}, USE_TZ=True)
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

        def one_by_one(alias):
            for number in range(ROWS):
                Row(name=f"row {number}", number=number).save(using=alias)
                if number % 10 == 0:
                    send(number)

        def in_one_transaction(alias):
            with transaction.atomic(using=alias):
                one_by_one(alias)

        def at_once(alias):
            rows = [Row(name=f"row {number}", number=number) for number in range(ROWS)]
            Row.objects.using(alias).bulk_create(rows, batch_size=500)

        costs = {"sqlite": {}, "postgresql": {}}
        for alias, cost in costs.items():
            with connections[alias].schema_editor() as editor:
                editor.create_model(Row)
            for way in (at_once, in_one_transaction, one_by_one):
                real, dry = [], []
                for _ in range(TURNS):
                    real.append(seconds(way, alias))
                    Row.objects.using(alias).all().delete()
                    dry.append(seconds(way, alias, dry_run()))
                    assert not Row.objects.using(alias).exists()
                cost[way.__name__.replace("_", " ")] = statistics.median(real), statistics.median(dry)
        connections.close_all()
    print(json.dumps(costs))


def seconds(way, alias, around=None):
    """Of the whole, entering and leaving included."""
    started = time.perf_counter()
    with around or contextlib.nullcontext():
        way(alias)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
