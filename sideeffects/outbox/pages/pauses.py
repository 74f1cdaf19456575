"""Pauses in the admin: those in force and those that were, pausing and resuming."""

from __future__ import annotations

import datetime
from typing import Any, ClassVar, Final

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString

from sideeffects._core.calls.registry import registry
from sideeffects.errors import UnknownSideEffect
from sideeffects.outbox import pauses
from sideeffects.outbox.models import Pause
from sideeffects.outbox.pages.showing import Page, SimpleListFilter, address, ago, badge, button, facts
from sideeffects.outbox.pause_reader import reader

_UNTIL_RESUMED: Final = ""
_LENGTHS: Final = (
    (_UNTIL_RESUMED, "until somebody resumes"),
    ("30", "30 minutes"),
    ("120", "2 hours"),
    ("720", "12 hours"),
    ("1440", "1 day"),
)


_MODES: Final = (
    (Pause.Mode.HOLD, "hold: calls are kept, and somebody releases or rejects them later"),
    (Pause.Mode.RECORD, "record: calls are written down, and never executed"),
    (Pause.Mode.RAISE, "refuse: the code that calls gets an error"),
)

ModelForm: Any = forms.ModelForm  # its type takes a parameter that the class does not


class PauseForm(ModelForm):  # type: ignore[misc]
    """What to stop, why, and for how long."""

    mode = forms.ChoiceField(
        label="What happens to calls", choices=_MODES, widget=forms.RadioSelect, initial=Pause.Mode.HOLD
    )
    length = forms.ChoiceField(label="For how long", choices=_LENGTHS, required=False)

    class Meta:
        """The rest is known."""

        model = Pause
        fields = ("pattern", "why", "mode")
        labels: ClassVar[dict[str, str]] = {"pattern": "Effects"}
        help_texts: ClassVar[dict[str, str]] = {
            "pattern": "The name of an effect, a glob such as sms.*, or __all__.",
            "why": "For people who look for a call that did not execute.",
        }
        widgets: ClassVar[dict[str, Any]] = {
            "pattern": forms.TextInput(attrs={"list": "se-names", "autocomplete": "off"}),
            "why": forms.Textarea(attrs={"rows": 3}),
        }

    def clean_pattern(self) -> str:
        """It means an effect."""
        pattern: str = self.cleaned_data["pattern"].strip()
        try:
            pauses.check_pattern(pattern)
        except UnknownSideEffect as error:
            raise ValidationError(str(error)) from error
        return pattern


class InForce(SimpleListFilter):  # type: ignore[misc]
    """Whether a pause holds now."""

    title = "state"
    parameter_name = "in_force"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Yes and no."""
        del request, model_admin
        return [("yes", "in force"), ("no", "over")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those."""
        del request
        if self.value() is None:
            return queryset
        holding = [row.pk for row in pauses.in_force()]
        return queryset.filter(pk__in=holding) if self.value() == "yes" else queryset.exclude(pk__in=holding)


