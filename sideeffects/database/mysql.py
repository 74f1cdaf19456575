"""What MySQL and MariaDB do by themselves when they are given a statement: told from its words, in every spelling.

Servers that hold a transaction against all of it need this only for what no transaction takes back; it is for messages,
and for servers that do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

#: The numbers of errors and warnings: a global transaction is in a state in which this cannot be done; a table that
#: knows no transactions was written, and is not rolled back.
REFUSED_IN_GLOBAL: Final = 1399
NOT_ROLLED_BACK: Final = 1196

#: Versioned comments (`/*! ... */`, `/*M! ... */`) are no comments. Whether a backslash is special in a string depends
#: on `sql_mode`, so where there is one both are looked at.
_PIECES: Final = r"""(?P<string>'(?:[^'%s]|''%s)*' | "(?:[^"%s]|""%s)*") | `(?P<name>(?:[^`]|``)*)`
    | \#[^\n]* | --(?=\s|\Z)[^\n]* | /\*(?!M?!).*?\*/ | (?P<code>/\*M?!\d* | \*/)"""
_PLAIN: Final = re.compile(_PIECES % ("", "", "", ""), re.DOTALL | re.VERBOSE)
_WITH_BACKSLASHES: Final = re.compile(_PIECES % ("\\\\", r"|\\.", "\\\\", r"|\\."), re.DOTALL | re.VERBOSE)
#: What commits before or after it has done its work, or ends the transaction, at the beginning of a statement.
_ENDS: Final = re.compile(
    r"""(?:alter|analyze|backup|begin|cache\s+index|change|check|clone|commit|flush|grant|import|install|load\s+index|
    lock|optimize|purge|rename|repair|reset|restart|revoke|shutdown|start|stop|truncate|uninstall|unlock|xa|
    create(?!\s+(?:or\s+replace\s+)?temporary\b)|drop(?!\s+temporary\b)|rollback(?!\s+(?:work\s+)?to\b)|
    set\s+(?:password|default\s+role)|set\b.*\bautocommit)\b""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_PREPARES: Final = re.compile(r"(?:prepare\s+\S+\s+from|execute\s+immediate)\b", re.IGNORECASE)
_INNER: Final = re.compile(r"set\s+statement\b.*?\bfor\b(.*)", re.IGNORECASE | re.DOTALL)
_IRREVOCABLE: Final = (
    (
        re.compile(r"set\b.*(?:\bglobal\b|@@\s*global\b|\bpersist(?:_only)?\b)", re.IGNORECASE | re.DOTALL),
        "changes a setting of the server, which no rollback takes back",
    ),
    (re.compile(r".*\bsetval\s*\(", re.IGNORECASE | re.DOTALL), "sets a sequence, which no rollback takes back"),
    (
        re.compile(r".*\binto\s+(?:out|dump)file\b", re.IGNORECASE | re.DOTALL),
        "writes a file on the server, which no rollback takes back",
    ),
    (re.compile(r"kill\b", re.IGNORECASE), "ends somebody's work, which no rollback takes back"),
)
_TEMPORARY: Final = re.compile(r"\b(?:temporary|call|execute)\b", re.IGNORECASE)
_CHANGES_SESSION: Final = re.compile(
    r"set\b|prepare\b|execute\b|use\b|call\b|create\s+(?:or\s+replace\s+)?temporary\b|drop\s+temporary\b|"
    r".*\b(?:get_lock|release_lock|release_all_locks)\s*\(|.*@\w*\s*:=|.*\binto\s+@",
    re.IGNORECASE | re.DOTALL,
)


def ends_transaction(sql: str) -> bool:
    """Whether it ends the transaction, as far as its words tell: those of procedures and variables do not."""
    return any(_ENDS.match(one) for one in _statements(sql))


def irrevocable(sql: str) -> str:
    """Why no rollback takes the statement back, as the end of a sentence about it; empty when one does."""
    return next((why for one in _statements(sql) for words, why in _IRREVOCABLE if words.match(one)), "")


def may_make_temporary_tables(sql: str) -> bool:
    """Whether it makes or drops temporary tables, or runs what nobody has looked at."""
    return _TEMPORARY.search(sql) is not None


def changes_session(sql: str) -> bool:
    """Whether it may change what belongs to the session: settings, variables, locks by name, temporary tables."""
    return any(_CHANGES_SESSION.match(one) for one in _statements(sql))


def thread_of(raw: Any) -> int:
    """The number by which the server knows the session of a driver's connection."""
    return int(raw.thread_id())


def is_mariadb(raw: Any) -> bool:
    """Whether the server is MariaDB, as a driver's connection says."""
    return "mariadb" in str(raw.get_server_info()).lower()


def _statements(sql: str) -> Iterator[str]:
    """Each statement without comments and strings, and those that are inside of others."""
    for pieces in (_PLAIN, _WITH_BACKSLASHES) if "\\" in sql else (_PLAIN,):
        for one in pieces.sub(_without, sql).split(";"):
            bare = one.strip(" \t\r\n(")
            if not bare:
                continue
            yield bare
            inner = _INNER.match(bare)
            if inner is not None:
                yield inner[1].strip()
            if _PREPARES.match(bare):
                for found in pieces.finditer(sql):
                    if found["string"]:
                        yield from _statements(found["string"][1:-1])


def _without(found: re.Match[str]) -> str:
    if found["name"] is not None:
        return found["name"] if found["name"].isidentifier() else "``"
    return " '' " if found["string"] else " "
