"""What commands that write many rows are measured on: an SQLite file and a PostgreSQL, with one table, and an effect.

Neither syncs anything to disk.
"""

import contextlib
import tempfile

import django
from django.conf import settings
from django.db import connections, models

from sideeffects import side_effect
from tests.support.postgres_server import postgres_server

ROWS = 10_000
ALIASES = ("sqlite", "postgresql")


@side_effect(name="bench.send")
def send(number):
    """Send."""


@contextlib.contextmanager
def databases():
    """Both, under their aliases; a folder for files, and the model."""
    with tempfile.TemporaryDirectory() as folder, postgres_server() as postgres:
        sqlite = {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": f"{folder}/bench.sqlite3",
            "OPTIONS": {"init_command": "PRAGMA synchronous=OFF"},
        }
        settings.configure(
            SECRET_KEY="bench", DATABASES={"default": {}, "sqlite": sqlite, "postgresql": postgres}, USE_TZ=True
        )
        django.setup()

        class Row(models.Model):
            name = models.CharField(max_length=40)
            number = models.IntegerField()

            class Meta:
                app_label = "bench"

            def __str__(self):
                return self.name

        for alias in ALIASES:
            with connections[alias].schema_editor() as editor:
                editor.create_model(Row)
        try:
            yield folder, Row
        finally:
            with contextlib.suppress(Exception):
                connections.close_all()


def write_one_by_one(model, alias, effects):
    """Write the rows, and call the effect so many times in between."""
    for number in range(ROWS):
        model(name=f"row {number}", number=number).save(using=alias)
        if number % (ROWS // effects) == 0:
            send(number)
