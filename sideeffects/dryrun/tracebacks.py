"""The traceback of a command that failed in a dry run, without the frames of Django and of ours."""

from __future__ import annotations

import os
import traceback
from typing import Final

from sideeffects._core.values.callers import PACKAGE_FOLDER

_DJANGO: Final = f"{os.sep}django{os.sep}"


def folded(error: BaseException) -> str:
    """What Python prints of an error, with the frames of the user's code and of other packages."""
    shown = traceback.TracebackException.from_exception(error)
    left_out = _fold(shown, set())
    text = "".join(shown.format())
    return (
        f"{text}({left_out} frames of Django and sideeffects are left out: --traceback shows them)"
        if left_out
        else text
    )


def _fold(shown: traceback.TracebackException, seen: set[int]) -> int:
    if id(shown) in seen:
        return 0
    seen.add(id(shown))
    kept = [frame for frame in shown.stack if not _is_machinery(frame.filename)]
    left_out = len(shown.stack) - len(kept)
    shown.stack[:] = kept
    others = (shown.__cause__, shown.__context__, *(shown.exceptions or ()))
    return left_out + sum(_fold(other, seen) for other in others if other is not None)


def _is_machinery(file: str) -> bool:
    return _DJANGO in file or file.startswith(PACKAGE_FOLDER)
