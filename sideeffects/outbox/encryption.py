"""Sensitive arguments at rest: encrypted by a key that is derived from `SECRET_KEY`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.utils.encoding import force_bytes

from sideeffects.errors import SideEffectError

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

__tracebackhide__ = True

#: Other uses of `SECRET_KEY` must not come upon the same key.
_PURPOSE: Final = b"sideeffects.outbox"


class KeyRotatedAway(SideEffectError):
    """What was encrypted cannot be read: the key is none of those that the settings have."""


def encrypted(text: str) -> str:
    """The text as only this project's `SECRET_KEY` makes it readable again.

    Raises:
        SideEffectError: cryptography is not installed.
    """
    return _fernet().encrypt(text.encode()).decode("ascii")


def decrypted(token: str) -> str:
    """The text that `encrypted` was given.

    Raises:
        KeyRotatedAway: it was encrypted by another key.
        SideEffectError: cryptography is not installed.
    """
    fernet = _fernet()
    from cryptography.fernet import InvalidToken

    try:
        return fernet.decrypt(token.encode("ascii")).decode()
    except InvalidToken:
        raise KeyRotatedAway(
            "its arguments are encrypted with a SECRET_KEY that is no longer in the settings. "
            "Add that key to SECRET_KEY_FALLBACKS and release the call again"
        ) from None


def _fernet() -> MultiFernet:
    secrets: list[Any] = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return _made_of(tuple(force_bytes(secret) for secret in secrets))


@functools.lru_cache(maxsize=4)
def _made_of(secrets: tuple[bytes, ...]) -> MultiFernet:
    """The first key encrypts, all of them decrypt."""
    try:
        from cryptography.fernet import MultiFernet
    except ImportError as error:
        raise SideEffectError(
            "sensitive arguments are kept encrypted, which needs cryptography: pip install 'sideeffects[outbox]'"
        ) from error
    return MultiFernet([_key_of(secret) for secret in secrets])


def _key_of(secret: bytes) -> Any:
    import base64

    from cryptography.fernet import Fernet
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    derived = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret)
    return Fernet(base64.urlsafe_b64encode(derived))
