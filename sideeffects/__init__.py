"""Code that reaches the outside world, made safe by default.

Declare each dangerous function once with `@side_effect` and go on calling it normally. In a test run nothing executes
that no test names; in production everything does, unless a policy says otherwise.
"""

from sideeffects import _plugs, _reading, _test_run, conf
from sideeffects._calls import Call, Decision, Mode, SideEffect
from sideeffects._capturing import capture, observe
from sideeffects._declare import declare
from sideeffects._decorator import explain, side_effect
from sideeffects._overrides import forbid, force_run, record, stub
from sideeffects._reading import Calls
from sideeffects._registry import registry
from sideeffects.contrib import celery, django_tasks
from sideeffects.engines import choice
from sideeffects.errors import (
    AsyncNotAllowed,
    DuplicateSideEffect,
    SideEffectBlocked,
    SideEffectError,
    UnknownSideEffect,
)
from sideeffects.runs import run_side_effects
from sideeffects.transactions import DjangoTransactions

__all__ = [
    "AsyncNotAllowed",
    "Call",
    "Calls",
    "Decision",
    "DuplicateSideEffect",
    "Mode",
    "SideEffect",
    "SideEffectBlocked",
    "SideEffectError",
    "UnknownSideEffect",
    "capture",
    "declare",
    "explain",
    "forbid",
    "force_run",
    "observe",
    "record",
    "registry",
    "run_side_effects",
    "side_effect",
    "stub",
]


def _discover() -> list[str]:
    from sideeffects import discovery  # when a name is unknown, which most processes never see

    return discovery.notes()


_plugs.plugs.deferral = DjangoTransactions()
_plugs.plugs.engine = choice.engine
celery.install()
django_tasks.install()
_test_run.install()
conf.install()
_reading.set_discovery(_discover)
