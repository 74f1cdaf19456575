"""What the guard costs a suite of trivial Django tests: under Django's runner, and beside pytest-socket."""

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


def suites(folder, turns=9):
    """Processor milliseconds of one test, by case: the least of many turns, with what starting takes left out."""
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
    for turn in range(turns + 1):
        for (case, tests), values in taken.items():
            value = seconds([*CASES[case], f"test_{tests}.py"], environment, folder) * 1000
            if turn:  # the first one writes byte code
                values.append(value)
    least = {case: min(values) for case, values in taken.items()}
    return {case: (least[case, TESTS] - least[case, 1]) / (TESTS - 1) for case in CASES}
