"""From a call to its row, and back to what makes the call again."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.utils import timezone

from sideeffects._core.calls.call import Call
from sideeffects._core.state.runtime_effect import Declared
from sideeffects.outbox.arguments import CannotBeHeld, Made, given, made, reference
from sideeffects.outbox.encryption import decrypted, encrypted
from sideeffects.outbox.mail import Sends, attached, declared_mail, is_mail
from sideeffects.outbox.models import HeldCall

__tracebackhide__ = True


def row_of(call: Call, declared: Declared, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> HeldCall:
    """The row of a call that is held now.

    Raises:
        CannotBeHeld: it could not be made again from a row.
        SideEffectError: it has sensitive arguments, and nothing to encrypt them with.
    """
    arguments = given(declared, instance, args, kwargs)
    payload: dict[str, Any] = {"arguments": arguments}
    if is_mail(declared):
        payload["attached"] = attached(instance)
    else:
        payload["owner"] = reference(declared, instance)
    try:
        text = json.dumps(payload, allow_nan=False)
    except ValueError as error:  # a whole number that is too long to be written out
        raise CannotBeHeld(f"its arguments cannot be carried by JSON: {error}") from error
    if len(call.name) > _LONGEST_NAME:
        raise CannotBeHeld(f"the outbox keeps names of at most {_LONGEST_NAME} characters")
    redacted = call.arguments
    is_secret = any(redacted[name] != value for name, value in arguments.items())
    data = call.as_data()
    decision = call.decision
    return HeldCall(
        call_id=call.id,
        effect=call.name,
        shown=json.dumps({part: data[part] for part in ("arguments", "asked", "details") if part in data}),
        payload=encrypted(text) if is_secret else text,
        is_encrypted=is_secret,
        reason=storable(decision.reason),
        decided_by=storable(decision.origin),
        caller=storable(call.caller),
        origin=storable(call.origin),
        run_id=storable(call.run_id or ""),
        at=call.at if settings.USE_TZ else timezone.make_naive(call.at, timezone.get_default_timezone()),
    )


_LONGEST_NAME = 255


def call_of(row: HeldCall) -> Made:
    """What makes the call of a row.

    Raises:
        KeyRotatedAway: its arguments are encrypted by a key that is not in the settings any more.
        CannotBeMade: the code does not have the effect any more, or not with these parameters.
    """
    payload = json.loads(decrypted(row.payload) if row.is_encrypted else row.payload)
    if "attached" in payload:
        sends, arguments = Sends(payload["attached"]), payload["arguments"]
        return Made(declared_mail(row.effect), sends, sends.message(**arguments), (), arguments)
    return made(row.effect, payload["arguments"], payload["owner"])


def storable(text: str) -> str:
    """Text without what no column takes: lone surrogates, and PostgreSQL's enemy, NUL."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
