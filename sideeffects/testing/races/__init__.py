"""Races: calling Django code concurrently, in real processes, from a test."""

from sideeffects.testing.races._environment import override_environment
from sideeffects.testing.races._errors import CannotTravel, RaceError, TerminatedProcessError, WrappedError
from sideeffects.testing.races._result import RaceResult
from sideeffects.testing.races.race import Race, call_concurrently, make_concurrent_calls

__all__ = [
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
