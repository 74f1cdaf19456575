"""What stands between a client and PostgreSQL: it writes down what it is told, and may pass for a pooler."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Pooler:
    """Passes everything on.

    Args:
        database: an entry of Django's `DATABASES`.
        gives_numbers: whether clients are told a number of their own instead of the one of the server's process, as
            poolers do it.
    """

    def __init__(self, database: dict[str, Any], *, gives_numbers: bool) -> None:
        self.statements: list[str] = []
        self._database = database
        self._gives_numbers = gives_numbers
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def described(self) -> dict[str, Any]:
        """It, as an entry of `DATABASES`."""
        host, port = self._listener.getsockname()
        options = {"sslmode": "disable", "gssencmode": "disable"}
        return {**self._database, "HOST": host, "PORT": str(port), "OPTIONS": options}

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for one in (self._listener, *self._sockets):
            one.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server = self._connect()
            self._sockets += [client, server]
            for work in (self._to_server, self._to_client):
                thread = threading.Thread(target=work, args=[client, server], daemon=True)
                self._threads.append(thread)
                thread.start()

    def _connect(self) -> socket.socket:
        host, port = self._database["HOST"] or "localhost", self._database["PORT"] or 5432
        if not host.startswith("/"):
            return socket.create_connection((host, int(port)))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server

    def _to_server(self, client: socket.socket, server: socket.socket) -> None:
        with _hanging_up(client, server):
            server.sendall(_message(client, 0))
            while message := _message(client, 1):
                if message[:1] == b"Q":
                    self.statements.append(message[5:-1].decode())
                server.sendall(message)

    def _to_client(self, client: socket.socket, server: socket.socket) -> None:
        with _hanging_up(client, server):
            while message := _message(server, 1):
                if message[:1] == b"K" and self._gives_numbers:
                    message = message[:5] + (2**31 - 1).to_bytes(4, "big") + message[9:]
                client.sendall(message)


def _message(source: socket.socket, kind: int) -> bytes:
    """The next message: its kind, its length, which counts itself, and what it says; nothing at the end."""
    head = _read(source, kind + 4)
    return head + _read(source, int.from_bytes(head[kind:], "big") - 4) if head else b""


def _read(source: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length and (more := source.recv(length - len(found))):
        found += more
    return found


@contextmanager
def _hanging_up(*both: socket.socket) -> Iterator[None]:
    try:
        with contextlib.suppress(OSError):
            yield
    finally:
        for one in both:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextmanager
def pooler(database: dict[str, Any], *, gives_numbers: bool) -> Iterator[Pooler]:
    made = Pooler(database, gives_numbers=gives_numbers)
    try:
        yield made
    finally:
        made.close()
