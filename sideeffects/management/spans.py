"""Spans of time as they are typed: `90s`, `30m`, `2h`, `1d`, `1h30m`."""

from __future__ import annotations

import argparse
import datetime
import re
from typing import Final

_PART: Final = re.compile(r"(\d+)([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def span(text: str) -> datetime.timedelta:
    """What was typed, as the type of an option.

    Raises:
        argparse.ArgumentTypeError: it is no span of time, or none at all.
    """
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise argparse.ArgumentTypeError(f"{text!r} is no span of time: write 45s, 30m, 2h, 1d or 1h30m")
    try:
        found = datetime.timedelta(seconds=sum(int(number) * _SECONDS[unit] for number, unit in parts))
    except (OverflowError, ValueError):
        found = datetime.timedelta.max
    if not datetime.timedelta() < found <= _LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} must be above 0 and at most a hundred years")
    return found


_LONGEST: Final = datetime.timedelta(days=36600)
