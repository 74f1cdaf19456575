"""Held calls in the admin: what was held and why, releasing, rejecting, and trying again what failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from sideeffects._core.state.state import state as runtime
from sideeffects.outbox import actions, workers
from sideeffects.outbox.keeping import alias
from sideeffects.outbox.models import HeldCall
from sideeffects.outbox.pages.showing import LONG, Page, address, ago, argument_list, badge, button, facts
from sideeffects.outbox.pauses import time_of
from sideeffects.outbox.states import State


class Doing(NamedTuple):
    """Something that is done with held calls.

    Attributes:
        label: what the button says.
        asks: what is asked before.
        states: the states in which it can be done.
        act: does it, given the primary keys and the user's name.
        done: what is said afterwards and in the admin's log.
    """

    label: str
    asks: str
    states: Sequence[State]
    act: Callable[..., actions.Result]
    done: str


DOINGS: Final = {
    "release": Doing("Release", "Release, and so execute now:", actions.RELEASED_FROM, actions.release, "Released"),
    "retry": Doing("Retry", "Execute once more:", actions.RETRIED_FROM, actions.retry, "Retried"),
    "reject": Doing(
        "Reject", "Reject, so that it is never executed:", actions.REJECTED_FROM, actions.reject, "Rejected"
    ),
}
#: What the list has a button for, and in which state: of one that is UNKNOWN its page says first what that means.
_AT_ONCE: Final = (("release", actions.RELEASED_FROM), ("retry", (State.FAILED,)))
_UNKNOWN: Final = "Its worker died, and nobody knows whether the call was executed. Look at the receiver first."
_SOME_UNKNOWN: Final = (
    "Some are UNKNOWN: their worker died, and nobody knows whether they were executed. Look at the receiver first."
)
#: As many as a request executes by itself; the command takes more, and shows how far it is.
_MOST: Final = 100


class HeldCallAdmin(Page):
    """The held calls. The permission to change them is needed to release, reject and retry."""

    list_display = ("what", "arguments_shown", "why")
    list_display_links = None
    ordering = ("-id",)
    list_filter = ("state", "effect", "origin")
    search_fields = ("effect", "shown", "origin", "reason", "error", "call_id")
    list_per_page = 50
    fields = ()  # all that is shown of one call is put together here: the true arguments are in none of it
    actions = ("release_selected", "reject_selected", "retry_selected")
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Those of the outbox's database, the newest first."""
        rows: QuerySet[Any] = super().get_queryset(request).using(alias())
        return rows

    def get_urls(self) -> list[URLPattern]:
        """Ours before Django's, which would take the names for keys."""
        view = self.admin_site.admin_view(self.one_view)
        return [path("<int:pk>/do/<str:doing>/", view, name="sideeffects_outbox_heldcall_do"), *super().get_urls()]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is edited; the list has its actions for those who may change."""
        return obj is None and self.may(request, "change_heldcall")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Users who may view or change them."""
        del obj
        return self.may(request, "view_heldcall") or self.may(request, "change_heldcall")

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Not what nobody sees: an address that asks for the beginning of the true arguments would find it out."""
        return not lookup.startswith("payload") and bool(super().lookup_allowed(lookup, value, request))

    # -- the list

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Django's, with our title."""
        actions.note_dead()
        answer: HttpResponse = super().changelist_view(request, {"title": "Held calls", **(extra_context or {})})
        return answer

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        """With buttons for those who may use them."""
        return (*self.list_display, "buttons") if self.may(request, "change_heldcall") else self.list_display

    @admin.display(description="action", empty_value="")
    def buttons(self, row: HeldCall) -> SafeString:
        """Release or retry."""
        named = [name for name, states in _AT_ONCE if row.state in states]
        return format_html_join(
            "", "{}", ((button(address("heldcall_do", row.pk, one), DOINGS[one].label, row.effect),) for one in named)
        )

    @admin.display(description="call", ordering="effect")
    def what(self, row: HeldCall) -> SafeString:
        """State, effect and age, with the error of a failed one."""
        error = format_html('<div class="se-error">{}</div>', row.error) if row.error else ""
        where = address("heldcall_change", row.pk)
        named = format_html('{} <a class="se-name" href="{}">{}</a>', badge(row.state), where, row.effect)
        return format_html('{}{}<div class="se-quiet" title="{}">{}</div>', named, error, time_of(row.at), ago(row.at))

    @admin.display(description="arguments")
    def arguments_shown(self, row: HeldCall) -> SafeString:
        """Redacted, a line each."""
        return argument_list(row.arguments)

    @admin.display(description="why")
    def why(self, row: HeldCall) -> SafeString:
        """The reason, and the request, command or task."""
        origin = format_html('<div class="se-quiet">set going by {}</div>', row.origin) if row.origin else ""
        return format_html("{}{}", row.reason, origin)

    # -- one call

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """All that is known of it, the reason and the error first, and what can be done."""
        actions.note_dead()
        row = self.get_object(request, object_id)
        context = {**(extra_context or {})}
        if row is not None:
            context |= {
                "title": row.effect,
                "subtitle": None,
                "headline": badge(row.state),
                "reason": row.reason if row.state == State.HELD and not row.error else "",
                "error": row.error,
                "caution": _UNKNOWN if row.state == State.UNKNOWN else "",
                "facts": _facts(row),
                "buttons": self._buttons(request, row),
            }
        answer: HttpResponse = super().change_view(request, object_id, form_url, context)
        return answer

    def _buttons(self, request: HttpRequest, row: HeldCall) -> list[tuple[str, str, str]]:
        if not self.may(request, "change_heldcall"):
            return []
        return [
            (address("heldcall_do", row.pk, name), doing.label, name)
            for name, doing in DOINGS.items()
            if row.state in doing.states
        ]

    def one_view(self, request: HttpRequest, pk: int, doing: str) -> HttpResponse:
        """Do something with one call; by a form alone, so that no link does it.

        Raises:
            PermissionDenied: the user may not change calls.
        """
        if request.method != "POST":
            return HttpResponse(status=405)
        if not self.may(request, "change_heldcall") or doing not in DOINGS:
            raise PermissionDenied
        self._do(request, doing, [pk])
        return HttpResponseRedirect(address("heldcall_change", pk))

    # -- several

    @admin.action(description="Release: execute the selected calls", permissions=["change"])
    def release_selected(self, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
        """Asked before, since it reaches the outside."""
        return self._several(request, "release", rows)

    @admin.action(description="Reject: never execute the selected calls", permissions=["change"])
    def reject_selected(self, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
        """Asked before, since it cannot be taken back."""
        return self._several(request, "reject", rows)

    @admin.action(description="Retry: execute the selected calls that failed again", permissions=["change"])
    def retry_selected(self, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
        """Asked before, as releasing is."""
        return self._several(request, "retry", rows)

    def _several(self, request: HttpRequest, name: str, rows: QuerySet[Any]) -> HttpResponse | None:
        doing = DOINGS[name]
        there = list(rows.filter(state__in=doing.states).order_by("id"))
        if not there:
            states = ", ".join(state.upper() for state in doing.states)
            self.message_user(
                request, f"{doing.label} is for calls that are {states}: none of these.", messages.WARNING
            )
            return None
        if request.POST.get("sure"):
            self._do(request, name, [row.pk for row in there])
            return None
        count: dict[str, int] = {}
        for row in there:
            count[row.effect] = count.get(row.effect, 0) + 1
        context = {
            **self.admin_site.each_context(request),
            "title": doing.label,
            "opts": self.opts,
            "media": self.media,
            "asks": doing.asks,
            "label": doing.label,
            "counts": sorted(count.items()),
            "left_out": rows.count() - len(there),
            "caution": _SOME_UNKNOWN if any(row.state == State.UNKNOWN for row in there) and name == "retry" else "",
            "ids": [row.pk for row in there],
            "action": f"{name}_selected",
        }
        return TemplateResponse(request, "sideeffects_outbox/sure.html", context)

    def _do(self, request: HttpRequest, name: str, ids: list[int]) -> None:
        doing = DOINGS[name]
        left = 0
        if name != "reject" and runtime.rules_source().engine == "threads":
            ids, left = ids[:_MOST], max(0, len(ids) - _MOST)
        rows = HeldCall.objects.using(alias()).filter(pk__in=ids)
        there = list(rows.filter(state__in=doing.states))
        result = doing.act([row.pk for row in there], by=request.user.get_username())
        for row in (row for row in there if row.pk not in result.missed):
            self.log_change(request, row, f"{doing.done} {row.effect}")
        level = messages.ERROR if result.failed or result.kept else messages.SUCCESS if there else messages.WARNING
        self.message_user(request, _said(doing, result, len(ids) - len(there), left), level)


def _said(doing: Doing, result: actions.Result, missed: int, left: int) -> str:
    missed = max(missed, len(result.missed))
    parts = [f"{doing.done}: {result.changed}."]
    parts += [f"Done: {result.done}."] if result.done else []
    parts += [f"Handed to the workers: {result.handed_over}."] if result.handed_over else []
    parts += [f"Failed: {result.failed}; each shows its error."] if result.failed else []
    parts += [f"Still held, since they could not be executed: {result.kept}; each says why."] if result.kept else []
    parts += [f"Somebody was faster, or it is in another state: {missed}."] if missed else []
    parts += [f"Left: {left}. manage.py outbox takes any number."] if left else []
    return " ".join(parts)


def _facts(row: HeldCall) -> list[tuple[str, object]]:
    details = row.details
    return facts(
        (
            ("Arguments", argument_list(row.arguments, LONG)),
            ("Asked for", "" if row.asked is None else argument_list(row.asked, LONG)),
            ("Details", argument_list(details, LONG) if isinstance(details, dict) else details),
            ("Set going by", row.origin),
            ("Called at", row.caller),
            ("Held because", row.reason),
            ("Rule", row.decided_by),
            ("Held at", f"{time_of(row.at)} ({ago(row.at)})"),
            ("Run list", row.run_id),
            ("Changed by", row.by),
            ("Changed at", "" if row.changed_at is None else f"{time_of(row.changed_at)} ({ago(row.changed_at)})"),
            ("Attempts", row.attempts or ""),
            ("Took", "" if row.duration is None else f"{row.duration:.3f} s"),
            ("Worker", workers.shown(row.worker) if row.worker else ""),
            ("Id", row.call_id),
        )
    )
