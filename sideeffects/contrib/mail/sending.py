"""Deciding the messages that a backend is given, and sending those that execute."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, Final

from sideeffects._core.calls.decision import Mode
from sideeffects._core.calls.outcome import Outcome
from sideeffects._core.runtime.acting import answer, execute, wait_for_commit
from sideeffects._core.runtime.finishing import finish
from sideeffects._core.runtime.perform import UNSEEN, Begun, begin
from sideeffects._core.state.runtime_effect import Declared
from sideeffects._core.state.state import state
from sideeffects._core.values.callers import Site
from sideeffects.contrib.mail.message import arguments_of, key_of, redirected

#: The messages that are being sent: a backend may hand them on to another, which makes no second call of them.
_on_their_way: Final[ContextVar[tuple[Any, ...]]] = ContextVar("sideeffects_mail", default=())
#: Who calls is looked for above these.
_BETWEEN: Final = ("sideeffects.contrib.mail.", "django.core.mail", "django.utils.log", "logging")

Original = Callable[..., Any]


def send(declared: Declared, original: Original, backend: Any, messages: Sequence[Any], site: Site) -> Any:
    """Send messages, each as decided; all decisions are taken before the first one is sent.

    Args:
        declared: the effect.
        original: the backend's own `send_messages`.
        backend: the backend.
        messages: what it was given.
        site: who calls.

    Returns:
        how many were sent or recorded.

    Raises:
        SideEffectBlocked: one of them was refused; then none was sent.
    """
    __tracebackhide__ = True
    waits = declared.effect.on_commit is not False
    begun = _decided(declared, backend, messages, site)
    seen = [one for _, one in begun if one is not UNSEEN]
    if not waits and not seen:
        return _deliver(original, backend, messages)
    executing = len(begun) - len([one for one in seen if one.mode is not Mode.EXECUTE])
    # One connection for all of them, though each is sent, and noted, by itself.
    is_opened_here = executing > 1 and not waits and hasattr(backend, "open") and backend.open()
    sent = 0
    try:
        for place, (message, one) in enumerate(begun):
            try:
                sent += _act(declared, original, backend, message, one)
            except BaseException as error:
                _give_up(begun[place + 1 :], error)
                raise
            if one.mode is not Mode.EXECUTE and state.test_run.is_on():
                _put_into_outbox(backend, message)
    finally:
        if is_opened_here:
            backend.close()
    return sent


def _act(declared: Declared, original: Original, backend: Any, message: Any, one: Begun) -> int:
    """Send one message, or answer its call. Returns how many were sent or recorded."""
    __tracebackhide__ = True
    call, mode, stub, _ = one
    if declared.effect.on_commit is not False and not _is_on_its_way(message):
        wait_for_commit(declared, call, mode, stub, _deliver, (original, backend, [message]), {})
        return 1
    if mode is Mode.EXECUTE:
        given = (original, backend, [message])
        sent = _deliver(*given) if call is None else execute(call, _deliver, given, {})
        return sent or 0
    count = None if call is None else answer(declared, call, stub, (), arguments_of(message, backend))
    return count if isinstance(count, int) else 1


def _decided(declared: Declared, backend: Any, messages: Sequence[Any], site: Site) -> list[tuple[Any, Begun]]:
    __tracebackhide__ = True
    begun: list[tuple[Any, Begun]] = []
    try:
        for message in messages:
            is_known = _is_on_its_way(message)
            one = UNSEEN if is_known else begin(declared, message, (), arguments_of(message, backend), site)
            begun.append((message if one.given is None else redirected(message, backend, one.given[1]), one))
    except BaseException as error:
        _give_up(begun, error)
        raise
    return begun


def _give_up(begun: Sequence[tuple[Any, Begun]], error: BaseException) -> None:
    """What was decided and is not sent after all, because another message was refused or failed."""
    for _, (call, *_) in begun:
        if call is not None:
            finish(call, Outcome(None, error, 0.0))


def is_between(module: str) -> bool:
    """Whether a module stands between who sends mail and the backend."""
    return module.startswith(_BETWEEN)


def is_new(messages: Sequence[Any]) -> bool:
    """Whether any of the messages has not been decided on its way here."""
    return bool(messages) and not (_on_their_way.get() and all(_is_on_its_way(message) for message in messages))


def _is_on_its_way(message: Any) -> bool:
    others = _on_their_way.get()
    return bool(others) and any(other is message or key_of(other) == key_of(message) for other in others)


def deliver(backend: Any, message: Any) -> Any:
    """Send a message that has been decided."""
    return _deliver(type(backend).send_messages, backend, [message])


def _deliver(original: Original, backend: Any, messages: Sequence[Any]) -> Any:
    __tracebackhide__ = True
    token = _on_their_way.set((*_on_their_way.get(), *messages))
    try:
        return original(backend, messages)
    finally:
        _on_their_way.reset(token)


def _put_into_outbox(backend: Any, message: Any) -> None:
    """Let a test find a recorded message in `mail.outbox`: Django's backend in memory reaches nobody.

    It alone does this: a class that extends it may send as well.
    """
    in_memory, put = _in_memory()
    if type(backend) is not in_memory:
        backend, message = in_memory(), copy.copy(message)
        message.connection = None  # the outbox copies deeply, which a connection may refuse
    put(backend, [message])


@functools.cache
def _in_memory() -> tuple[type[Any], Original]:
    """Django's backend in memory, and how it sends."""
    from django.core.mail.backends.locmem import EmailBackend  # where a test records mail

    return EmailBackend, inspect.unwrap(EmailBackend.send_messages)
