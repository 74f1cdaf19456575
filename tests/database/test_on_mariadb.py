"""What hangs on a transaction, on a real MariaDB."""

from collections.abc import Iterator
from typing import Any

import pytest

from sideeffects import side_effect
from sideeffects.guard.findings import Book, books
from tests.support.database import ALIAS, Database
from tests.support.mariadb_server import mariadb_server

pytestmark = pytest.mark.usefixtures("own_registry")


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, Any]]:
    with mariadb_server() as given:
        yield {**given, "ENGINE": "tests.support.pymysql_backend"}


@pytest.fixture
def database(server: dict[str, Any], django_db_blocker: Any) -> Iterator[Database]:
    with django_db_blocker.unblock():
        made = Database(server)
        yield made
        made.forget()


def test_an_effect_waits_for_the_commit(database: Database, production: None) -> None:
    """It runs with the rows there for everybody, and never after a rollback."""
    seen: list[list[str]] = []

    @side_effect(name="mail.confirm", on_commit=ALIAS)
    def confirm() -> None:
        seen.append(database.committed())

    with database.atomic():
        database.insert("Ada")
        confirm()
        assert seen == []
    assert seen == [["Ada"]]
    with pytest.raises(ZeroDivisionError), database.atomic():
        confirm()
        raise ZeroDivisionError
    assert seen == [["Ada"]]


def test_an_effect_inside_a_transaction_is_found(database: Database) -> None:
    """With its call and the transaction."""

    @side_effect(name="sms.send")
    def send() -> None: ...

    book = Book()
    books.open.append(book)
    try:
        send()
        with database.atomic():
            send()
    finally:
        books.open.remove(book)
    (noted,) = book.findings()
    assert "sms.send" in str(noted.finding)
