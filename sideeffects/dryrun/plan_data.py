"""A plan as data that JSON can carry: for programs, for a file, and for what is shown of it (`formats.py`)."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Decision
from sideeffects._core.state.open_transactions import ROLLED_BACK
from sideeffects._core.values.describe import describe, jsonable
from sideeffects.dryrun.publishing import Message
from sideeffects.dryrun.row_counts import Writes


class Planned(Protocol):
    """What is shown of a plan; see `Plan`."""

    def __iter__(self) -> Iterator[Call]: ...

    @property
    def dropped(self) -> int:
        """How many of its calls are no longer kept."""
        ...

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each effect would have happened."""
        ...

    @property
    def reads(self) -> Mapping[str, int]:
        """How often each effect that only reads was executed."""
        ...

    @property
    def writes(self) -> Sequence[Writes]:
        """The rows that were written."""
        ...

    @property
    def is_complete(self) -> bool:
        """Whether the code was carried to its end."""
        ...

    @property
    def is_certain(self) -> bool:
        """Whether it is known that nothing was kept."""
        ...

    @property
    def messages(self) -> Sequence[Message]:
        """The messages that would have been published."""
        ...

    @property
    def refusals(self) -> Sequence[str]:
        """What was refused."""
        ...

    @property
    def remarks(self) -> Sequence[str]:
        """What may have gone otherwise than it would have."""
        ...

    def for_real(self, call: Call) -> Decision:
        """What the settings decide of a call outside of dry runs."""
        ...


#: How much of an argument is shown.
_SHOWN: Final = 200


def never_happens(call: Call) -> bool:
    """Whether a call would have waited for a commit that never came."""
    return call.transaction == ROLLED_BACK and call.effect.on_commit is not False


def as_data(plan: Planned) -> dict[str, Any]:
    """For programs."""
    calls = list(plan)
    return {
        "is_complete": plan.is_complete,
        "is_certain": plan.is_certain,
        "effects": [
            _effect(position, call, plan.for_real(call)) for position, call in enumerate(calls, plan.dropped + 1)
        ],
        "counts": dict(plan.counts),
        "not_kept": plan.dropped,
        "reads": dict(plan.reads),
        "messages": [message._asdict() for message in plan.messages],
        "writes": [dataclasses.asdict(row) for row in plan.writes],
        "remarks": list(plan.remarks),
        "refusals": list(plan.refusals),
    }


def _effect(position: int, call: Call, decision: Decision) -> dict[str, Any]:
    return {
        "position": position,
        "name": call.name,
        "arguments": {name: jsonable(value) for name, value in call.arguments.items()},
        "shown": shown(call),
        "caller": place_of(call),
        "is_async": call.is_async,
        "transaction": call.transaction,
        "happens": not never_happens(call),
        "for_real": {"mode": decision.mode.value, "reason": decision.reason},
    }


def as_json(plan: Planned, **more: Any) -> str:
    """The same as text; `more` comes first."""
    return json.dumps({**more, **as_data(plan)}, indent=2)


def shown(call: Call) -> str:
    """A call's arguments and details for people, redacted."""
    return ", ".join(f"{name}={describe(value, _SHOWN)}" for name, value in call.arguments.items()) + call.details_shown


def place_of(call: Call) -> str:
    """Where it was called; below the current folder, from there."""
    here = os.getcwd() + os.sep
    return call.caller.removeprefix(here)
