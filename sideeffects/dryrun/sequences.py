"""What Django sends to set a sequence after rows with given keys, as `loaddata` does. No rollback takes that back.

Nor can it be put back afterwards: others may have drawn numbers in the meantime. So it is left out, and said. Altering
the sequence instead would be rolled back, but others could not insert until then.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

#: Exactly as `DatabaseOperations.sequence_reset_sql` of Django's PostgreSQL has it, in 5.2 to 6.1.
_RESET: Final = re.compile(
    r"""SELECT setval\(pg_get_serial_sequence\('("(?:[^"'\\]|"")+"(?:\."(?:[^"'\\]|"")+")?)','([^'\\]+)'\), """
    r"""coalesce\(max\(("(?:[^"'\\]|"")+")\), 1\), max\(\3\) IS NOT null\) FROM \1;"""
)


class Reset(NamedTuple):
    """A statement that sets a sequence, as Django spells it.

    Attributes:
        column: whose keys come from it.
        instead: a query that answers with the same row, and sets nothing.
    """

    column: str
    instead: str


def reset_of(query: Any) -> Reset | None:
    """What a statement sets, if it is exactly Django's."""
    if type(query) is not str or not query.startswith("SELECT setval("):
        return None
    found = _RESET.fullmatch(query)
    if found is None:
        return None
    table, _, column = found.groups()
    instead = f"SELECT coalesce(max({column}), 1) AS setval FROM {table}"  # noqa: S608 - quoted names, and no more
    return Reset(f"{table}.{column}".replace('"', ""), instead)
