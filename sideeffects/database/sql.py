"""What a statement of SQL is about, told from its words: does it end a transaction, write, act outside of one.

This is for messages that help, and for databases that do not refuse by themselves. It looks into no string, comment or
quoted name.
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
_DDL: Final = re.compile(
    r"(?:create|alter|drop|truncate|rename|grant|revoke|comment|analyze|optimize|repair|flush|reset|lock|unlock|"
    r"set\s+(?:session\s+)?(?:@@)?autocommit)\b(?!\s+temporary\b)",
    re.IGNORECASE,
)
#: `/*! ... */` is no comment for MySQL. Whether a backslash is special in a string depends on the database and on the
#: string, so where there is one both are looked at.
_QUOTED: Final = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*` | \$(\w*)\$.*?\$\1\$ | --[^\n]* | /\*(?!!).*?\*/""",
    re.DOTALL | re.VERBOSE,
)
_QUOTED_WITH_BACKSLASHES: Final = re.compile(
    r"""'(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" | `[^`]*` | \$(\w*)\$.*?\$\1\$ | --[^\n]* | /\*(?!!).*?\*/""",
    re.DOTALL | re.VERBOSE,
)
_READS: Final = re.compile(
    r"(?:select|with|values|table|show|explain|describe|desc|savepoint|release|rollback|set|declare|fetch|close|"
    r"pragma(?!\s+[\w.]+\s*=))\b",
    re.IGNORECASE,
)
_WRITES: Final = re.compile(r"\b(?:insert|update|delete|merge|replace|into)\b(?!\s*\()", re.IGNORECASE)
_LOCKS: Final = re.compile(r"\bfor\s+(?:no\s+key\s+)?update\b", re.IGNORECASE)


def statement_text(sql: Any, raw: Any) -> str:
    """A statement as text; psycopg also takes objects, which know how to spell themselves for a connection."""
    if isinstance(sql, str):
        return sql
    if isinstance(sql, bytes):
        return sql.decode("utf-8", "replace")
    spelled = getattr(sql, "as_string", None)
    return str(sql) if spelled is None else str(spelled(raw))


def ends_transaction(sql: str, *, ddl_commits: bool = False) -> bool:
    """Whether one of the statements begins or ends a transaction; savepoints do not.

    Args:
        sql: the statements.
        ddl_commits: whether the database commits before it changes a table (MySQL and Oracle do).
    """
    if _MAY_CONTROL.search(sql) and any(_CONTROL.match(one) for one in _split(sql)):
        return True
    return ddl_commits and any(_DDL.match(one) for one in _split(sql))


def writes(sql: str) -> bool:
    """Whether one of the statements is none of those that only read."""
    return any(not _READS.match(one) or _WRITES.search(_LOCKS.sub("", one)) for one in _split(sql))


def _split(sql: str) -> Iterator[str]:
    for quoted in (_QUOTED, _QUOTED_WITH_BACKSLASHES) if "\\" in sql else (_QUOTED,):
        for one in re.sub(r"/\*!\d*", " ", quoted.sub(" '' ", sql)).split(";"):
            stripped = one.strip(" \t\r\n('")
            if stripped:
                yield stripped


#: What of PostgreSQL no transaction takes back, with why. `nextval` is not among these: all that it leaves is a gap.
_IRREVOCABLE: Final = (
    (re.compile(r"\bsetval\"?\s*\(", re.IGNORECASE), "sets a sequence, which no rollback takes back"),
    (re.compile(r"\bu&\"", re.IGNORECASE), "writes a name with Unicode escapes, so nobody can tell what it does"),
    (
        re.compile(r"\bcopy\b.*?\b(?:to|from)\s+program\b|\bcopy\b.*?\bto\s+(?:e|u&)?\s*''", re.IGNORECASE | re.DOTALL),
        "runs a program or writes a file on the server, which no rollback takes back",
    ),
    (
        re.compile(
            r"""\b(?:dblink\w*|lo_export|pg_(?:terminate|cancel)_backend|pg_reload_conf|pg_promote|pg_file_\w+|pg_switch_wal|
            pg_stat(?:_\w+)?_reset\w*|pg_(?:create|drop|copy)_\w*slot|pg_create_restore_point|pg_rotate_logfile)\"?\s*\(""",
            re.IGNORECASE | re.VERBOSE,
        ),
        "acts outside the transaction, which no rollback takes back",
    ),
)
_STRINGS: Final = re.compile(
    r"""'(?:[^']|'')*' | \$(\w*)\$.*?\$\1\$ | (?P<comment>--[^\n]* | /\*(?!!).*?\*/)""", re.DOTALL | re.VERBOSE
)
_STRINGS_WITH_BACKSLASHES: Final = re.compile(
    r"""'(?:[^'\\]|\\.|'')*' | \$(\w*)\$.*?\$\1\$ | (?P<comment>--[^\n]* | /\*(?!!).*?\*/)""", re.DOTALL | re.VERBOSE
)
_COMMENTS: Final = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_DO: Final = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*do\b", re.IGNORECASE | re.DOTALL)
_MAY_BE_IRREVOCABLE: Final = re.compile(
    r"setval|u&\"|copy|dblink|lo_export|pg_(?:terminate|cancel|reload|promote|file|switch|stat|create|drop|rotate)",
    re.IGNORECASE,
)


