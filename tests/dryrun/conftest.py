"""What tests of dry runs share: a database of each kind, and an effect."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sideeffects import side_effect
from sideeffects.testing import isolated_registry
from tests.dryrun.effects import executed
from tests.support.database import Database
from tests.support.mariadb_server import mariadb_server


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    executed.clear()
    with isolated_registry():
        yield


@pytest.fixture(scope="session")
def mariadb() -> Iterator[dict[str, Any]]:
    """A database on a real MariaDB, as an entry of `DATABASES`."""
    with mariadb_server() as given:
        yield {**given, "ENGINE": "tests.support.pymysql_backend"}


@pytest.fixture(params=["sqlite", "postgresql"])
def database(
    request: pytest.FixtureRequest, tmp_path: Path, production: None, django_db_blocker: Any
) -> Iterator[Database]:
    if request.param == "postgresql":
        given = request.getfixturevalue("postgres")
    elif request.param == "mariadb":
        given = request.getfixturevalue("mariadb")
    else:
        given = {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(tmp_path / "dry.sqlite3"),
            "OPTIONS": {"timeout": 1},
        }
    with django_db_blocker.unblock():
        made = Database(given)
        made.insert("kept")
        try:
            yield made
            with made.atomic():
                made.insert("after")
            assert made.committed()[-1] == "after", "the connection no longer commits"
        finally:
            made.forget()


@pytest.fixture
def send() -> Any:
    @side_effect(name="sms.send", async_ok=True, sensitive=["token"])
    def send(to: str, token: str = "") -> str:
        """Send."""
        executed.append(to)
        return "sent"

    return send
