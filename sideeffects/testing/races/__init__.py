"""Races: calling Django code concurrently, in real processes, from a test."""

from __future__ import annotations

from sideeffects.errors import RaceError
from sideeffects.testing.races.errors import CannotTravel, TerminatedProcessError, WrappedError
from sideeffects.testing.races.options import default_timeout, override_environment
from sideeffects.testing.races.race import Race, call_concurrently, make_concurrent_calls
from sideeffects.testing.races.result import RaceResult

#: The default timeout as the environment has it now, in seconds.
SUBPROCESS_TIMEOUT: float

__all__ = [
    "SUBPROCESS_TIMEOUT",
    "CannotTravel",
    "Race",
    "RaceError",
    "RaceResult",
    "TerminatedProcessError",
    "WrappedError",
    "call_concurrently",
    "make_concurrent_calls",
    "override_environment",
]


def __getattr__(name: str) -> float:
    if name == "SUBPROCESS_TIMEOUT":  # as django-concurrent-test-helper calls it
        return default_timeout()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
