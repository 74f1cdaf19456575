"""Effects that are Django tasks: every way into the task goes through the decision.

Django 6 has tasks built in (`django.tasks`); on Django 5.2 they come from the package `django-tasks`. Both are hooked
into alike, as soon as they are imported; this module imports neither.

- A task's `func` is the effect, with a wrapper around it that takes off what travels: direct calls, `.call`, `.acall`,
  backends that run tasks on the spot, and workers execute it. Copies made by `.using()` have it too.
- `enqueue` and `aenqueue` of a backend publish, however the task came there: there the call is decided, in the process
  that makes it, and what is not to execute is not published.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from sideeffects._core.state import import_hooks
from sideeffects._core.verbs.decorator import adapt
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


def _hook_task(module: Any) -> None:
    from sideeffects.contrib.django_tasks import messages

    module.Task.effect = EffectOfTask(effect_below)
    if not isinstance(vars(module.Task)["func"], TaskFunction):
        module.Task.func = TaskFunction(vars(module.Task)["func"], messages.run, standing_in)
    _hook(module.Task, {"call": messages.obeying, "acall": messages.obeying_async})


def _hook_backend(module: Any) -> None:
    from sideeffects.contrib.django_tasks import publishing

    _hook(module.BaseTaskBackend, {"enqueue": publishing.deciding, "aenqueue": publishing.deciding_async})


def _hook(base: Any, wrappers: dict[str, Callable[[Any], Any]]) -> None:
    """Put a wrapper around these methods of a class, of those made from it so far, and of those made later."""

    def wrap_own(kind: Any) -> None:
        for name, wrapper in wrappers.items():
            method = inspect.getattr_static(kind, name)  # its own, or that of a class beside the base
            if getattr(method, "_side_effects_wrapper", None) is not method:  # `functools.wraps` copies the mark
                wrapped = wrapper(method)
                wrapped._side_effects_wrapper = wrapped  # noqa: SLF001 - ours
                setattr(kind, name, wrapped)

    def wrap_all(kind: Any) -> None:
        wrap_own(kind)
        for made in type.__subclasses__(kind):
            wrap_all(made)

    wrap_all(base)

    def init_subclass(cls: type[Any], /, **options: Any) -> None:
        super(base, cls).__init_subclass__(**options)
        wrap_own(cls)

    base.__init_subclass__ = classmethod(init_subclass)
