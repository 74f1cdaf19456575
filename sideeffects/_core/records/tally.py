"""How many calls were recorded, executed and refused, and of which effects: the last line of a run of tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.calls.row import Row

_DONE: Final = {Mode.RECORD: "recorded", Mode.EXECUTE: "executed", Mode.HOLD: "held", Mode.RAISE: "refused"}
#: Stubs that are named.
_MOST: Final = 20


class Tally:
    """Counts calls, without making them of their rows."""

    def __init__(self) -> None:
        self._modes: Counter[str] = Counter()
        self.names: set[str] = set()
        #: What was said of recorded calls, and where that stands: a stub that has answered one is among these.
        self._said: set[tuple[str, str]] = set()

    def count(self, calls: Iterable[Call | Row | None]) -> None:
        """Count these; of what is `None` nothing is known.

        A full ledger is counted as it drops its oldest. Mostly one effect is called many times in turn: those rows are
        told by looking at two objects.
        """
        effect: SideEffect | None = None
        decision: Decision | None = None
        times = 0
        for call in calls:
            if isinstance(call, tuple):
                if call[0] is effect and call[1] is decision:
                    times += 1
                    continue
                self._count(effect, decision, times)
                effect, decision, times = call[0], call[1], 1
            elif call is not None:
                self._count(call.effect, call.decision, 1)
        self._count(effect, decision, times)

    def _count(self, effect: SideEffect | None, decision: Decision | None, times: int) -> None:
        if effect is not None and decision is not None:
            self._modes[decision.mode.value] += times
            self.names.add(effect.name)
            if decision.mode is Mode.RECORD:
                self._said.add((decision.reason, decision.origin))

    def add(self, data: Mapping[str, Any]) -> None:
        """Count what another tally has counted, in this process or another."""
        self._modes.update(data["modes"])
        self.names.update(data["names"])
        self._said.update(map(tuple, data["said"]))

    def as_data(self) -> dict[str, Any]:
        """The tally as JSON can carry it."""
        return {"modes": dict(self._modes), "names": sorted(self.names), "said": sorted(self._said)}

    def unused(self, stubs: Iterable[tuple[str, str]]) -> list[str]:
        """Of the stubs that were in force, those that have answered no call, in words."""
        unused = sorted(set(stubs) - self._said)
        lines = [f"side effects: no call was {said} at {origin}" for said, origin in unused[:_MOST]]
        if len(unused) > _MOST:
            lines.append(f"side effects: … and {len(unused) - _MOST} more stubs that no call has used")
        return lines

    def words(self, declared: Iterable[str]) -> str:
        """The line; empty where no effect is declared, and none was called.

        Args:
            declared: the names of all effects.
        """
        never = len(set(declared) - self.names)
        if not never and not self._modes:
            return ""
        always = (Mode.RECORD, Mode.EXECUTE)
        counts = [
            f"{self._modes[mode.value]} {done}"
            for mode, done in _DONE.items()
            if mode in always or self._modes[mode.value]
        ]
        return f"side effects: {', '.join(counts)}, {never} never called"
