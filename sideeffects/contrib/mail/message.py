"""What a mail is as a call: its arguments."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

from sideeffects._core.policy.redirect import Limits
from sideeffects._core.values.copying import Copied
from sideeffects._core.values.kinds import SCALARS


def arguments_of(message: Any, backend: Any) -> dict[str, Any]:
    """A message by the names that policies, tests and plans read.

    Args:
        message: an `EmailMessage`, or what stands in for one.
        backend: what would send it.
    """
    to, cc, bcc = list(getattr(message, "to", ())), list(getattr(message, "cc", ())), list(getattr(message, "bcc", ()))
    reply_to, headers = list(getattr(message, "reply_to", ())), dict(getattr(message, "extra_headers", ()))
    attachments, alternatives = getattr(message, "attachments", None), getattr(message, "alternatives", None)
    kind = type(backend)
    arguments = Copied(
        to=to,
        cc=cc,
        bcc=bcc,
        subject=getattr(message, "subject", ""),
        body=getattr(message, "body", ""),
        from_email=getattr(message, "from_email", ""),
        reply_to=reply_to,
        headers=headers,
        attachments=[_described(attachment) for attachment in attachments] if attachments else [],
        alternatives=[tuple(alternative) for alternative in alternatives] if alternatives else [],
        backend=f"{kind.__module__}.{kind.__qualname__}",
    )
    texts = (arguments["subject"], arguments["body"], arguments["from_email"])
    held = (*to, *cc, *bcc, *reply_to, *headers.values(), *texts)
    is_copied = not attachments and not alternatives and SCALARS.issuperset(map(type, held))
    return arguments if is_copied else dict(arguments)


def redirected(message: Any, backend: Any, arguments: Mapping[str, Any]) -> Any:
    """A copy of a message that says what a redirect has made of it. The caller's own stays as it is."""
    before = arguments_of(message, backend)
    changed = copy.copy(message)
    for name, value in arguments.items():
        if value != before[name]:
            is_text = name in _LISTS and isinstance(value, str)
            setattr(changed, _ATTRIBUTES.get(name, name), [value] if is_text else value)
    return changed


_LISTS: Final = frozenset(("to", "cc", "bcc", "reply_to"))
_ATTRIBUTES: Final = {"headers": "extra_headers"}
#: What arguments say of attachments is no attachment, and what sends a message has been chosen. Whoever is redirected
#: alone is redirected, not sent a copy of what others get.
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
    raise NotImplementedError("this gives the effect its signature; backends send")


def key_of(message: Any) -> tuple[Any, ...]:
    """What two messages have in common when one is the other, copied on its way from backend to backend."""
    return tuple(getattr(message, name, None) for name in ("to", "cc", "bcc", "subject", "body", "from_email"))


def _described(attachment: Any) -> dict[str, Any]:
    """Name, type and size, without the content. The size is in bytes, or in characters for a text."""
    if hasattr(attachment, "get_payload"):  # a MIME part, as the email package makes it
        payload = attachment.get_payload()
        return {"name": attachment.get_filename(), "type": attachment.get_content_type(), "size": len(payload or "")}
    name, content, kind = attachment
    return {"name": name, "type": kind, "size": len(content) if hasattr(content, "__len__") else None}
