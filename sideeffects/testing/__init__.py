"""For tests: the unittest mixin, the isolated registry; loaded when used: races, fault sweeps and the guard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sideeffects._core.calls.registry import isolated_registry
from sideeffects.testing.mixin import SideEffectsMixin

if TYPE_CHECKING:
    from sideeffects.errors import EffectInTransaction, SideEffectFault, UndeclaredSideEffect
    from sideeffects.guard.block import guard
    from sideeffects.testing.faults import (
        CellResult,
        FaultReport,
        FaultSweepError,
        FaultSweepFailed,
        NotRepeatable,
        ScenarioFails,
        UnknownFaultCell,
        current_fault,
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
    "EffectInTransaction",
    "FaultReport",
    "FaultSweepError",
    "FaultSweepFailed",
    "NotRepeatable",
    "Race",
    "RaceError",
    "RaceResult",
    "ScenarioFails",
    "SideEffectFault",
    "SideEffectsMixin",
    "TerminatedProcessError",
    "UndeclaredSideEffect",
    "UnknownFaultCell",
    "WrappedError",
    "call_concurrently",
    "current_fault",
    "fault_sweep",
    "guard",
    "isolated_registry",
    "make_concurrent_calls",
    "override_environment",
]

#: Where each name lives; all that is neither here nor there is of `races`.
_ELSEWHERE = {
    "EffectInTransaction": "sideeffects.errors",
    "SideEffectFault": "sideeffects.errors",
    "UndeclaredSideEffect": "sideeffects.errors",
    "guard": "sideeffects.guard.block",
    "CellResult": "sideeffects.testing.faults",
    "FaultReport": "sideeffects.testing.faults",
    "FaultSweepError": "sideeffects.testing.faults",
    "FaultSweepFailed": "sideeffects.testing.faults",
    "NotRepeatable": "sideeffects.testing.faults",
    "ScenarioFails": "sideeffects.testing.faults",
    "UnknownFaultCell": "sideeffects.testing.faults",
    "current_fault": "sideeffects.testing.faults",
    "fault_sweep": "sideeffects.testing.faults",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_ELSEWHERE.get(name, "sideeffects.testing.races")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
