"""What a statement of SQL is about, told from its first words: whether it ends a transaction, whether it writes.

This is for databases that do not refuse by themselves. It looks into no string, comment or quoted name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

#: Without one of these words a statement ends no transaction; most statements are done with here.
_MAY_CONTROL: Final = re.compile(r"\b(?:commit|rollback|end|abort|begin|start|prepare)\b", re.IGNORECASE)
_CONTROL: Final = re.compile(
    r"(?:commit|end|abort|begin|start\s+transaction|prepare\s+transaction|"
    r"rollback(?!\s+(?:(?:work|transaction)\s+)?to\b))\b",
    re.IGNORECASE,
)
_QUOTED: Final = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*` | \$(\w*)\$.*?\$\1\$ | --[^\n]* | /\*.*?\*/""",
    re.DOTALL | re.VERBOSE,
)
_READS: Final = re.compile(
    r"(?:select|with|values|table|show|explain|describe|desc|savepoint|release|rollback|set|declare|fetch|close|"
    r"pragma(?!\s+[\w.]+\s*=))\b",
    re.IGNORECASE,
)
_WRITES: Final = re.compile(r"\b(?:insert|update|delete|merge|replace|into)\b(?!\s*\()", re.IGNORECASE)
_LOCKS: Final = re.compile(r"\bfor\s+(?:no\s+key\s+)?update\b", re.IGNORECASE)


def text_of(sql: Any, raw: Any) -> str:
    """A statement as text; psycopg also takes objects, which know how to spell themselves for a connection."""
    if isinstance(sql, str):
        return sql
    if isinstance(sql, bytes):
        return sql.decode("utf-8", "replace")
    spelled = getattr(sql, "as_string", None)
    return str(sql) if spelled is None else str(spelled(raw))


def ends_transaction(sql: str) -> bool:
    """Whether one of the statements begins or ends a transaction; savepoints do not."""
    return bool(_MAY_CONTROL.search(sql)) and any(_CONTROL.match(one) for one in _split(sql))


def writes(sql: str) -> bool:
    """Whether one of the statements is none of those that only read."""
    return any(not _READS.match(one) or _WRITES.search(_LOCKS.sub("", one)) for one in _split(sql))


def _split(sql: str) -> Iterator[str]:
    for one in _QUOTED.sub(" '' ", sql).split(";"):
        stripped = one.strip(" \t\r\n('")
        if stripped:
            yield stripped
