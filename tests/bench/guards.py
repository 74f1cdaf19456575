"""What the guard costs a suite of trivial Django tests: under Django's runner, and beside pytest-socket."""

import statistics
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

#: How often each is run. Those of Django's runner are short, and so differ more by chance.
TURNS = {"Django's runner": 25, "pytest": 7}


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
    for turn in range(max(TURNS.values()) + 1):
        # There and back: what the machine does meanwhile falls on each side of a pair as often.
        for case, tests in taken if turn % 2 else reversed(taken):
            if turn <= TURNS[case[0]]:
                value = seconds([*CASES[case], f"test_{tests}.py"], environment, folder) * 1000
                if turn:  # the first one writes byte code
                    taken[case, tests].append(value)
    return taken


def each(taken, case):
    """Milliseconds that one test of a case takes, without what starting does: of the least of all turns.

    A whole process meets every disturbance there is, and each of them makes it longer.
    """
    many, one = (min(taken[case, tests]) for tests in (TESTS, 1))
    return (many - one) / (TESTS - 1)


def whole(taken, case, peer):
    """A whole run of all tests, of one of another case in the same turn: the median of all turns."""
    pairs = zip(taken[case, TESTS], taken[peer, TESTS], strict=True)
    return statistics.median(one / other for one, other in pairs)
