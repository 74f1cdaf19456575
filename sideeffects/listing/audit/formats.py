"""What an audit has found, as a table, as lines, as JSON or as Markdown."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from sideeffects._core.values.tables import GAP, aligned, code, markdown
from sideeffects.listing.audit.undeclared import UndeclaredFunction

_HEADINGS: Final = ("WHERE", "FUNCTION", "CALLS")
#: Of how many APIs a line tells.
_MOST: Final = 3


def where(path: Path, line: int) -> str:
    """`file:line`, the file relative to the current folder when it lies below."""
    return f"{str(path).removeprefix(os.path.join(os.getcwd(), ''))}:{line}"


def _place(found: UndeclaredFunction) -> str:
    return where(found.path, found.line)


def advice(found: UndeclaredFunction) -> str:
    """The line to write."""
    if not found.function:
        return "importing the module calls this: move it into a function, and declare that"
    return f"@{found.decorator}"


def as_json(listed: Sequence[UndeclaredFunction], app_of: Callable[[str], str], *, ascii_only: bool = False) -> str:
    """A JSON list; the keys are part of the contract."""
    return json.dumps([_as_data(found, app_of) for found in listed], indent=2, ensure_ascii=ascii_only)


def as_markdown(listed: Sequence[UndeclaredFunction]) -> str:
    """A table to paste into a page or a comment."""
    lines = []
    for found in listed:
        function = code(found.function) if found.function else ""
        calls = ", ".join(map(code, _apis(found)))
        written = code(advice(found)) if found.function else advice(found)
        lines.append([code(_place(found)), function, calls, written])
    return "\n".join(markdown(["where", "function", "calls", "line to write"], lines))


def as_table(listed: Sequence[UndeclaredFunction]) -> str:
    """An aligned table, with the line to write below each function."""
    rows = [(_place(found), found.function, _calls(found)) for found in listed]
    heading, *lines = aligned([_HEADINGS, *rows])
    below = [f"{line}\n{GAP}{advice(found)}" for line, found in zip(lines, listed, strict=True)]
    return "\n".join([heading, *below])


def as_lines(listed: Sequence[UndeclaredFunction]) -> str:
    """A line each, for CI."""
    return "\n".join(
        f"{_place(found)}: {found.function or found.module} calls {_calls(found)} and is not declared"
        if found.function
        else f"{_place(found)}: importing {found.module} calls {_calls(found)}"
        for found in listed
    )


def _as_data(found: UndeclaredFunction, app_of: Callable[[str], str]) -> dict[str, Any]:
    return {
        "function": found.function,
        "module": found.module,
        "app": app_of(found.module),
        "file": _place(found).rpartition(":")[0],
        "line": found.line,
        "calls": [{"api": call.api, "line": call.line} for call in found.calls],
        "reads": found.only_reads,
        "write": advice(found),
    }


def _apis(found: UndeclaredFunction) -> list[str]:
    return list(dict.fromkeys(call.api for call in found.calls))


def _calls(found: UndeclaredFunction) -> str:
    apis = _apis(found)
    more = f" and {len(apis) - _MOST} more" if len(apis) > _MOST else ""
    return ", ".join(apis[:_MOST]) + more
