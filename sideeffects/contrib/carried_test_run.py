"""What work for another process carries of the test run that it was handed over in, and what is obeyed there.

- `test_run`: that it was handed over in a test run;
- `forced`: the effects that the test had named;
- `process`: the process that handed it over.

While such work runs, those effects execute and all others are recorded, whatever kind of process it runs in. In the
process that handed it over itself, the test's overrides decide on the others, as they do in any thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sideeffects._core.calls import process, registry
from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.policy.override_entry import OverrideEntry, OverrideRule
from sideeffects._core.runtime.deciding import explain_declared
from sideeffects._core.state import threads
from sideeffects._core.state.runtime_effect import declared_named
from sideeffects._core.state.scope import scope
from sideeffects._core.state.state import state

_HANDED_OVER: Final = "handed over in a test run"


@dataclass(frozen=True, slots=True)
class Carried:
    """The test run that work was handed over in, while it runs in some other process.

    Attributes:
        forced: names of the effects that the test had named.
    """

    forced: frozenset[str]


def carried_here() -> Carried | None:
    """The test run that came with the work that runs in this context, if it came from one."""
    for entry in scope.get().entries:
        if isinstance(entry.owner, Carried):
            # What outlives the work loses what the test had named, and stays in the test run.
            return Carried(frozenset()) if entry.closed else entry.owner
    return None


def test_run_part() -> dict[str, Any]:
    """What work that is handed over now says of the test run; nothing outside of one."""
    carried = carried_here()
    if carried is None and not state.test_run.is_on():
        return {}
    forced = set() if carried is None else set(carried.forced)
    for name in registry.registry:
        with contextlib.suppress(Exception):  # what cannot be told is not forced
            if explain_declared(declared_named(name)).mode is Mode.EXECUTE:
                forced.add(name)
    return {"test_run": True, "forced": sorted(forced), "process": process.current.token}


def is_here(header: Mapping[str, Any]) -> bool:
    """Whether it is this process, still in that test run, that handed the work over."""
    return header.get("process") == process.current.token and state.test_run.is_on()


def enter(header: Mapping[str, Any]) -> Callable[[], object]:
    """Obey what `test_run_part` told, in this context; returns what ends that."""
    given = header.get("forced")
    forced = frozenset(name for name in given if isinstance(name, str)) if isinstance(given, list | tuple) else ()
    rules = [OverrideRule(name, Decision(Mode.EXECUTE, f"{_HANDED_OVER} that named it")) for name in forced]
    if not is_here(header):
        unnamed = Decision(Mode.RECORD, f"{_HANDED_OVER} that did not name it")
        rules.insert(0, OverrideRule(registry.EVERYTHING, unnamed))
    threads.install()
    return state.overrides.enter(
        OverrideEntry(tuple(rules), _HANDED_OVER, context_only=True, owner=Carried(frozenset(forced)))
    )
