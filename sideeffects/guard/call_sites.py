"""Where a call came from: the first frame in the user's own code, what was called there, and the test that ran."""

from __future__ import annotations

import linecache
import os
import sys
import threading
from collections.abc import Mapping
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple

from sideeffects._core.state.work_origin import Place, lineage
from sideeffects._core.values.callers import PACKAGE_FOLDER
from sideeffects.guard import asyncio_tasks

_LIBRARY: Final = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_SCRIPTS: Final = os.path.dirname(os.path.abspath(sys.executable)) + os.sep
_INSTALLED: Final = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")

OWN: Final = 0
PACKAGE: Final = 1
LIBRARY: Final = 2
HIDDEN: Final = 3

#: Lines of decorators that are looked through for what they decorate.
_DECORATORS: Final = 50

_known: dict[str, int] = {}


def _folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:  # somebody has removed it
        return os.sep


def _absolute(file: str) -> str:
    try:
        return os.path.abspath(file)
    except FileNotFoundError:  # there is no folder that it could be relative to
        return file


class Root:
    """The folder to which call sites are shown relative: that in which the run was started, for its children too."""

    def __init__(self) -> None:
        self.folder = _folder()


root: Final = Root()


def kind_of(file: str) -> int:
    """Whose code a file is: the user's, a package's, the standard library's; or nobody's, such as our own."""
    kind = _known.get(file)
    if kind is None:
        kind = _known[file] = _kind_of(file)
    return kind


def _kind_of(file: str) -> int:
    if file.startswith("<"):
        return OWN if file in ("<stdin>", "<string>") or file.startswith("<doctest ") else HIDDEN
    path = _absolute(file)
    if path.startswith(PACKAGE_FOLDER):
        return HIDDEN
    if any(part in path for part in _INSTALLED):
        return PACKAGE
    if path.startswith(_LIBRARY):
        return LIBRARY
    return HIDDEN if path.startswith(_SCRIPTS) else OWN


def _is_own(frame: FrameType) -> bool:
    code = frame.f_code
    # What dataclasses and the like compile is in `<string>` too; a program given by `-c` is the main module.
    return kind_of(code.co_filename) == OWN and (
        code.co_filename != "<string>" or frame.f_globals.get("__name__") == "__main__"
    )


def _is_loop(frame: FrameType) -> bool:
    """Whether asyncio's loop calls from here. What runs it, further out, says less than where the task was made."""
    return frame.f_code.co_name == "_run" and frame.f_globals.get("__name__") == "asyncio.events"


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
    inner: FrameType | None = None
    package: CallSite | None = None
    at: FrameType | None = frame
    place: Place | None = None
    while at is not None and place is None:
        if _is_own(at):
            return _site(at, inner, is_own=True)
        place = asyncio_tasks.place() if _is_loop(at) else None
        kind = kind_of(at.f_code.co_filename)
        if kind != HIDDEN:
            if package is None and kind == PACKAGE:
                package = _site(at, inner, is_own=False)
            inner = at
        at = at.f_back
    place = place or lineage.get().place
    if place is not None:
        return CallSite(*place, is_own=True)
    return package or _site(frame, None, is_own=False)


def _site(frame: FrameType, inner: FrameType | None, *, is_own: bool) -> CallSite:
    return CallSite(*_place(frame, inner), is_own)


def _place(frame: FrameType, inner: FrameType | None) -> Place:
    code, module = (None, "") if inner is None else (inner.f_code, _module(inner))
    return frame.f_code, frame.f_lineno, _module(frame), code, module


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def place_here() -> Place | None:
    """The line of the user's code that is being executed, or that made this task; `None` when there is none."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - where work is handed to a pool
    inner: FrameType | None = None
    place: Place | None = None
    while frame is not None and place is None:
        if _is_own(frame):
            return _place(frame, inner)
        place = asyncio_tasks.place() if _is_loop(frame) else None
        if kind_of(frame.f_code.co_filename) != HIDDEN:
            inner = frame
        frame = frame.f_back
    return place or lineage.get().place


def shown_path(file: str) -> str:
    """A file as it is shown: relative to the root or to the packages, if it is below."""
    path = _absolute(file) if not file.startswith("<") else file
    if path.startswith(root.folder.rstrip(os.sep) + os.sep) and kind_of(file) == OWN:
        return os.path.relpath(path, root.folder).replace(os.sep, "/")
    for part in _INSTALLED:
        if part in path:
            return path.rpartition(part)[2].replace(os.sep, "/")
    if path.startswith(_LIBRARY):
        return path.removeprefix(_LIBRARY).replace(os.sep, "/")
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
