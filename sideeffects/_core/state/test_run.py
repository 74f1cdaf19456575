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

from sideeffects._core.state import import_hooks
from sideeffects._core.state.latch import TEST_RUN_VARIABLE
from sideeffects._core.state.state import state

_FALSE: Final = frozenset(("", "0", "false", "no", "off"))

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
_BY_DISCOVER_RUNNER: Final = "a DiscoverRunner of Django runs"
_BY_PYTEST: Final = "pytest runs"
_BY_DOCTEST: Final = "doctest runs"


def install() -> None:
    """Look, and hook into what begins a test run later on."""
    state.test_run.signs = signs
    _after(type(os.environ), "__setitem__", _variable_was_set)
    if state.test_run.is_on():
        return
    why = _running()
    if why:
        state.test_run.latch(why)
        return
    import_hooks.after_import("django.test.utils", _hook_django)
    import_hooks.after_import("django.apps.registry", _hook_apps)
    import_hooks.after_import("django.core.management", _hook_management)
    import_hooks.after_import("django.core.management.base", _hook_commands)
    import_hooks.after_import("_pytest.config", _hook_pytest)
    for runner in _RUNNERS:
        import_hooks.after_import(runner.module, runner.hook)
    for module, name in _RUNNER_MODULES.items():
        import_hooks.after_import(module, functools.partial(_latch_on_import, f"{name} runs"))


# -- what can be looked up at any moment


def signs() -> str:
    """The first sign of a test run, in words; empty when there is none."""
    if os.environ.get(TEST_RUN_VARIABLE, "").lower() not in _FALSE:
        return f"{TEST_RUN_VARIABLE} is set in the environment"
    if "PYTEST_VERSION" in os.environ:
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
    if command in _TEST_COMMANDS and _is_manage(module, script):
        return f"the command is manage.py {command}"
    return ""


def _is_manage(module: str, script: str) -> bool:
    stem = os.path.splitext(script)[0]
    return stem in _MANAGE_NAMES or module in _MANAGE_NAMES or module in ("django", "django.__main__")


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
    code = frame.f_code
    if code.co_name == "<module>":
        return ""
    if str(frame.f_globals.get("__name__", "")).startswith("_pytest."):
        return _BY_PYTEST
    # Ask for its type alone: `isinstance` asks the object too, and Django's settings would be imported by that.
    owner: object = frame.f_locals.get("self") if code.co_varnames[:1] == ("self",) else None
    for runner in _RUNNERS:
        if runner.is_kind_of(owner):
            return runner.sign(owner)
    return _sign_in_management(owner)


def _sign_in_management(owner: object) -> str:
    """Projects rename `manage.py`, and scripts call commands: what executes them gives it away."""
    management = sys.modules.get("django.core.management")
    utility = getattr(management, "ManagementUtility", None)
    if utility is not None and issubclass(type(owner), utility):
        return _sign_in_command_line(getattr(owner, "argv", None))
    command = getattr(management, "BaseCommand", None)
    if command is not None and issubclass(type(owner), command):
        return _sign_in_command(owner)
    return ""


def _sign_in_command_line(argv: Any) -> str:
    command = "".join((argv or sys.argv)[1:2])
    if command in _TEST_COMMANDS:
        return f"the command is manage.py {command}"
    settings = getattr(sys.modules.get("django.conf"), "settings", None)
    # Before they are read nobody knows the apps; `_hook_apps` asks again.
    if settings is None or not settings.configured:
        return ""
    from sideeffects._core.state.test_commands import extends_test  # where commands run

    if extends_test(command, settings.INSTALLED_APPS):
        return f"the command is manage.py {command}, which extends test"
    return ""


def _sign_in_command(command: object) -> str:
    """A command is recognised by the module of its class, or of a class that it inherits from."""
    from sideeffects._core.state.test_commands import is_test_command  # as above

    for kind in type(command).__mro__:
        if is_test_command(kind.__module__):
            return f"the command {kind.__module__.rpartition('.')[2]} runs"
    return ""


