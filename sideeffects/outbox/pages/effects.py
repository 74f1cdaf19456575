"""All effects in the admin: what happens to their calls and why, the last calls, and the way to a pause."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final, NamedTuple

from django.db.models import Count
from django.http import HttpRequest
from django.utils.safestring import SafeString

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.registry import matches, registry
from sideeffects._core.state.state import state
from sideeffects._core.verbs.explain import explain
from sideeffects.errors import LedgerError
from sideeffects.ledgers.shared import Shared
from sideeffects.outbox import actions, pauses
from sideeffects.outbox.models import HeldCall, Pause
from sideeffects.outbox.pages.showing import Listing, address, ago, badge
from sideeffects.outbox.states import State

#: States of held calls that somebody ought to look at.
_OPEN: Final = (State.HELD, State.FAILED, State.UNKNOWN)


class _Row(NamedTuple):
    """An effect as it is shown."""

    name: str
    doc: str
    owner: str
    mode: SafeString
    reason: str
    origin: str
    last: str
    last_badge: SafeString | str
    held: list[tuple[str, SafeString, int]]
    calls: str
    pause: str
    resume: str
    resumes: str
    paused: list[str]
    is_paused: bool


class EffectAdmin(Listing):
    """The effects that are declared in this process. Pausing needs the permission to change pauses."""

    title = "Effects"
    template = "sideeffects_outbox/effects.html"

    def shown(self, request: HttpRequest) -> dict[str, Any]:
        """All of them, those first that do not simply execute."""
        asked = request.GET.get("q", "").strip()
        names = [name for name in registry if not asked or asked in name or matches(asked, name)]
        may_see = self.may(request, "view_heldcall") or self.may(request, "change_heldcall")
        last = _last_calls() if self.may(request, "view_ledgercall") else {}
        held = _held() if may_see else {}
        in_force = pauses.in_force()
        may_pause = self.may(request, "change_pause")
        rows = [_row(name, last.get(name), held.get(name, Counter()), in_force, may_pause) for name in names]
        rows.sort(key=lambda row: (not row.is_paused, "se-execute" in row.mode, row.name))
        return {
            "rows": rows,
            "asked": asked,
            "count": len(registry),
            "may_pause": may_pause,
            "pause_all": address("pause_add"),
            "shows_last": isinstance(state.rules_source().shared, Shared),
        }


def _row(name: str, last: Call | None, held: Counter[str], in_force: list[Pause], may_pause: bool) -> _Row:
    effect, decision = registry[name], explain(name)
    holding = [row for row in in_force if matches(row.pattern, name)]
    exact = next((row for row in holding if row.pattern == name), holding[0] if holding else None)
    return _Row(
        name=name,
        doc=effect.doc,
        owner=effect.owner,
        mode=badge("per call" if decision.conditional else decision.mode.name),
        reason=decision.reason,
        origin=decision.origin,
        last="" if last is None else ago(last.at),
        last_badge="" if last is None else badge("failed" if _failed(last) else last.mode.name),
        held=[
            (address("heldcall_changelist", effect=name, state__exact=one), badge(one), held[one])
            for one in _OPEN
            if held[one]
        ],
        calls=address("ledgercall_changelist", effect=name),
        pause=address("pause_add", pattern=name) if may_pause else "",
        resume=address("pause_resume", exact.pk) if exact is not None and may_pause else "",
        resumes="" if exact is None else exact.pattern,
        paused=[words for row in holding if (words := pauses.words(row)) != decision.reason],
        is_paused=bool(holding),
    )


def _failed(call: Call) -> bool:
    return call.outcome is not None and call.outcome.error is not None


def _held() -> dict[str, Counter[str]]:
    actions.note_dead()
    rows = HeldCall.objects.using(pauses.alias()).filter(state__in=_OPEN).order_by()
    found: dict[str, Counter[str]] = {}
    for name, one, count in rows.values_list("effect", "state").annotate(number=Count("id")):
        found.setdefault(name, Counter())[one] = count
    return found


def _last_calls() -> dict[str, Call]:
    shared = state.rules_source().shared
    if not isinstance(shared, Shared):
        return {}
    try:
        return {call.name: call for call in shared.all_calls()[0]}
    except LedgerError:  # the page of calls says so
        return {}
