"""The guard of one run of tests: from when to when, with what baseline, and what it has found."""

from __future__ import annotations

import os
from collections.abc import Sequence

from sideeffects._core.policy.levels import OFF
from sideeffects._core.policy.rules import Rules
from sideeffects._core.state.extension_points import rules_changed
from sideeffects.guard import baseline as baselines, call_sites, children, hook, levels
from sideeffects.guard.findings import Book, Finding, Noted, books


class GuardRun:
    """One run of tests, in the process that began it.

    Args:
        root: the folder to which call call_sites are shown relative.
        accepted: the baseline; `None` without one.
    """

    def __init__(self, root: str, accepted: baselines.Baseline | None = None) -> None:
        self._book = Book()
        self._before = (
            levels.in_force.is_begun,
            levels.in_force.inherited,
            levels.in_force.when_changed,
            levels.in_force.baseline,
            dict(vars(hook.listeners)),
            look_at_level in rules_changed,
            call_sites.root.folder,
            os.environ.get(children.VARIABLE),
        )
        call_sites.root.folder = root
        levels.in_force.inherited = None
        levels.in_force.is_begun = True
        books.open.append(self._book)
        self.accept(accepted)
        self._channel = children.open_channel()

    def accept(self, accepted: baselines.Baseline | None) -> None:
        """Use this baseline from now on, here and in the children that are started."""
        self.accepted = accepted
        levels.in_force.baseline = accepted
        hook.listeners.is_accepted = self._accepts

    def _accepts(self, finding: Finding) -> bool:
        return self.accepted is not None and finding.key in self.accepted.entries

    def end(self) -> None:
        """Give back what held before: runs may be nested."""
        begun, inherited, changed, baseline, listeners, was_listening, folder, variable = self._before
        levels.in_force.is_begun, levels.in_force.inherited = begun, inherited
        levels.in_force.when_changed, levels.in_force.baseline = changed, baseline
        vars(hook.listeners).update(listeners)
        if not was_listening:
            rules_changed.remove(look_at_level)
        call_sites.root.folder = folder
        if self._book in books.open:
            books.open.remove(self._book)
        os.environ.pop(children.VARIABLE, None)
        if variable is not None:
            os.environ[children.VARIABLE] = variable
        self._channel.remove()

    def findings(self) -> Sequence[Noted]:
        """Everything found so far, by children too."""
        self._channel.read_into(self._book)
        return self._book.findings()

    def new(self) -> Sequence[Noted]:
        """The findings that the baseline does not accept; all of them without one."""
        return [noted for noted in self.findings() if not self._accepts(noted.finding)]

    def stale(self) -> Sequence[baselines.Key]:
        """The entries of the baseline that this run has not seen."""
        seen = {noted.finding.key for noted in self.findings()}
        return sorted((self.accepted.entries if self.accepted is not None else frozenset()) - seen)

    def update(self, *, is_whole: bool) -> str:
        """Write what was found into the baseline, and accept it. Returns what to say of it.

        Args:
            is_whole: whether all tests have run, so that entries which were not found are left out.

        Raises:
            BaselineError: the file cannot be written.
        """
        assert self.accepted is not None  # noqa: S101 - whoever updates a baseline has one
        entries = frozenset(noted.finding.key for noted in self.findings())
        if not is_whole:
            entries |= self.accepted.entries
        self.accept(baselines.Baseline(self.accepted.path, entries))
        baselines.save(self.accepted.path, entries)
        return f"{self.accepted.path}: {len(entries)} accepted"


def listen_when_on() -> None:
    """Install the hook as soon as the settings switch the guard on: now, when they are read, or when they change."""
    rules_changed.add(look_at_level)
    look_at_level()


def look_at_level(_: Rules | None = None) -> None:
    """Install the hook if the guard is on. Children are told, too, what the settings say."""
    if hook.is_installed():
        return  # which tells them before each of them is started
    if levels.level_of([]) != OFF:
        hook.install()
    levels.in_force.when_changed()
