"""Explored races on PostgreSQL: what an order costs, how many are left, and how soon the fourteen races are found.

Beside each of the fourteen stands `Race(repeat=200)`, between processes. Prints JSON.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.fourteen_races import fourteen_races
from tests.support.postgres_server import postgres_server

REPEAT = 200
#: Runs each of the page's tests up to its first race, the broken one, in both ways.
COMPARING = """
    import json
    import time

    import pytest
    from django.apps import apps

    from shop import test_races
    from sideeffects.testing import Race

    NAMES = [name for name in vars(test_races) if name.startswith("test_")]


    class Seen(Exception):
        pass


    def until_found(race, racers, check):
        # How many runs there were up to the first that failed, and after how many seconds.
        runs, found, started = 0, None, time.perf_counter()

        def look(result):
            nonlocal runs, found
            runs += 1
            holds = check(result)
            if holds is False and found is None:
                found = runs, time.perf_counter() - started
            return holds

        race.configured(check=look).make_concurrent_calls(*racers)
        return found or (None, time.perf_counter() - started)


    def wipe():
        for model in apps.get_app_config("shop").get_models():
            model.objects.all().delete()


    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("name", NAMES)
    def test_comparing(name, monkeypatch):
        given = {}

        def fails(*racers, setup, check, **options):
            given.update(racers=racers, setup=setup, check=check, options=options)
            raise Seen

        monkeypatch.setattr(test_races, "fails", fails)
        with pytest.raises(Seen):
            vars(test_races)[name]()
        racers, setup, check = given["racers"], given["setup"], given["check"]
        explored = until_found(Race(explore=True, setup=setup, **given["options"]), racers, check)
        repeated = None  # processes have the database's own isolation level
        if not given["options"]:
            race = Race(repeat=%d, setup=lambda: wipe() or setup())
            repeated = until_found(race, racers, check)
        with open("found.jsonl", "a") as file:
            print(json.dumps([name.removeprefix("test_").replace("_", " "), explored, repeated]), file=file)
    """


def compared(folder, database):
    """For each of the fourteen: its name, and for both ways the runs and seconds until it was found."""
    project = fourteen_races(folder)
    project.write("test_comparing.py", COMPARING % REPEAT)
    environment = {"DATABASE": json.dumps(database), "PYTEST_ADDOPTS": "-p no:cacheprovider"}
    project.run("-m", "pytest", "-q", "test_comparing.py", environment=environment)
    return [json.loads(line) for line in (folder / "found.jsonl").read_text().splitlines()]


def orders(database):
    """What an order costs, how many are left by pruning, and what taking back costs."""
    from django.conf import settings

    settings.configure(DATABASES={"default": database}, SECRET_KEY="bench", USE_TZ=True)
    import django

    django.setup()
    from sideeffects.testing import Race
    from sideeffects.testing.exploring.catalog import read
    from sideeffects.testing.exploring.search import always
    from sideeffects.testing.exploring.taking_back import Keeper
    from sideeffects.testing.races import explored
    from tests.support.explored_database import ALIAS, TABLES, explored_database, query

    def act(tables):
        for table in tables:
            query(f"UPDATE {table} SET n = n + 1 WHERE id = 1")

    def run(programs, **options):
        race = Race(explore=True, databases=[ALIAS], check=lambda _: True)
        calls = [(act, {"tables": tables}) for tables in programs]
        started = time.perf_counter()
        found = explored.explore(lambda: calls, race._failure, len(calls), race._options, **options)
        return found.schedules, time.perf_counter() - started

    with explored_database(database):
        from django.db import connections

        run([["job"] * 3] * 2)
        six, twelve = (run([["job"] * steps] * 2, matters=always) for steps in (3, 6))
        apart = [["coupon", "coupon", "job"], ["stock", "stock", "job"]]
        whole, left = run(apart, matters=always), run(apart)
        keeper = Keeper(ALIAS, connections[ALIAS].copy(), read(connections[ALIAS]))
        times = []
        for _ in range(50):
            keeper.before_writing(frozenset(TABLES))
            act(TABLES)
            started = time.perf_counter()
            keeper.take_back()
            times.append(time.perf_counter() - started)
        keeper.close()
    return {
        "order": six[1] / six[0] * 1000,
        "step": (twelve[1] / twelve[0] - six[1] / six[0]) * 1000 / 6,
        "orders": twelve[0],
        "seconds": twelve[1],
        "left": left[0] / whole[0],
        "taking back": sorted(times)[len(times) // 2] * 1000,
    }


def main():
    """All of it."""
    os.environ["SIDE_EFFECTS_TEST_RUN"] = "1"
    with tempfile.TemporaryDirectory() as folder, postgres_server() as database:
        found = orders(database) | {"fourteen": compared(Path(folder), database)}
        from django.db import connections

        connections.close_all()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
