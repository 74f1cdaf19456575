"""Asking a test of unittest, at its end, whether it has noticed what was refused to it: no mixin is needed for that."""

from __future__ import annotations

from typing import Final

from sideeffects.guard import hook, sites

#: unittest leaves the frames of such modules out of its tracebacks.
__unittest = True

_ASKED: Final = "_side_effects_is_asked"


def ask_running_test() -> None:
    """Something is about to be refused: have the test that runs, if one does, asked at its end."""
    case = sites.running_case()
    if case is None or getattr(case, _ASKED, False):
        return
    setattr(case, _ASKED, True)
    hook.refusals.clear()

    def ask() -> None:
        from sideeffects.testing import _watch  # when something was refused

        delattr(case, _ASKED)
        complaint = _watch.unnoticed(lambda: _watch.files_of_class(type(case)))
        if complaint:
            raise case.failureException(complaint)

    case.addCleanup(ask)
