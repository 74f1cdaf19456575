"""The listing of `manage.py side_effects`: declared effects as rows, and rows as a table, as JSON or as Markdown."""

from __future__ import annotations

import inspect
import json
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.values import describe, kinds, redaction
from sideeffects._core.values.sensitive_names import is_sensitive
from sideeffects._core.verbs.decorator import explain

#: Colours a text for its role, one of those that Django's palettes know.
Paint = Callable[[str, str], str]

PER_CALL: Final = "per call"
_HEADINGS: Final = ("NAME", "MODE", "ASYNC_OK", "WHERE", "DESCRIPTION")
_GAP: Final = "  "
#: With less room than this for the description, it gets a line of its own.
_NARROW: Final = 24


@dataclass(frozen=True, slots=True)
class Row:
    """One effect as it is listed.

    Attributes:
        effect: the effect.
        decision: what now holds for it.
        app: the label of the installed app that declares it, empty when there is none.
        sensitive_names: further parameter names whose values are hidden (`SIDE_EFFECTS["SENSITIVE"]`).
    """

    effect: SideEffect
    decision: Decision
    app: str = ""
    sensitive_names: frozenset[str] = frozenset()

    @property
    def module(self) -> str:
        """The module of its function."""
        return self.effect.dotted_path.partition(":")[0]

    @property
    def mode(self) -> str:
        """The mode now in force; `per call` where a rule asks for the arguments."""
        return PER_CALL if self.decision.conditional else self.decision.mode.name

    @property
    def file(self) -> str:
        """Its source file, relative to the current folder when it lies below; empty when there is none."""
        return self.effect.file.removeprefix(os.path.join(os.getcwd(), ""))

    @property
    def location(self) -> str:
        """`file:line`, else its dotted path."""
        return f"{self.file}:{self.effect.line}" if self.file else self.effect.dotted_path

    @property
    def where(self) -> str:
        """As `location`, files of other people's packages without the folder that these are installed in."""
        places = [place for entry in sys.path if self.file.startswith(place := os.path.join(entry, ""))]
        return self.location.removeprefix(max(places, key=len, default=""))

    @property
    def signature(self) -> str:
        """Its signature, defaults described without asking them, those of sensitive parameters hidden."""
        signature = self.effect.signature
        if signature is None:
            return "(...)"
        return str(
            signature.replace(
                parameters=[
                    parameter
                    if parameter.default is parameter.empty
                    else parameter.replace(default=_Written(self._shown(parameter)))
                    for parameter in signature.parameters.values()
                ]
            )
        )

    def _shown(self, parameter: inspect.Parameter) -> str:
        name = parameter.name
        hidden = name in self.effect.sensitive or is_sensitive(name, self.sensitive_names)
        if hidden and parameter.default is not None:
            return kinds.REDACTED
        return describe.describe(redaction.redact(parameter.default, self.sensitive_names))

    def as_data(self) -> dict[str, Any]:
        """All of it, JSON-safe; the keys are part of the contract."""
        effect = self.effect
        return {
            "name": effect.name,
            "mode": self.decision.mode.value,
            "per_call": self.decision.conditional,
            "reason": self.decision.reason,
            "origin": self.decision.origin,
            "async_ok": effect.async_ok,
            "on_commit": effect.on_commit,
            "in_transaction": effect.in_transaction,
            "kind": effect.kind,
            "app": self.app,
            "module": self.module,
            "path": effect.dotted_path,
            "file": self.file,
            "line": effect.line,
            "signature": self.signature,
            "doc": effect.doc,
            "docstring": effect.docstring,
            "raises": [_dotted(kind) for kind in effect.raises],
            "sensitive": list(effect.sensitive),
            "tags": list(effect.tags),
            "owner": effect.owner,
        }


