"""The panel: what a request did to the outside, or would have done."""

from __future__ import annotations

import functools
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from debug_toolbar.panels import Panel

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Mode
from sideeffects._core.records.reading import Calls
from sideeffects._core.values import describe
from sideeffects._core.verbs.capture import capture

#: Characters of one argument, and calls that are kept of one request.
_LONGEST: Final = 300
_MOST: Final = 1000


_Panel: Any = Panel  # only newer toolbars have types


class SideEffectsPanel(_Panel):  # type: ignore[misc]
    """The calls of effects that a request has made: what was decided of each, why, where, and what came of it.

    Add its dotted path to `DEBUG_TOOLBAR_PANELS`. It needs neither an app nor a template loader.
    """

    title = "Side effects"
    is_async = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._block = ExitStack()
        self._calls: Calls | None = None

    @property
    def nav_subtitle(self) -> str:
        """How many calls there were, and how many of these did not execute."""
        stats = self.get_stats()
        count, held = stats.get("count", 0), stats.get("held", 0)
        return f"{count} call{'' if count == 1 else 's'}" + (f", {held} not executed" if held else "")

    def enable_instrumentation(self) -> None:
        """Begin: see the calls of this context."""
        if self._calls is None:
            self._calls = self._block.enter_context(capture())

    def disable_instrumentation(self) -> None:
        """End."""
        self._block.close()

    def generate_stats(self, request: Any, response: Any) -> None:
        """Keep what is shown, as data: toolbars may be looked at in another process."""
        del request, response
        calls = [] if self._calls is None else self._calls[:]
        held = sum(call.mode is not Mode.EXECUTE for call in calls)
        shown = [_row(call) for call in calls[:_MOST]]
        self.record_stats({"count": len(calls), "held": held, "left_out": len(calls) - len(shown), "calls": shown})

    @property
    def content(self) -> str:
        """The panel's page."""
        from django.template import Context

        page: str = _template().render(Context(self.get_stats()))
        return page


@functools.cache
def _template() -> Any:
    from django.template import Engine

    # By an engine of our own: `sideeffects` need not be in INSTALLED_APPS.
    return Engine().from_string((Path(__file__).parent / "panel.html").read_text(encoding="utf-8"))


def _row(call: Call) -> dict[str, Any]:
    outcome = call.outcome
    error = None if outcome is None else outcome.error
    decision = call.decision
    return {
        "name": call.name,
        "mode": decision.mode.name,
        "reason": decision.reason,
        "set_in": decision.origin,
        "arguments": [(name, describe.describe(value, _LONGEST)) for name, value in call.arguments.items()],
        "details": call.details_shown.removeprefix("; "),
        "caller": call.caller,
        "how": _how(call),
        # Of a refusal the reason says it all.
        "error": ""
        if error is None or decision.mode is Mode.RAISE
        else f"{type(error).__name__}: {call.scrubbed(describe.text_of(error))}",
        "milliseconds": None if outcome is None or decision.mode is not Mode.EXECUTE else outcome.duration * 1000,
    }


def _how(call: Call) -> str:
    """What is special about the way in which it was called."""
    ways = ["in the background" if call.is_async else "", f"run list {call.run_id}" if call.run_id else ""]
    if call.effect.on_commit is not False:
        ways.append("after the commit")
    return ", ".join(filter(None, ways))
