"""Taking back what one run has written to the databases, where a test's transaction is open."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager


@contextmanager
def undone() -> Generator[None]:
    """Roll back what is written inside to databases in which a transaction is open; others are left as they are.

    A block that is `durable` may begin inside it where it might have begun outside: directly in a `TestCase`.
    """
    database = sys.modules.get("django.db")
    conf = sys.modules.get("django.conf")
    if database is None or conf is None or not conf.settings.configured:
        yield
        return
    open_ones = [c for c in database.connections.all(initialized_only=True) if c.in_atomic_block]
    with ExitStack() as stack:
        for connection in open_ones:
            block = database.transaction.atomic(using=connection.alias)
            # As the blocks of Django's own TestCase have it (`django.test.testcases`).
            block._from_testcase = all(outer._from_testcase for outer in connection.atomic_blocks)  # noqa: SLF001
            stack.enter_context(block)
        yield
        for connection in open_ones:
            database.transaction.set_rollback(True, using=connection.alias)
