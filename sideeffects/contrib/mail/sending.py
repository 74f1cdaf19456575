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
from sideeffects._core.runtime.perform import ENDED, UNSEEN, Begun, begin
from sideeffects._core.state.runtime_effect import Declared
from sideeffects._core.state.state import state
from sideeffects._core.values.callers import Site
from sideeffects.contrib.mail.message import Handed, given, handed, named, redirected

#: The messages that are being sent: a backend may hand them on to another, which makes no second call of them.
_on_their_way: Final[ContextVar[tuple[Handed, ...]]] = ContextVar("sideeffects_mail", default=())
#: Python 3.11 finds the members of an enumeration by a function, which takes longer than a call of one.
_EXECUTE: Final = Mode.EXECUTE
#: Modules between the caller and the backend: the caller is looked for above these.
_BETWEEN: Final = ("sideeffects.contrib.mail.", "django.core.mail", "django.utils.log", "logging")

Original = Callable[..., Any]


def send(declared: Declared, original: Original, backend: Any, messages: Sequence[Any], site: Site) -> Any:
    """Send messages, each as decided; all decisions are taken before the first one is sent.

    Args:
        declared: the effect.
        original: the backend's own `send_messages`.
        backend: the backend.
        messages: what it was given.
        site: where it is called.

    Returns:
        how many were sent or recorded.

    Raises:
        SideEffectBlocked: one of them was refused; then none was sent.
    """
    __tracebackhide__ = True
    sent, begun = _decided(declared, backend, messages, site)
    if begun.count(ENDED) == len(begun):
        if state.test_run.is_on():
            _put_into_outbox(backend, sent)
        return len(begun)
    waits = declared.effect.on_commit is not False
    if not waits and begun.count(UNSEEN) == len(begun):
        return _deliver(original, backend, messages)
    executing = [one.mode for one in begun].count(_EXECUTE)
    # One connection for all of them, though each is sent, and noted, by itself.
    is_opened_here = executing > 1 and not waits and hasattr(backend, "open") and backend.open()
    count = 0
    try:
        for place, (message, one) in enumerate(zip(sent, begun, strict=True)):
            try:
                count += _act(declared, original, backend, message, one)
            except BaseException as error:
                _give_up(begun[place + 1 :], error)
                raise
            if one.mode is not _EXECUTE and state.test_run.is_on():
                _put_into_outbox(backend, [message])
    finally:
        if is_opened_here:
            backend.close()
    return count


def _act(declared: Declared, original: Original, backend: Any, message: Any, one: Begun) -> int:
    """Send one message, or answer its call. Returns how many were sent or recorded."""
    __tracebackhide__ = True
    call, mode, stub, _ = one
    if declared.effect.on_commit is not False and not _is_on_its_way(message):
        wait_for_commit(declared, call, mode, stub, _deliver, (original, backend, [message]), {})
        return 1
    if mode is _EXECUTE:
        send_one = (original, backend, [message])
        return (_deliver(*send_one) if call is None else execute(call, _deliver, send_one, {})) or 0
    count = None if call is None else answer(declared, call, stub, (), named(given(message, backend)[0]))
    return count if isinstance(count, int) else 1


def _decided(
    declared: Declared, backend: Any, messages: Sequence[Any], site: Site
) -> tuple[Sequence[Any], list[Begun]]:
    """The messages, of which a redirect may have changed some, and what was decided of each."""
    __tracebackhide__ = True
    sent = messages
    begun: list[Begun] = []
    others = _on_their_way.get()
    try:
        for place, message in enumerate(messages):
            if others and _is_on_its_way(message):
                begun.append(UNSEEN)
                continue
            args, kwargs = given(message, backend)
            one = begin(declared, message, args, kwargs, site)
            begun.append(one)
            if one.given is not None:
                sent = [*sent[:place], redirected(message, args, one.given[0]), *sent[place + 1 :]]
    except BaseException as error:
        _give_up(begun, error)
        raise
    return sent, begun


def _give_up(begun: Sequence[Begun], error: BaseException) -> None:
    """What was decided and is not sent after all, because another message was refused or failed."""
    for call, *_ in begun:
        if call is not None:
            finish(call, Outcome(None, error, 0.0))


def is_between(module: str) -> bool:
    """Whether a module lies between the code that sends mail and the backend."""
    return module.startswith(_BETWEEN)


def are_on_their_way(messages: Sequence[Any]) -> bool:
    """Whether all of the messages have been decided on their way here."""
    return bool(_on_their_way.get()) and all(_is_on_its_way(message) for message in messages)


def _is_on_its_way(message: Any) -> bool:
    others = _on_their_way.get()
    if not others:
        return False
    now = handed(message)
    return any(other.is_again(now) for other in others)


def deliver(backend: Any, message: Any) -> Any:
    """Send a message that has been decided."""
    return _deliver(type(backend).send_messages, backend, [message])


def _deliver(original: Original, backend: Any, messages: Sequence[Any]) -> Any:
    __tracebackhide__ = True
    token = _on_their_way.set((*_on_their_way.get(), *map(handed, messages)))
    try:
        return original(backend, messages)
    finally:
        _on_their_way.reset(token)


def _put_into_outbox(backend: Any, messages: Sequence[Any]) -> None:
    """Let a test find recorded messages in `mail.outbox`: Django's backend in memory reaches nobody.

    It alone does this: a class that extends it may send as well.
    """
    in_memory, put = _in_memory()
    if type(backend) is not in_memory:
        backend, messages = in_memory(), [copy.copy(message) for message in messages]
        for message in messages:
            message.connection = None  # the outbox copies deeply, which a connection may refuse
    put(backend, messages)


@functools.cache
def _in_memory() -> tuple[type[Any], Original]:
    """Django's backend in memory, and how it sends."""
    from django.core.mail.backends.locmem import EmailBackend  # where a test records mail

    return EmailBackend, inspect.unwrap(EmailBackend.send_messages)
