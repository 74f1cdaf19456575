"""The line of the user's own code that a piece of work comes from, also where its stack does not show it.

Threads, executors, event loops and frameworks call what they were handed. Then the user's line is further out on the
stack, or where the work was handed over.
"""

from __future__ import annotations

import sys
import threading
from types import FrameType
from typing import TYPE_CHECKING, Final

from sideeffects._core.state.work_origin import Lineage, Place, lineage, watching
from sideeffects._core.values.callers import Site, first_on
from sideeffects._core.values.whose_code import HIDDEN, PACKAGE, hands_on, is_own, kind_of

if TYPE_CHECKING:
    from sideeffects._core.state.runtime_effect import Declared


class _Job(threading.local):
    """Where the job that this thread does was handed over. Not in its context: `to_thread` and asgiref make another."""

    place: Place | None = None


job: Final = _Job()


def places_above(frame: FrameType) -> tuple[Place | None, Place | None]:
    """The user's line above `frame`, or where its work was handed over; and that of an installed package."""
    inner: FrameType | None = None
    package: Place | None = None
    at: FrameType | None = frame
    while at is not None:
        if is_own(at):
            return place_of(at, inner), package
        if _is_loop(at) and (made_at := watching.of_task()) is not None:
            return made_at, package
        kind = kind_of(at.f_code.co_filename)
        if kind != HIDDEN:
            if package is None and kind == PACKAGE:
                package = place_of(at, inner)
            inner = at
        at = at.f_back
    return lineage.get().place or job.place, package


def here() -> Place | None:
    """The line of the user's code that is being executed, or that handed this work over; `None` when there is none."""
    return places_above(sys._getframe(1))[0]  # noqa: SLF001 - who hands work over


def user_site(declared: Declared, site: Site) -> Site:
    """Who calls an effect: where `site` only calls what it was handed, the line of the user's code, if there is any."""
    if not hands_on[site[0].co_filename]:
        declared.caller = site[0]
        return site
    place = places_above(sys._getframe(1))[0]  # noqa: SLF001 - as above
    return site if place is None else first_on(place[0], place[1])


def handed_on() -> Lineage:
    """The lineage of work that is handed to a thread or a pool at this moment."""
    own = lineage.get()
    return Lineage(own.effect, here(), own.guards)


def place_of(frame: FrameType, inner: FrameType | None) -> Place:
    """The place at which a frame stands, and what it has called."""
    code, module = (None, "") if inner is None else (inner.f_code, _module(inner))
    return frame.f_code, frame.f_lineno, _module(frame), code, module


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _is_loop(frame: FrameType) -> bool:
    """Whether asyncio's loop calls from here. What runs it, further out, says less than where the task was made."""
    return frame.f_code.co_name == "_run" and frame.f_globals.get("__name__") == "asyncio.events"
