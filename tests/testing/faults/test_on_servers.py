"""Fault sweeps on a real PostgreSQL and MariaDB: what each run writes is taken back, savepoints included."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.test import TestCase

from sideeffects import side_effect
from sideeffects.testing import fault_sweep
from tests.support.database import ALIAS, Database
from tests.support.mariadb_server import mariadb_server
from tests.support.postgres_server import postgres_server

pytestmark = pytest.mark.usefixtures("own_registry")


@pytest.fixture(params=["postgresql", "mariadb"])
def database(request: pytest.FixtureRequest, django_db_blocker: Any) -> Iterator[Database]:
    server, engine = {
        "mariadb": (mariadb_server, {"ENGINE": "tests.support.pymysql_backend"}),
        "postgresql": (postgres_server, {}),
    }[request.param]
    with server() as given, django_db_blocker.unblock():
        made = Database({**given, **engine})
        yield made
        made.forget()


def test_each_run_begins_with_what_the_test_had_written(database: Database) -> None:
    """A run sees its own rows and none of another's; an effect that waits fails where the commit would be."""
    seen: dict[str | None, list[str]] = {}

    @side_effect(name="sms.send", in_transaction=True)
    def send() -> None: ...

    @side_effect(name="mail.confirm", on_commit=ALIAS)
    def confirm() -> None: ...

    def scenario() -> None:
        with TestCase.captureOnCommitCallbacks(using=ALIAS, execute=True), database.atomic():
            database.insert("order")
            confirm()
            with database.atomic():
                send()
                database.insert("sent")

    with transaction.atomic(using=ALIAS):
        database.insert("before")
        report = fault_sweep(scenario, invariants=lambda fault: seen.update({fault: database.names()}), check=False)
        assert database.names() == ["before"]
        transaction.set_rollback(True, using=ALIAS)
    assert (len(report.passed), report.failed, report.not_reached) == (4, [], [])
    faults = [(name, place) for name in ("mail.confirm#1", "sms.send#1") for place in ("before", "after")]
    assert seen == {None: ["before", "order", "sent"]} | {
        f"{name}:SideEffectFault:{place}": ["before", "order", "sent"] if name.startswith("mail") else ["before"]
        for name, place in faults
    }
    assert database.committed() == []
