"""Whole processes, one after the other: what importing costs, and what the plugin costs a suite."""

import os
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


def imports(turns=21):
    """Milliseconds above nothing that importing takes: wrapt, the package, and the package with its verbs.

    Of the least of many turns: a whole process meets every disturbance there is, and each of them makes it longer.
    """
    codes = ("pass", "import wrapt", "import sideeffects", "from sideeffects import side_effect")
    runs = {code: [] for code in codes}
    for turn in range(turns + 1):
        for code, taken in runs.items():
            value = seconds(["-c", code]) * 1000
            if turn:  # the first one writes byte code
                taken.append(value)
    nothing, *others = map(min, runs.values())
    return [taken - nothing for taken in others]


def imported():
    """Whether importing all names of the package imports one of the unwanted modules."""
    code = f"import sys; from sideeffects import *; sys.exit(any(name in sys.modules for name in {UNWANTED}))"
    try:
        seconds(["-c", code])
    except RuntimeError:
        return True
    return False


def plugin(folder, turns=15):
    """Processor time of suites of trivial tests, in ms, by what is there beside pytest and by the number of tests.

    Against pytest alone: other plugins make more of what an audit hook is told of (`guards.py` has pytest-django).
    "wrapt": not the plugin, but the largest of what it imports. A larger heap makes every garbage collection longer.

    The least of many turns, as for `imports`.
    """
    folder = Path(folder)
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (folder / "imports_wrapt.py").write_text("import wrapt\n", encoding="utf-8")
    for tests in (1, TESTS):
        source = "\n".join(f"def test_{number}():\n    assert {number} >= 0\n" for number in range(tests))
        (folder / f"test_{tests}.py").write_text(source, encoding="utf-8")
    options = {
        "the plugin": ("-p", "sideeffects"),
        "nothing": (),
        "wrapt": ("-p", "imports_wrapt"),
    }
    cases = {
        (beside, tests): ["-m", "pytest", "-q", "-p", "no:cacheprovider", f"test_{tests}.py", *more]
        for tests in (1, TESTS)
        for beside, more in options.items()
    }
    # The order of sets is luck, and the same for all.
    environment = clean_environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", PYTHONHASHSEED="0")
    taken = {case: [] for case in cases}
    for turn in range(turns + 1):
        for case, arguments in cases.items():
            value = seconds(arguments, environment, folder) * 1000
            if turn:  # the first one writes byte code
                taken[case].append(value)
    return {case: min(values) for case, values in taken.items()}
