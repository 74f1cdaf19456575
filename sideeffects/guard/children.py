"""The guard in the processes that a test run starts: what is in force there, and what is found there.

One environment variable carries both, so that a child which imports the library is guarded as its parent is: what
holds, and the file to which the child appends what it finds, one JSON line for each. Whoever began the run reads it.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
from dataclasses import asdict
from typing import Any, Final

from sideeffects._core.policy.levels import OFF
from sideeffects._core.records.lines import locked, write_lines
from sideeffects._core.state.children import temporary_folder
from sideeffects.guard import at_test_end, baseline as baselines, call_sites, hook, hosts, levels
from sideeffects.guard.findings import Book, Finding

VARIABLE: Final = "SIDE_EFFECTS_GUARD"
#: How often one process writes the same finding: what happens more often than that is known well enough.
_MOST: Final = 1000


class Channel:
    """The file of one run of tests.

    Attributes:
        path: where it is, or will be: it is made by the first child that finds something.
        owner: the process that reads it.
    """

    def __init__(self, path: str, owner: int) -> None:
        self.path = path
        self.owner = owner
        self._written: dict[tuple[Any, ...], int] = {}

    def tell(self, finding: Finding) -> None:
        """Write a finding down for the owner. The owner itself has it in its book."""
        if os.getpid() == self.owner:
            return
        times = self._written.get(finding.key, 0) + 1
        if times > _MOST:
            return
        self._written[finding.key] = times
        fields = asdict(finding)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with locked(descriptor):
                write_lines(descriptor, [json.dumps(fields)])
        finally:
            os.close(descriptor)

    def read_into(self, book: Book) -> None:
        """Note what children have found, and remove the file."""
        with contextlib.suppress(FileNotFoundError):
            with open(self.path, encoding="utf-8") as file:
                lines = file.read().splitlines()
            os.remove(self.path)
            for line in lines:
                with contextlib.suppress(ValueError, TypeError):  # a child that was killed while it wrote
                    book.note(Finding(**json.loads(line)))

    def remove(self) -> None:
        """Leave nothing behind."""
        if os.getpid() == self.owner:
            with contextlib.suppress(OSError):
                os.remove(self.path)


def open_channel() -> Channel:
    """A new file, owned by this process, that the children which it starts from now on are told of."""
    path = os.path.join(temporary_folder(), f"sideeffects-guard-{os.getpid()}-{os.urandom(12).hex()}.jsonl")
    channel = Channel(path, os.getpid())
    atexit.register(channel.remove)
    use(channel)
    return channel


def use(channel: Channel) -> None:
    """Tell findings to this channel, and children of it."""

    def publish() -> None:
        entries = levels.open_entries()
        rules = levels.rules()
        accepted = levels.in_force.baseline
        value = json.dumps(
            {
                "file": channel.path,
                "root": call_sites.root.folder,
                "level": levels.level_of(entries),
                "hosts": [
                    *rules.hosts,
                    *(host for entry in entries for host in entry.hosts),
                    *hosts.hosts_of_django(),
                ],
                "processes": [*rules.processes, *(name for entry in entries for name in entry.processes)],
                "ignore": rules.ignore,
                "baseline": accepted and os.path.abspath(accepted.path),
            }
        )
        if os.environ.get(VARIABLE) != value:
            os.environ[VARIABLE] = value

    hook.listeners.tell = channel.tell
    hook.listeners.before_process = levels.in_force.when_changed = publish
    publish()


def tell_children() -> None:
    """Let the environment say what holds now, for processes that hear of it otherwise than by being started."""
    hook.listeners.before_process()


def join() -> None:
    """In a child of a guarded test run: be guarded as the parent was when it started this process."""
    try:
        given = json.loads(os.environ[VARIABLE])
        entry = levels.Entry(given["level"], tuple(given["hosts"]), tuple(given["processes"]), tuple(given["ignore"]))
        channel, folder, path = Channel(given["file"], 0), given["root"], given["baseline"]
    except (ValueError, KeyError, TypeError):  # set by somebody else: it says nothing
        return
    call_sites.root.folder = folder
    levels.in_force.inherited = entry
    levels.in_force.is_begun = True
    if path:
        with contextlib.suppress(baselines.BaselineError):  # it is being written for the first time
            levels.in_force.baseline = accepted = baselines.load(path)
            hook.listeners.is_accepted = lambda finding: finding.key in accepted.entries
    use(channel)
    hook.listeners.refused = at_test_end.ask_running_test  # a test's own worker may be such a child
    if entry.level != OFF:
        hook.install()
