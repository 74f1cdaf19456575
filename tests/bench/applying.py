"""A command that writes 10,000 rows and calls 100 effects, by itself and along its plan in turns.

Prints for each database the seconds by itself, and what it takes along its plan of that, by the clock and of this
process's processor time: medians, the ratios turn by turn.
"""

import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from django.db import connections, transaction

from sideeffects import dry_run
from sideeffects.dryrun.applying import Applying
from sideeffects.dryrun.saved_plan import load, save
from tests.bench import many_rows

EFFECTS = 100
TURNS = 9


def main():
    costs = {}
    with many_rows.databases() as (folder, model):
        for alias in many_rows.ALIASES:

            def command(alias=alias):
                many_rows.write_one_by_one(model, alias, EFFECTS)

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
                        editor.delete_model(model)
                        editor.create_model(model)
                    clock, processor = time.perf_counter(), time.process_time()
                    way()
                    taken[way].append((time.perf_counter() - clock, time.process_time() - processor))
            pairs = list(zip(taken[along], taken[alone], strict=True))
            ratios = (statistics.median(one[kind] / other[kind] for one, other in pairs) for kind in (0, 1))
            costs[alias] = [statistics.median(seconds for seconds, _ in taken[alone]), *ratios]
    print(json.dumps(costs))


if __name__ == "__main__":
    main()