class _Written:
    """Stands for a default in a signature, and is shown as the text that it was given."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def rows_of(effects: Iterable[SideEffect], app_of: Callable[[str], str], sensitive_names: frozenset[str]) -> list[Row]:
    """The effects as rows.

    Args:
        effects: what to list.
        app_of: gives the label of the app that a module belongs to, empty when it belongs to none.
        sensitive_names: as of `Row`.
    """
    return [
        Row(effect, explain(effect), app_of(effect.dotted_path.partition(":")[0]), sensitive_names)
        for effect in effects
    ]


# -- as JSON


def as_json(rows: Sequence[Row], *, ascii_only: bool = False) -> str:
    """A JSON list of what `Row.as_data` gives."""
    return json.dumps([row.as_data() for row in rows], indent=2, ensure_ascii=ascii_only)


# -- as Markdown


def as_markdown(rows: Sequence[Row], *, verbose: bool = False, explain: bool = False) -> str:
    """A table to paste into a page or a comment."""
    headings = ["name", "mode", "async_ok", "where", "description"]
    headings += ["signature", "raises", "sensitive"] if verbose else []
    headings += ["why"] if explain else []
    lines = [headings, ["---"] * len(headings)]
    for row in rows:
        effect = row.effect
        cells = [_code(effect.name), row.mode, _yes(effect.async_ok), _code(row.where)]
        cells.append(_escaped(effect.docstring if verbose else effect.doc))
        if verbose:
            raised = ", ".join(_code(_dotted(kind)) for kind in effect.raises)
            cells += [_code(row.signature), raised, ", ".join(_code(name) for name in effect.sensitive)]
        if explain:
            cells.append(_escaped(_why(row)))
        lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _code(text: str) -> str:
    # In a table GitHub reads `|` as the next cell even inside code.
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}".replace("|", "\\|")


def _escaped(text: str) -> str:
    for letter in "\\|<*_[`":
        text = text.replace(letter, f"\\{letter}")
    return text.replace("\n", "<br>")


# -- as a table


def as_table(rows: Sequence[Row], paint: Paint, width: int | None, *, explain: bool = False) -> str:
    """An aligned table.

    Args:
        rows: what to show.
        paint: colours a text for its role.
        width: columns of the terminal, to which descriptions are cut; `None` for as much as it takes.
        explain: whether to say below each effect why its mode is in force.
    """
    cells = [(row.effect.name, row.mode, _yes(row.effect.async_ok), row.where) for row in rows]
    columns = [max(map(_width, column)) for column in zip(_HEADINGS, *cells, strict=False)]
    indent = sum(columns) + len(_GAP) * len(columns)
    is_narrow = width is not None and width - indent < _NARROW
    room = None if width is None else width - (len(_GAP) if is_narrow else indent)
    headings = _HEADINGS[:-1] if is_narrow else _HEADINGS
    lines = [_joined([(heading, "MIGRATE_HEADING") for heading in headings], columns, paint)]
    for row, (name, mode, async_ok, where) in zip(rows, cells, strict=True):
        described = _cut(_printable(row.effect.doc), room)
        parts = [(name, "MIGRATE_LABEL"), (mode, _role(row)), (async_ok, ""), (where, "")]
        if is_narrow:
            lines.append(_joined(parts, columns, paint))
            lines += [_GAP + described] if described else []
        else:
            lines.append(_joined([*parts, (described, "")], columns, paint))
        if explain:
            lines.append(_GAP + _why(row))
    return "\n".join(lines)


def as_details(rows: Sequence[Row], paint: Paint, *, explain: bool = False) -> str:
    """Everything that is known of each effect, a paragraph each."""
    return "\n\n".join("\n".join(_details(row, paint, explain=explain)) for row in rows)


def _details(row: Row, paint: Paint, *, explain: bool) -> list[str]:
    effect = row.effect
    options = [
        "async_ok" if effect.async_ok else "",
        "on_commit" if effect.on_commit is True else f"on_commit={effect.on_commit!r}" if effect.on_commit else "",
        "" if effect.in_transaction is None else f"in_transaction={effect.in_transaction}",
    ]
    facts = {
        "where": row.location,
        "what": f"{effect.kind} {effect.dotted_path}",
        "signature": f"{effect.short_name}{row.signature}",
        "options": ", ".join(filter(None, options)),
        "raises": ", ".join(map(_dotted, effect.raises)),
        "sensitive": ", ".join(effect.sensitive),
        "tags": ", ".join(effect.tags),
        "owner": effect.owner,
        "why": _why(row) if explain else "",
    }
    lines = [f"{paint('MIGRATE_LABEL', effect.name)}{_GAP}{paint(_role(row), row.mode)}"]
    lines += [f"{_GAP}{label:<11}{_printable(fact)}" for label, fact in facts.items() if fact]
    if effect.docstring:
        lines += ["", *(f"{_GAP * 2}{_printable(line)}".rstrip() for line in effect.docstring.splitlines())]
    return lines


def _joined(parts: Sequence[tuple[str, str]], columns: Sequence[int], paint: Paint) -> str:
    """The parts of a line, padded, then coloured: the letters of a colour take no room."""
    padded = []
    for index, (text, role) in enumerate(parts):
        shown = paint(role, text) if role and text else text
        is_last = index == len(parts) - 1
        padded.append(shown if is_last else shown + " " * (columns[index] - _width(text)))
    return _GAP.join(padded).rstrip()


_ROLES: Final = {Mode.EXECUTE: "SUCCESS", Mode.RECORD: "WARNING", Mode.RAISE: "ERROR"}


def _role(row: Row) -> str:
    return "NOTICE" if row.decision.conditional else _ROLES[row.decision.mode]


def _why(row: Row) -> str:
    decision = row.decision
    origin = f" [{decision.origin}]" if decision.origin else ""
    return _printable(f"{row.mode}: {decision.reason}{origin}")


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _dotted(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _printable(text: str) -> str:
    """Without what would move the cursor or colour the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _width(text: str) -> int:
    """How many columns a terminal gives to a text."""
    if text.isascii():
        return len(text)
    return sum(_columns(letter) for letter in text)


def _columns(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _cut(text: str, room: int | None) -> str:
    """The text in at most `room` columns, the cut marked."""
    if room is None or _width(text) <= room:
        return text
    kept, left = [], max(room, 1) - len("...")
    for letter in text:
        left -= _columns(letter)
        if left < 0:
            break
        kept.append(letter)
    return "".join(kept).rstrip() + "..."
