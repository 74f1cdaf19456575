"""Whose line uses a database: for messages about what is refused there."""

from __future__ import annotations

from typing import Final

from sideeffects._core.values.callers import caller_outside, line_of

#: What lies between that line and us.
_MACHINERY: Final = frozenset(
    ("sideeffects", "django", "psycopg", "psycopg2", "psycopg_pool", "MySQLdb", "pymysql", "sqlite3", "contextlib")
)


def place_of_use() -> str:
    """`file:line` of the innermost code that is neither ours nor Django's nor a driver's."""
    code, instruction = caller_outside(_is_machinery)
    return f"{code.co_filename}:{line_of(code, instruction)}"


def _is_machinery(module: str) -> bool:
    return module.partition(".")[0] in _MACHINERY
