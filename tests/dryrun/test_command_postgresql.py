"""`manage.py dry_run` of Django's own commands, in a project on a real PostgreSQL."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.listed_project import listed_project
from tests.support.projects import Project

pytestmark = pytest.mark.processes

SETTINGS = """\
import os
DATABASES = {{"default": {!r}}}
SILENCED_SYSTEM_CHECKS = ["models.W042"]
if "POOL" in os.environ:
    DATABASES["default"]["OPTIONS"] = {{"pool": {{"timeout": int(os.environ["POOL"])}}}}
"""

MODELS = '''
    from django.db import models


    class Shelf(models.Model):
        """A shelf."""

        name = models.CharField(max_length=40)


    class Book(models.Model):
        """A book on it."""

        shelf = models.ForeignKey(Shelf, models.CASCADE)
'''


class Shop(Project):
    """A project whose database can be looked at."""

    def __init__(self, root: Path, given: dict[str, Any]) -> None:
        super().__init__(root)
        self.given = given

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask past Django, or do something."""
        import psycopg

        names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
        with psycopg.connect(**{key: self.given[name] for key, name in names.items()}) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, postgres: dict[str, Any]) -> Iterator[Shop]:
    root = tmp_path_factory.mktemp("books")
    listed_project(root, SETTINGS.format(postgres))
    made = Shop(root, postgres)
    made.write("shop/models.py", MODELS)
    made.write(
        "books.json",
        json.dumps(
            [
                {"model": "shop.shelf", "pk": 1, "fields": {"name": "changed"}},
                {"model": "shop.shelf", "pk": 7, "fields": {"name": "seven"}},
                {"model": "shop.book", "pk": 9, "fields": {"shelf": 8}},
                {"model": "shop.shelf", "pk": 8, "fields": {"name": "after what refers to it"}},
            ]
        ),
    )
    made.run("manage.py", "migrate", "--run-syncdb", "-v0")
    made.rows("INSERT INTO shop_shelf (name) VALUES ('kept')")
    yield made
    made.rows("DROP TABLE shop_book, shop_shelf")


def state_of(shop: Shop) -> list[Any]:
    asked = [f"SELECT * FROM shop_{table}" for table in ("shelf", "book")]
    asked += [f"SELECT last_value, is_called FROM shop_{table}_id_seq" for table in ("shelf", "book")]
    return [shop.rows(statement) for statement in asked]


@pytest.mark.parametrize("environment", [{}, {"POOL": "5"}], ids=["connection", "pool"])
def test_fixtures_are_loaded_and_taken_back(shop: Shop, environment: dict[str, str]) -> None:
    """`loaddata` ends well, with its rows in the plan; neither rows nor sequences have changed after it."""
    before = state_of(shop)
    dry = ("manage.py", "dry_run", "--format=json", "loaddata", "books.json")
    plan = json.loads(shop.run(*dry, environment=environment).stdout)
    assert (plan["exit_code"], plan["refusals"]) == (0, [])
    assert plan["output"] == "Installed 4 object(s) from 1 fixture(s)\n"
    assert [(row["table"], row["inserted"], row["updated"]) for row in plan["writes"]] == [
        ("shop_book", 1, 0),
        ("shop_shelf", 2, 1),
    ]
    told = sorted(remark.partition(" was not set")[0] for remark in plan["remarks"])
    assert told == ["the sequence of shop_book.id", "the sequence of shop_shelf.id"]
    assert state_of(shop) == before
