"""Code that reaches the outside world, made safe by default.

Declare each dangerous function once with `@side_effect` and go on calling it normally. In a test run nothing executes
unless a test names it; in production everything does, unless a policy says otherwise.
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING, Any as _Any

from sideeffects._core.state import extension_points, import_hooks, test_run

if _TYPE_CHECKING:
    from sideeffects._core.calls.call import Call as Call
    from sideeffects._core.calls.decision import Decision as Decision, Mode as Mode
    from sideeffects._core.calls.effect import SideEffect as SideEffect
    from sideeffects._core.calls.registry import registry as registry
    from sideeffects._core.policy.budget import budget as budget
    from sideeffects._core.policy.redirect import redirect as redirect
    from sideeffects._core.records.reading import Calls as Calls
    from sideeffects._core.verbs.capture import capture as capture, observe as observe
    from sideeffects._core.verbs.current import current_call as current_call
    from sideeffects._core.verbs.declare import declare as declare
    from sideeffects._core.verbs.decorator import side_effect as side_effect
    from sideeffects._core.verbs.explain import explain as explain
    from sideeffects._core.verbs.overrides import (
        forbid as forbid,
        force_run as force_run,
        hold as hold,
        record as record,
        stub as stub,
    )
    from sideeffects.dryrun import dry_run as dry_run
    from sideeffects.errors import (
        AsyncNotAllowed as AsyncNotAllowed,
        DuplicateSideEffect as DuplicateSideEffect,
        PlanChanged as PlanChanged,
        SideEffectBlocked as SideEffectBlocked,
        SideEffectError as SideEffectError,
        StubExhausted as StubExhausted,
        StubMismatch as StubMismatch,
        UnknownSideEffect as UnknownSideEffect,
    )
    from sideeffects.runs.run_list import run_side_effects as run_side_effects

#: Where each name lives. A process that only has the package installed, a suite without effects say, imports no verb.
_HOMES = {
    "_core.calls.call": ("Call",),
    "_core.calls.decision": ("Decision", "Mode"),
    "_core.calls.effect": ("SideEffect",),
    "_core.policy.budget": ("budget",),
    "_core.policy.redirect": ("redirect",),
    "_core.verbs.capture": ("capture", "observe"),
    "_core.verbs.current": ("current_call",),
    "_core.verbs.declare": ("declare",),
    "_core.verbs.decorator": ("side_effect",),
    "_core.verbs.explain": ("explain",),
    "_core.verbs.overrides": ("forbid", "force_run", "hold", "record", "stub"),
    "_core.records.reading": ("Calls",),
    "_core.calls.registry": ("registry",),
    "dryrun": ("dry_run",),
    "errors": (
        "AsyncNotAllowed",
        "DuplicateSideEffect",
        "PlanChanged",
        "SideEffectBlocked",
        "SideEffectError",
        "StubExhausted",
        "StubMismatch",
        "UnknownSideEffect",
    ),
    "runs.run_list": ("run_side_effects",),
}
_MODULES = {name: f"{__name__}.{module}" for module, names in _HOMES.items() for name in names}
_NAMES = sorted(_MODULES)
__all__ = list(_NAMES)  # pyright: ignore[reportUnsupportedDunderAll] - they read the block above


def __getattr__(name: str) -> _Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _wire(_: object) -> None:
    # What it imports comes here as well, while it is being imported.
    from importlib import import_module

    import_module("sideeffects.project.wiring")


def _watch() -> None:
    # Under pytest the plugin does it, when the tests are about to be collected; in what its tests start, this does.
    from importlib import import_module
    from os import environ
    from sys import modules

    import_module("sideeffects.database.atomic").install()
    if "SIDE_EFFECTS_GUARD" in environ:
        import_module("sideeffects.guard.children").join()
    elif "_pytest.config" not in modules:
        import_module("sideeffects.guard.without_pytest").begin(lambda: "sideeffects.project.wiring" in modules)
    if "_pytest.config" not in modules:
        hooks = "sideeffects.testing.unittest_hooks"
        import_hooks.after_import("unittest.result", lambda module: import_module(hooks).follow_results(module))
        import_hooks.after_import("unittest.runner", lambda module: import_module(hooks).follow_runners(module))
        lifetimes = "sideeffects.testing.unittest_lifetimes"
        import_hooks.after_import("unittest.case", lambda module: import_module(lifetimes).follow_cases(module))
        import_hooks.after_import("unittest.suite", lambda module: import_module(lifetimes).follow_suites(module))


# Whether this is a test run is known from here on, whatever is imported next. The rest is plugged in before the first
# effect can be declared, as soon as there is a Django whose settings may declare one, and before a task can be
# published by its name to a worker that knows the effect.
extension_points.test_run_began.add(_watch)
test_run.install()
for _module in ("sideeffects._core.verbs.decorator", "django.conf", "celery"):
    import_hooks.after_import(_module, _wire)
del _module