class _Runner:
    """A class whose objects run tests.

    It is noticed when one is made, since a subclass may override everything else, and when one that was made before
    this package was imported begins. One of smoke tests for live systems says `side_effects_test_run = False`.
    """

    def __init__(self, module: str, name: str, entrances: tuple[str, ...], why: str) -> None:
        self.module = module
        self.entrances = entrances
        self._name = name
        self._why = why

    def is_kind_of(self, owner: object) -> bool:
        kind = getattr(sys.modules.get(self.module), self._name, None)
        return kind is not None and issubclass(type(owner), kind)

    def sign(self, runner: object, *_: Any, **__: Any) -> str:
        return self._why if getattr(runner, "side_effects_test_run", True) else ""

    def hook(self, module: Any) -> None:
        kind = getattr(module, self._name)
        _before_making(kind, self.sign)
        for name in self.entrances:
            _before(kind, name, self.sign)


_RUNNERS: Final = (
    _Runner("unittest.main", "TestProgram", ("__init__", "runTests"), _BY_UNITTEST),
    _Runner("unittest.runner", "TextTestRunner", ("run",), _BY_RUNNER),
    _Runner("django.test.runner", "DiscoverRunner", ("run_tests",), _BY_DISCOVER_RUNNER),
    _Runner("doctest", "DocTestRunner", ("run",), _BY_DOCTEST),
)


# -- what begins later


def _variable_was_set(_: Any, name: Any, __: Any) -> None:
    if (os.fsdecode(name) if isinstance(name, bytes) else name) in _VARIABLES:  # `os.environb` has them in bytes
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


def _hook_apps(registry: Any) -> None:
    """Before apps and models are imported and `ready()` is called: by then the settings tell what a command is."""

    def sign(apps: Any, /, *_: Any, **__: Any) -> str:
        # Migrations make registries of their own.
        return _running() or _sign_in_script() if apps is registry.apps and not apps.ready else ""

    _before(registry.Apps, "populate", sign)


def _sign_in_script() -> str:
    """Some `manage.py` set Django up before they look at the command line."""
    argv = getattr(sys, "argv", None) or [""]
    return _sign_in_command_line(argv) if _is_manage(_main_module(argv), os.path.basename(argv[0])) else ""


def _hook_management(management: Any) -> None:
    utility = management.ManagementUtility
    _before_making(utility, lambda _, argv=None, *__, **___: _sign_in_command_line(argv))
    _before(utility, "execute", lambda utility, /: _sign_in_command_line(getattr(utility, "argv", None)))


def _hook_commands(base: Any) -> None:
    """Not when one is made: listing the commands with their options makes them all."""

    def follow(kind: Any) -> None:
        for name in ("execute", "run_from_argv"):
            _before(kind, name, lambda command, /, *_, **__: _sign_in_command(command))

    def init_subclass(kind: Any, /, **kwargs: Any) -> None:
        super(base.BaseCommand, kind).__init_subclass__(**kwargs)
        follow(kind)

    follow(base.BaseCommand)
    base.BaseCommand.__init_subclass__ = classmethod(init_subclass)


def _hook_pytest(config: Any) -> None:
    """Where pytest is imported it may start at any moment: no effect bypasses the runtime from here on."""
    state.switches.keep_on(_hook_pytest)  # for good: this function stays
    _before(config.Config, "__init__", lambda *_, **__: _BY_PYTEST)


def _latch_on_import(why: str, _: object) -> None:
    state.test_run.latch(why)


def _before_making(kind: Any, sign: Callable[..., str]) -> None:
    """Before an object of `kind`, or of a class that extends it, is made: latch if `sign` has a reason."""
    original = kind.__new__

    @functools.wraps(kind.__init__)
    def make(cls: Any, *args: Any, **kwargs: Any) -> Any:
        why = sign(cls, *args, **kwargs)
        if why:
            state.test_run.latch(why)
        return original(cls) if original is object.__new__ else original(cls, *args, **kwargs)

    kind.__new__ = staticmethod(make)


def _before(owner: Any, name: str, sign: Callable[..., str]) -> None:
    """Before each call of `owner.name`: latch if `sign`, given the call's arguments, has a reason.

    Of classes that extend `owner` already, what overrides it counts as well.
    """
    if isinstance(owner, type):
        kinds: list[Any] = owner.__subclasses__()
        for kind in kinds:
            _before(kind, name, sign)
        if name not in vars(owner):
            return
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
