"""Whether the mail server takes a connection."""

from __future__ import annotations

from typing import Any, Final

from django.core import mail

from sideeffects.probes.ready.base import ReadyProbe

#: Seconds to wait for a connection where `EMAIL_TIMEOUT` says nothing: a server that hangs would hold the thread.
_PATIENCE: Final = 5.0


class Mail(ReadyProbe):
    """Whether the mail server takes a connection, log-in included. No mail is sent."""

    def test_connection(self) -> None:
        """Connect and hang up."""
        mailers: Any = getattr(mail, "mailers", None)  # from Django 6.1 on
        backend: Any = mail.get_connection() if mailers is None else mailers.default
        kind = f"{type(backend).__module__}.{type(backend).__qualname__}"
        if vars(backend).get("timeout", _PATIENCE) is None:
            backend.timeout = _PATIENCE
        try:
            opened = backend.open()
        except Exception as error:
            where = f"{getattr(backend, 'host', '')}:{getattr(backend, 'port', '')}".strip(":")
            raise AssertionError(f"the mail server {where} takes no connection: {error!r} ({kind})") from error
        try:
            if opened is None:
                self.skipTest(f"{kind} connects to no server")
        finally:
            backend.close()
