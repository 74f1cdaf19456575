"""Whole processes, one after the other: what importing costs, and what the plugin costs a suite."""

import json
import os
import random
import statistics
import subprocess
import sys
from pathlib import Path

TESTS = 2_000

#: What must not be there after importing all names of the package.
UNWANTED = ("django", "sentry_sdk", "pytest", "_pytest", "celery")


def clean_environment(**more):
    """The environment without what would make a test run of a measurement, or stop byte code from being kept."""
    dropped = ("PYTHONDONTWRITEBYTECODE", "DJANGO_SETTINGS_MODULE")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in dropped and not name.startswith(("PYTEST_", "SIDE_EFFECTS_"))
    }
    return {**kept, **more}


def seconds(arguments, environment=None, folder="/"):
    """The processor time, user and system, of one run of this Python. Waiting for others is not counted."""
    null = os.open(os.devnull, os.O_WRONLY)
    script = "import os, sys; os.chdir(sys.argv.pop(1)); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    child = os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-S", "-c", script, str(folder), *arguments],
        environment or clean_environment(),
        file_actions=[(os.POSIX_SPAWN_DUP2, null, 1)],
    )
    os.close(null)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise RuntimeError(f"{arguments} ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime


#: What is imported, after what.
IMPORTS = {
    "import wrapt": "pass",
    "import sideeffects": "pass",
    "from sideeffects import side_effect": "import wrapt",
}


def imports(turns=21):
    """Milliseconds of processor time that each import takes in a process of its own, the median of many."""
    runs = {statement: [] for statement in IMPORTS}
    for turn in range(turns + 1):
        for statement, before in IMPORTS.items():
            clock = "time.process_time_ns()"
            code = f"import time\n{before}\nstart = {clock}\n{statement}\nprint({clock} - start)"
            ran = subprocess.run(
                [sys.executable, "-c", code], env=clean_environment(), cwd="/", check=True, stdout=subprocess.PIPE
            )
            if turn:  # the first one writes byte code
                runs[statement].append(int(ran.stdout) / 1e6)
    return {statement: statistics.median(taken) for statement, taken in runs.items()}


def imported():
    """Whether importing all names of the package imports one of the unwanted modules."""
    code = f"import sys; from sideeffects import *; sys.exit(any(name in sys.modules for name in {UNWANTED}))"
    try:
        seconds(["-c", code])
    except RuntimeError:
        return True
    return False


STOPWATCH = """
import json, os, statistics, time
import pytest

began, collected = [], []

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection(session):
    start = time.process_time_ns()
    result = yield
    collected.append(time.process_time_ns() - start)
    return result

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol():
    began.append(time.process_time_ns())
    return (yield)

def pytest_unconfigure():
    each = [after - before for before, after in zip(began, began[1:])]
    with open("taken.json", "w") as file:
        json.dump([statistics.median(each), collected[0] / len(began)], file)
"""

#: What stands beside pytest in a suite, as its options.
BESIDE = {
    "nothing": (),
    "the plugin": ("-p", "sideeffects"),
    "the plugin, without its guard": ("-p", "sideeffects", "-p", "no:sideeffects-guard"),
    "nothing again": (),
}


def plugin(folder, turns=21):
    """Processor time of a trivial test, in microseconds, by what is there beside pytest; and of starting, in ms.

    Against pytest alone: other plugins make more of what an audit hook is told of (`guards.py` has pytest-django).

    The median of the tests of a run and their share of the collection, each the median of many runs in changing order.
    Whole runs differ by a tenth among themselves, by garbage collections and by what else the machine does. Of this the
    same suite gives the same within a percent, which "nothing again" shows.
    """
    folder = Path(folder)
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (folder / "stopwatch.py").write_text(STOPWATCH, encoding="utf-8")
    for tests in (1, TESTS):
        source = "\n".join(f"def test_{number}():\n    assert {number} >= 0\n" for number in range(tests))
        (folder / f"test_{tests}.py").write_text(source, encoding="utf-8")
    # The order of sets is luck, and the same for all.
    environment = clean_environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", PYTHONHASHSEED="0", PYTHONPATH=str(folder))

    def run(tests, *options):
        arguments = ("-m", "pytest", "-q", "-p", "no:cacheprovider", f"test_{tests}.py", *options)
        return seconds(arguments, environment, folder) * 1000

    each = {beside: [] for beside in BESIDE}
    starting = {beside: [] for beside in BESIDE}
    for turn in range(turns + 1):
        for beside in random.sample(list(BESIDE), len(BESIDE)):
            run(TESTS, "-p", "stopwatch", *BESIDE[beside])
            start = run(1, *BESIDE[beside])
            if turn:  # the first one writes byte code
                taken = json.loads((folder / "taken.json").read_text(encoding="utf-8"))
                each[beside].append([nanoseconds / 1000 for nanoseconds in taken])
                starting[beside].append(start)
    return (
        {beside: sum(map(statistics.median, zip(*taken, strict=True))) for beside, taken in each.items()},
        {beside: min(taken) for beside, taken in starting.items()},
    )
