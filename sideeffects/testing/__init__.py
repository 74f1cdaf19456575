"""For tests: the unittest mixin, the isolated registry, and races (which are loaded when one is used)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sideeffects._registry import isolated_registry
from sideeffects.testing._unittest import SideEffectsMixin

if TYPE_CHECKING:
    from sideeffects.testing.races import (
        SUBPROCESS_TIMEOUT,
        CannotTravel,
        Race,
        RaceError,
        RaceResult,
        TerminatedProcessError,
        WrappedError,
        call_concurrently,
        make_concurrent_calls,
        override_environment,
    )

__all__ = [
    "SUBPROCESS_TIMEOUT",
    "CannotTravel",
    "Race",
    "RaceError",
    "RaceResult",
    "SideEffectsMixin",
    "TerminatedProcessError",
    "WrappedError",
    "call_concurrently",
    "isolated_registry",
    "make_concurrent_calls",
    "override_environment",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sideeffects.testing import races

    return getattr(races, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
