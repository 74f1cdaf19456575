"""What the pages have in common: a state is a colour and a word, the reason comes first, and arguments can be read."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from sideeffects._core.values import describe

#: Characters of one argument in a list, and where there is room.
SHORT: Final = 60
LONG: Final = 2000


#: Without Django's types, which want each attribute spelt out as wide as the base class has it.
ModelAdmin: Any = admin.ModelAdmin
SimpleListFilter: Any = admin.SimpleListFilter


class Page(ModelAdmin):  # type: ignore[misc]
    """A page of ours: nothing is added, changed or deleted by Django's own forms."""

    change_form_template = "sideeffects_outbox/detail.html"

    class Media:
        """Our colours, for light and dark, and what changes on a phone."""

        css: ClassVar[dict[str, list[str]]] = {"all": ["sideeffects_outbox/admin.css"]}

    def has_add_permission(self, request: HttpRequest, *_: Any) -> bool:
        """Nobody adds."""
        del request
        return False

    def has_delete_permission(self, request: HttpRequest, *_: Any) -> bool:
        """Nobody deletes here: `manage.py outbox prune` does."""
        del request
        return False

    def may(self, request: HttpRequest, permission: str) -> bool:
        """Whether the user has a permission of this app, such as `change_pause`."""
        user: Any = request.user
        return bool(user.has_perm(f"{self.opts.app_label}.{permission}"))


class Listing(Page):
    """A page of what has no rows: one list, for those who have the permission to view it."""

    title: ClassVar[str]
    template: ClassVar[str]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """None, so that Django's pages of single rows find nothing: the model is a proxy of one that has rows."""
        rows: QuerySet[Any] = super().get_queryset(request).none()
        return rows

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Users who may view these."""
        del obj
        return self.may(request, f"view_{self.opts.model_name}")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody: they are code, or have been called."""
        del request, obj
        return False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The list.

        Raises:
            PermissionDenied: the user may not view it.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": self.title,
            "opts": self.opts,
            "media": self.media,
            **self.shown(request),
            **(extra_context or {}),
        }
        return TemplateResponse(request, self.template, context)

    def shown(self, request: HttpRequest) -> dict[str, Any]:
        """What the template shows."""
        raise NotImplementedError


def badge(word: str) -> SafeString:
    """A state or a mode: a word on its colour."""
    return format_html('<span class="se-badge se-{}">{}</span>', word.lower().replace(" ", "-"), word.upper())


def button(where: str, label: str, what: str) -> SafeString:
    """A button in Django's list: it sends the list's own form elsewhere, since a form may not stand in another."""
    shown = '<button class="button se-button" formaction="{}" aria-label="{} {}">{}</button> '
    return format_html(shown, where, label, what, label)


def link(page: str, text: str, **query: str) -> SafeString:
    """A link to a page of the admin, such as `heldcall_changelist`."""
    return format_html('<a href="{}">{}</a>', address(page, **query), text)


def address(page: str, *args: object, **query: str) -> str:
    """Where a page of the admin is."""
    found = reverse(f"admin:sideeffects_outbox_{page}", args=args)
    return f"{found}?{urlencode(query)}" if query else found


def argument_list(arguments: Mapping[str, Any], longest: int = SHORT) -> SafeString:
    """Arguments, a line each."""
    return format_html_join(
        "", '<div class="se-argument"><b>{}</b> {}</div>', ((n, _written(v, longest)) for n, v in arguments.items())
    )


def _written(value: object, longest: int) -> str:
    if isinstance(value, str):
        return value if len(value) <= longest else f"{value[: longest - 1]}…"
    return describe.describe(value, longest)


def facts(pairs: Iterable[tuple[str, object]]) -> list[tuple[str, object]]:
    """Those that say something."""
    return [(label, value) for label, value in pairs if value not in ("", None)]


def ago(moment: datetime.datetime | None) -> str:
    """How long ago, in words that one reads at a glance."""
    if moment is None:
        return ""
    if timezone.is_naive(moment):
        moment = timezone.make_aware(moment)
    seconds = (datetime.datetime.now(datetime.UTC) - moment).total_seconds()
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        count = int(seconds // size)
        if count >= 1:
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now"
