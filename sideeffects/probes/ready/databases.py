"""Whether each database answers, and has all migrations."""

from __future__ import annotations

from typing import Final

from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from sideeffects.probes.case import SmokeTest
from sideeffects.probes.ready.base import for_each

#: How many migrations a message names.
_NAMED: Final = 5


def answers(probe: SmokeTest, alias: str) -> None:
    """Ask a database for a one."""
    connection = connections[alias]
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1" + connection.features.bare_select_suffix)
        probe.assertEqual(cursor.fetchone(), (1,), f"the database {alias!r} gives something else for SELECT 1")


def is_migrated(probe: SmokeTest, alias: str) -> None:
    """Compare the migrations in the code with those that a database has."""
    executor = MigrationExecutor(connections[alias])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    missing = [f"{step.app_label}.{step.name}" for step, _ in plan]
    named = ", ".join(missing[:_NAMED]) + (", ..." if len(missing) > _NAMED else "")
    probe.assertFalse(
        missing,
        f"the database {alias!r} lacks {len(missing)} migrations ({named}): manage.py migrate --database {alias}",
    )


def database() -> type[SmokeTest]:
    """A probe for each database."""
    return for_each("Database", "Whether each database answers.", connections, answers)


def migrations() -> type[SmokeTest]:
    """A probe for each database."""
    return for_each("Migrations", "Whether each database has all migrations.", connections, is_migrated)
