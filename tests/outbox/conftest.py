"""An outbox in a real database, and this process outside any test run: effects are held, and executed when released."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.test import override_settings

from tests.support.mariadb_server import mariadb_server
from tests.support.postgres_server import postgres_server

ALIAS = "outbox"
APPS = ["django.contrib.contenttypes", "django.contrib.auth", "sideeffects", "sideeffects.outbox"]


@pytest.fixture(scope="session")
def mariadb() -> Iterator[dict[str, Any]]:
    with mariadb_server() as database:
        import pymysql

        pymysql.install_as_MySQLdb()
        yield database


@pytest.fixture(scope="session")
def in_postgres() -> Iterator[dict[str, Any]]:
    """A database for the fixture `outbox` alone: what other tests migrate is not in its way."""
    with postgres_server() as database:
        yield database


@pytest.fixture(scope="session")
def in_mariadb(mariadb: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The same."""
    with mariadb_server() as database:
        yield database


@pytest.fixture
def migrated(request: Any, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """An empty database of one test, for its processes to migrate: by default on PostgreSQL."""
    kind = getattr(request, "param", "postgres")
    if kind == "sqlite":
        yield {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "db.sqlite3")}
        return
    request.getfixturevalue(kind)  # which keeps the server running
    with postgres_server() if kind == "postgres" else mariadb_server() as database:
        yield database


def _create_tables(alias: str) -> None:
    from sideeffects.outbox.models import HeldCall, Pause

    with connections[alias].schema_editor() as editor:
        for model in (HeldCall, Pause):
            editor.create_model(model)


def _forget(alias: str) -> None:
    connections[alias].close()
    del connections[alias]


@pytest.fixture(params=["sqlite"])
def outbox(request: Any, tmp_path: Path, django_db_blocker: Any, production: None, own_registry: None) -> Iterator[Any]:
    """The model of held calls, in an empty table of its own on the alias `outbox`."""
    given = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "outbox.sqlite3")}
    if request.param != "sqlite":
        given = request.getfixturevalue(f"in_{request.param}")
    connections.settings[ALIAS] = {**connections["default"].settings_dict, **given}
    settings = override_settings(INSTALLED_APPS=APPS, SIDE_EFFECTS={"OUTBOX": {"DATABASE": ALIAS}})
    with django_db_blocker.unblock(), settings:
        from sideeffects.outbox.models import HeldCall, Pause

        _create_tables(ALIAS)
        try:
            yield HeldCall.objects.using(ALIAS)
        finally:
            _forget(ALIAS)  # it may be in the middle of a transaction
            with connections[ALIAS].schema_editor() as editor:
                for model in (HeldCall, Pause):
                    editor.delete_model(model)
            _forget(ALIAS)
            del connections.settings[ALIAS]
