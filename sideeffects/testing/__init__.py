"""For tests: the unittest mixin, the isolated registry, and what is loaded when it is used: races and fault sweeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sideeffects._registry import isolated_registry
from sideeffects.testing._unittest import SideEffectsMixin

if TYPE_CHECKING:
    from sideeffects.testing.faults import (
        CellResult,
        FaultReport,
        FaultSweepError,
        FaultSweepFailed,
        NotRepeatable,
        ScenarioFails,
        UnknownFaultCell,
        fault_sweep,
    )
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
    "CellResult",
    "FaultReport",
    "FaultSweepError",
    "FaultSweepFailed",
    "NotRepeatable",
    "Race",
    "RaceError",
    "RaceResult",
    "ScenarioFails",
    "SideEffectsMixin",
    "TerminatedProcessError",
    "UnknownFaultCell",
    "WrappedError",
    "call_concurrently",
    "fault_sweep",
    "isolated_registry",
    "make_concurrent_calls",
    "override_environment",
]

#: What lives in `faults`; all else that is not here does in `races`.
_FAULTS = frozenset(
    (
        "CellResult",
        "FaultReport",
        "FaultSweepError",
        "FaultSweepFailed",
        "NotRepeatable",
        "ScenarioFails",
        "UnknownFaultCell",
        "fault_sweep",
    )
)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _FAULTS:
        from sideeffects.testing import faults

        return getattr(faults, name)
    from sideeffects.testing import races

    return getattr(races, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
