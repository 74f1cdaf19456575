"""Publishing Dramatiq's messages: `Broker.enqueue` decides the call of an effect, and tells the worker of the test run.

The header of `contrib/publishing.py` travels as an option of the message.
"""

from __future__ import annotations

import functools
import importlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Final

from sideeffects._core.runtime import enqueued
from sideeffects._core.state.state import state
from sideeffects._core.values.frames import forgetting
from sideeffects.contrib.arriving import obeyed_from_elsewhere
from sideeffects.contrib.carried_test_run import carried_here, test_run_part
from sideeffects.contrib.dramatiq.actors import effect_below
from sideeffects.contrib.publishing import Publication, check_arguments, decide, fits, is_held_back

__tracebackhide__ = True

OPTION: Final = "side_effects"
NOTHING: Final = object()

#: The message that is being published: what a broker asks the one that it is made from is the same call.
_publishing: Final[ContextVar[Any]] = ContextVar("sideeffects_publishing_message", default=None)


def deciding(original: Callable[..., Any]) -> Callable[..., Any]:
    """`Broker.enqueue` as it decides first."""

    @functools.wraps(original)
    @forgetting
    def enqueue(self: Any, message: Any, **options: Any) -> Any:
        if _publishing.get() == message.message_id:
            return original(self, message, **options)
        with obeyed_from_elsewhere(message.options.get(OPTION)):
            return _enqueue(functools.partial(_published, original, self), self, message, options)

    return enqueue


def _published(original: Callable[..., Any], broker: Any, message: Any, options: dict[str, Any]) -> Any:
    token = _publishing.set(message.message_id)
    try:
        return original(broker, message, **options)
    finally:
        _publishing.reset(token)


def _enqueue(publish: Callable[[Any, dict[str, Any]], Any], broker: Any, message: Any, options: dict[str, Any]) -> Any:
    actor = broker.actors.get(message.actor_name)
    found = None if actor is None else effect_below(actor)
    given = message.options.get(OPTION)
    if found is None or not (found.is_direct or fits(found.declared, found.instance, message.args, message.kwargs)):
        # No effect, or what stands between the actor and the effect changes the arguments: decided where it runs.
        if is_held_back(message.actor_name, message.queue_name, message.message_id):
            return message
        header = dict(given) if isinstance(given, Mapping) and given.get("test_run") else test_run_part()
        header.pop("call", None)
        return publish(message.copy(options={OPTION: header}) if header else message, options)
    name = found.declared.effect.name
    if _is_sent_again(message, given, name):
        return publish(message, options)
    encoder: Any = importlib.import_module("dramatiq").get_encoder()
    args, kwargs = tuple(message.args), dict(message.kwargs)
    check_arguments(name, args, kwargs, lambda value: encoder.encode({"value": value}), type(encoder).__name__)
    publication = decide(found.declared, found.instance, args, kwargs, _PACKAGES)
    if not publication.executes:
        enqueued.keep(publication.call, functools.partial(_rerun, broker, actor, message, name))
        _answer(broker, actor, message, publication)
        return message
    if publication.is_redirected:
        message = message.copy(args=publication.args, kwargs=publication.kwargs)
    message = message.copy(options={OPTION: publication.header(task=message.message_id)})
    sent: list[Any] = []
    publication.at_commit(lambda: sent.append(publish(message, options)))
    return sent[0] if sent else message


def path_of(broker: Any, message: Any) -> str:
    """What runs a message: the dotted path of the actor's function, or the actor's name where its broker has none."""
    function = getattr(broker.actors.get(message.actor_name), "fn", None)
    path = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}"
    return message.actor_name if path.startswith(".") or path.endswith(".") or "<" in path else path


_PACKAGES: Final = frozenset(("dramatiq", "sideeffects"))


def _is_sent_again(message: Any, given: object, name: str) -> bool:
    """Whether a worker puts back what was decided and published before: a retry, or a message whose delay is over."""
    call = given.get("call") if isinstance(given, Mapping) else None
    if not isinstance(call, Mapping) or (call.get("name"), call.get("task")) != (name, message.message_id):
        return False
    worker: Any = importlib.import_module("dramatiq.worker")
    own = (worker._WorkerThread, worker._ConsumerThread)  # noqa: SLF001 - their names in older releases
    return isinstance(threading.current_thread(), own)


# -- what is held back

#: What the messages of recorded calls have come to, in a test run: their ids, with the result or the exception.
_results: Final[OrderedDict[str, Any]] = OrderedDict()
_MOST: Final = 1000
#: Milliseconds that results are kept for, as Dramatiq keeps them.
_TTL: Final = 600_000


def _answer(broker: Any, actor: Any, message: Any, publication: Publication) -> None:
    """Let a recorded call have its result; what was to follow it follows, with that."""
    try:
        result: Any = publication.answer()
    except Exception as error:  # noqa: BLE001 - a stub's exception arrives where that of the actor would
        _keep(broker, message, error)
        return
    _keep(broker, message, result)
    with enqueued.following(publication.call):
        _follow(broker, actor, message, result)


def _follow(broker: Any, actor: Any, message: Any, result: Any) -> None:
    """Enqueue what is to follow a message, with its result."""
    following = message.options.get("pipe_target")
    if following is not None:
        following = type(message)(**following)
        if not (following.options.get("pipe_ignore") or actor.options.get("pipe_ignore")):
            following = following.copy(args=(*following.args, result))
        broker.enqueue(following, delay=following.options.get("delay"))
    callback = message.options.get("on_success") or actor.options.get("on_success")
    if callback:
        broker.get_actor(callback).send(message.asdict(), result)


def _rerun(broker: Any, actor: Any, message: Any, name: str, forced: enqueued.Forced) -> object:
    """Run a recorded message as a worker would; what an actor asks for by `Retry` is done at once."""
    errors: Any = importlib.import_module("dramatiq.errors")
    arrived = type(message).decode(message.encode())
    most = arrived.options.get("max_retries", actor.options.get("max_retries"))
    retries = 0
    while True:
        try:
            with forced():
                result = actor(*arrived.args, **arrived.kwargs)
        except errors.Retry:
            retries += 1
            if (most is not None and retries > most) or not enqueued.is_retried(retries, name):
                raise
            continue
        _follow(broker, actor, message, result)
        return result


def _keep(broker: Any, message: Any, result: Any) -> None:
    if carried_here() is not None and not isinstance(result, Exception):
        with suppress(RuntimeError):  # the broker has none
            # The process that published the message before it may wait for it.
            broker.get_results_backend().store_result(message, result, _TTL)
    if state.test_run.is_on():
        _results[message.message_id] = result
        if len(_results) > _MOST:
            _results.popitem(last=False)


def answering(original: Callable[..., Any]) -> Callable[..., Any]:
    """`Message.get_result` as it knows what no backend does: the result of a recorded call."""

    @functools.wraps(original)
    def get_result(self: Any, **options: Any) -> Any:
        result = _results.get(self.message_id, NOTHING)
        if result is NOTHING:
            return original(self, **options)
        if isinstance(result, Exception):
            raise result
        return result

    return get_result
