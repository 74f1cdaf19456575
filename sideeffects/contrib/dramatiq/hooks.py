"""Effects that are Dramatiq actors: every way into the actor goes through the decision.

- An actor's `fn` is the effect: direct calls and workers execute it.
- `Broker.enqueue` publishes, whatever came there (`send`, `send_with_options`, pipelines, groups, callbacks, a message
  of one's own): there the call is decided, in the process that makes it, and what is not to execute is not published.
- `WorkerThread.process_message` runs a message, in a worker process or beside a `StubBroker`.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from sideeffects._core.state.state import state
from sideeffects._core.verbs.decorator import adapt
from sideeffects.contrib.arriving import obeyed, obeyed_besides, running
from sideeffects.contrib.class_hooks import wrap_methods
from sideeffects.contrib.dramatiq import publishing
from sideeffects.contrib.dramatiq.actors import declare_actor, effect_below, refuse_generic
from sideeffects.contrib.task_effects import EffectOfTask
from sideeffects.engines import dramatiq as engine


def install() -> None:
    """Hook into Dramatiq, which has been imported."""
    adapt("dramatiq.actor.Actor", declare_actor)
    adapt("dramatiq.generic.GenericActor", refuse_generic)
    module: Any = importlib.import_module("dramatiq")
    worker: Any = importlib.import_module("dramatiq.worker")
    module.Actor.effect = EffectOfTask(effect_below)
    telling = {"emit_before": _obeying_besides, "emit_after": _obeying_besides}
    wrap_methods(module.Broker, {"enqueue": publishing.deciding, **telling})
    wrap_methods(module.Message, {"get_result": publishing.answering})
    wrap_methods(worker._WorkerThread, {"process_message": _obeying})  # noqa: SLF001 - its name in older releases
    wrap_methods(module.Worker, {"start": _knowing_ours})


def _knowing_ours(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def start(self: Any) -> Any:
        if state.rules_source().engine == "dramatiq":
            engine.actor_of(self.broker)
        return original(self)

    return start


def _obeying_besides(original: Callable[..., Any]) -> Callable[..., Any]:
    """What middleware is told of a message: a worker's own threads put back what was delayed, and acknowledge."""

    @functools.wraps(original)
    def emit(self: Any, signal: str, *args: Any, **named: Any) -> Any:
        options = getattr(args[0], "options", None) if args else None
        if not isinstance(options, dict) or publishing.OPTION not in options:
            return original(self, signal, *args, **named)
        with obeyed_besides(options[publishing.OPTION]):
            return original(self, signal, *args, **named)

    return emit


def _obeying(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def process_message(self: Any, message: Any) -> Any:
        header = message.options.get(publishing.OPTION, publishing.NOTHING)
        with ExitStack() as block:
            block.enter_context(running(publishing.path_of(self.broker, message), engine.ACTOR))
            if header is not publishing.NOTHING:
                block.enter_context(obeyed(header, task=message.message_id))
            return original(self, message)

    return process_message
