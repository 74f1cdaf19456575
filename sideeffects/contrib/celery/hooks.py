"""Effects that are Celery tasks: every way into the task goes through the decision.

There are two points that all ways lead through, however the task is reached (its own methods, signatures and canvases,
`app.tasks[...]`, another app's copy of a shared task, beat, a name):

- `run`, the innermost callable, is the effect: direct calls, `.apply`, eager mode and workers execute it;
- `Celery.send_task` publishes: there the call is decided, in the process that makes it, and what is not to execute is
  not published.

They are patched in the classes, once Celery is imported; this module never imports it by itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

from sideeffects._core.state import import_hooks
from sideeffects._core.verbs.decorator import adapt
from sideeffects.contrib.celery.held_back import holding_back
from sideeffects.contrib.celery.messages import arrive, depart, obeying_besides
from sideeffects.contrib.celery.publishing import deciding
from sideeffects.contrib.celery.tasks import declare_task, effect_below, keep_around, stand_in
from sideeffects.contrib.task_effects import EffectOfTask

#: What Celery's decorators make, by the names of its types.
_TYPES: Final = ("celery.app.task.Task", "celery.local.Proxy")


def install() -> None:
    """Hook into Celery, as soon as it is imported."""
    for kind in _TYPES:
        adapt(kind, declare_task)
    import_hooks.after_import("celery.app.task", _hook_task)
    import_hooks.after_import("celery.app.base", _hook_app)
    import_hooks.after_import("celery.canvas", _hook_canvas)
    import_hooks.after_import("celery.signals", _hook_signals)


def _hook_task(module: Any) -> None:
    if not _is_hooked(module.Task):
        module.Task.effect = EffectOfTask(effect_below)
        module.Task.add_around = classmethod(keep_around(module.Task.add_around.__func__))


def _hook_app(module: Any) -> None:
    app = module.Celery
    if not _is_hooked(app):
        app.send_task = deciding(app.send_task)
        app._task_from_fun = _standing_in(app._task_from_fun)  # noqa: SLF001 - what all of its decorators call
    from sideeffects.engines import celery

    celery.register()


def _hook_canvas(module: Any) -> None:
    for name in ("_chain", "group", "_chord"):
        canvas = getattr(module, name)
        if not _is_hooked(canvas):
            canvas.apply_async = holding_back(canvas.apply_async)


def _hook_signals(module: Any) -> None:
    # Signals, since a worker may have taken hold of everything else before this package is imported.
    module.task_prerun.connect(arrive, weak=False, dispatch_uid="sideeffects")
    module.task_postrun.connect(depart, weak=False, dispatch_uid="sideeffects")
    _place(module.task_prerun, arrive, is_last=False)
    _place(module.task_postrun, depart, is_last=True)
    module.task_received.send = obeying_besides(module.task_received.send)


def _place(signal: Any, ours: Callable[..., Any], *, is_last: bool) -> None:
    """Let our receiver come before or after all others, whenever these were connected."""
    live_receivers = signal._live_receivers  # noqa: SLF001 - what sends it asks this
    signal._live_receivers = lambda sender: sorted(  # noqa: SLF001 - as above
        live_receivers(sender), key=lambda one: (one is ours) is is_last
    )


def _is_hooked(kind: Any) -> bool:
    """Whether that was done before: a module may be imported more than once, and keep the class. Notes it."""
    if "_side_effects_hooked" in vars(kind):
        return True
    kind._side_effects_hooked = True  # noqa: SLF001 - ours
    return False


def _standing_in(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def task_from_fun(self: Any, fun: Any, *args: Any, **options: Any) -> Any:
        return original(self, stand_in(fun), *args, **options)

    return task_from_fun
