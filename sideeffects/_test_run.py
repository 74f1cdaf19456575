"""Is this a test run? The signs, each found without importing what it belongs to."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from sideeffects import _import_hooks
from sideeffects._state import TEST_RUN_VARIABLE, state

_MANAGE_NAMES: Final = frozenset(("manage.py", "manage", "django-admin", "django-admin.py", "django-admin.exe"))
_FALSE: Final = frozenset(("", "0", "false", "no", "off"))


def signs() -> str:
    """The first sign of a test run, in words; empty when there is none."""
    if os.environ.get(TEST_RUN_VARIABLE, "").lower() not in _FALSE:
        return f"{TEST_RUN_VARIABLE} is set in the environment"
    if "PYTEST_VERSION" in os.environ:
        return "pytest runs (PYTEST_VERSION is set in the environment)"
    if "sideeffects.pytest_plugin" in sys.modules:
        return "pytest runs (the sideeffects plugin is imported)"
    if _is_django_environment_up():
        return "Django's test environment is set up"
    if _main_is_unittest() or _is_running(_test_program_start()):
        return "the main program is unittest"
    if _is_manage_test():
        return "the command is manage.py test"
    return ""


def _is_django_environment_up() -> bool:
    utils = sys.modules.get("django.test.utils")
    return hasattr(getattr(utils, "_TestState", None), "saved_data")


def _main_is_unittest() -> bool:
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return spec is not None and spec.name in ("unittest.__main__", "unittest")


def _test_program_start() -> Any:
    return getattr(getattr(sys.modules.get("unittest.main"), "TestProgram", None), "__init__", None)


def _is_manage_test() -> bool:
    argv = getattr(sys, "argv", None) or [""]
    if argv[1:2] != ["test"]:
        return False
    return os.path.basename(argv[0]) in _MANAGE_NAMES or _is_django_main() or _in_execute_from_command_line()


def _is_django_main() -> bool:
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return spec is not None and spec.name in ("django.__main__", "django")


def _in_execute_from_command_line() -> bool:
    """Projects rename `manage.py`: then the running `ManagementUtility.execute` gives it away."""
    management = sys.modules.get("django.core.management")
    return _is_running(getattr(getattr(management, "ManagementUtility", None), "execute", None))


def _is_running(function: Any) -> bool:
    code = getattr(function, "__code__", None)
    frame: FrameType | None = sys._getframe()
    while code is not None and frame is not None:
        if frame.f_code is code:
            return True
        frame = frame.f_back
    return False


def install() -> None:
    """Look once, and hook into what begins a test run later on."""
    state.test_run_signs = signs
    state.in_test_run()
    _import_hooks.after_import("django.test.utils", _hook_django)
    _import_hooks.after_import("unittest.main", _hook_unittest)
    _import_hooks.after_import("_pytest.config", _hook_pytest)
    _import_hooks.after_import("django.core.management", _hook_management)


def _hook_django(utils: Any) -> None:
    """`setup_test_environment` latches, also for those who imported it by name before."""
    _replace_everywhere(utils, "setup_test_environment", "Django's test environment was set up")


def _hook_management(management: Any) -> None:
    """A renamed `manage.py` that imports effects before it runs its command."""
    utility = management.ManagementUtility
    original = utility.execute

    def execute(self: Any) -> Any:
        if self.argv[1:2] == ["test"]:
            state.latch("the command is manage.py test")
        return original(self)

    utility.execute = _like(original, execute)


def _hook_unittest(main: Any) -> None:
    """`python tests.py` with `unittest.main()` at its end is a test run too, although unittest is not the program."""
    original = main.TestProgram.__init__

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        state.latch("unittest.main() runs")
        original(self, *args, **kwargs)

    main.TestProgram.__init__ = _like(original, __init__)


def _hook_pytest(config: Any) -> None:
    """Where pytest is imported it may start at any moment: no effect bypasses the runtime from here on."""
    with state.lock:
        state.doubts.add("pytest is imported")
        state.disturb()


def _replace_everywhere(module: Any, name: str, why: str) -> None:
    original = getattr(module, name)

    def latching(*args: Any, **kwargs: Any) -> Any:
        state.latch(why)
        return original(*args, **kwargs)

    replacement = _like(original, latching)
    setattr(module, name, replacement)
    for holder, attribute in _import_hooks.holders_of(original):
        setattr(holder, attribute, replacement)


def _like(original: Callable[..., Any], replacement: Callable[..., Any]) -> Callable[..., Any]:
    import functools

    return functools.wraps(original)(replacement)
