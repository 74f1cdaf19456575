"""What the guard has found, grouped by call site and counted."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

#: The kind of an effect that was called inside an open transaction.
HAZARD: Final = "transaction"


@dataclass(frozen=True, slots=True)
class Finding:
    """An undeclared call to the outside world.

    Attributes:
        kind: `network` or `process`.
        file: the file of the call site, relative to the folder in which the run was started.
        line: its line.
        function: the qualified name of the function that it stands in.
        module: that function's module.
        what: the host, or the program.
        called: what was called there, such as `requests.api.get`.
        event: what Python reported, such as `socket.connect`.
        detail: the port, or the arguments' beginning, as far as known.
        test: the test that ran when it was first seen; empty outside of one.
        is_refused: whether it was refused.
        is_own_code: whether the call site is in the user's own code, rather than in an installed package.
        target: what `declare` takes for `called`; empty where there is nothing to declare.
        defined: the line of the function's `def`; 0 where it is not known.
    """

    kind: str
    file: str
    line: int
    function: str
    module: str
    what: str
    called: str = ""
    event: str = ""
    detail: str = ""
    test: str = ""
    is_refused: bool = False
    is_own_code: bool = True
    target: str = ""
    defined: int = 0

    @property
    def caller(self) -> str:
        """The call site, as `file:line`."""
        return f"{self.file}:{self.line}"

    @property
    def place(self) -> tuple[str, str, int, str, str]:
        """By what findings are grouped: the kind, the call site, what was reached for."""
        return self.kind, self.file, self.line, self.function, self.what

    @property
    def key(self) -> tuple[str, str, str]:
        """What stays the same when lines move: the kind, the file with the function, what was reached for."""
        return self.kind, f"{self.file}::{self.function}", self.what

    def advice(self) -> str:
        """The line to write."""
        lines = []
        if self.is_own_code and _can_be_decorated(self.function) and not _is_test(self.file, self.function):
            name = _effect_name(f"{self.module}.{self.function}")
            lines.append(
                f'@side_effect(name="{name}")  above {self.function} ({self.file}:{self.defined or self.line})'
            )
        if self.target and _is_worth_declaring(self.target):
            name = _effect_name(self.target.replace(":", "."))
            lines.append(f'declare("{self.target}", name="{name}")  for all who call it')
        if not lines:
            lines.append("move the call into a function of its own, and declare that with @side_effect")
        return "\n".join(lines)


def _can_be_decorated(function: str) -> bool:
    return not function.endswith(">")


def _is_test(file: str, function: str) -> bool:
    name = os.path.basename(file)
    return name.startswith("test") or name.endswith("_test.py") or function.rpartition(".")[2].startswith("test")


#: Beneath these are the calls that mean something: declaring what everything goes through says nothing.
_TOO_LOW: Final = frozenset(("asyncio", "concurrent", "multiprocessing", "selectors", "socket", "ssl", "threading"))


def _is_worth_declaring(target: str) -> bool:
    module, _, function = target.partition(":")
    return module.partition(".")[0] not in _TOO_LOW and not function.endswith("__")


def _effect_name(dotted: str) -> str:
    parts = dotted.replace(".<locals>", "").replace("__main__.", "").split(".")
    cleaned = ("".join(letter if letter.isalnum() or letter in "_-" else "_" for letter in part) for part in parts)
    return ".".join(part for part in cleaned if part)


class Noted:
    """One finding with how often it was seen: the event that was seen first is counted, those that follow it are not.

    A request looks up a name, connects and sends: three events, one call.
    """

    __slots__ = ("_counter", "count", "finding")

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        self.count = 0
        self._counter = itertools.count(1)

    def see(self, event: str) -> bool:
        """Count, if this is the event that counts. Without a lock: threads count together."""
        if event != self.finding.event:
            return False
        self.count = max(self.count, next(self._counter))
        return True


class Book:
    """The findings of one run of tests, in the order in which they were first seen."""

    def __init__(self) -> None:
        self.noted: dict[tuple[Any, ...], Noted] = {}
        #: The last name that was looked up at a call site: what is connected to there next is that host's address.
        self._names: dict[tuple[str, int], str] = {}

    def name_for(self, place: tuple[str, int], what: str, *, is_address: bool) -> str:
        """The host's name, where an address is reached that has just been looked up at the same call site."""
        if is_address:
            return self._names.get(place, what)
        self._names[place] = what
        return what

    def see(self, key: tuple[Any, ...], event: str, make: Callable[[], Finding]) -> tuple[Noted, bool]:
        """Note a finding. Returns it, and whether it was counted rather than being a later part of the same call."""
        noted = self.noted.get(key)
        if noted is None:
            noted = self.noted.setdefault(key, Noted(make()))
        return noted, noted.see(event)

    def drop(self, noted: Noted) -> None:
        """Forget a finding."""
        self.noted = {key: other for key, other in self.noted.items() if other is not noted}

    def note(self, finding: Finding) -> None:
        """Note what somebody else has found: another process, another kind of watcher."""
        self.see(finding.place, finding.event, lambda: finding)

    def findings(self) -> Sequence[Noted]:
        """All of them so far, each call site once: what other processes have noted counts with what was noted here."""
        merged: dict[tuple[Any, ...], Noted] = {}
        for noted in list(self.noted.values()):
            first = merged.get(noted.finding.place)
            if first is None:
                first = merged[noted.finding.place] = Noted(noted.finding)
            first.count += noted.count
        return sorted(merged.values(), key=lambda noted: (noted.finding.file, noted.finding.line))


class Books:
    """The open books, the innermost run of tests last."""

    def __init__(self) -> None:
        self.open: list[Book] = [Book()]


books: Final = Books()
