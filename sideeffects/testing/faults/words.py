"""An exception as reports of fault sweeps tell of it."""

from __future__ import annotations

import traceback

from sideeffects._core.values.callers import PACKAGE_FOLDER


def words(error: BaseException) -> str:
    """What it is, its notes, and where it was raised."""
    lines = [told(error), *getattr(error, "__notes__", ())]
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(PACKAGE_FOLDER)
    ]
    if frames:
        lines.append(f"at {frames[-1].filename}:{frames[-1].lineno}")
    return "\n".join(lines)


def told(error: BaseException) -> str:
    """What it is, in a line or as many as it has itself."""
    return f"{type(error).__name__}: {error}".rstrip(": ")
