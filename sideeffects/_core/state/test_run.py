"""Is this a test run? What tells it, found without importing what it belongs to.

Three kinds of signs. What can be looked up at any moment (the environment, the program that runs, Django's test
environment) is looked up at each decision: `signs`. What is running already when this package is imported is found on
the stacks of the threads, once. What begins later latches as it begins, by hooks on the few functions that every run of
that kind goes through; this also turns the fast switches back on, in a process that was in production until then.

Not a sign: `unittest`, `pytest` or `django.test` being imported, test cases and suites that some other code runs into a
result of its own (probes do so on live systems).
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from sideeffects._core.state import environment, import_hooks
from sideeffects._core.state.latch import TEST_RUN_VARIABLE
from sideeffects._core.state.state import state

_FALSE: Final = frozenset(("", "0", "false", "no", "off"))
_test_run_variable: Final = environment.reader(TEST_RUN_VARIABLE)
_pytest_version: Final = environment.reader("PYTEST_VERSION")

#: Variables on which a decision may depend: writing one is noticed at once.
_VARIABLES: Final = frozenset((TEST_RUN_VARIABLE, "PYTEST_VERSION", "DJANGO_SETTINGS_MODULE"))

#: `testserver` is a server on a test database full of fixtures: nothing in it is meant to reach the world.
_TEST_COMMANDS: Final = frozenset(("test", "testserver"))
_MANAGE_NAMES: Final = frozenset(("manage", "django-admin"))

#: Modules that `python -m` runs in order to run tests.
_UNITTEST_PROGRAMS: Final = frozenset(("unittest", "unittest.__main__"))
_RUNNER_PROGRAMS: Final = frozenset(("pytest", "pytest.__main__", "doctest", "testtools.run"))
_RUNNER_SCRIPTS: Final = frozenset(("pytest", "py.test"))

#: The folder of the scripts by which VS Code lists and runs the tests of unittest.
_VS_CODE: Final = "unittestadapter"

#: Modules of other test runners that nothing but their own command imports.
_RUNNER_MODULES: Final = {
    "behave.runner": "behave",
    "green.cmdline": "green",
    "stestr.subunit_runner.program": "stestr",
    "testtools.run": "testtools.run",
    "twisted.scripts.trial": "trial",
    "ward._run": "ward",
    "zope.testrunner.runner": "zope.testrunner",
}

_BY_UNITTEST: Final = "unittest.main() runs"
_BY_DJANGO: Final = "Django's test environment was set up"
_BY_RUNNER: Final = "a unittest.TextTestRunner runs"
_BY_PYTEST: Final = "pytest runs"
_BY_DOCTEST: Final = "doctest runs"


def install() -> None:
    """Look, and hook into what begins a test run later on."""
    state.test_run.signs = signs
    if state.test_run.is_on():
        return
    why = _running()
    if why:
        state.test_run.latch(why)
        return
    _after(type(os.environ), "__setitem__", _variable_was_set)
    import_hooks.after_import("django.test.utils", _hook_django)
    import_hooks.after_import("django.core.management", _hook_management)
    import_hooks.after_import("django.core.management.base", _hook_commands)
    import_hooks.after_import("unittest.main", _hook_unittest)
    import_hooks.after_import("unittest.runner", _hook_text_runner)
    import_hooks.after_import("doctest", _hook_doctest)
    import_hooks.after_import("_pytest.config", _hook_pytest)
    for module, name in _RUNNER_MODULES.items():
        import_hooks.after_import(module, functools.partial(_latch_on_import, f"{name} runs"))


# -- what can be looked up at any moment


def signs() -> str:
    """The first sign of a test run, in words; empty when there is none."""
    if (_test_run_variable() or "").lower() not in _FALSE:
        return f"{TEST_RUN_VARIABLE} is set in the environment"
    if _pytest_version() is not None:
        return "pytest runs (PYTEST_VERSION is set in the environment)"
    if _is_django_environment_up():
        return "Django's test environment is set up"
    argv = getattr(sys, "argv", None) or [""]
    return _sign_in_program(_main_module(argv), argv[0], argv[1] if len(argv) > 1 else "")


def _is_django_environment_up() -> bool:
    utils = sys.modules.get("django.test.utils")
    return hasattr(getattr(utils, "_TestState", None), "saved_data")


@functools.lru_cache(maxsize=16)
def _sign_in_program(module: str, program: str, command: str) -> str:
    """What tells a test run in the program: its module (`python -m`), its path (argv[0]) and its first argument."""
    folder, script = os.path.split(program)
    script = script.removesuffix(".exe")
    # `python -m unittest` puts it so into argv[0], which children made by multiprocessing inherit.
    is_unittest = module in _UNITTEST_PROGRAMS or program.endswith(" -m unittest")
    if is_unittest or os.path.basename(folder) == _VS_CODE:
        return "the main program is unittest"
    if module in _RUNNER_PROGRAMS or script in _RUNNER_SCRIPTS:
        return f"the main program is {module or script}"
    if command in _TEST_COMMANDS:
        stem = os.path.splitext(script)[0]
        if stem in _MANAGE_NAMES or module in _MANAGE_NAMES or module in ("django", "django.__main__"):
            return f"the command is manage.py {command}"
    return ""


def _main_module(argv: list[str]) -> str:
    """The module that `python -m` runs, empty when it runs none."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if spec is not None:
        return str(spec.name)
    # While the interpreter starts (`sitecustomize`), `__main__` is still empty and argv[0] holds the place.
    position = len(sys.orig_argv) - len(argv)
    return sys.orig_argv[position] if argv[0] == "-m" and position > 0 else ""