class PauseAdmin(Page):
    """The pauses. The permission to change them is needed to pause and to resume."""

    form = PauseForm
    list_display = ("state", "pattern", "why", "who", "when", "ends")
    list_display_links = ("pattern",)
    list_filter = (InForce,)
    search_fields = ("pattern", "why", "paused_by")
    actions = ("resume_selected",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Those of the outbox's database."""
        rows: QuerySet[Any] = super().get_queryset(request).using(pauses.alias())
        return rows

    def get_urls(self) -> list[URLPattern]:
        """Ours before Django's, which would take the names for keys."""
        view = self.admin_site.admin_view(self.resume_view)
        return [path("<int:pk>/resume/", view, name="sideeffects_outbox_pause_resume"), *super().get_urls()]

    # -- the list

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Django's, with our title."""
        answer: HttpResponse = super().changelist_view(request, {"title": "Pauses", **(extra_context or {})})
        return answer

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        """With a button for those who may use it."""
        return (*self.list_display, "buttons") if self.may(request, "change_pause") else self.list_display

    @admin.display(description="action", empty_value="")
    def buttons(self, row: Pause) -> SafeString | str:
        """Resume."""
        return button(address("pause_resume", row.pk), "Resume", row.pattern) if _holds(row) else ""

    @admin.display(description="state", ordering="mode")
    def state(self, row: Pause) -> SafeString:
        """The mode while it is in force."""
        return badge(row.mode if _holds(row) else "over")

    @admin.display(description="by")
    def who(self, row: Pause) -> str:
        """Who paused."""
        return row.paused_by

    @admin.display(description="since", ordering="paused_at")
    def when(self, row: Pause) -> str:
        """When."""
        return ago(row.paused_at)

    @admin.display(description="ends")
    def ends(self, row: Pause) -> str:
        """When it ends, or has ended."""
        if row.resumed_at is not None:
            return f"resumed by {row.resumed_by} {ago(row.resumed_at)}"
        return "when somebody resumes" if row.until is None else pauses.time_of(row.until)

    # -- pausing

    def has_add_permission(self, request: HttpRequest, *_: Any) -> bool:
        """Users who may change pauses may pause."""
        return self.may(request, "change_pause")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What was paused is not edited: it is resumed, and paused again."""
        return obj is None and self.may(request, "change_pause")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Users who may view or change them."""
        del obj
        return self.may(request, "view_pause") or self.may(request, "change_pause")

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Django's, with the words of what it does; names are completed while they are typed."""
        context = {"title": "Pause effects", "names": list(registry), **(extra_context or {})}
        answer: HttpResponse = super().add_view(request, form_url, context)
        return answer

    add_form_template = "sideeffects_outbox/pause.html"

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Pause, in place of earlier pauses of the same pattern."""
        del change
        minutes = form.cleaned_data["length"]
        until = timezone.now() + datetime.timedelta(minutes=int(minutes)) if minutes else None
        row = pauses.pause(obj.pattern, why=obj.why, by=request.user.get_username(), mode=obj.mode, until=until)
        obj.pk, obj.paused_by, obj.until = row.pk, row.paused_by, row.until
        obj._state.adding = False  # noqa: SLF001 - as Django does it
        transaction.on_commit(reader.refresh, using=pauses.alias())

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> HttpResponse:
        """Back to the effects, where it shows."""
        del post_url_continue
        said = f"From now on {obj.pattern} is {obj.mode.upper()}. All processes follow within {pauses.refresh():g} s."
        self.message_user(request, said, messages.SUCCESS)
        return HttpResponseRedirect(
            address("effect_changelist" if self.may(request, "view_effect") else "pause_changelist")
        )

    # -- one pause, and ending it

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """What there is to know of it."""
        row = self.get_object(request, object_id)
        context = {**(extra_context or {})}
        if row is not None:
            holds = _holds(row)
            context |= {
                "title": f"Pause of {row.pattern}",
                "subtitle": None,
                "headline": badge(row.mode if holds else "over"),
                "reason": row.why,
                "facts": facts(
                    (
                        ("Effects", row.pattern),
                        ("By", row.paused_by),
                        ("Since", pauses.time_of(row.paused_at)),
                        ("Until", "" if row.until is None else pauses.time_of(row.until)),
                        ("Resumed by", row.resumed_by),
                        ("Resumed", "" if row.resumed_at is None else pauses.time_of(row.resumed_at)),
                    )
                ),
                "buttons": [(address("pause_resume", row.pk), "Resume", "resume")]
                if holds and self.may(request, "change_pause")
                else [],
            }
        answer: HttpResponse = super().change_view(request, object_id, form_url, context)
        return answer

    def resume_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """End one pause; by a form alone, so that no link does it.

        Raises:
            PermissionDenied: the user may not change pauses.
        """
        if request.method != "POST":
            return HttpResponse(status=405)
        row = self.get_object(request, str(pk))
        if row is None or not self.may(request, "change_pause"):
            raise PermissionDenied
        self._resume(request, [row] if _holds(row) else [])
        return HttpResponseRedirect(address("pause_changelist"))

    @admin.action(description="Resume: let the selected effects go on", permissions=["change"])
    def resume_selected(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        """End those that are in force."""
        self._resume(request, [row for row in rows if _holds(row)])

    def _resume(self, request: HttpRequest, rows: list[Any]) -> None:
        for row in rows:
            pauses.end(row, request.user.get_username())
            self.log_change(request, row, f"Resumed {row.pattern} ({row.mode}; {row.why})")
            self.message_user(request, f"Resumed: {row.pattern}.", messages.SUCCESS)
        if not rows:
            self.message_user(request, "None of these is in force.", messages.WARNING)
        transaction.on_commit(reader.refresh, using=pauses.alias())


def _holds(row: Pause) -> bool:
    return row.resumed_at is None and (row.until is None or row.until > timezone.now())
