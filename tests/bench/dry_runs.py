"""A command that writes 10,000 rows, for real and dry in turns, on SQLite and on PostgreSQL: medians, in seconds.

Neither syncs anything to disk. Where commits are synced, as they should be, a run for real takes longer, by far where
each row is one, and a dry run does not.
"""

import contextlib
import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from django.db import transaction

from sideeffects import dry_run
from tests.bench import many_rows

TURNS = 5


def main():
    with many_rows.databases() as (_, model):

        def one_by_one(alias):
            many_rows.write_one_by_one(model, alias, many_rows.ROWS // 10)

        def in_one_transaction(alias):
            with transaction.atomic(using=alias):
                one_by_one(alias)

        def at_once(alias):
            rows = [model(name=f"row {number}", number=number) for number in range(many_rows.ROWS)]
            model.objects.using(alias).bulk_create(rows, batch_size=500)

        costs = {alias: {} for alias in many_rows.ALIASES}
        for alias, cost in costs.items():
            for way in (at_once, in_one_transaction, one_by_one):
                real, dry = [], []
                for _ in range(TURNS):
                    real.append(seconds(way, alias))
                    model.objects.using(alias).all().delete()
                    dry.append(seconds(way, alias, dry_run()))
                    assert not model.objects.using(alias).exists()
                cost[way.__name__.replace("_", " ")] = statistics.median(real), statistics.median(dry)
    print(json.dumps(costs))


def seconds(way, alias, around=None):
    """Of the whole, entering and leaving included."""
    started = time.perf_counter()
    with around or contextlib.nullcontext():
        way(alias)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
