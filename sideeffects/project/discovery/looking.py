"""What stands around a module that is imported only to find its effects: it does nothing, whatever it tries.

Effects are recorded, above all other overrides; calls to the outside are refused, as the guard does at `raise`; writes
to databases are refused, and whatever is done to a transaction is done to one that nobody else has. All of it holds for
this context alone, with the threads that are started from it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from sideeffects._core.calls import registry
from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.policy.levels import RAISE
from sideeffects._core.policy.override_entry import OverrideEntry, OverrideRule
from sideeffects._core.records.ledger import Ledger
from sideeffects._core.state import threads
from sideeffects._core.state.open_transactions import open_transactions
from sideeffects._core.state.scope import scope
from sideeffects._core.state.state import state
from sideeffects._core.state.work_origin import Lineage, lineage
from sideeffects.database.read_only import ReadOnly
from sideeffects.errors import SideEffectError
from sideeffects.guard import hook, levels

logger: Final = logging.getLogger("sideeffects")
_ORIGIN: Final = "discovery"


class RefusedWhileLooking(SideEffectError):
    """A module that was imported to find its effects used a database in a way that might change something."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return (
            f"{self.what}: this was refused, since the module was imported only to find its effects. Do it in a "
            f"function, not while a module is imported"
        )


class Attempt(NamedTuple):
    """What a module tried to do while it was imported.

    Attributes:
        module: its name.
        did: what it tried, after the module's name.
        where: `file:line`.
        became: what came of it.
    """

    module: str
    did: str
    where: str
    became: str

    def __str__(self) -> str:
        return (
            f"{self.module} {self.did} while it was imported to find its effects (at {self.where}): it was "
            f"{self.became}. Do this in functions, not while a module is imported"
        )


def is_looking() -> bool:
    """Whether a module is being imported to find its effects, in this context."""
    return any(entry.origin == _ORIGIN for entry in scope.get().entries)


@contextmanager
def recording(owner: object = None) -> Generator[Ledger]:
    """Record every effect, in this context and in the threads started from it, above all other overrides.

    Args:
        owner: what these contexts are known by.

    Yields:
        the calls.
    """
    threads.install()
    ledger = Ledger()
    decision = Decision(Mode.RECORD, "its module is being imported to find its effects", _ORIGIN)
    rules = (OverrideRule(registry.EVERYTHING, decision),)
    leave = state.overrides.enter(OverrideEntry(rules, _ORIGIN, context_only=True, foremost=True, owner=owner))
    stop = state.watch(ledger)
    try:
        yield ledger
    finally:
        stop()
        leave()


class Look:
    """Modules are imported in it.

    Attributes:
        attempts: what they have tried to do.
        ledger: the effects that they have called.
    """

    def __init__(self, guard: levels.Entry) -> None:
        self.attempts: list[Attempt] = []
        self.ledger = Ledger()
        self._guard = guard
        self._writes: list[tuple[str, str]] = []
        self._file = ""
        self._seen = 0, 0, 0

    @contextmanager
    def of(self, module: str, file: Path | None = None) -> Generator[None]:
        """Say of what is tried inside that this module did it."""
        self._file = str(file or "")
        self._seen = self.ledger.end, len(self._guard.found), len(self._writes)
        try:
            yield
        finally:
            calls, found, written = self._seen
            new = [
                Attempt(module, f"called the side effect {call.name}", call.caller, "recorded, not executed")
                for call in self.ledger.read(calls)[0]
            ]
            new += [
                Attempt(module, f"reached outside ({one.called or one.what}: {one.what})", one.caller, "refused")
                for one in self._guard.found[found:]
            ]
            new += [Attempt(module, f"used a database ({what})", at, "refused") for what, at in self._writes[written:]]
            self.attempts += new
            for attempt in new:
                logger.warning("%s", attempt)

    def refuse(self, what: str) -> None:
        """Refuse to change a database, or to use one in another thread.

        Raises:
            RefusedWhileLooking: always.
        """
        shown = " ".join(what.split())[:200]
        self._writes.append((shown, self._line()))
        raise RefusedWhileLooking(shown)

    def _line(self) -> str:
        """The innermost line of the imported module; of the code that uses Django, if that is not on the stack."""
        frame = sys._getframe(2)  # noqa: SLF001 - the code that writes
        outside = ""
        while True:
            name = str(frame.f_globals.get("__name__", ""))
            place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
            if frame.f_code.co_filename == self._file:
                return place
            if not outside and name.partition(".")[0] not in ("django", "sideeffects", "contextlib"):
                outside = place
            if frame.f_back is None:
                return outside or place
            frame = frame.f_back


@contextmanager
def looking() -> Generator[Look]:
    """Import modules in here, and nothing comes of it but their effects."""
    guard = levels.Entry(RAISE, is_wall=True)
    guard.is_shown = True  # what it refuses is told as an attempt
    hook.install()
    look = Look(guard)
    databases = ReadOnly(look.refuse)
    with ExitStack() as stack:
        look.ledger = stack.enter_context(recording(databases))
        above, around = lineage.get(), open_transactions.get()
        # Neither an effect that executes around it nor a transaction says anything of what is imported.
        lineage.set(Lineage("", above.place, above.guards))
        open_transactions.set(())
        stack.callback(lineage.set, above)
        stack.callback(open_transactions.set, around)
        stack.callback(levels.enter(guard, context_only=True))
        stack.enter_context(databases.in_force())
        yield look
