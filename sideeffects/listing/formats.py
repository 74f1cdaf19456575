"""The rows of the listing as a table, as JSON or as Markdown."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Final

from sideeffects._core.calls.decision import Mode
from sideeffects._core.values.tables import GAP, code, cut, escaped, markdown, padded, printable, widths_of
from sideeffects.listing.rows import WHY_NOT, Row, dotted

#: Colours a text for its role, one of those that Django's palettes know.
Paint = Callable[[str, str], str]

_HEADINGS: Final = ("NAME", "MODE", "ASYNC_OK", "READS", "WHERE", "DESCRIPTION")
#: With less room than this for the description, it gets a line of its own.
_NARROW: Final = 24
_ROLES: Final = {Mode.EXECUTE: "SUCCESS", Mode.HOLD: "WARNING", Mode.RECORD: "WARNING", Mode.RAISE: "ERROR"}


def as_json(rows: Sequence[Row], *, ascii_only: bool = False) -> str:
    """A JSON list of what `Row.as_data` gives."""
    return json.dumps([row.as_data() for row in rows], indent=2, ensure_ascii=ascii_only)


def as_markdown(rows: Sequence[Row], *, verbose: bool = False, explain: bool = False) -> str:
    """A table to paste into a page or a comment."""
    headings = ["name", "mode", "async_ok", "reads", "where", "description"]
    headings += ["signature", "raises", "sensitive"] if verbose else []
    headings += ["why"] if explain else []
    lines = []
    for row in rows:
        effect = row.effect
        cells = [code(effect.name), row.mode, _yes(effect.async_ok), _yes(effect.reads), code(row.where)]
        cells.append(escaped(effect.docstring if verbose else effect.doc))
        if verbose:
            raised = ", ".join(code(dotted(kind)) for kind in effect.raises)
            cells += [code(row.signature), raised, ", ".join(code(name) for name in effect.sensitive)]
        if explain:
            cells.append(escaped(_why(row)))
        lines.append(cells)
    return "\n".join(markdown(headings, lines))


def as_table(rows: Sequence[Row], paint: Paint, width: int | None, *, explain: bool = False) -> str:
    """An aligned table.

    Args:
        rows: what to show.
        paint: colours a text for its role.
        width: columns of the terminal, to which descriptions are cut; `None` for as much as it takes.
        explain: whether to say below each effect why its mode is in force.
    """
    cells = [(row.effect.name, row.mode, _yes(row.effect.async_ok), _yes(row.effect.reads), row.where) for row in rows]
    columns = widths_of([_HEADINGS[:-1], *cells])
    indent = sum(columns) + len(GAP) * len(columns)
    is_narrow = width is not None and width - indent < _NARROW
    room = None if width is None else width - (len(GAP) if is_narrow else indent)
    headings = _HEADINGS[:-1] if is_narrow else _HEADINGS
    lines = [_joined([(heading, "MIGRATE_HEADING") for heading in headings], columns, paint)]
    for row, (name, mode, async_ok, reads, where) in zip(rows, cells, strict=True):
        described = cut(printable(row.effect.doc), room)
        parts = [(name, "MIGRATE_LABEL"), (mode, _role(row)), (async_ok, ""), (reads, ""), (where, "")]
        if is_narrow:
            lines.append(_joined(parts, columns, paint))
            lines += [GAP + described] if described else []
        else:
            lines.append(_joined([*parts, (described, "")], columns, paint))
        if explain:
            lines.append(GAP + _why(row))
    return "\n".join(lines)


def as_details(rows: Sequence[Row], paint: Paint, *, explain: bool = False) -> str:
    """Everything that is known of each effect, a paragraph each."""
    return "\n\n".join("\n".join(_details(row, paint, explain=explain)) for row in rows)


def _details(row: Row, paint: Paint, *, explain: bool) -> list[str]:
    effect = row.effect
    options = [
        "async_ok" if effect.async_ok else "",
        "reads" if effect.reads else "",
        "on_commit" if effect.on_commit is True else f"on_commit={effect.on_commit!r}" if effect.on_commit else "",
        "" if effect.in_transaction is None else f"in_transaction={effect.in_transaction}",
    ]
    facts = {
        "where": row.location,
        "what": f"{effect.kind} {effect.dotted_path}",
        "signature": f"{effect.short_name}{row.signature}",
        "options": ", ".join(filter(None, options)),
        "raises": ", ".join(map(dotted, effect.raises)),
        "sensitive": ", ".join(effect.sensitive),
        "tags": ", ".join(effect.tags),
        "owner": effect.owner,
        "why": _why(row) if explain else "",
    }
    lines = [f"{paint('MIGRATE_LABEL', effect.name)}{GAP}{paint(_role(row), row.mode)}"]
    lines += [f"{GAP}{label:<11}{printable(fact)}" for label, fact in facts.items() if fact]
    if effect.docstring:
        lines += ["", *(f"{GAP * 2}{printable(line)}".rstrip() for line in effect.docstring.splitlines())]
    return lines


def _joined(parts: Sequence[tuple[str, str]], columns: Sequence[int], paint: Paint) -> str:
    """The parts of a line, padded; the letters of a colour take no room."""
    shown = [paint(role, text) if role and text else text for text, role in parts]
    cells = [padded(text, width, one) for (text, _), width, one in zip(parts, columns, shown, strict=False)]
    return GAP.join([*cells, *shown[len(columns) :]]).rstrip()


def _role(row: Row) -> str:
    if row.decision is None or row.decision.conditional:
        return "NOTICE"
    return _ROLES[row.decision.mode]


def _why(row: Row) -> str:
    decision = row.decision
    if decision is None:
        return f"{row.mode}: {WHY_NOT}"
    origin = f" [{decision.origin}]" if decision.origin else ""
    return printable(f"{row.mode}: {decision.reason}{origin}")


def _yes(value: bool) -> str:
    return "yes" if value else "no"
