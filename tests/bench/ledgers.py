"""Ledgers that processes share: whether eight that write at once lose anything, and what a record costs.

Redis and PostgreSQL come from their wheels, as in the suite. Prints JSON, one entry for each ledger.
"""

import gc
import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.postgres_server import postgres_server
from tests.support.redis_server import redis_server

TASKS = 5_000
PROCESSES = 8
EACH = 200
ROUNDS = 5


def seconds(work, rounds=ROUNDS):
    """The fastest of some rounds, in microseconds a task."""
    taken = []
    for _ in range(rounds):
        gc.collect()
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken) / TASKS * 1e6


def in_processes(work):
    """Fork, let all begin at once, and wait."""
    from django.db import connections

    connections.close_all()
    ready, go = os.pipe()
    children = []
    for number in range(PROCESSES):
        child = os.fork()
        if not child:
            os.close(go)
            os.read(ready, 1)
            code = 1
            try:
                work(number)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    os.close(ready)
    os.close(go)
    for child in children:
        if os.waitpid(child, 0)[1]:
            raise RuntimeError("a process that wrote has failed")


def measure(ledger, url=None):
    """What one ledger does, in production, with every call recorded."""
    from django.test import override_settings

    from sideeffects import run_side_effects, side_effect
    from sideeffects._core.calls.registry import registry
    from sideeffects.ledgers import shared_calls
    from sideeffects.saferunner import assert_call_count, clear_run_cache

    if "bench.send" not in registry:
        measure.send = side_effect(name="bench.send")(lambda to, body: None)
    send = measure.send
    tasks = [(send, {"to": "ann", "body": "hello"}, False)] * TASKS
    with override_settings(SIDE_EFFECTS={"MODE": "RECORD", "LEDGER": ledger}):
        clear_run_cache()
        in_processes(lambda number: [send(str(number), str(call)) for call in range(EACH)])
        kept = len({(call.arguments["to"], call.arguments["body"]) for call in shared_calls()})
        found = {"kept": kept, "lost": PROCESSES * EACH - kept}
        clear_run_cache()
        few = single(send)
        run_side_effects("bench", tasks)
        assert_call_count("bench", TASKS)
        found["single"] = single(send)
        found["growth"] = found["single"] / few
        if url is None:
            found["list"] = seconds(lambda: run_side_effects("bench", tasks))
        else:
            import redis

            client = redis.Redis.from_url(url)
            record = json.dumps(shared_calls()[0].to_record())
            # In turns: what disturbs the machine disturbs both.
            pairs = [
                (
                    seconds(lambda: run_side_effects("bench", tasks), 1),
                    seconds(lambda: [client.rpush("bench", record) for _ in range(TASKS)], 1),
                )
                for _ in range(ROUNDS)
            ]
            found["list"], found["rpush"] = (statistics.median(side) for side in zip(*pairs, strict=True))
        clear_run_cache()
    return found


def single(send):
    """Microseconds for one call by itself."""
    taken = []
    for _ in range(300):
        started = time.perf_counter()
        send("ann", "hello")
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1e6


def main():
    """All ledgers."""
    with ExitStack() as stack:
        url = stack.enter_context(redis_server())
        database = stack.enter_context(postgres_server())
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        import django
        from django.conf import settings

        settings.configure(
            USE_TZ=True,
            DATABASES={"default": database},
            CACHES={
                "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
                "redis": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": url},
                "database": {
                    "BACKEND": "django.core.cache.backends.db.DatabaseCache",
                    "LOCATION": "cache_table",
                    "OPTIONS": {"MAX_ENTRIES": 1_000_000},
                },
            },
        )
        django.setup()
        from django.core.management import call_command
        from django.db import connections

        call_command("createcachetable", verbosity=0)
        found = {
            "on Redis": measure({"BACKEND": "cache", "ALIAS": "redis"}, url),
            "in PostgreSQL, by Django's database cache": measure({"BACKEND": "cache", "ALIAS": "database"}),
            "in a file": measure({"BACKEND": "file", "PATH": f"{folder}/ledger"}),
        }
        connections.close_all()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