def irrevocable(sql: str) -> str:
    """Why no rollback takes the statement back, as the end of a sentence about it; empty when one does."""
    if _MAY_BE_IRREVOCABLE.search(sql):
        # The names of functions may be quoted, and what DO executes is. What looks like a comment may be in a string.
        bare = [sql, _COMMENTS.sub(" ", sql)] if _DO.match(sql) else list(_without_strings(sql))
        for pattern, why in _IRREVOCABLE:
            if any(map(pattern.search, bare)):
                return why
    return ""


def _without_strings(sql: str) -> Iterator[str]:
    for strings in (_STRINGS, _STRINGS_WITH_BACKSLASHES) if "\\" in sql else (_STRINGS,):
        yield strings.sub(lambda found: " " if found["comment"] else " '' ", sql)


_STAYS: Final = re.compile(r"\bpg_(?:try_)?advisory_lock|\bprepare\b", re.IGNORECASE)


def stays_with_session(sql: str) -> bool:
    """Whether it may leave something with PostgreSQL's session: advisory locks, and prepared statements."""
    return _STAYS.search(sql) is not None


_MAY_MATTER: Final = re.compile(
    "|".join(words.pattern for words in (_MAY_CONTROL, _MAY_BE_IRREVOCABLE, _STAYS)), re.IGNORECASE
)


def is_plain(sql: str) -> bool:
    """Whether it has no word by which it could be one of the above: most statements are done with by one look."""
    return _MAY_MATTER.search(sql) is None


_TARGET: Final = re.compile(
    r"""\s*(insert|replace|update|delete|truncate)\b(?:\s+or\s+\w+)?
    (?:\s+(?:into|from|table|only|ignore|quick|(?:low|high)_priority))*\s+
    ((?:"(?:[^"]|"")+"|`[^`]+`|\[[^\]]+\]|\w+)(?:\.(?:"(?:[^"]|"")+"|`[^`]+`|\w+))?)""",
    re.IGNORECASE | re.VERBOSE,
)
_KINDS: Final = {"insert": "inserted", "replace": "inserted", "update": "updated", "delete": "deleted"}


def target_of(sql: str) -> tuple[str, str] | None:
    """What a statement does to which table: `inserted`, `updated`, `deleted` or `truncated`, and the table's name.

    Returns:
        `None` when its first words do not tell.
    """
    found = _TARGET.match(sql)
    if found is None:
        return None
    table = ".".join(part.strip('"`[]').replace('""', '"') for part in re.findall(r'"(?:[^"]|"")+"|[^."]+', found[2]))
    return _KINDS.get(found[1].lower(), "truncated"), table


_SINGLE_WRITE: Final = re.compile(r"\s*(?:insert|update|delete)\b[^;]*\Z", re.IGNORECASE)


def is_single_write(sql: str) -> bool:
    """Whether it is one INSERT, UPDATE or DELETE, and certainly nothing behind it."""
    return _SINGLE_WRITE.match(sql) is not None


_SELECTS: Final = re.compile(r"[\s(]*select\b(?!.*\binto\b)[^;]*\Z", re.IGNORECASE | re.DOTALL)
_CALLED: Final = re.compile(r"([\w\"]+)\s*\(")
#: What stands before a parenthesis and writes nothing: words of the language, and what Django's queries call most.
_HARMLESS: Final = frozenset(
    "abs all and any array as avg between by cast coalesce concat count date_trunc distinct else exists extract filter "
    "from greatest having in is join least left length like lower max min not now nullif numeric on or over replace "
    "right round row_number select some string_agg substring sum then trim union upper values varchar when "
    "where".split()
)


def only_reads(sql: str) -> bool:
    """Whether it is one SELECT that certainly leaves nothing behind. Functions that are not known may."""
    return _SELECTS.match(sql) is not None and all(name.lower() in _HARMLESS for name in _CALLED.findall(sql))
