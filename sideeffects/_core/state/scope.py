"""What a context sees: its overrides and the ledgers of its captures, as one immutable value in one `ContextVar`."""

from __future__ import annotations

import contextvars
from dataclasses import dataclass
from typing import Final

from sideeffects._core.policy.override_entry import OverrideEntry
from sideeffects._core.records.ledger import Ledger


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Scope:
    """What a context sees.

    Attributes:
        entries: its overrides, innermost last.
        captures: the ledgers of its captures.
        first: the override that speaks before all others: what it says while it is open needs no second opinion.
    """

    entries: tuple[OverrideEntry, ...] = ()
    captures: tuple[Ledger, ...] = ()
    first: OverrideEntry | None = None


EMPTY: Final = Scope()

scope: Final[contextvars.ContextVar[Scope]] = contextvars.ContextVar("sideeffects_scope", default=EMPTY)


def scope_of(entries: tuple[OverrideEntry, ...], captures: tuple[Ledger, ...]) -> Scope:
    """`EMPTY` itself when there is nothing, so that looking for nothing is one comparison."""
    if not entries and not captures:
        return EMPTY
    return Scope(entries, captures, entries[-1] if entries and not entries[-1].outermost else None)


def placed(entries: tuple[OverrideEntry, ...], entry: OverrideEntry) -> tuple[OverrideEntry, ...]:
    """`entries` with one more: innermost, except that those which are to speak before all others stay so."""
    place = len(entries)
    while place and entries[place - 1].foremost and not entry.foremost:
        place -= 1
    return (*entries[:place], entry, *entries[place:])


def drop(entry: OverrideEntry) -> None:
    """Take an override out of this context."""
    own = scope.get()
    if entry in own.entries:
        scope.set(scope_of(tuple(other for other in own.entries if other is not entry), own.captures))


def was_entered_here(entry: OverrideEntry) -> bool:
    """Whether this very context, not one that was copied from it, entered the override. Answers yes once.

    A token can be used in the context that made it, and nowhere else. The scope that it brings back may be an old
    one: what stood in the context is put there again.
    """
    token = entry.token
    if token is None:
        return False
    own = scope.get()
    try:
        scope.reset(token)
    except ValueError:
        return False
    scope.set(own)
    entry.token = None
    return True
