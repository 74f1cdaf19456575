"""What drivers connect by, of whose connections Python does not tell, or not who they are to."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

from sideeffects._core.state import import_hooks

#: The module, and what connects in it.
_DRIVERS: Final = (
    ("psycopg2", "connect"),
    ("psycopg2", "_connect"),
    ("MySQLdb.connections", "Connection.__init__"),
    ("pymysql.connections", "Connection.connect"),
    ("mysql.connector.connection_cext", "CMySQLConnection._open_connection"),
    ("mariadb.connections", "Connection.__init__"),
    ("oracledb.connection", "connect"),
    ("cx_Oracle", "connect"),
    ("pyodbc", "connect"),
    ("pymssql", "connect"),
)


def wrap_each(around: Callable[[Callable[..., Any], str], Callable[..., Any]]) -> None:
    """Replace each by what `around` makes of it and of its module's name, when the module is imported."""
    for module, name in _DRIVERS:
        import_hooks.after_import(module, functools.partial(_wrap, name, around))


def _wrap(name: str, around: Callable[[Callable[..., Any], str], Callable[..., Any]], module: Any) -> None:
    owner, _, attribute = name.rpartition(".")
    holder = getattr(module, owner) if owner else module
    if hasattr(holder, attribute):
        setattr(holder, attribute, around(getattr(holder, attribute), module.__name__))
