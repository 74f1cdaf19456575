"""What libpq says of a connection and of a command, by its numbers; psycopg 3 has them on `pgconn`."""

from __future__ import annotations

from typing import Any, Final

#: The state of a connection: in no transaction, in the middle of a statement, in a transaction, in a failed one.
IDLE: Final = 0
ACTIVE: Final = 1
INTRANS: Final = 2
INERROR: Final = 3
#: The result of a command that went well without rows, and of any that went well.
COMMAND_OK: Final = 1
FINE: Final = frozenset((COMMAND_OK, 2))


def is_psycopg(raw: Any) -> bool:
    """Whether a driver's connection is one of psycopg 3."""
    return hasattr(raw, "pgconn")


def is_psycopg2_module(module: Any) -> bool:
    """Whether a driver is psycopg2, which has no `pgconn`."""
    return str(getattr(module, "__name__", "")) == "psycopg2"
