"""The calls of child processes: in a test run they write them into a journal, which the test process reads."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sideeffects._core.calls import process
from sideeffects._core.calls.call import Call
from sideeffects._core.records.ledger import Ledger
from sideeffects._core.state.switches import Restorer

if TYPE_CHECKING:
    from sideeffects._core.records.journal import Journal  # which only a test run needs

JOURNAL_VARIABLE: Final = "SIDE_EFFECTS_JOURNAL"


class Children:
    """What this process knows of its children, and what it reports if it is one.

    Args:
        lock: the lock of the process's state.
        ledger: takes the children's calls.
        sync: takes over all that has been written elsewhere so far, before a journal is replaced.
    """

    __slots__ = ("_journal", "_ledger", "_owner", "_sync", "lock", "reports")

    def __init__(self, lock: threading.RLock, ledger: Ledger, sync: Callable[[], None]) -> None:
        self.lock = lock
        self._ledger = ledger
        self._sync = sync
        #: Where this process reports its calls, when it is a child in a test run; `None` in the collecting one.
        self.reports: Journal | None = None
        self._journal: Journal | None = None
        #: The process that reads the journal.
        self._owner = 0

    @property
    def path(self) -> str:
        """Where the journal is; empty without one."""
        return "" if self._journal is None else self._journal.path

    def open_journal(self) -> None:
        """Name the file in which the children of this test run write their calls, unless an ancestor did."""
        path = os.environ.get(JOURNAL_VARIABLE)
        if path:
            if self._journal is None or self._journal.path != path:
                self._journal = self.reports = _journal_at(path)
                self._owner = 0
            return
        self.own_journal()

    def own_journal(self) -> Journal:
        """Collect the calls of the children that this process starts from now on, and return where they write."""
        with self.lock:
            self._sync()
            path = os.path.join(temporary_folder(), f"sideeffects-{os.getpid()}-{os.urandom(12).hex()}.jsonl")
            os.environ[JOURNAL_VARIABLE] = path
            journal = self._journal = _journal_at(path)
            self._owner = process.current.pid
            self.reports = None
            atexit.register(_remove_own, journal, os.getpid())
            return journal

    def collect(self) -> None:
        """A process that runs tests keeps the calls of its own children, instead of reporting to its parent."""
        if self.reports is not None:
            journal = self.own_journal()
            util = sys.modules.get("multiprocessing.util")
            if util is not None:
                # What multiprocessing has forked runs this at its end, and (before 3.13) nothing known to `atexit`.
                util.Finalize(None, journal.remove, exitpriority=0)
        if self._journal is not None:
            self._journal.listen()

    def collect_for_now(self) -> Restorer:
        """As `collect`, for a while. Who reports to a parent then hands on what it has collected."""
        parent = self.reports
        start = self._ledger.end
        self.collect()
        own = self._journal
        if parent is None or own is None:
            return lambda: None
        self.reports = parent

        def restore() -> None:
            with self.lock:
                self._sync()
                for call in self._ledger.read(start)[0]:
                    if call.pid != os.getpid():
                        parent.write_call(call.handed_on())
                self._journal, self._owner = parent, 0
                os.environ[JOURNAL_VARIABLE] = parent.path
            own.remove()

        return restore

    def after_fork(self) -> None:
        """In the child: it reports its calls."""
        self.reports = self._journal

    def expect(self, call: Call) -> None:
        """Take over what a child writes of a call that this process has enqueued."""
        if self._journal is not None and self._owner == process.current.pid:
            self._journal.expect(call)

    def have_news(self) -> bool:
        """Whether children may have written something."""
        return self._journal is not None and self._journal.has_news()

    def take_over(self) -> None:
        """Put what children have written since the last time into the ledger."""
        journal = self._journal
        if journal is not None and self._owner == process.current.pid:
            known = journal.torn
            for call in journal.read_new():
                self._ledger.append(call)
            if journal.torn != known:
                self._ledger.lose(journal.torn - known)


def _journal_at(path: str) -> Journal:
    from sideeffects._core.records.journal import Journal  # in a test run

    return Journal(path)


def temporary_folder() -> str:
    """As `tempfile.gettempdir()` finds it, which however writes a file in order to try; importing writes none."""
    variables = (os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    for folder in (*variables, "/tmp", "/var/tmp"):  # noqa: S108 - the file in it has a name that nobody can guess
        if folder and os.path.isdir(folder) and os.access(folder, os.W_OK):
            return os.path.abspath(folder)
    import tempfile

    return tempfile.gettempdir()


def _remove_own(journal: Journal, owner: int) -> None:
    if os.getpid() == owner:  # pragma: no branch - in a fork this runs after coverage has ended
        journal.remove()
