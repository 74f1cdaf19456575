"""What a project accepts of the audit's findings, in a file that is kept with it.

An entry is a function and one API that it calls: a function that comes to call another API is listed again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from sideeffects.guard import baseline
from sideeffects.listing.audit.undeclared import UndeclaredFunction

_KIND: Final = "undeclared"
_HOW: Final = "--update-baseline"


def save(file: str, found: Iterable[UndeclaredFunction]) -> None:
    """Accept these, and only these.

    Raises:
        BaselineError: the file cannot be written.
    """
    baseline.save(file, (key for one in found for key in _keys(one, file)))


def without(file: str, found: Sequence[UndeclaredFunction]) -> tuple[list[UndeclaredFunction], int]:
    """What a file does not accept, and how many of its entries mean nothing any more.

    Raises:
        BaselineError: the file cannot be read.
    """
    entries = baseline.load(file, _HOW).entries
    left = []
    met: set[baseline.Key] = set()
    for one in found:
        keys = list(_keys(one, file))
        met.update(keys)
        calls = tuple(call for call, key in zip(one.calls, keys, strict=True) if key not in entries)
        if calls:
            left.append(one._replace(calls=calls))
    return left, len(entries - met)


def _keys(found: UndeclaredFunction, file: str) -> Iterator[baseline.Key]:
    """An entry for each call. Files are named from the baseline's own folder, wherever the command is run."""
    path = os.path.relpath(found.path, os.path.dirname(os.path.abspath(file))).replace(os.sep, "/")
    for call in found.calls:
        yield _KIND, f"{path}::{found.function or '<module>'}", call.api
