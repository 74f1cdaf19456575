"""Effects that are Django tasks: every way into the task goes through the decision.

Django 6 has tasks built in (`django.tasks`); on Django 5.2 they come from the package `django-tasks`. Both are hooked
into alike, as soon as they are imported; this module imports neither.

- A task's `func` is the effect, with a wrapper around it that takes off what travels: direct calls, `.call`, `.acall`,
  backends that run tasks on the spot, and workers execute it. Copies made by `.using()` have it too.
- `enqueue` and `aenqueue` of a backend publish, however the task came there: there the call is decided, in the process
  that makes it, and what is not to execute is not published.
"""

from __future__ import annotations

from typing import Any

from sideeffects._core.state import import_hooks
from sideeffects._core.verbs.decorator import adapt
from sideeffects.contrib.class_hooks import wrap_methods
from sideeffects.contrib.django_tasks.functions import TaskFunction
from sideeffects.contrib.django_tasks.tasks import declare_task, effect_below, standing_in
from sideeffects.contrib.task_effects import EffectOfTask
from sideeffects.engines.django_tasks import PACKAGES


def install() -> None:
    """Hook into both packages, as soon as they are imported."""
    for package in PACKAGES:
        adapt(f"{package}.base.Task", declare_task)
        import_hooks.after_import(f"{package}.base", _hook_task)
        import_hooks.after_import(f"{package}.backends.base", _hook_backend)
        import_hooks.after_import(f"{package}.signals", _hook_signals)


def _hook_task(module: Any) -> None:
    from sideeffects.contrib.django_tasks import messages

    module.Task.effect = EffectOfTask(effect_below)
    if not isinstance(vars(module.Task)["func"], TaskFunction):
        module.Task.func = TaskFunction(vars(module.Task)["func"], messages.run, standing_in)
    wrap_methods(module.Task, {"call": messages.obeying, "acall": messages.obeying_async})


def _hook_backend(module: Any) -> None:
    from sideeffects.contrib.django_tasks import publishing

    wrap_methods(module.BaseTaskBackend, {"enqueue": publishing.deciding, "aenqueue": publishing.deciding_async})


def _hook_signals(module: Any) -> None:
    from sideeffects.contrib.django_tasks import messages

    for signal in (module.task_started, module.task_finished):
        signal.send = messages.obeying_besides(signal.send)
