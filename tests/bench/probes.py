"""Probes beside plain unittest and django-smoketest; `run.py` starts this in processes of its own. It prints JSON.

probes.py cost [NAME=VALUE ...]   microseconds for each probe, on SQLite, or on the PostgreSQL that these describe
probes.py waiting                 seconds for ten probes that each wait 0.2 s
probes.py theirs                  the same with django-smoketest
probes.py growth                  microseconds for each probe, among more and more of them
probes.py view                    milliseconds of processor time for a cached answer, with 500 apps, by format
"""

from __future__ import annotations

import gc
import io
import json
import statistics
import sys
import tempfile
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROUNDS = 7
PROBES = 1000
WAITING = 10
SECONDS = 0.2
APPS = 500


def configure(folder: str, described: dict[str, str]) -> None:
    """A Django with one database."""
    import django
    from django.conf import settings

    database = described or {"ENGINE": "django.db.backends.sqlite3", "NAME": str(Path(folder, "db.sqlite3"))}
    settings.configure(DATABASES={"default": database}, USE_TZ=True)
    django.setup()


def case(base: type, test: Callable[[Any], object], number: int = PROBES) -> type:
    """A class with many tests."""
    return type("Case", (base,), {f"test_{position:05}": test for position in range(number)})


def in_turns(cases: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """The fastest of some rounds of each, which take turns: what else the machine does only ever adds."""
    return {name: min(each) for name, each in turns(cases, rounds).items()}


def turns(cases: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds for each of some rounds of each, which take turns."""
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, work in cases.items():
            gc.collect()
            started = time.perf_counter()
            work()
            taken[name].append(time.perf_counter() - started)
    return taken


def by_unittest(kind: type) -> Callable[[], object]:
    def run() -> None:
        class Plain(unittest.TextTestRunner):
            side_effects_test_run = False  # this process is to stay outside any test run

        suite = unittest.defaultTestLoader.loadTestsFromTestCase(kind)
        assert Plain(io.StringIO()).run(suite).wasSuccessful()

    return run


def by_us(kind: type) -> Callable[[], object]:
    from sideeffects.probes import ProbeRunner
    from sideeffects.probes.case import specs_of
    from sideeffects.probes.specs import FoundProbes

    def run() -> None:
        assert ProbeRunner().run(FoundProbes(tuple(specs_of(kind, "", "")))).passed

    return run


def nothing(_: object) -> None:
    """A trivial test."""


def query(_: object) -> None:
    """One query."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def query_in_transaction(_: object) -> None:
    """One query in a transaction that is rolled back."""
    from django.db import transaction

    with transaction.atomic():
        query(None)
        transaction.set_rollback(True)


def cost() -> dict[str, float]:
    from sideeffects._core.state.state import state
    from sideeffects.probes import SmokeTest

    seconds = turns(
        {
            "unittest": by_unittest(case(unittest.TestCase, nothing)),
            "probe": by_us(case(SmokeTest, nothing)),
            "unittest, query": by_unittest(case(unittest.TestCase, query)),
            "unittest, transaction": by_unittest(case(unittest.TestCase, query_in_transaction)),
            "probe, query": by_us(case(SmokeTest, query)),
        },
        ROUNDS,
    )
    assert not state.test_run.is_on()
    # Turn by turn: where a server answers, the machine wakes up now sooner and now later, for seconds at a time.
    adding = [
        ((probe - bare) / (theirs - plain), (probe - bare - (asked - plain)) / (theirs - asked))
        for plain, bare, asked, theirs, probe in zip(*seconds.values(), strict=True)
    ]
    found = {name: min(each) / PROBES * 1e6 for name, each in seconds.items()}
    found["adds"], found["adds, without the query"] = map(statistics.median, zip(*adding, strict=True))
    return found


def waiting() -> float:
    from sideeffects.probes import SmokeTest

    run = by_us(case(SmokeTest, lambda _: time.sleep(SECONDS), WAITING))
    return in_turns({"ours": run}, rounds=3)["ours"]


def theirs() -> float:
    import smoketest

    kind = case(smoketest.SmokeTest, lambda _: time.sleep(SECONDS), WAITING)
    return in_turns({"theirs": lambda: kind().run()}, rounds=1)["theirs"]


def growth() -> dict[str, float]:
    from sideeffects.probes import SmokeTest

    numbers = (100, 1000, 10_000)
    seconds = in_turns({str(number): by_us(case(SmokeTest, nothing, number)) for number in numbers}, rounds=5)
    return {number: each / int(number) * 1e6 for number, each in seconds.items()}


def view() -> dict[str, float]:
    from django.apps import apps
    from django.conf import settings
    from django.test import RequestFactory

    from sideeffects.probes.reports import FORMATS
    from sideeffects.probes.views import IndexView

    folder = Path(settings.DATABASES["default"]["NAME"]).parent
    sys.path.insert(0, str(folder))
    names = [f"app{number}" for number in range(APPS)]
    for name in names:
        (folder / name).mkdir()
        (folder / name / "__init__.py").touch()
        source = "from sideeffects.probes import SmokeTest\n\n\nclass One(SmokeTest):\n    def test_it(self): pass\n"
        (folder / name / "probes.py").write_text(source)
    settings.INSTALLED_APPS = names
    settings.SIDE_EFFECTS = {"PROBES": {"PUBLIC": True, "CACHE_SECONDS": 3600}}
    apps.set_installed_apps(names)
    found = {}
    for form in FORMATS:
        request = RequestFactory().get("/", {"format": form})
        IndexView.as_view()(request)
        started = time.process_time()
        for _ in range(20):
            IndexView.as_view()(request)
        found[form] = (time.process_time() - started) / 20 * 1000
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        configure(temporary, dict(pair.split("=", 1) for pair in sys.argv[2:]))
        print(json.dumps(globals()[sys.argv[1]]()))
