"""Races beside those of django-concurrent-test-helper, on PostgreSQL: how long they take, and how far starts lie apart.

Both hold the same races, in turns, in a project of their own. Prints JSON.
"""

import json
import os
import resource
import statistics
import sys
import tempfile
import textwrap
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.postgres_server import postgres_server

ROUNDS = 3
PROJECT = {
    "manage.py": f"""\
        #!{sys.executable}
        import os
        import sys

        os.environ["DJANGO_SETTINGS_MODULE"] = "config"
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
        """,
    "config.py": """
        import json
        import os

        HERE = os.path.dirname(os.path.abspath(__file__))
        MANAGE_PY_PATH = os.path.join(HERE, "manage.py")
        SECRET_KEY = "no secret"
        USE_TZ = True
        INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django_concurrent_tests"]
        database = json.loads(os.environ["DATABASE"])
        # The racers of the peer take it for the name of the test database, without the prefix.
        DATABASES = {"default": {**database, "TEST": {"NAME": database["NAME"]}}}
        """,
    "racing.py": """
        import time

        from django.db import connection, transaction
        from sideeffects import side_effect


        def query():
            started = time.perf_counter()
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            return started


        def wait():
            started = time.perf_counter()
            time.sleep(0.05)
            return started


        @side_effect(name="bench.charge")
        def charge(): ...


        def pay(later):
            time.sleep(later)
            with connection.cursor() as cursor:
                cursor.execute("SELECT paid FROM orders")
                if not cursor.fetchone()[0]:
                    charge()
                    cursor.execute("UPDATE orders SET paid = true")
        """,
}


def held(call, count, function):
    """One race. Returns its milliseconds, and those between its first and its last start."""
    started = time.perf_counter()
    results = call(count, function)
    taken = time.perf_counter() - started
    if not all(isinstance(result, float) for result in results):
        raise RuntimeError(f"a racer has failed: {results}")
    return taken * 1000, (max(results) - min(results)) * 1000


def processor_time():
    """The seconds that this process and those of its descendants that are gone have taken."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def medians(races):
    """The medians of several races, number by number."""
    return [statistics.median(side) for side in zip(*races, strict=True)]


def beside(count, theirs):
    """Both, in turns."""
    import racing

    from sideeffects.testing import call_concurrently

    call_concurrently(2, racing.query)
    pairs = [(held(call_concurrently, count, racing.query), held(theirs, count, racing.query)) for _ in range(ROUNDS)]
    before = processor_time()
    theirs(count, racing.query)
    return {
        "theirs": statistics.median(other[0] for _, other in pairs),
        "their skew": statistics.median(other[1] for _, other in pairs),
        "their seconds": processor_time() - before,
        "warm": statistics.median(own[0] for own, _ in pairs),
        "ratio": statistics.median(own[0] / other[0] for own, other in pairs),
    } | alone(count, racing.query, call_concurrently)


def alone(count, function, call):
    """Ours: with a server that is started for the race, and with one that is there."""
    import racing

    from sideeffects.testing.races import client

    client.stop()
    before = processor_time()
    cold = held(call, count, function)[0]
    client.stop()
    found = {"cold": cold, "cold seconds": processor_time() - before}
    before = processor_time()
    held(call, count, function)
    races = [held(call, count, function) for _ in range(ROUNDS * 4)]
    client.stop()
    found["seconds"] = (processor_time() - before - found["cold seconds"]) / len(races)
    found["warm alone"], found["skew"] = medians(races)
    # What else the machine does only adds to it.
    found["waiting skew"] = statistics.quantiles(held(call, count, racing.wait)[1] for _ in range(ROUNDS * 4))[0]
    return found


def shown(meet_at):
    """In how many of 30 races a payment that looks first, and one that comes a little later, charge twice."""
    import racing
    from django.db import connection

    from sideeffects.testing import Race

    race = Race(meet_at=meet_at)
    twice = 0
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE orders (paid boolean)")
        cursor.execute("INSERT INTO orders VALUES (false)")
        for _ in range(30):
            cursor.execute("UPDATE orders SET paid = false")
            result = race.make_concurrent_calls((racing.pay, {"later": 0}), (racing.pay, {"later": 0.02}))
            twice += result.calls.count("bench.charge") == 2
        cursor.execute("DROP TABLE orders")
    return twice


def main():
    """All of it."""
    with tempfile.TemporaryDirectory() as folder, postgres_server() as database:
        for name, text in PROJECT.items():
            Path(folder, name).write_text(textwrap.dedent(text))
        os.chmod(f"{folder}/manage.py", 0o755)
        os.chdir(folder)
        sys.path.insert(0, folder)
        os.environ.update(DATABASE=json.dumps(database), DJANGO_SETTINGS_MODULE="config", PYTHONPATH=folder)
        os.environ["DJANGO_CONCURRENT_TESTS_TIMEOUT"] = "120"  # the peer's 30 s are too few where others work as well
        import django

        django.setup()
        from django.db import connections
        from django_concurrent_tests.helpers import call_concurrently as theirs

        connections["default"].ensure_connection()
        from sideeffects.testing import Race

        found = {str(count): beside(count, theirs) for count in (5, 20)}
        # PostgreSQL lets in a hundred, and the test is one of them.
        without = Race(databases=[])
        found |= {f"{count} idle": alone(count, time.perf_counter, without) for count in (10, 50, 100)}
        found["plain"], found["meeting"] = shown(None), shown("bench.charge")
        connections.close_all()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
