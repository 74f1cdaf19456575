"""The outbox on PostgreSQL: what it adds to executing calls, what holding costs, and how fast calls are released.

Beside it django-tasks-db: enqueueing the same call, and its worker running it (`db_worker --batch`). PostgreSQL comes
from its wheel, as in the suite. Prints JSON.
"""

import contextlib
import importlib.util
import json
import logging
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from timing import above, ratio

from tests.support.postgres_server import postgres_server

CALLS = 1_000
ROUNDS = 40
EACH = 25
TURNS = 300
MANY = 500


def set_up(database):
    """A project with the outbox, and the peer where it is installed."""
    import django
    from django.conf import settings
    from django.core.management import call_command

    has_peer = importlib.util.find_spec("django_tasks_db") is not None
    settings.configure(
        SECRET_KEY="bench",
        USE_TZ=True,
        DATABASES={"default": database},
        INSTALLED_APPS=[
            "sideeffects",
            "sideeffects.outbox",
            *(["django_tasks", "django_tasks_db"] if has_peer else []),
        ],
        TASKS={"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}},
    )
    django.setup()
    logging.getLogger("sideeffects").setLevel(logging.WARNING)
    call_command("migrate", verbosity=0)
    return has_peer


def microseconds(work):
    """What one call takes, on the average of a few."""
    started = time.perf_counter()
    for number in range(EACH):
        work(number)
    return (time.perf_counter() - started) / EACH * 1e6


def executing(send):
    """What an executing call costs above a bare one: decided without the outbox, and with it and nothing paused.

    Both go through the runtime: the fast switch is off neither time. They take turns; of the ratios the median.
    """
    from sideeffects._core.state.extension_points import pauses

    (asks,) = pauses
    send(0, "hello")  # the first call of a process waits until the pauses have been read
    bare = send.__wrapped__
    nanoseconds = {"bare": [], "decided": [], "with the outbox": []}
    for turn in range(TURNS + 2):
        took = {"bare": nanoseconds_of(bare), "with the outbox": nanoseconds_of(send)}
        pauses.remove(asks)
        assert not pauses.is_filled
        took["decided"] = nanoseconds_of(send)
        pauses.add(asks)
        if turn >= 2:
            for what, taken in took.items():
                nanoseconds[what].append(taken)
    return {
        "decided": above(nanoseconds, "decided", "bare"),
        "executing": above(nanoseconds, "with the outbox", "bare"),
        "executing, of decided": ratio(nanoseconds, "with the outbox", "decided", "bare"),
    }


def nanoseconds_of(function):
    """What one call takes, on the average of some."""
    started = time.perf_counter_ns()
    for number in range(MANY):
        function(number, "hello")
    return (time.perf_counter_ns() - started) / MANY


def holding(send):
    """Holding and inserting take turns; of the ratios the median."""
    from django.db import transaction

    from sideeffects import hold
    from sideeffects.outbox.models import HeldCall

    with hold():
        send(0, "hello")
    like = HeldCall.objects.get()
    values = {field.attname: getattr(like, field.attname) for field in HeldCall._meta.fields if field.attname != "id"}
    serial = iter(range(10**9))

    def insert(_):
        HeldCall(**{**values, "call_id": f"bench-{next(serial)}"}).save(force_insert=True)

    inserting, held, together = [], [], []
    for turn in range(ROUNDS + 2):
        one = microseconds(insert)
        with hold():
            other = microseconds(lambda number: send(number, "hello"))
            started = time.perf_counter()
            with transaction.atomic():
                for number in range(100):
                    send(number, "hello")
            shared = (time.perf_counter() - started) / 100 * 1e6
        if turn >= 2:
            inserting.append(one)
            held.append(other)
            together.append(shared)
    HeldCall.objects.all().delete()
    return {
        "insert": statistics.median(inserting),
        "hold": statistics.median(held),
        "hold in a transaction": statistics.median(together),
        "ratio": statistics.median(one / other for one, other in zip(held, inserting, strict=True)),
    }


def releasing(send, done):
    """Calls a second, by one process."""
    from sideeffects import hold
    from sideeffects.outbox import actions
    from sideeffects.outbox.models import HeldCall

    with hold():
        for number in range(CALLS):
            send(number, "hello")
    done.clear()
    started = time.perf_counter()
    result = actions.release(list(HeldCall.objects.values_list("pk", flat=True)), by="bench")
    taken = time.perf_counter() - started
    assert result.done == len(done) == CALLS
    return CALLS / taken


def peer(done):
    """The same of django-tasks-db: microseconds to enqueue a call, and calls a second by one worker."""
    import bench_tasks
    from django.core.management import call_command

    bench_tasks.done = done
    enqueue = statistics.median(microseconds(lambda n: bench_tasks.send.enqueue(n, "hello")) for _ in range(ROUNDS))
    done.clear()
    logging.disable(logging.WARNING)
    started = time.perf_counter()
    with contextlib.suppress(SystemExit):
        call_command("db_worker", batch=True, verbosity=0, interval=0)
    return {"enqueue": enqueue, "run": len(done) / (time.perf_counter() - started)}


def main():
    with postgres_server() as database:
        has_peer = set_up(database)
        from sideeffects import side_effect

        done = []

        @side_effect(name="sms.send")
        def send(number, body):
            done.append((number, body))

        @side_effect(name="sms.count")
        def count(number, body):
            """Do nothing, so that only the way there is timed."""

        found = {**executing(count), **holding(send), "release": releasing(send, done)}
        if has_peer:
            found["peer"] = peer(done)
        print(json.dumps(found))


if __name__ == "__main__":
    main()
