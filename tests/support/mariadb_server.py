"""A real MariaDB for tests: the one that SIDE_EFFECTS_TEST_MARIADB names, or Debian's `mariadbd` on a socket.

All workers of one run of pytest share a server, as with PostgreSQL. Each user has a database of its own on it.
"""

import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.shared_server import shared

#: A server to use instead, as `mysql://user:password@host:port`; the user may create databases.
VARIABLE = "SIDE_EFFECTS_TEST_MARIADB"
PROGRAMS = ("mariadbd", "mariadb-install-db")
#: Where Debian has them, which not every user's PATH names.
PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))

#: By each of these MariaDB ends a transaction, or commits by itself.
ENDING = [
    "COMMIT",
    "# note\nCOMMIT",
    "-- note\nCOMMIT",
    "/*M! COMMIT */",
    "/*!50000 COMMIT*/",
    "SET autocommit = 1",
    "SET @@session.autocommit=1",
    "SET sql_mode='', `autocommit`=1",
    "SET STATEMENT max_statement_time=10 FOR COMMIT",
    "EXECUTE IMMEDIATE 'COMMIT'",
    "PREPARE s FROM 'COMMIT'; EXECUTE s",
    "SET @s = 'COMMIT'; PREPARE s FROM @s; EXECUTE s",
    "CALL commits()",
    "BEGIN NOT ATOMIC COMMIT; END",
    "START TRANSACTION",
    "ROLLBACK",
    "LOCK TABLES shop_row WRITE",
    "CREATE TABLE other (id int)",
    "TRUNCATE TABLE shop_row",
    "CHECK TABLE shop_row",
    "ANALYZE TABLE shop_row",
    "FLUSH TABLES",
    "SET PASSWORD = PASSWORD('')",
    "XA END 'x'",
]
#: And what these do, no transaction takes back.
IRREVOCABLE = ["SET GLOBAL max_connections = 152", "SET @@global.max_connections = 152", "KILL 1"]


@contextmanager
def mariadb_server() -> Iterator[dict[str, Any]]:
    """An empty database of the caller's own, as an entry of Django's `DATABASES`; it is dropped after the block."""
    pytest.importorskip("pymysql", reason="PyMySQL is not installed")
    with _server() as given:
        name = f"sideeffects_{uuid.uuid4().hex[:12]}"
        with connect({**given, "NAME": None}) as connection:
            connection.cursor().execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        try:
            yield {"ENGINE": "django.db.backends.mysql", "NAME": name, **given, "OPTIONS": {"charset": "utf8mb4"}}
        finally:
            with connect({**given, "NAME": None}) as connection:
                connection.cursor().execute(f"DROP DATABASE {name}")


def connect(database: Mapping[str, Any]) -> Any:
    """A connection of PyMySQL's to a database that Django's `DATABASES` describe so; it commits each statement."""
    import pymysql

    where = {"unix_socket": database["HOST"]} if "/" in database["HOST"] else {"host": database["HOST"]}
    port = {"port": int(database["PORT"])} if database["PORT"] else {}
    return pymysql.connect(
        user=database["USER"],
        password=database["PASSWORD"],
        database=database["NAME"],
        autocommit=True,
        **where,
        **port,
    )


@contextmanager
def _server() -> Iterator[dict[str, Any]]:
    """A running server, as a part of an entry of `DATABASES`."""
    url = os.environ.get(VARIABLE)
    if url:
        parts = urlsplit(url)
        yield {
            "HOST": parts.hostname,
            "PORT": parts.port or 3306,
            "USER": parts.username,
            "PASSWORD": parts.password or "",
        }
        return
    if not all(shutil.which(program, path=PATH) for program in PROGRAMS):
        pytest.skip(f"there is no {PROGRAMS[0]} (Debian's mariadb-server), and no {VARIABLE}")
    # A short path, since a socket is in it.
    folder = Path(tempfile.gettempdir()) / f"my-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())!s:.12}"
    with shared(folder, _start, _stop):
        yield {"HOST": str(folder / "socket"), "PORT": "", "USER": "root", "PASSWORD": ""}


def _start(folder: Path) -> None:
    data, options = folder / "data", ["--no-defaults", f"--datadir={folder}/data", f"--pid-file={folder}/pid"]
    if os.getuid() == 0:
        options.append("--user=root")
    environment = {**os.environ, "PATH": PATH}
    if not data.exists():
        subprocess.run(
            ["mariadb-install-db", *options, "--auth-root-authentication-method=normal", "--skip-test-db"],
            env=environment,
            check=True,
            capture_output=True,
        )
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [
                "mariadbd",
                *options,
                f"--socket={folder}/socket",
                "--skip-networking",
                "--skip-log-bin",
                "--innodb-flush-log-at-trx-commit=0",  # nothing has to survive a power cut
                "--innodb-buffer-pool-size=32M",
            ],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _started.append(process)
    deadline = time.monotonic() + 60
    while not (folder / "socket").exists():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"mariadbd did not start:\n{(folder / 'log').read_text(encoding='utf-8', errors='replace')}")
        time.sleep(0.05)


#: Python complains of processes that are forgotten while they run.
_started: list["subprocess.Popen[bytes]"] = []


def _stop(folder: Path) -> None:
    number = int((folder / "pid").read_text(encoding="ascii"))
    os.kill(number, 15)
    deadline = time.monotonic() + 30
    while (folder / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in _started:
        process.wait(30)
