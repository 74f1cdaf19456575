"""Hooking all classes of backends, those that are defined later too."""

from __future__ import annotations

import functools
import inspect
import sys
from types import FunctionType, ModuleType
from typing import Any, Final, NamedTuple

from sideeffects._core.calls import registry
from sideeffects._core.policy import redirect
from sideeffects._core.state.runtime_effect import Declared
from sideeffects._core.values.callers import caller_outside
from sideeffects._core.verbs.description import describe_function
from sideeffects._core.verbs.proxies import wrap
from sideeffects.contrib.mail import message, sending
from sideeffects.errors import DeclarationError

_MARK: Final = "_side_effects_mail"


class _Mail(NamedTuple):
    """All mail as an effect: its function, what performs it, and its name."""

    function: Any
    declared: Declared
    name: str


#: It, once it is declared.
_effects: Final[list[_Mail]] = []


def declare_mail(_: ModuleType, name: str | None, returns: Any, options: dict[str, Any]) -> None:
    """Declare all mail of Django, at the one place through which it goes.

    Raises:
        DeclarationError: it is declared already, under another name.
    """
    name = name or "django.core.mail.EmailMessage.send"
    if _is_declared():
        effect, declared, known = _effects[0]
        if known != name:
            raise DeclarationError(f"all mail of Django is a side effect already, named {known!r}")
        registry.store.add(declared.effect, effect)  # the registry may be another one (`isolated_registry`)
        return
    function = FunctionType(message.send.__code__, message.send.__globals__, "send", message.send.__defaults__)
    function.__doc__, function.__annotations__ = message.send.__doc__, {}
    function.__module__, function.__qualname__ = "django.core.mail", "EmailMessage.send"
    is_hooked = bool(_effects)
    redirect.limits["django.core.mail:EmailMessage.send"] = message.LIMITS
    effect = wrap(function, describe_function(function, name, **options), returns)
    _effects[:] = [_Mail(effect, effect._self_declared, name)]  # noqa: SLF001 - wrapt keeps only names that begin so
    if not is_hooked:
        from django.core.mail.backends.base import BaseEmailBackend

        _follow_subclasses(BaseEmailBackend)
        _follow_makers(sys.modules["django.core.mail"])


def _is_declared() -> bool:
    """Whether mail is an effect: no longer after the `isolated_registry` block that declared it, in doubt it is."""
    if not _effects:
        return False
    function, _, name = _effects[0]
    return registry.store.functions.get(name) is function or bool(registry.store.isolations)


def _follow_subclasses(base: type[Any]) -> None:
    pending = [base]
    while pending:
        kind = pending.pop()
        hook(kind)
        pending += kind.__subclasses__()

    def follow(kind: type[Any], /, **keywords: Any) -> None:
        super(base, kind).__init_subclass__(**keywords)
        hook(kind)

    setattr(base, "__init_subclass__", classmethod(follow))  # noqa: B010 - no checker knows it as a class method


def _follow_makers(mail: Any) -> None:
    """Hook the classes of backends that do not extend Django's own, when one is made by Django."""
    mail.get_connection = _hooking(mail.get_connection)
    mailers = getattr(mail, "mailers", None)  # from Django 6.1 on
    if mailers is not None:
        kind = type(mailers)
        kind.create_connection = _hooking(kind.create_connection)


def _hooking(make: Any) -> Any:
    @functools.wraps(make)
    def made(*args: Any, **kwargs: Any) -> Any:
        backend = make(*args, **kwargs)
        for kind in reversed(type(backend).__mro__):
            hook(kind)
        return backend

    return made


def hook(kind: type[Any]) -> None:
    """Have what a class of backends sends decided first."""
    original = vars(kind).get("send_messages")
    if not inspect.isfunction(original) or hasattr(original, _MARK):
        return

    @functools.wraps(original)
    def send_messages(backend: Any, email_messages: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        messages = list(email_messages or ())
        sends = original if not (args or kwargs) else _with(original, args, kwargs)
        if not messages or not _is_declared() or sending.are_on_their_way(messages):
            return sends(backend, messages)
        return sending.send(_effects[0].declared, sends, backend, messages, caller_outside(sending.is_between))

    setattr(send_messages, _MARK, True)
    kind.send_messages = send_messages


def _with(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """How a backend sends that is called with more than messages."""

    def sends(backend: Any, messages: Any) -> Any:
        __tracebackhide__ = True
        return original(backend, messages, *args, **kwargs)

    return sends
