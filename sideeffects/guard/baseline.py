"""The baseline: findings that are known and accepted, in a file that is kept with the project.

An entry is the kind of finding, the call site as `file::function` and what was reached for. Lines are not in it: they
move with every change above them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from sideeffects.errors import SideEffectError

_VERSION: Final = 1
_FIELDS: Final = ("kind", "site", "what")

#: Without pytest: set, a run writes what it finds into the baseline that the settings name.
UPDATE_VARIABLE: Final = "SIDE_EFFECTS_UPDATE_BASELINE"
HOW_TO_UPDATE: Final = f"--side-effects-update-baseline (without pytest: {UPDATE_VARIABLE}=1)"

Key = tuple[str, str, str]


class BaselineError(SideEffectError):
    """The baseline file cannot be used.

    Args:
        path: the file.
        reason: what is wrong with it, and what to do.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"baseline {self.path}: {self.reason}"


class Baseline(NamedTuple):
    """A baseline file that is in use.

    Attributes:
        path: where it is.
        entries: what it accepts.
    """

    path: str
    entries: frozenset[Key]


def load(path: str, how: str = HOW_TO_UPDATE) -> Baseline:
    """A baseline file.

    Args:
        path: the file.
        how: the option that writes it anew.

    Raises:
        BaselineError: there is none, or it is none that this version reads.
    """
    again = f"write it anew with {how}"
    try:
        with open(path, encoding="utf-8") as file:
            content: Any = json.load(file)
    except FileNotFoundError:
        raise BaselineError(path, f"there is no such file; {again}") from None
    except (OSError, ValueError) as error:
        raise BaselineError(path, f"it cannot be read ({error}); {again}") from None
    version = content.get("version") if isinstance(content, dict) else None
    if version != _VERSION:
        raise BaselineError(path, f"its version is {version!r}, and this one reads {_VERSION}; {again}")
    try:
        return Baseline(path, frozenset(_entry(item) for item in content["findings"]))
    except (KeyError, TypeError):
        raise BaselineError(path, f"it has an entry without {', '.join(_FIELDS)}; {again}") from None


def _entry(item: Any) -> Key:
    kind, site, what = (item[field] for field in _FIELDS)
    if not all(isinstance(value, str) for value in (kind, site, what)):
        raise TypeError
    return kind, site, what


def save(path: str, entries: Iterable[Key]) -> None:
    """Write a baseline file: sorted, one entry a line, so that changes of it read well.

    Raises:
        BaselineError: it cannot be written.
    """
    lines = [json.dumps(dict(zip(_FIELDS, entry, strict=True))) for entry in sorted(set(entries))]
    inner = ",\n".join(f"    {line}" for line in lines)
    body = f"\n{inner}\n  " if lines else ""
    text = f'{{\n  "version": {_VERSION},\n  "findings": [{body}]\n}}\n'
    beside = f"{path}.{os.getpid()}.tmp"
    try:
        with open(beside, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(beside, path)
    except OSError as error:
        raise BaselineError(path, f"it cannot be written ({error})") from None
