"""Real web servers for the probe project: waitress speaks WSGI, uvicorn ASGI; each is one process."""

import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from tests.support.probe_project import ProbeProject

SERVERS = {
    "wsgi": ["-m", "waitress", "--host=127.0.0.1", "--threads=100", "--port={port}", "wsgi:application"],
    "asgi": ["-m", "uvicorn", "--host=127.0.0.1", "--log-level=warning", "--port={port}", "asgi:application"],
}
ENTRY = """
    import os

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config")
    from django.core.{kind} import get_{kind}_application

    application = get_{kind}_application()
"""


class Answer(NamedTuple):
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    text: str


class Server(NamedTuple):
    """A running server.

    Attributes:
        url: where, with a slash at the end.
    """

    url: str

    def ask(self, path: str = "probe/", method: str = "GET", **headers: str) -> Answer:
        """Send a request; an underscore in the name of a header stands for a hyphen."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, method=method, headers=named)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return Answer(response.status, response.headers, response.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read().decode())


@contextmanager
def served(project: ProbeProject, kind: str, **environment: str) -> Iterator[Server]:
    """The project on a server of this kind, with these variables in its environment."""
    project.write(f"{kind}.py", ENTRY.replace("{kind}", kind))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = project.started(*(part.format(port=port) for part in SERVERS[kind]), **environment)
    try:
        _wait(process, port)
        yield Server(f"http://127.0.0.1:{port}/")
    finally:
        process.terminate()
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _wait(process: "subprocess.Popen[str]", port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            assert process.poll() is None, f"the server ended: {process.communicate()}"
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the server does not answer")
