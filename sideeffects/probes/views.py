"""Probes on the web."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final, Generic, TypeVar

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.generic import View

from sideeffects.probes import settings
from sideeffects.probes.access import Access, access_of
from sideeffects.probes.refusals import ProbesRefused
from sideeffects.probes.reports import FORMATS, Format, html
from sideeffects.probes.results import Results
from sideeffects.probes.running import failed_to_run
from sideeffects.probes.selection import select
from sideeffects.probes.sharing import results_for_the_public, shared
from sideeffects.probes.specs import FoundProbes
from sideeffects.project.probe_apps import apps_looked_at

T = TypeVar("T")

_REFUSED: Final = (
    "Not allowed. Log in as a staff user, send a token (Authorization: Bearer ...), or ask from an allowed address.\n"
)


class IndexView(View):
    """Runs the probes, and shows what came of them.

    `?label=`, `?tag=` and `?exclude_tag=` choose probes and may be given again; `?failfast` ends with the first
    failure; `?format=` or the header `Accept` choose the format.

    Attributes:
        labels: the labels of the probes that this view runs; none for all. A request chooses among these.
        tags: the tags of the probes that this view runs; none for all. A request chooses among these.
    """

    http_method_names: Sequence[str] = ("get", "head")
    labels: Sequence[str] = ()
    tags: Sequence[str] = ()

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., HttpResponseBase]:
        """The view as a function, around which Django opens no transaction and asks for no login.

        Who may see it is decided here, and by tokens and addresses as well.
        """
        view: Callable[..., HttpResponseBase] = login_not_required(super().as_view(**initkwargs))
        return transaction.non_atomic_requests(view)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Let in who may come in, before anything else is done."""
        self.access = self.get_access(request)
        if self.access is Access.NOTHING:
            return _guarded(HttpResponse(_REFUSED, status=403, content_type="text/plain; charset=utf-8"))
        return _guarded(super().dispatch(request, *args, **kwargs))

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
            results = _without_details(results)
        return self.render(results, form)

    def get_access(self, request: HttpRequest) -> Access:
        """What the request may see."""
        return access_of(request, settings.current())

    def get_results(self, request: HttpRequest) -> Results:
        """The results of the probes that the request selects.

        Raises:
            ProbesRefused: it selects none, or names what there is not.
        """
        rules = settings.current()
        given = request.GET
        failfast = "failfast" in given and given["failfast"].lower() not in _NO
        how = failfast, settings.runner_class(), rules
        asked = type(self), *self._asked(request), *apps_looked_at(), how
        if asked in _selected:
            # Looking for the probes of hundreds of apps takes longer than all else.
            kept = shared.kept(_selected[asked], rules.cache_seconds)
            if kept is not None:
                return kept
        found = self.get_found(request)
        key = tuple(spec.id for spec in found.specs), tuple(broken.module for broken in found.broken), how
        if type(self).get_found is IndexView.get_found:  # another one may look at more than what was asked for
            _remember(asked, key)
        share = shared.results if self.access is Access.EVERYTHING else results_for_the_public
        return share(key, rules.cache_seconds, lambda: settings.make_runner(failfast=failfast).run(found))

    def _asked(self, request: HttpRequest) -> tuple[tuple[str, ...], ...]:
        """All by which `get_found` selects."""
        wanted = (request.GET.getlist(name) for name in _SELECTING)
        return *map(tuple, wanted), tuple(self.labels), tuple(self.tags)

    def get_found(self, request: HttpRequest) -> FoundProbes:
        """The probes of this view that the request selects.

        Raises:
            ProbesRefused: it selects none, or names what there is not.
        """
        wanted = [request.GET.getlist(name) for name in _SELECTING]
        found = select(*wanted)
        if self.labels or self.tags:
            own = select(self.labels, self.tags)
            ids, modules = {spec.id for spec in own.specs}, {broken.module for broken in own.broken}
            found = FoundProbes(
                tuple(spec for spec in found.specs if spec.id in ids),
                tuple(broken for broken in found.broken if broken.module in modules),
            )
        if any(wanted) and not (found.specs or found.broken):
            raise ProbesRefused("no probe of this page is selected")  # and nothing is no reason to say PASS
        return found

    def render(self, results: Results, form: Format) -> HttpResponse:
        """The answer."""
        status = 200 if results.passed or form.is_always_ok else 500
        body = _BODIES[form](results) if form in _BODIES else _body(form, results)
        response = HttpResponse(body, status=status, content_type=form.content_type)
        if form is FORMATS["html"]:
            response["Content-Security-Policy"] = html.CONTENT_SECURITY_POLICY
        return response


class _Latest(Generic[T]):
    """What was made of the latest results, so that it is made once for all requests that share a run."""

    def __init__(self, make: Callable[[Results], T]) -> None:
        self._make = make
        self._latest: tuple[Results, T] | None = None

    def __call__(self, results: Results) -> T:
        latest = self._latest
        if latest is not None and latest[0] is results:
            return latest[1]
        made = self._make(results)
        self._latest = results, made
        return made


def _body(form: Format, results: Results) -> bytes:
    # What a probe says may hold what UTF-8 cannot, such as halves of characters in the names of files.
    return form.render(results).encode("utf-8", "backslashreplace")


_without_details: Final = _Latest(Results.without_details)
_BODIES: Final = {form: _Latest(functools.partial(_body, form)) for form in FORMATS.values()}

_NO: Final = ("0", "false", "no", "off")
_SELECTING: Final = ("label", "tag", "exclude_tag")

#: Which run answers what was asked for, the latest last.
_selected: Final[dict[Hashable, Hashable]] = {}
_MOST_SELECTED: Final = 100


def _remember(asked: Hashable, key: Hashable) -> None:
    _selected.pop(asked, None)
    _selected[asked] = key
    for oldest in list(_selected)[:-_MOST_SELECTED]:
        _selected.pop(oldest, None)


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


def _guarded(response: HttpResponseBase) -> HttpResponseBase:
    # Caches that do not know `no-store`, as Django's own before 5.2.15, know the other two.
    response["Cache-Control"] = "private, no-store, max-age=0"
    response["Vary"] = "Accept, Authorization, Cookie"
    response["X-Content-Type-Options"] = "nosniff"
    return response
