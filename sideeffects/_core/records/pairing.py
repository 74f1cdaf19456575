"""Records of calls become calls again, and those of outcomes are added to them."""

from __future__ import annotations

import datetime
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.outcome import outcome_from_record


class Pairing:
    """Makes calls of records, and adds outcomes, which come as records of their own, to their calls."""

    def __init__(self) -> None:
        self._open: dict[str, Call] = {}
        #: Outcomes whose calls have not come yet: processes are not read in the order in which they wrote.
        self._early: dict[str, Mapping[str, Any]] = {}
        #: Calls of this very process that others run: what came of them is written elsewhere.
        self._expected: weakref.WeakValueDictionary[str, Call] = weakref.WeakValueDictionary()

    def expect(self, call: Call) -> None:
        """Look for the outcome of a call that this process has handed to another."""
        self._expected.setdefault(call.id, call)

    def is_expected(self, record: Mapping[str, Any]) -> bool:
        """Whether a record is about a call that this process has handed to another."""
        return _id_in(record) in self._expected

    def take(self, record: Mapping[str, Any]) -> Call | None:
        """The call that a record tells of; `None` for those of outcomes."""
        if "call" in record:
            call = Call.from_record(record["call"])
            if call.outcome is None:
                early = self._early.pop(call.id, None)
                if early is None:
                    self._open[call.id] = call
                else:
                    call.finish(outcome_from_record(early))
            return call
        number = _id_in(record)
        known = self._open.pop(number, None) or self._expected.pop(number, None)
        if known is None:
            self._early[number] = record["outcome"]
        elif known.outcome is None:
            known.finish(outcome_from_record(record["outcome"]))
        return None


def _id_in(record: Mapping[str, Any]) -> str:
    """The `id` of the call that a record is about."""
    return "-".join(map(str, (*record["process"], record["serial"])))


def in_order(calls: Sequence[Call]) -> list[Call]:
    """Calls of several processes by time. Those of one process stay in its order, also where its clock was set back."""
    latest: dict[str, datetime.datetime] = {}
    times = []
    for call in calls:
        one = call.id.rpartition("-")[0]
        latest[one] = max(call.at, latest.get(one, call.at))
        times.append(latest[one])
    return [calls[place] for place in sorted(range(len(calls)), key=times.__getitem__)]
