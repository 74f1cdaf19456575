"""Asking a test of unittest, at its end, whether it has noticed what was refused to it: no mixin is needed for that."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Final

from sideeffects.errors import UndeclaredSideEffect
from sideeffects.guard import call_sites, hook

#: unittest leaves the frames of such modules out of its tracebacks.
__unittest = True

_ASKED: Final = "_side_effects_refusals"
#: Refusals that one test is asked about.
_MOST: Final = 1000


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
        from sideeffects.testing import one_test  # when something was refused

        delattr(owner, _ASKED)
        for other in refusals:
            with contextlib.suppress(ValueError):
                hook.refusals.remove(other)  # the mixin, which comes after this, need not ask again
        complaint = one_test.unnoticed(refusals, lambda: one_test.files_of_class(kind))
        if complaint:
            raise AssertionError(complaint)

    add_cleanup(ask)
