"""The outside world of the demo: an SMS gateway, a card processor, a warehouse and a mail server, on loopback."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

HOST = "127.0.0.1"

_EVERYTHING = re.compile(".*")


@dataclass
class Receivers:
    """What the outside world got to see, in the order in which it came.

    Attributes:
        http_port: where the gateway, the processor and the warehouse listen.
        smtp_port: where the mail server listens.
    """

    http_port: int = 0
    smtp_port: int = 0
    _arrived: list[dict[str, Any]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, arrival: dict[str, Any]) -> None:
        """Note that something arrived; several threads do."""
        with self._lock:
            self._arrived.append(arrival)

    def take(self) -> list[dict[str, Any]]:
        """What has arrived since the last time."""
        with self._lock:
            arrived, self._arrived = self._arrived, []
            return arrived


@contextmanager
def listening() -> Iterator[Receivers]:
    """Receivers that listen while the block runs, on ports that were free."""
    receivers = Receivers()
    with _http(receivers), _smtp(receivers):
        yield receivers


@contextmanager
def _http(receivers: Receivers) -> Iterator[None]:
    answers = {"/sms": {"id": "sms-1"}, "/charges": {"id": "ch_1"}, "/warehouse": {"accepted": True}}

    def answer(request: Request) -> Response:
        # Nothing that comes in may go unseen, so there is one handler for all.
        known = request.method == "POST" and request.is_json and request.path in answers
        sent = request.get_json() if known else {"body": request.get_data(as_text=True)}
        receivers.put({"to": f"{request.method} {request.path}", "sent": sent})
        if not known:
            return Response(status=404)
        return Response(json.dumps(answers[request.path]), mimetype="application/json")

    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # what arrives is shown otherwise
    with HTTPServer(host=HOST, port=0) as server:
        server.expect_request(_EVERYTHING).respond_with_handler(answer)
        receivers.http_port = server.port
        yield


@contextmanager
def _smtp(receivers: Receivers) -> Iterator[None]:
    class Inbox:
        async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - theirs
            message = email.message_from_bytes(envelope.content or b"", policy=email.policy.default)
            body = message.get_body(("plain",))
            sent = {"subject": message["subject"], "text": body.get_content().strip() if body else ""}
            receivers.put({"to": f"MAIL {', '.join(envelope.rcpt_tos)}", "sent": sent})
            return "250 OK"

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(
        loop.create_server(lambda: SMTP(Inbox(), hostname=HOST, loop=loop), HOST, 0),
    )
    receivers.smtp_port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, name="smtp", daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
