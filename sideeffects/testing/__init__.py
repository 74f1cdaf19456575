"""For tests: the unittest mixin and the isolated registry. Races, fault sweeps and the guard load when you use them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sideeffects._core.calls.registry import isolated_registry as isolated_registry
from sideeffects.testing.mixin import SideEffectsMixin as SideEffectsMixin

if TYPE_CHECKING:
    from sideeffects.errors import (
        EffectInTransaction as EffectInTransaction,
        RaceError as RaceError,
        SideEffectFault as SideEffectFault,
        UndeclaredSideEffect as UndeclaredSideEffect,
    )
    from sideeffects.guard.block import guard as guard
    from sideeffects.testing.committing import commits as commits
    from sideeffects.testing.exploring.racer import step as step
    from sideeffects.testing.faults import (
        CellResult as CellResult,
        FaultReport as FaultReport,
        FaultSweepError as FaultSweepError,
        FaultSweepFailed as FaultSweepFailed,
        NotRepeatable as NotRepeatable,
        ScenarioFails as ScenarioFails,
        UnknownFaultCell as UnknownFaultCell,
        current_fault as current_fault,
        fault_sweep as fault_sweep,
    )
    from sideeffects.testing.races import (
        SUBPROCESS_TIMEOUT as SUBPROCESS_TIMEOUT,
        CannotTravel as CannotTravel,
        Race as Race,
        RaceResult as RaceResult,
        TerminatedProcessError as TerminatedProcessError,
        WrappedError as WrappedError,
        call_concurrently as call_concurrently,
        make_concurrent_calls as make_concurrent_calls,
        override_environment as override_environment,
    )

#: Where each name lives that is loaded when it is used.
_HOMES = {
    "sideeffects.errors": ("EffectInTransaction", "RaceError", "SideEffectFault", "UndeclaredSideEffect"),
    "sideeffects.guard.block": ("guard",),
    "sideeffects.testing.exploring.racer": ("step",),
    "sideeffects.testing.committing": ("commits",),
    "sideeffects.testing.faults": (
        "CellResult",
        "FaultReport",
        "FaultSweepError",
        "FaultSweepFailed",
        "NotRepeatable",
        "ScenarioFails",
        "UnknownFaultCell",
        "current_fault",
        "fault_sweep",
    ),
    "sideeffects.testing.races": (
        "SUBPROCESS_TIMEOUT",
        "CannotTravel",
        "Race",
        "RaceResult",
        "TerminatedProcessError",
        "WrappedError",
        "call_concurrently",
        "make_concurrent_calls",
        "override_environment",
    ),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names}

_NAMES = sorted(
    (*_MODULES, "SideEffectsMixin", "isolated_registry"),
    key=lambda name: (not name.isupper(), name[0].islower(), name),  # constants, classes, functions
)
__all__ = list(_NAMES)  # pyright: ignore[reportUnsupportedDunderAll] - they read the block above


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
