"""What a probe may not do, as the errors that it gets."""

from __future__ import annotations

from django.db import DatabaseError
from django.db.transaction import TransactionManagementError

from sideeffects.errors import SideEffectError


class ProbesRefused(SideEffectError):
    """Nothing was run: a label or tag means nothing, a class must not run on a live system, or a probe runs probes."""


class CommitRefused(TransactionManagementError):
    """A probe tried to commit, or to end its transaction in another way. It is rolled back whatever it does."""


class WriteRefused(DatabaseError):
    """A read-only probe tried to write, or a probe tried to do what no rollback takes back."""


class DatabaseRefused(DatabaseError):
    """A probe used a database that it does not name, or from a thread in which nothing would be rolled back."""


class ProbeOver(DatabaseError):
    """A probe that is past its timeout went on: it can use no database any more."""
