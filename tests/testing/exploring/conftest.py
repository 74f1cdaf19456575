"""Databases to explore on."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.explored_database import explored_database
from tests.support.mariadb_server import mariadb_server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[dict[str, Any]]:
    """A database on a real MariaDB, as an entry of `DATABASES`; by PyMySQL where there is no mysqlclient."""
    with mariadb_server() as given, pytest.MonkeyPatch.context() as patch:
        if importlib.util.find_spec("MySQLdb") is None:
            import pymysql

            patch.setattr(pymysql, "version_info", (2, 2, 8, "final", 0))  # that of mysqlclient, for which Django asks
            patch.setitem(sys.modules, "MySQLdb", pymysql)
        yield given


@pytest.fixture
def on_postgres(postgres: dict[str, Any], django_db_blocker: Any) -> Iterator[None]:
    """The tables on PostgreSQL."""
    with django_db_blocker.unblock(), explored_database(postgres):
        yield


@pytest.fixture
def on_sqlite(tmp_path: Path, django_db_blocker: Any) -> Iterator[None]:
    """The tables in a file."""
    given = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "explored.sqlite3")}
    with django_db_blocker.unblock(), explored_database(given):
        yield


@pytest.fixture
def on_mariadb(mariadb: dict[str, Any], django_db_blocker: Any) -> Iterator[None]:
    """The tables on MariaDB."""
    with django_db_blocker.unblock(), explored_database(mariadb):
        yield


@pytest.fixture(params=["postgres", "mariadb", "sqlite"])
def on_each(request: pytest.FixtureRequest) -> str:
    """The tables on each database in turn; its name."""
    request.getfixturevalue(f"on_{request.param}")
    name: str = request.param
    return name
