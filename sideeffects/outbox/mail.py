"""Held mail: the arguments of its call say all of a message but what is attached, which is kept beside them."""

from __future__ import annotations

import base64
from typing import Any, Final

from sideeffects._core.state.runtime_effect import Declared, declared_named
from sideeffects.errors import UnknownSideEffect
from sideeffects.outbox.arguments import CannotBeHeld, CannotBeMade

__tracebackhide__ = True

#: What is declared when all of Django's mail is.
_DECLARED: Final = "django.core.mail:EmailMessage.send"
_OWN: Final = ("EmailMessage", "EmailMultiAlternatives")


def is_mail(declared: Declared) -> bool:
    """Whether the effect is all of Django's mail."""
    return declared.effect.dotted_path == _DECLARED


def attached(message: Any) -> list[dict[str, Any]]:
    """The attachments of a message, for JSON.

    Raises:
        CannotBeHeld: it is a message of another class, which may say more than its call does.
    """
    kind = type(message)
    if kind.__module__ != "django.core.mail.message" or kind.__name__ not in _OWN:
        raise CannotBeHeld(f"the message is a {kind.__qualname__}, and only Django's own messages can be kept")
    return [_packed(one) for one in message.attachments]


def _packed(attachment: Any) -> dict[str, Any]:
    if hasattr(attachment, "as_bytes"):
        raise CannotBeHeld("a MIME part is attached, which cannot be kept. Attach a name, a content and a type")
    name, content, kind = attachment
    if isinstance(content, bytes):
        return {"name": name, "type": kind, "bytes": base64.b64encode(content).decode("ascii")}
    if isinstance(content, str):
        return {"name": name, "type": kind, "text": content}
    raise CannotBeHeld(f"the attachment {name!r} is a {type(content).__qualname__}, and cannot be kept")


def declared_mail(name: str) -> Declared:
    """The effect that a held message was a call of.

    Raises:
        CannotBeMade: mail is no effect any more, or has another name.
    """
    try:
        declared = declared_named(name)
    except UnknownSideEffect as error:
        raise CannotBeMade(
            f"this code declares no mail as {name!r}. Declare mail under that name, or reject the call"
        ) from error
    if not is_mail(declared):
        raise CannotBeMade(f"side effect {name!r} is no mail any more; reject the call")
    return declared


class Sends:
    """Sends a message that was held, given the arguments of its call.

    Args:
        attachments: as `attached` gave them.
    """

    def __init__(self, attachments: list[dict[str, Any]]) -> None:
        self._attachments = attachments

    def __call__(self, *, backend: str, **arguments: Any) -> Any:
        """Send it by the backend that it was given to."""
        from django.utils.module_loading import import_string

        from sideeffects.contrib.mail.sending import deliver

        return deliver(import_string(backend)(), self.message(**arguments))

    def message(
        self, *, headers: dict[str, str], alternatives: list[Any], attachments: object, backend: str = "", **said: Any
    ) -> Any:
        """The message. What is attached is not what the arguments say of it."""
        del attachments, backend
        from django.core.mail import EmailMultiAlternatives

        message = EmailMultiAlternatives(**said, headers=headers)
        for content, kind in alternatives:
            message.attach_alternative(content, kind)
        for one in self._attachments:
            content = one["text"] if "text" in one else base64.b64decode(one["bytes"])
            message.attach(one["name"], content, one["type"])
        return message
