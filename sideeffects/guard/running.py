"""The guard of one run of tests: from when to when, with what baseline, and what to print at its end."""

from __future__ import annotations

import atexit
import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from sideeffects import _import_hooks
from sideeffects.guard import baseline as baselines, children, hook, levels, report, sites
from sideeffects.guard.book import Book, Finding, Noted, books


class Run:
    """One run of tests, in the process that began it.

    Args:
        root: the folder to which call sites are shown relative.
        is_watching: whether tests run in this process, rather than in workers that it starts.
        accepted: the entries of the baseline; `None` without one.
    """

    def __init__(
        self, root: str, *, is_watching: bool = True, accepted: frozenset[baselines.Key] | None = None
    ) -> None:
        self.accepted = accepted
        self._book = Book()
        self._before = (
            levels.in_force.is_begun,
            levels.in_force.inherited,
            levels.in_force.when_changed,
            dict(vars(hook.listeners)),
            sites.root.folder,
            os.environ.get(children.VARIABLE),
        )
        sites.root.folder = root
        levels.in_force.inherited = None
        levels.in_force.is_begun = True
        books.open.append(self._book)
        if accepted is not None:
            hook.listeners.is_accepted = self._accepts
        self._channel = children.open_channel()
        if is_watching and levels.level_of([]) != levels.OFF:
            hook.install()

    def _accepts(self, finding: Finding) -> bool:
        return finding.key in (self.accepted or ())

    def end(self) -> None:
        """Give back what held before: runs may be nested."""
        begun, inherited, changed, listeners, folder, variable = self._before
        levels.in_force.is_begun, levels.in_force.inherited = begun, inherited
        levels.in_force.when_changed = changed
        vars(hook.listeners).update(listeners)
        sites.root.folder = folder
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
        return sorted((self.accepted or frozenset()) - seen)


_runs: list[Run] = []


def begin_without_pytest() -> None:
    """Begin the run of `unittest`, of Django's runner, or of whatever else this process turned out to be."""
    if _runs:
        return
    run = Run(sites.root.folder)
    _runs.append(run)
    reporter = _Reporter(run)
    _import_hooks.after_import("unittest.runner", reporter.follow)
    atexit.register(reporter.print_at_exit)


class _Reporter:
    """Prints the summary once: after the outermost run of `unittest`'s runner, or at the end of the process."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._pid = os.getpid()
        self._depth = 0
        self._printed: set[tuple[Any, ...]] = set()

    def follow(self, module: Any) -> None:
        """Print after each `TextTestRunner.run` that is not inside another."""
        module.TextTestRunner.run = self._followed(module.TextTestRunner.run)

    def _followed(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def run(runner: Any, *args: Any, **kwargs: Any) -> Any:
            self._depth += 1
            try:
                return original(runner, *args, **kwargs)
            finally:
                self._depth -= 1
                if not self._depth and getattr(runner, "side_effects_test_run", True):
                    self._print(getattr(runner, "stream", sys.stderr))

        return run

    def print_at_exit(self) -> None:
        """What has not been printed by then."""
        if sys.stderr is not None:
            self._print(sys.stderr)

    def _print(self, stream: Any) -> None:
        if os.getpid() != self._pid:
            return
        fresh = [noted for noted in self._run.findings() if noted.finding.key not in self._printed]
        self._printed |= {noted.finding.key for noted in fresh}
        for title, lines in report.sections(fresh):
            stream.write("\n".join(["", title.capitalize(), "-" * 70, *lines, "", ""]))
            stream.flush()
