"""What the guard does: off, warn or raise. The settings say it, and `with guard(...)` blocks inside them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from sideeffects._core.policy.levels import OFF, RAISE, WARN
from sideeffects._core.policy.rules import NO_GUARD_RULES, GuardRules
from sideeffects._core.state.state import state
from sideeffects._core.state.switches import Restorer
from sideeffects._core.state.work_origin import Lineage, lineage
from sideeffects.guard.baseline import Baseline
from sideeffects.guard.findings import Finding


class Entry:
    """One open guard.

    Attributes:
        level: what it does.
        hosts: names, addresses and networks that may be reached inside.
        processes: programs that may be started inside.
        ignore: call sites that are not looked at.
        found: what was found inside, by the guards whose level this was.
        is_shown: whether `found` is handed to somebody, who then knows of what is refused.
        is_wall: whether what guards around it allow is not allowed inside (a dry run).
        pid: the process in which it was opened.
        is_closed: whether it has been left. What outlives it keeps what it refuses, and loses what it allows.
    """

    __slots__ = (
        "__weakref__",
        "found",
        "hosts",
        "ignore",
        "is_closed",
        "is_shown",
        "is_wall",
        "level",
        "pid",
        "processes",
    )

    def __init__(
        self,
        level: str,
        hosts: tuple[str, ...] = (),
        processes: tuple[str, ...] = (),
        ignore: tuple[str, ...] = (),
        *,
        is_wall: bool = False,
    ) -> None:
        self.level = level
        self.hosts = hosts
        self.processes = processes
        self.ignore = ignore
        self.is_wall = is_wall
        self.pid = os.getpid()
        self.found: list[Finding] = []
        self.is_shown = False
        self.is_closed = False

    def add(self, finding: Finding) -> None:
        """Show a finding, each call site once."""
        if all(other.place != finding.place for other in self.found):
            self.found.append(finding)


class InForce:
    """The guards of the process: in a test run, blocks hold for all its threads, and there is a level without any."""

    __slots__ = ("baseline", "entries", "inherited", "is_begun", "when_changed")

    def __init__(self) -> None:
        self.entries: tuple[Entry, ...] = ()
        #: What the process that started this one had in force.
        self.inherited: Entry | None = None
        #: Whether a test run has begun in this process, so that the guard is on without being asked.
        self.is_begun = False
        #: What is accepted, so that it is in children as well.
        self.baseline: Baseline | None = None
        self.when_changed: Callable[[], object] = _nothing


def _nothing() -> None: ...


in_force: Final = InForce()


def rules() -> GuardRules:
    """What the settings say. Settings that are wrong say nothing here: whatever reads them for a decision raises."""
    try:
        return state.rules_source().guard
    except Exception:  # noqa: BLE001 - a connection must not fail on a typo in a setting that it has no part in
        return NO_GUARD_RULES


def open_entries() -> list[Entry]:
    """The guards that this context sees, the innermost first."""
    own = lineage.get().guards
    found = [entry for entry in reversed(own) if not entry.is_closed or entry.level == RAISE]
    found += [entry for entry in reversed(in_force.entries) if not entry.is_closed and entry not in own]
    if in_force.inherited is not None:
        found.append(in_force.inherited)
    for position, entry in enumerate(found, 1):
        if entry.is_wall:
            return found[:position]
    return found


def level_of(entries: list[Entry]) -> str:
    """What happens to an undeclared call here and now."""
    if entries:
        return entries[0].level
    return (rules().level or WARN) if in_force.is_begun and state.test_run.is_on() else OFF


def enter(entry: Entry, *, context_only: bool) -> Restorer:
    """Put a guard into force, in this context and, in a test run, in all others. Returns its restorer."""
    forget = state.switches.keep_on(entry)
    before = lineage.get()
    lineage.set(Lineage(before.effect, before.place, (*before.guards, entry)))
    is_shared = not context_only and state.test_run.is_on()
    if is_shared:
        with state.lock:
            in_force.entries = (*in_force.entries, entry)
        in_force.when_changed()

    def leave() -> None:
        entry.is_closed = True
        forget()
        own = lineage.get()
        if entry in own.guards:
            lineage.set(Lineage(own.effect, own.place, tuple(other for other in own.guards if other is not entry)))
        if is_shared:
            with state.lock:
                in_force.entries = tuple(other for other in in_force.entries if other is not entry)
            in_force.when_changed()

    return leave
