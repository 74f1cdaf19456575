"""Effects that are Huey tasks: every way into the task goes through the decision.

- What a task's class runs is the effect: `call_local`, immediate mode and consumers execute it.
- `Huey.enqueue` publishes, whatever came there (calls, `schedule`, `map`, groups, chords, pipelines, periodic tasks):
  there the call is decided, in the process that makes it, and what is not to execute is not published.
- `Huey.serialize_task` sees what goes past that, by a method that was taken before it was hooked.
- `Huey.execute` runs a task, in a consumer or in immediate mode.
- `Registry.create_message` and `create_task` are what a task goes through on its way: there the header gets in and out.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from sideeffects._core.verbs.decorator import adapt
from sideeffects.contrib.arriving import obeyed, obeyed_besides, running
from sideeffects.contrib.class_hooks import renew_taken, wrap_methods
from sideeffects.contrib.huey import messages, publishing
from sideeffects.contrib.huey.tasks import declare_task, effect_below
from sideeffects.contrib.task_effects import EffectOfTask
from sideeffects.engines import huey as engine


def install() -> None:
    """Hook into Huey, which has been imported."""
    adapt("huey.api.TaskWrapper", declare_task)
    api: Any = importlib.import_module("huey.api")
    registry: Any = importlib.import_module("huey.registry")
    api.TaskWrapper.effect = EffectOfTask(effect_below)
    wrap_methods(
        api.Huey,
        {
            "enqueue": publishing.deciding,
            "add_schedule": publishing.deciding,
            "serialize_task": publishing.refusing,
            "dequeue": messages.taking,
            "read_schedule": messages.taking,
            "execute": _obeying,
            "_emit": _obeying_besides,
        },
    )
    renew_taken(api.Huey, "enqueue")  # `huey.contrib.djhuey` has it
    hooks: dict[str, Callable[[Any], Any]] = {"string_to_task": _knowing_ours}
    hooks.update(create_message=messages.packing, create_task=messages.unpacking)
    wrap_methods(registry.Registry, hooks)


def _knowing_ours(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def string_to_task(self: Any, task_str: str) -> Any:
        if task_str == engine.TASK:
            engine.register(self)
        return original(self, task_str)

    return string_to_task


def _obeying_besides(original: Callable[..., Any]) -> Callable[..., Any]:
    """Signals: a consumer's scheduler sends some about a task that does not run."""

    @functools.wraps(original)
    def emit(self: Any, signal: Any, task: Any, *args: Any, **kwargs: Any) -> Any:
        header = messages.header_of(task)
        if header is None:
            return original(self, signal, task, *args, **kwargs)
        with obeyed_besides(header):
            return original(self, signal, task, *args, **kwargs)

    return emit


def _obeying(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def execute(self: Any, task: Any, *args: Any, **kwargs: Any) -> Any:
        header = messages.header_of(task)
        with ExitStack() as block:
            block.enter_context(running(self._registry.task_to_string(type(task)), engine.TASK))
            if header is not None:
                block.enter_context(obeyed(header, task=task.id))
            return original(self, task, *args, **kwargs)

    return execute
