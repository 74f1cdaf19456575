"""A Sentry for tests: a process that takes envelopes over HTTP, and writes down what the SDK's own parser finds.

It is a process of its own, since the SDK would stay in the one that runs the tests.
"""

import gzip
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.projects import clean_environment


class Sentry:
    """A running server.

    Attributes:
        dsn: what `sentry_sdk.init` takes; `silent_dsn` leads to where no answer ever comes.
    """

    def __init__(self, address: str, file: Path) -> None:
        self.dsn = f"http://key@{address}/1"
        self.silent_dsn = f"http://key@{address}/2"
        self._file = file

    def take(self, wait_for: int = 0) -> list[dict[str, Any]]:
        """The items that have arrived since the last time, as dicts with a `type`; waits for that many, for 30 s."""
        deadline = time.monotonic() + 30
        while True:
            lines = self._file.read_text(encoding="utf-8").splitlines() if self._file.exists() else []
            if len(lines) >= wait_for or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        self._file.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]


@contextmanager
def sentry_server(folder: Path) -> Iterator[Sentry]:
    """Run one for the length of the block."""
    file = folder / "items.jsonl"
    process = subprocess.Popen(
        [sys.executable, __file__, file],
        env=clean_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield Sentry(process.stdout.readline().strip(), file)
    finally:
        process.communicate()  # it ends with its input


def serve(file: Path) -> None:
    """Serve until the standard input ends."""
    from sentry_sdk.envelope import Envelope

    ended, lock = threading.Event(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path.startswith("/api/2/"):
                ended.wait()
            with lock, file.open("a", encoding="utf-8") as lines:
                for item in Envelope.deserialize(body).items:
                    lines.write(json.dumps({**(item.payload.json or {}), "type": item.type}) + "\n")
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - theirs
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("{}:{}".format(*server.server_address), flush=True)  # noqa: T201 - whoever has started this reads it
    sys.stdin.read()
    ended.set()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
