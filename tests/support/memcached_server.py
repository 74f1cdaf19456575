"""A Memcached for tests: the one that SIDE_EFFECTS_TEST_MEMCACHED names (`host:port`), else a stand-in.

No wheel brings the real server. The stand-in speaks as much of its text protocol as Django's backend uses for this
library: `get`, `set`, `add` and `delete`, values of a megabyte at most, each command one step. What it cannot show is
how the real one evicts.
"""

import os
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLE = "SIDE_EFFECTS_TEST_MEMCACHED"
LARGEST = 1024 * 1024


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.values: dict[bytes, tuple[bytes, bytes, float]] = {}
        self.lock = threading.Lock()


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        for line in self.rfile:
            command, *words = line.split()
            data = self.rfile.read(int(words[3]) + 2)[:-2] if command in (b"set", b"add") else b""
            with self.server.lock:
                answer = getattr(self, f"do_{command.decode()}")(words, data)
            self.wfile.write(answer)

    def do_get(self, keys: list[bytes], _: bytes) -> bytes:
        now = time.time()
        found = [(key, self.server.values[key]) for key in keys if key in self.server.values]
        parts = [
            b"VALUE %s %s %d\r\n%s\r\n" % (key, flags, len(data), data)
            for key, (flags, data, end) in found
            if end > now
        ]
        return b"".join(parts) + b"END\r\n"

    def do_set(self, words: list[bytes], data: bytes) -> bytes:
        key, flags, seconds = words[:3]
        if len(data) > LARGEST:
            return b"SERVER_ERROR object too large for cache\r\n"
        self.server.values[key] = flags, data, time.time() + int(seconds)
        return b"STORED\r\n"

    def do_add(self, words: list[bytes], data: bytes) -> bytes:
        return b"NOT_STORED\r\n" if self.do_get(words[:1], b"") != b"END\r\n" else self.do_set(words, data)

    def do_delete(self, words: list[bytes], _: bytes) -> bytes:
        return b"DELETED\r\n" if self.server.values.pop(words[0], None) else b"NOT_FOUND\r\n"


@contextmanager
def memcached_server() -> Iterator[str]:
    """Where a server listens, as `host:port`; ours ends with the block."""
    given = os.environ.get(VARIABLE)
    if given:
        yield given
        return
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
