"""Probes on the web."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import method_decorator
from django.views.generic import View

from sideeffects.probes import settings
from sideeffects.probes.access import Access, access_of
from sideeffects.probes.refusals import ProbesRefused
from sideeffects.probes.reports import FORMATS, Format, html
from sideeffects.probes.results import Results
from sideeffects.probes.running import failed_to_run
from sideeffects.probes.selection import select
from sideeffects.probes.sharing import shared

_REFUSED = (
    "Not allowed. Log in as a staff user, send a token (Authorization: Bearer ...), or ask from an allowed address.\n"
)


@method_decorator(transaction.non_atomic_requests, name="dispatch")
class IndexView(View):
    """Runs the probes, and shows what came of them.

    `?label=`, `?tag=` and `?exclude_tag=` choose probes and may be given again; `?failfast` ends with the first
    failure; `?format=` or the header `Accept` choose the format.

    Attributes:
        labels: the labels to run where the request has none.
        tags: the tags to run where the request has none.
    """

    http_method_names: Sequence[str] = ("get", "head")
    labels: ClassVar[tuple[str, ...]] = ()
    tags: ClassVar[tuple[str, ...]] = ()

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Let in who may come in, before anything else is done."""
        self.access = self.get_access(request)
        if self.access is Access.NOTHING:
            return _without_store(HttpResponse(_REFUSED, status=403, content_type="text/plain; charset=utf-8"))
        return _without_store(super().dispatch(request, *args, **kwargs))

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Run, or share a run, and answer with 200 when all passed and 500 when not."""
        del args, kwargs
        name = request.GET.get("format")
        if name is not None and name not in FORMATS:
            message = f"There is no format {name!r}. The formats are {', '.join(FORMATS)}.\n"
            return HttpResponse(message, status=400, content_type="text/plain; charset=utf-8")
        form = FORMATS[name or asked_for(request)]
        try:
            results = self.get_results(request)
        except (ProbesRefused, ImproperlyConfigured) as error:
            results = failed_to_run(str(error))
        if self.access is Access.OUTCOMES:
            results = results.without_details()
        return self.render(results, form)

    def get_access(self, request: HttpRequest) -> Access:
        """What the request may see."""
        return access_of(request, settings.current())

    def get_results(self, request: HttpRequest) -> Results:
        """The results of the probes that the request selects."""
        rules = settings.current()
        asked = request.GET
        failfast = "failfast" in asked and asked["failfast"].lower() not in ("0", "false", "no", "off")
        found = select(
            asked.getlist("label") or self.labels, asked.getlist("tag") or self.tags, asked.getlist("exclude_tag")
        )
        key = (
            tuple(spec.id for spec in found.specs),
            tuple(broken.module for broken in found.broken),
            failfast,
            settings.runner_class(),
            rules,
        )
        return shared.results(key, rules.cache_seconds, lambda: settings.make_runner(failfast=failfast).run(found))

    def render(self, results: Results, form: Format) -> HttpResponse:
        """The answer."""
        status = 200 if results.passed or form.is_always_ok else 500
        response = HttpResponse(form.render(results), status=status, content_type=form.content_type)
        if form is FORMATS["html"]:
            response["Content-Security-Policy"] = html.CONTENT_SECURITY_POLICY
        return response


def asked_for(request: HttpRequest) -> str:
    """The name of the format that the header `Accept` prefers; text when it names none of ours."""
    best, name = 0.0, next(iter(FORMATS))
    for part in str(request.META.get("HTTP_ACCEPT", "")).split(","):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        quality = _quality(parameters)
        for candidate, form in FORMATS.items():
            # `*/*` means that anything will do, and that is text.
            if media_type.lower() in form.media_types and quality > best:
                best, name = quality, candidate
    return name


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def _without_store(response: HttpResponseBase) -> HttpResponseBase:
    response["Cache-Control"] = "no-store"
    response["Vary"] = "Accept, Authorization, Cookie"
    return response
