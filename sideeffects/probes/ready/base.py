"""What ready-made probes have in common, and classes with a test for each of several things."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any, ClassVar

from sideeffects.probes.case import SmokeTest


class ReadyProbe(SmokeTest):
    """A ready-made probe: it has a tag of its own, and ends before most who wait for it give up."""

    tags: ClassVar[Collection[str]] = ("ready",)
    timeout: ClassVar[float | None] = 10.0


def for_each(name: str, doc: str, things: Iterable[str], look: Callable[[SmokeTest, str], None]) -> type[SmokeTest]:
    """A class of that name, in the module of `look`, with a test for each thing."""
    body: dict[str, Any] = {"__module__": look.__module__, "__doc__": doc}
    for thing in things:
        test = _test_of(look, thing)
        name_of_test = "test_" + re.sub(r"\W", "_", thing)
        while name_of_test in body:  # "a-b" and "a_b" are two things
            name_of_test += "_"
        test.__name__ = name_of_test
        body[name_of_test] = test
    return type(name, (ReadyProbe,), body)


def _test_of(look: Callable[[SmokeTest, str], None], thing: str) -> Callable[[SmokeTest], None]:
    def test(self: SmokeTest) -> None:
        look(self, thing)

    return test
