"""The calls of the shared ledger in the admin, by effect, mode, error and origin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from django.core.paginator import Paginator
from django.http import HttpRequest

from sideeffects._core.calls.call import Call
from sideeffects._core.state.state import state
from sideeffects.errors import LedgerError
from sideeffects.ledgers.shared import Shared
from sideeffects.outbox.pages.showing import Listing, ago, argument_list, badge
from sideeffects.outbox.pauses import time_of

_PER_PAGE: Final = 50
_NEEDED: Final = (
    "This project keeps no calls that processes share. Set SIDE_EFFECTS['LEDGER'] to a BACKEND of 'file' or 'cache' to "
    "see them here. Held calls have a page of their own."
)

#: What the calls are filtered by.
_FILTERS: Final[dict[str, Callable[[Call], str]]] = {
    "effect": lambda call: call.name,
    "mode": lambda call: call.mode.name,
    "error": lambda call: error_of(call).partition(":")[0] or "none",
    "origin": lambda call: call.origin or "none",
}


class LedgerCallAdmin(Listing):
    """The calls of all processes, as long as the ledger keeps them."""

    title = "Calls"
    template = "sideeffects_outbox/calls.html"

    def shown(self, request: HttpRequest) -> dict[str, Any]:
        """The newest first."""
        calls, note = _calls()
        chosen = {key: request.GET[key] for key in _FILTERS if request.GET.get(key)}
        filters = []
        for key, tell in _FILTERS.items():
            others = [call for call in calls if all(_FILTERS[k](call) == v for k, v in chosen.items() if k != key)]
            options = Counter(map(tell, others))
            if chosen.get(key):
                options.setdefault(chosen[key], 0)
            filters.append((key, chosen.get(key, ""), sorted(options.items())))
        wanted = [call for call in calls if all(_FILTERS[key](call) == value for key, value in chosen.items())]
        page = Paginator(wanted[::-1], _PER_PAGE).get_page(request.GET.get("p"))
        return {
            "page": page,
            "rows": [_row(call) for call in page],
            "filters": filters,
            "is_filtered": bool(chosen),
            "query": "".join(f"&{part}" for part in _query(chosen)),
            "note": note,
        }


def _calls() -> tuple[list[Call], str]:
    shared = state.rules_source().shared
    if not isinstance(shared, Shared):
        return [], _NEEDED
    try:
        calls, loss = shared.all_calls()
    except LedgerError as error:
        return [], str(error)
    return calls, f"{loss.records} records are missing: {loss.reason}" if loss.records else ""


def _query(chosen: dict[str, str]) -> list[str]:
    from urllib.parse import urlencode

    return [urlencode({key: value}) for key, value in chosen.items()]


def error_of(call: Call) -> str:
    """The error of a call: its type and text."""
    return "" if call.outcome is None or call.outcome.error is None else str(call.outcome.error)


def _row(call: Call) -> dict[str, Any]:
    error = error_of(call)
    outcome = call.outcome
    took = "" if outcome is None or error or call.mode.name != "EXECUTE" else f"{outcome.duration * 1000:.0f} ms"
    return {
        "name": call.name,
        "badge": badge("failed" if error and call.mode.name == "EXECUTE" else call.mode.name),
        "reason": call.reason,
        "error": error,
        "arguments": argument_list(call.arguments),
        "origin": call.origin,
        "caller": call.caller.removesuffix(":0"),  # no line of the user's: a worker's call
        "ago": ago(call.at),
        "at": time_of(call.at),
        "took": took,
    }
