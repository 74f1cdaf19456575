"""What the guard costs a suite of trivial Django tests: under Django's runner, and beside pytest-socket."""

import statistics
import subprocess
import sys
from pathlib import Path

from processes import TESTS, clean_environment, seconds

SETTINGS = """
SECRET_KEY = "bench"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
"""
INSTALLED = 'INSTALLED_APPS = ["sideeffects"]\n'
DJANGO = ("-m", "django", "test", "--pythonpath=.", "-v0", "-p")
PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "pytest_django.plugin")

#: The runs of a suite, by what is there beside its runner. `nothing`: no `sideeffects` at all.
CASES = {
    ("Django's runner", "nothing"): (*DJANGO[:3], "--settings=settings_nothing", *DJANGO[3:]),
    ("Django's runner", "off"): (*DJANGO[:3], "--settings=settings_off", *DJANGO[3:]),
    ("Django's runner", "warn"): (*DJANGO[:3], "--settings=settings_warn", *DJANGO[3:]),
    ("pytest", "nothing"): (*PYTEST, "--ds=settings_nothing"),
    ("pytest", "off"): (*PYTEST, "-p", "sideeffects", "--ds=settings_off"),
    ("pytest", "warn"): (*PYTEST, "-p", "sideeffects", "--ds=settings_warn"),
    ("pytest", "pytest-socket"): (*PYTEST, "-p", "pytest_socket", "--disable-socket", "--ds=settings_nothing"),
}

#: How often the runs with the guard and without it are made: the short ones differ more by chance.
PAIRED = {"Django's runner": 25, "pytest": 13}
#: How often all others are.
OTHERS = 5

COUNTING = """
import atexit, os, sys
seen = [0]
def count(event, args):
    seen[0] += 1
sys.addaudithook(count)
atexit.register(lambda: open(os.environ["SEEN"], "w").write(str(seen[0])))
"""

HOOK = """
import os, sys, time
def measure(number=200_000, look=sys._getframe):
    def loop():
        start = time.process_time_ns()
        for _ in range(number):
            look()
        return time.process_time_ns() - start
    return min(loop() for _ in range(9)) / number
bare = measure()
os.environ["SIDE_EFFECTS_TEST_RUN"] = "1"
import sideeffects
print(measure() - bare)
"""


def suites(folder):
    """Processor milliseconds of whole runs, by case and number of tests: a list with one figure for each turn."""
    folder = Path(folder)
    (folder / "pytest.ini").write_text("[pytest]\npythonpath = .\n", encoding="utf-8")
    (folder / "settings_nothing.py").write_text(SETTINGS, encoding="utf-8")
    for level in ("warn", "off"):
        text = f'{SETTINGS}{INSTALLED}SIDE_EFFECTS = {{"GUARD": "{level}"}}\n'
        (folder / f"settings_{level}.py").write_text(text, encoding="utf-8")
    for tests in (1, TESTS):
        lines = (f"    def test_{number}(self): self.assertGreaterEqual({number}, 0)" for number in range(tests))
        source = "\n".join(["from django.test import TestCase", "class Tests(TestCase):", *lines, ""])
        (folder / f"test_{tests}.py").write_text(source, encoding="utf-8")
    # Only the plugins that are named.
    environment = clean_environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    taken = {(case, tests): [] for case in CASES for tests in (1, TESTS)}
    for turn in range(max(PAIRED.values()) + 1):
        # There and back: what the machine does meanwhile falls on each side of a pair as often.
        for case, tests in taken if turn % 2 else reversed(taken):
            is_paired = tests == TESTS and case[1] in ("off", "warn")
            if turn <= (PAIRED[case[0]] if is_paired else OTHERS):
                value = seconds([*CASES[case], f"test_{tests}.py"], environment, folder) * 1000
                if turn:  # the first one writes byte code
                    taken[case, tests].append(value)
    return taken


def events(folder, runner):
    """The audit events that one of those tests raises, under a runner, as they stand in the folder of `suites`."""
    folder = Path(folder)
    (folder / "settings_nothing.py").write_text(COUNTING + SETTINGS, encoding="utf-8")
    file = folder / "seen"
    environment = clean_environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", SEEN=str(file))
    counts = []
    for tests in (1, TESTS):
        seconds([*CASES[runner, "nothing"], f"test_{tests}.py"], environment, folder)
        counts.append(int(file.read_text(encoding="utf-8")))
    return (counts[1] - counts[0]) / (TESTS - 1)


def hook():
    """Nanoseconds that the guard's hook adds to an event which does not interest it."""
    command = [sys.executable, "-c", HOOK]
    return float(subprocess.run(command, env=clean_environment(), stdout=subprocess.PIPE, text=True, check=True).stdout)


def each(taken, case):
    """Milliseconds that one test of a case takes, without what starting does: of the least of all turns.

    A whole process meets every disturbance there is, and each of them makes it longer.
    """
    many, one = (min(taken[case, tests]) for tests in (TESTS, 1))
    return (many - one) / (TESTS - 1)


def whole(taken, case, peer):
    """A whole run of all tests, of one of another case in the same turn: the median of all turns."""
    pairs = zip(taken[case, TESTS], taken[peer, TESTS], strict=False)  # some are run more often
    return statistics.median(one / other for one, other in pairs)
