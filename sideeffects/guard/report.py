"""What the guard has found, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sideeffects.guard.baseline import HOW_TO_UPDATE
from sideeffects.guard.findings import HAZARD, Finding, Noted

TITLE: Final = "undeclared side effects"
STALE_TITLE: Final = "the side effects baseline"
HAZARDS_TITLE: Final = "side effects in open transactions"
#: How many call sites are described in full; the rest is one line each.
_IN_FULL: Final = 20
_REACHED: Final = {"network": "reached", "process": "started"}


def sections(noted: Sequence[Noted], *, is_new: bool = False) -> list[tuple[str, list[str]]]:
    """The summary of a run: titles and lines; nothing where nothing was found.

    Args:
        noted: what was found.
        is_new: whether these are those that the baseline does not accept.
    """
    hazards = [item for item in noted if item.finding.kind == HAZARD]
    others = [item for item in noted if item.finding.kind != HAZARD]
    both = (TITLE, words(others, is_new=is_new)), (HAZARDS_TITLE, _hazard_words(hazards, is_new=is_new))
    return [(title, lines) for title, lines in both if lines]


def _hazard_words(noted: Sequence[Noted], *, is_new: bool) -> list[str]:
    if not noted:
        return []
    beyond = ", not in the baseline" if is_new else ""
    lines = [f"Called inside a transaction{beyond}. A rollback does not take these effects back:", ""]
    for item in noted:
        found = item.finding
        count = f", {item.count} times" if item.count > 1 else ""
        refused = ", refused" if found.is_refused else ""
        lines.append(f"  {found.caller} in {found.function}: {found.what}{count}{refused}")
        lines.append(f"      the transaction was opened at {found.detail}")
        lines.append(f"      in {found.test}" if found.test else "      outside of any test")
    advice = "Call them after the commit: on_commit=True on the effect, or transaction.on_commit()."
    return [*lines, "", f"{advice} Those that are meant to be inside: in_transaction=True."]


def words(noted: Sequence[Noted], *, is_new: bool = False) -> list[str]:
    """What was undeclared, line by line; nothing where nothing was found.

    Args:
        noted: what was found.
        is_new: whether these are those that the baseline does not accept.
    """
    if not noted:
        return []
    calls = sum(max(1, item.count) for item in noted)
    places = len({(item.finding.file, item.finding.line) for item in noted})
    sites = "one call site" if places == 1 else f"{places} call sites"
    times = "Once" if calls == 1 else f"{calls} times"
    beyond = ", not in the baseline" if is_new else ""
    lines = [f"{times}, from {sites}{beyond}, this run reached outside with no side effect declared:", ""]
    for number, item in enumerate(noted):
        lines += _described(item) if number < _IN_FULL else [_line(item)]
    refused = sum(item.finding.is_refused for item in noted)
    done = "All of them were refused." if refused == len(noted) else f"{refused} were refused." if refused else ""
    lines += [
        "",
        f"{done} A call that is no effect can be allowed: "
        'SIDE_EFFECTS["GUARD"] = {"ALLOW_HOSTS": [...], "ALLOW_PROCESSES": [...], "IGNORE": [...]}.'.lstrip(),
    ]
    return [line.strip() if number == len(lines) - 1 else line for number, line in enumerate(lines)]


def _line(item: Noted) -> str:
    found = item.finding
    count = f", {item.count} times" if item.count > 1 else ""
    verb = "would have " if found.is_refused else ""
    return f"  {found.caller} in {found.function}: {verb}{_REACHED.get(found.kind, found.kind)} {found.what}{count}"


def _described(item: Noted) -> list[str]:
    found = item.finding
    return [
        _line(item),
        f"      by {_called(found)}{_detail(found)}",
        *([f"      in {found.test}"] if found.test else ["      outside of any test"]),
        *(f"      {'declare:' if not number else '     or:'} {line}" for number, line in enumerate(_advice(found))),
    ]


def _called(found: Finding) -> str:
    return found.called if found.called == found.event else f"{found.called} ({found.event})"


def _detail(found: Finding) -> str:
    return f", {found.detail}" if found.detail and found.detail != found.what else ""


def _advice(found: Finding) -> list[str]:
    return found.advice().splitlines()


def stale_words(file: str, stale: Sequence[tuple[str, str, str]]) -> list[str]:
    """The entries of the baseline that nothing was found for."""
    what = "an entry" if len(stale) == 1 else f"{len(stale)} entries"
    return [
        f"{file} has {what} that this run did not find. If they are fixed, {HOW_TO_UPDATE} removes them:",
        *(f"  {site}: {kind} {what}" for kind, site, what in stale),
    ]