# -- what is running already


def _running() -> str:
    """The first run of tests on the stack of any thread, in words; empty when there is none."""
    for top in sys._current_frames().values():  # noqa: SLF001 - documented in spite of its name
        frame: FrameType | None = top
        while frame is not None:
            why = _sign_in_frame(frame)
            if why:
                return why
            frame = frame.f_back
    return ""


def _sign_in_frame(frame: FrameType) -> str:
    function = frame.f_code.co_name
    if function == "<module>":
        return ""
    module = str(frame.f_globals.get("__name__", ""))
    if module.startswith("_pytest."):
        return _BY_PYTEST
    if module == "unittest.main":
        return _BY_UNITTEST
    owner: object = frame.f_locals.get("self") if function in _ENTRANCES else None
    if module == "unittest.runner" and function == "run" and _is_for_tests(owner):
        return _BY_RUNNER
    if module == "doctest" and function == "run":
        return _BY_DOCTEST
    return _sign_in_management(owner)


_ENTRANCES: Final = frozenset(("run", "execute", "handle", "run_from_argv"))


def _sign_in_management(owner: object) -> str:
    """Projects rename `manage.py`, and scripts call commands: what executes them gives it away."""
    management = sys.modules.get("django.core.management")
    utility = getattr(management, "ManagementUtility", None)
    if utility is not None and isinstance(owner, utility):
        return _sign_in_command_line(getattr(owner, "argv", None))
    command = getattr(management, "BaseCommand", None)
    if command is not None and isinstance(owner, command):
        return _sign_in_command(owner)
    return ""


def _sign_in_command_line(argv: Any) -> str:
    command = (argv or sys.argv)[1:2]
    return f"the command is manage.py {command[0]}" if command and command[0] in _TEST_COMMANDS else ""


def _sign_in_command(command: object) -> str:
    """Commands are told by the module of their class; who extends `test` has its class among the ancestors."""
    for kind in type(command).__mro__:
        package, _, name = kind.__module__.rpartition(".")
        if name in _TEST_COMMANDS and package.endswith(".management.commands"):
            return f"the command {name} runs"
    return ""


def _is_for_tests(runner: object) -> bool:
    """A runner of smoke tests for live systems says `side_effects_test_run = False` in its class."""
    return bool(getattr(runner, "side_effects_test_run", True))


# -- what begins later


def _variable_was_set(_: Any, name: Any, __: Any) -> None:
    if name in _VARIABLES:
        state.switches.disturb()
        state.test_run.is_on()


def _hook_django(utils: Any) -> None:
    """`setup_test_environment` latches; also for those who hold it from before, by the state that it writes."""
    _before(utils, "setup_test_environment", lambda *_, **__: _BY_DJANGO)
    held = getattr(utils, "_TestState", None)
    if held is not None:
        body = {name: value for name, value in vars(held).items() if name not in ("__dict__", "__weakref__")}
        utils._TestState = _LatchingState(held.__name__, (), body)  # noqa: SLF001 - no public name tells as much


class _LatchingState(type):
    """The type of Django's record of a test environment: filling it latches."""

    def __setattr__(cls, name: str, value: Any) -> None:
        state.test_run.latch(_BY_DJANGO)
        super().__setattr__(name, value)


def _hook_management(management: Any) -> None:
    _before(management.ManagementUtility, "__init__", lambda _, /, argv=None: _sign_in_command_line(argv))


def _hook_commands(base: Any) -> None:
    _before(base.BaseCommand, "execute", lambda command, /, *_, **__: _sign_in_command(command))


def _hook_unittest(main: Any) -> None:
    """`python tests.py` with `unittest.main()` at its end is a test run too, although unittest is not the program."""
    for name in ("__init__", "runTests"):  # a subclass may leave out either
        _before(main.TestProgram, name, lambda *_, **__: _BY_UNITTEST)


def _hook_text_runner(module: Any) -> None:
    """Editors and home-made scripts use the runner of unittest without its program."""
    _before(module.TextTestRunner, "run", lambda runner, /, *_, **__: _BY_RUNNER if _is_for_tests(runner) else "")


def _hook_doctest(doctest: Any) -> None:
    _before(doctest.DocTestRunner, "run", lambda *_, **__: _BY_DOCTEST)


def _hook_pytest(config: Any) -> None:
    """Where pytest is imported it may start at any moment: no effect bypasses the runtime from here on."""
    state.switches.keep_on(_hook_pytest)  # for good: this function stays
    _before(config.Config, "__init__", lambda *_, **__: _BY_PYTEST)


def _latch_on_import(why: str, _: object) -> None:
    state.test_run.latch(why)


def _before(owner: Any, name: str, sign: Callable[..., str]) -> None:
    """Before each call of `owner.name`: latch if `sign`, given the call's arguments, has a reason."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def latching(*args: Any, **kwargs: Any) -> Any:
        why = sign(*args, **kwargs)
        if why:
            state.test_run.latch(why)
        return original(*args, **kwargs)

    setattr(owner, name, latching)


def _after(owner: Any, name: str, look: Callable[..., object]) -> None:
    """Let `look` see the arguments of each call of `owner.name` once it has run."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def followed(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        look(*args, **kwargs)
        return result

    setattr(owner, name, followed)
