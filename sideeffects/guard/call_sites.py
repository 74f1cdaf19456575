"""Where a call came from: the first frame in the user's own code, what was called there, and the test that ran."""

from __future__ import annotations

import linecache
import os
import sys
import threading
from collections.abc import Mapping
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple

from sideeffects._core.state.user_line import place_of, places_above
from sideeffects._core.values.whose_code import INSTALLED, LIBRARY_FOLDER, OWN, absolute, kind_of

#: Lines of decorators that are looked through for what they decorate.
_DECORATORS: Final = 50


def _folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:  # somebody has removed it
        return os.sep


class Root:
    """The folder to which call sites are shown relative: that in which the run was started, for its children too."""

    def __init__(self) -> None:
        self.folder = _folder()


root: Final = Root()


class CallSite(NamedTuple):
    """A call site.

    Attributes:
        code: the function that it is in.
        line: the line.
        module: the function's module.
        inner: what was called there; `None` if that is written in C.
        inner_module: the module of that.
        is_own: whether it is in the user's own code.
    """

    code: CodeType
    line: int
    module: str
    inner: CodeType | None
    inner_module: str
    is_own: bool


def find(frame: FrameType) -> CallSite:
    """The call site above `frame`, which is that of the audit hook's caller.

    The user's own code comes first, on this stack or where this work was handed to a pool or made a task; then an
    installed package.
    """
    own, package = places_above(frame)
    return CallSite(*(own or package or place_of(frame, None)), is_own=own is not None)


def shown_path(file: str) -> str:
    """A file as it is shown: relative to the root or to the packages, if it is below."""
    path = absolute(file) if not file.startswith("<") else file
    if path.startswith(root.folder.rstrip(os.sep) + os.sep) and kind_of(file) == OWN:
        return os.path.relpath(path, root.folder).replace(os.sep, "/")
    for part in INSTALLED:
        if part in path:
            return path.rpartition(part)[2].replace(os.sep, "/")
    if path.startswith(LIBRARY_FOLDER):
        return path.removeprefix(LIBRARY_FOLDER).replace(os.sep, "/")
    return path


def called_at(site: CallSite) -> tuple[str, str]:
    """What was called at a call site, as a dotted name and as `declare` takes it; empty where it is not known."""
    if site.inner is None:
        return "", ""
    module, function = site.inner_module, site.inner.co_qualname
    if "<" in function or not module:
        return module, ""
    if function.endswith(".__init__"):
        return f"{module}.{function.removesuffix('.__init__')}", ""
    return f"{module}.{function}", f"{module}:{function}"


def line_of_def(code: CodeType) -> int:
    """The line of a function's `def`, below its decorators; where its source cannot be read, the first of them."""
    first = code.co_firstlineno
    for line in range(first, first + _DECORATORS):
        if linecache.getline(code.co_filename, line).lstrip().startswith(("def ", "async def ")):
            return line
    return first


def running_test() -> str:
    """The test that runs now: what pytest says, or the test case of unittest that stands on a stack."""
    named = os.environ.get("PYTEST_CURRENT_TEST", "")
    if named:
        return named.rpartition(" (")[0]
    case = running_case()
    identify = getattr(case, "id", None)
    return "" if identify is None else str(identify())


def running_case() -> Any:
    """The test case of unittest that stands on the stack of this thread or of the main one; `None` without any."""
    return _on_stacks("unittest.case", {"run": "self"})


def class_around() -> Any:
    """The test class that unittest sets up or tears down; `None` without any."""
    return _on_stacks(
        "unittest.suite", {"_handleClassSetUp": "currentClass", "_tearDownPreviousClass": "previousClass"}
    )


def _on_stacks(module: str, names: Mapping[str, str]) -> Any:
    """What a variable holds in the innermost frame of one of a module's functions: functions to variables."""
    frames: dict[int, FrameType] = sys._current_frames()  # noqa: SLF001 - documented in spite of its name
    for thread in (threading.get_ident(), threading.main_thread().ident):
        at = frames.get(thread or 0)
        while at is not None:
            if at.f_code.co_name in names and at.f_globals.get("__name__") == module:
                return at.f_locals.get(names[at.f_code.co_name])
            at = at.f_back
    return None
