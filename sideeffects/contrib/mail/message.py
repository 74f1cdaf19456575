"""What a mail is as a call: its arguments."""

from __future__ import annotations

import copy
import operator
from typing import Any, Final, NamedTuple

from sideeffects._core.policy.redirect import Limits
from sideeffects._core.values.copying import FRESH
from sideeffects._core.values.kinds import SCALARS, per_type

#: What every message says, and what stands for it where something else is sent.
_SAID: Final[dict[str, Any]] = {
    "to": (),
    "cc": (),
    "bcc": (),
    "reply_to": (),
    "extra_headers": (),
    "attachments": (),
    "subject": "",
    "body": "",
    "from_email": "",
}
_said: Final = operator.attrgetter(*_SAID)


def given(message: Any, backend: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of the call that a message is, as `send` takes them, and no keywords.

    Args:
        message: an `EmailMessage`, or what stands in for one.
        backend: what would send it.
    """
    try:
        said = _said(message)
    except AttributeError:  # something like a message
        said = tuple(getattr(message, name, default) for name, default in _SAID.items())
    to, cc, bcc, reply_to, headers, attachments, *texts = said
    to, cc, bcc, reply_to, headers = list(to), list(cc), list(bcc), list(reply_to), dict(headers)
    alternatives = getattr(message, "alternatives", None)
    described: list[Any] = [_described(attachment) for attachment in attachments] if attachments else []
    pairs: list[Any] = [tuple(alternative) for alternative in alternatives] if alternatives else []
    args = (to, cc, bcc, *texts, reply_to, headers, described, pairs, _path_of(type(backend)))
    is_fresh = not (described or pairs) and SCALARS.issuperset(
        map(type, (*texts, *to, *cc, *bcc, *reply_to, *headers.values()))
    )
    return args, FRESH if is_fresh else {}


@per_type
def _path_of(kind: type[Any]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def named(args: tuple[Any, ...]) -> dict[str, Any]:
    """Arguments by the names that policies, tests and plans read."""
    return dict(zip(_NAMES, args, strict=True))


def redirected(message: Any, before: tuple[Any, ...], after: tuple[Any, ...]) -> Any:
    """A copy of a message that says what a redirect has made of it. The caller's own stays as it is.

    Args:
        message: the message.
        before: the arguments of its call.
        after: those that the redirect has put in their place.
    """
    changed = copy.copy(message)
    for name, old, value in zip(_NAMES, before, after, strict=True):
        if value != old:
            is_text = name in _LISTS and isinstance(value, str)
            setattr(changed, _ATTRIBUTES.get(name, name), [value] if is_text else value)
    return changed


_LISTS: Final = frozenset(("to", "cc", "bcc", "reply_to"))
_ATTRIBUTES: Final = {"headers": "extra_headers"}
#: The arguments only describe attachments, and the backend has been chosen by now: neither can be redirected.
#: Redirecting `to` alone empties `cc` and `bcc`, so that nobody else gets a copy.
LIMITS: Final = Limits(frozenset(("attachments", "backend")), {"to": {"cc": [], "bcc": []}})


def send(
    self: Any,
    to: Any = (),
    cc: Any = (),
    bcc: Any = (),
    subject: str = "",
    body: str = "",
    from_email: str = "",
    reply_to: Any = (),
    headers: Any = None,
    attachments: Any = (),
    alternatives: Any = (),
    backend: str = "",
) -> int:
    """Send a mail by any of Django's backends."""
    raise NotImplementedError("only the signature of this function is used: the mail backends do the sending")


#: The parameters, in their order.
_NAMES: Final = send.__code__.co_varnames[1 : send.__code__.co_argcount]


class Handed(NamedTuple):
    """A message as it was handed to a backend.

    Attributes:
        message: it.
        recipients: whom it reached then.
        texts: its subject, body and sender.
    """

    message: Any
    recipients: tuple[Any, ...]
    texts: tuple[Any, ...]

    def is_again(self, other: Handed) -> bool:
        """Whether the other is this one on its way from backend to backend, perhaps as a copy."""
        return self.recipients == other.recipients and (self.message is other.message or self.texts == other.texts)


def handed(message: Any) -> Handed:
    """A message as it is now."""
    recipients = tuple(tuple(getattr(message, name, None) or ()) for name in ("to", "cc", "bcc"))
    texts = tuple(getattr(message, name, None) for name in ("subject", "body", "from_email"))
    return Handed(message, recipients, texts)


def _described(attachment: Any) -> dict[str, Any]:
    """Name, type and size, without the content. The size is in bytes, or in characters for a text."""
    if hasattr(attachment, "get_payload"):  # a MIME part, as the email package makes it
        payload = attachment.get_payload()
        return {"name": attachment.get_filename(), "type": attachment.get_content_type(), "size": len(payload or "")}
    name, content, kind = attachment
    return {"name": name, "type": kind, "size": len(content) if hasattr(content, "__len__") else None}
