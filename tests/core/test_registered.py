"""Functions that have been handed on before they are declared: refused, since nobody would call the effect."""

from __future__ import annotations

import atexit
import functools
import gc
from collections.abc import Callable, Iterator
from typing import Any

import celery
import pytest
from celery.signals import task_prerun
from django import template
from django.contrib import admin
from django.core import checks
from django.dispatch import Signal, receiver
from django.urls import path

from sideeffects import declare, registry, side_effect
from sideeffects._core.verbs.registered import holders
from sideeffects.errors import DeclarationError
from sideeffects.testing import isolated_registry

library, ordered = template.Library(), Signal()
urlpatterns: list[Any] = []
actions: dict[str, Any] = {}


@functools.singledispatch
def deliver(what: Any) -> None:
    """Overloaded by type."""


class Deliverer:
    @functools.singledispatchmethod
    def deliver(self, what: Any) -> None:
        """Overloaded by type."""


def route(function: Any) -> Any:
    """A project's own decorator for routes."""
    urlpatterns.append(path("pay", function))
    return function


def logged(function: Any) -> Any:
    """A wrapper between."""
    return functools.wraps(function)(lambda *args, **kwargs: [function(*args, **kwargs)])


HOLDERS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "weak receiver": (receiver(ordered), "a Signal of django"),
    "strong receiver": (receiver(ordered, weak=False), "a Signal of django"),
    "receiver below a wrapper": (lambda function: logged(receiver(ordered)(function)), "a Signal of django"),
    "singledispatch": (deliver.register(int), "functools.singledispatch"),
    "singledispatchmethod": (vars(Deliverer)["deliver"].register(int), "functools.singledispatch"),
    "simple_tag": (library.simple_tag, "a template library"),
    "simple_tag with name": (library.simple_tag(name="tag"), "a template library"),
    "inclusion_tag": (library.inclusion_tag("tag.html"), "a template library"),
    "filter": (library.filter, "a Library of django"),
    "tag": (library.tag, "a Library of django"),
    "route": (route, "an URLPattern of django"),
    "system check": (checks.register("tests"), "a CheckRegistry of django"),
    "signal of Celery": (task_prerun.connect, "a Signal of celery"),
}


@pytest.fixture(autouse=True)
def own_registry() -> Iterator[None]:
    """Effects of one test are unknown to the next."""
    with isolated_registry():
        yield


@pytest.mark.parametrize("name", HOLDERS)
def test_above_what_hands_the_function_on(name: str) -> None:
    """The message says who holds the function, and to put @side_effect below."""
    decorator, holder = HOLDERS[name]
    with pytest.raises(DeclarationError, match=rf"handed to {holder} already.*put @side_effect right above"):

        @side_effect(name="registered")
        @decorator
        def function(sender: Any = None, **kwargs: Any) -> None: ...


@pytest.mark.parametrize("name", HOLDERS)
def test_below_what_hands_the_function_on(name: str) -> None:
    """The right order passes, and leaves nothing for `side_effects --check`."""

    @HOLDERS[name][0]
    @side_effect(name="registered")
    def function(sender: Any = None, **kwargs: Any) -> None: ...

    effect: Any = vars(function)["__wrapped__"] if name == "receiver below a wrapper" else function
    assert holders([effect.__wrapped__]) == []


def test_what_waits_for_the_exit() -> None:
    """`atexit` keeps it in C, where nobody sees it; below `atexit.register` it may be declared."""
    with pytest.raises(DeclarationError, match="handed to atexit already"):

        @side_effect(name="leave")
        @atexit.register
        def leave() -> None: ...

    @atexit.register
    @side_effect(name="leave")
    def left() -> None: ...

    atexit.unregister(left)
    assert registry["leave"] is left.effect


def test_variables_are_nobody_who_calls() -> None:
    """Functions that somebody passes on, keeps in a list or names twice may be declared."""

    def declare(function: Any) -> Any:
        kept = function
        return side_effect(name=f"declared.{function.__name__}")(kept)

    def one() -> None: ...

    def two() -> None: ...

    handlers = [one, two]
    assert declare(one).effect.name == "declared.one"
    assert declare(handlers[1]).effect.name == "declared.two"


class Gateway:
    """Of somebody else."""

    def post(self) -> None: ...


def test_methods_of_others_are_declared_without_a_look_at_the_whole_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class refers to its method: that is no reason to walk all objects, which takes longer in larger projects."""
    monkeypatch.setattr(gc, "get_referrers", lambda *_: pytest.fail("all objects were walked"))
    declare(f"{__name__}:Gateway.post", name="gateway.post")
    assert Gateway.post.effect.name == "gateway.post"  # type: ignore[attr-defined]


def with_action(site: admin.AdminSite, function: Any) -> admin.AdminSite:
    """The site, with an action more."""
    site.add_action(function, "bare")
    return site


LATER: dict[str, tuple[Callable[[Any], Any], str]] = {
    "action": (
        lambda bare: (site := admin.AdminSite("tests")).add_action(bare, "bare") or site,
        "an AdminSite of django",
    ),
    "task": (lambda bare: celery.Celery(set_as_current=False).task(name="bare")(bare).run, "the Celery task bare"),
    "admin": (lambda bare: type("BareAdmin", (admin.ModelAdmin,), {"actions": [bare]}), "the admin BareAdmin"),
    "route": (lambda bare: path("bare", logged(bare)), "an URLPattern of django"),
}


@pytest.mark.parametrize("name", LATER)
def test_holders_of_functions_that_are_declared_already(name: str) -> None:
    """As `side_effects --check` asks: tasks, admins and routes that were given the bare function afterwards."""

    def bare(*args: Any) -> None: ...

    def other() -> None: ...

    hold, told = LATER[name]
    held = hold(bare)
    admins = type("OtherAdmin", (admin.ModelAdmin,), {"actions": ["send"], "send": other})
    assert holders([bare, other]) == [(bare, told)]
    del held, admins
