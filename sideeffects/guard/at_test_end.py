"""Asking a test of unittest, at its end, whether it has noticed what was refused to it: no mixin is needed for that."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from sideeffects.errors import UndeclaredSideEffect
from sideeffects.guard import call_sites, hook

#: unittest leaves the frames of such modules out of its tracebacks.
__unittest = True

_ASKED: Final = "_side_effects_refusals"
#: Refusals that one test is asked about.
_MOST: Final = 1000
#: Findings that one message lists.
MOST_SHOWN: Final = 20


def ask_running_test(refusal: UndeclaredSideEffect) -> None:
    """Have the test that runs, or the class that is set up for its tests, asked at its end whether it has noticed."""
    case = call_sites.running_case()
    if case is not None:
        _ask_at_end(refusal, case, type(case), case.addCleanup)
        return
    kind = call_sites.class_around()
    if kind is not None:
        _ask_at_end(refusal, kind, kind, kind.addClassCleanup)


def _ask_at_end(
    refusal: UndeclaredSideEffect, owner: Any, kind: type, add_cleanup: Callable[[Callable[[], None]], object]
) -> None:
    known: list[UndeclaredSideEffect] | None = vars(owner).get(_ASKED)
    if known is not None:
        if len(known) < _MOST:
            known.append(refusal)
        return
    refusals = [refusal]
    setattr(owner, _ASKED, refusals)

    def ask() -> None:
        delattr(owner, _ASKED)
        for other in refusals:
            with contextlib.suppress(ValueError):
                hook.refusals.remove(other)  # so that the mixin, which comes after this, does not ask again
        complaint = unnoticed(refusals, lambda: files_of_class(kind))
        if complaint:
            raise AssertionError(complaint)

    add_cleanup(ask)


def unnoticed(refusals: Sequence[UndeclaredSideEffect], files: Callable[[], Collection[str]]) -> str:
    """What the guard has refused without the test's noticing it, in words."""
    if not refusals:
        return ""
    own = files()
    unseen = [refusal for refusal in refusals if not passed(refusal, own)]
    if not unseen:
        return ""
    what = "an undeclared outside call was" if len(unseen) == 1 else f"{len(unseen)} undeclared outside calls were"
    shown = [f"  {number}. {line}" for number, line in enumerate(map(str, unseen[:MOST_SHOWN]), 1)]
    return "\n".join(
        [f"{what} refused, and the test did not notice: the exception was swallowed on the way to it.", *shown]
    )


def passed(error: BaseException, files: Collection[str]) -> bool:
    """Whether an exception went through a frame of the test's own."""
    step = error.__traceback__
    if step is None:
        # unittest's assertRaises takes it away. `except` leaves it.
        return True
    while step is not None:
        file = step.tb_frame.f_code.co_filename
        if file in files or file.startswith("<doctest ") or os.path.basename(file) == "conftest.py":
            return True
        step = step.tb_next
    return False


#: Where the classes of the test frameworks live: theirs are not the test's own frames.
_FRAMEWORKS: Final = frozenset(("builtins", "django", "sideeffects", "unittest"))


def files_of_class(kind: type) -> set[str]:
    """The source files of a test class and of those that it inherits from, frameworks aside."""
    files: set[str] = set()
    for base in kind.__mro__:
        if base.__module__.partition(".")[0] not in _FRAMEWORKS:
            file = getattr(sys.modules.get(base.__module__), "__file__", None)
            if file:
                files.add(file)
    return files
