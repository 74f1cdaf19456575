"""Sentry: swallowed errors are reported, executed effects leave breadcrumbs and spans, and secrets stay here.

A report is an effect itself, `sentry.capture`: in a test run it is recorded like any other, so nothing is sent. With
`USE_SENTRY` executed effects are watched as well. What leaves is in `events.py`.

Nothing here changes what a call does or returns: what it raises is logged, and the call goes on. A thread of the SDK
does the sending, so that nobody waits for a server that is slow or not there.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import weakref
from importlib.util import find_spec
from typing import Any, Final

from sideeffects._core.calls import registry
from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Mode
from sideeffects._core.policy.rules import Rules
from sideeffects._core.runtime.async_and_streams import SHAPES
from sideeffects._core.runtime.background import reported
from sideeffects._core.state.state import state
from sideeffects._core.state.switches import Restorer
from sideeffects._core.values import describe
from sideeffects._core.verbs.decorator import side_effect
from sideeffects.contrib.sentry import events

logger: Final = logging.getLogger("sideeffects")

#: The name of the effect that a report is.
CAPTURE: Final = "sentry.capture"


def install(sentry_sdk: Any) -> None:
    """Keep arguments of effects out of all that `sentry_sdk` sends, once it is imported; and offer the effect."""
    if not hasattr(sentry_sdk, "get_global_scope"):
        return  # too old, which `trouble` says: importing it must not fail on us
    offer()
    events.ignore(reported.name)
    everywhere = sentry_sdk.get_global_scope()
    # A reload of the module calls this again, and keeps the scope.
    if not any(known is everywhere for known in _cleaned):
        _cleaned.append(everywhere)
        # Not among those of the integrations: some of these add variables to frames, and come later.
        everywhere.add_event_processor(events.clean)


_cleaned: Final[list[Any]] = []


def offer() -> None:
    """Let `sentry.capture` be in the registry, whichever is in use."""
    if CAPTURE not in registry.registry:
        capture: Any = vars(_Report)["capture"]
        registry.store.add(capture.effect, capture)


def trouble() -> str:
    """Why nothing can be sent, with what to do about it; empty when it can."""
    if sys.modules.get("sentry_sdk") is None and find_spec("sentry_sdk") is None:
        return "sentry_sdk is not installed: pip install 'sideeffects[sentry]'"
    if sys.modules.get("sentry_sdk") is not None and not hasattr(sys.modules["sentry_sdk"], "get_global_scope"):
        return "sentry_sdk is too old: pip install 'sideeffects[sentry]'"
    if _sdk() is None:
        return "sentry_sdk has not been initialised: call sentry_sdk.init(dsn=...) in the settings module"
    return ""


def _sdk() -> Any:
    """`sentry_sdk`, if it is in use. It is not imported for this: what is not imported is not initialised."""
    sdk: Any = sys.modules.get("sentry_sdk")
    return sdk if hasattr(sdk, "get_global_scope") and sdk.get_client().is_active() else None


# -- reporting


def report(error: BaseException, call: Call) -> None:
    """Report an error that was swallowed, if Sentry is in use.

    Args:
        error: it.
        call: the call that raised it.
    """
    if not state.rules_source().use_sentry and _sdk() is None:
        return
    offer()
    told = f"{type(error).__name__}: {call.scrubbed(describe.text_of(error))}"
    arguments = {name: describe.jsonable(value) for name, value in call.arguments.items()}
    sent = _Report(error, call)
    sent.capture(call.name, told, call.run_id, is_async=call.is_async, arguments=arguments, origin=call.origin)


class _Report:
    """An error on its way to Sentry. It is no argument of the effect, since it may hold secrets."""

    __slots__ = ("_call", "_error")

    def __init__(self, error: BaseException, call: Call) -> None:
        self._error = error
        self._call = call

    @side_effect(name=CAPTURE)
    def capture(
        self, effect: str, error: str, run_id: str | None, *, is_async: bool, arguments: dict[str, Any], origin: str
    ) -> str | None:
        """Send a swallowed error to Sentry, with the effect's name and its redacted arguments."""
        said = trouble()
        if said:
            _say_once(said)
            return None
        about = {"name": effect, "run_id": run_id, "is_async": is_async, "arguments": arguments, "error": error}
        about["origin"] = origin
        sent: str | None = events.send(self._error, self._call.scrubbed, effect, about)
        return sent


def _say_once(said: str) -> None:
    if said not in _said:
        _said.add(said)
        logger.warning("errors that were swallowed are not reported to Sentry: %s", said)


_said: Final[set[str]] = set()


# -- watching


def follow(rules: Rules | None) -> None:
    """Let executed effects leave breadcrumbs and spans while the rules say so."""
    is_wanted = rules is not None and rules.use_sentry
    with state.lock:
        if is_wanted and not _stops:
            offer()
            _stops.append(state.add_observer(_finished, at_start=_started))
        elif not is_wanted and _stops:
            _stops.pop()()


#: What ends the watching that has begun.
_stops: Final[list[Restorer]] = []


class _Span:
    """The span of one call that is being executed."""

    def __init__(self, parent: Any, call: Call, sdk: Any) -> None:
        self.span = parent.start_child(op="side_effect", name=call.name, origin="auto.side_effect")
        self.span.set_data("side_effect.is_async", call.is_async)
        self.span.set_data("side_effect.origin", call.origin)
        if call.run_id is not None:
            self.span.set_data("side_effect.run_id", call.run_id)
        self._block = contextlib.ExitStack()
        if call.effect.kind not in SHAPES or call.effect.kind == "coroutine function":
            # Spans that the effect starts belong below. In a scope of its own, since coroutines take turns; others
            # (generators) run in pieces between which this one must not be the current span.
            self._block.enter_context(sdk.new_scope())
            sdk.get_current_scope().span = self.span

    def end(self, is_error: bool) -> None:
        self._block.close()
        if is_error:
            self.span.set_status("internal_error")
        self.span.finish()


_spans: Final[weakref.WeakKeyDictionary[Call, _Span]] = weakref.WeakKeyDictionary()


def _started(call: Call) -> None:
    sdk = _sdk()
    if sdk is None or call.name == CAPTURE:
        return
    parent = sdk.get_current_span()
    # Without tracing there is none; one that is not sampled is not sent; the SDK's streamed spans are made otherwise.
    if getattr(parent, "sampled", None) and hasattr(parent, "start_child"):
        _spans[call] = _Span(parent, call, sdk)


def _finished(call: Call) -> None:
    span = _spans.pop(call, None)
    outcome = call.outcome
    error = None if outcome is None else outcome.error
    if span is not None:
        span.end(error is not None)
    sdk = _sdk()
    if sdk is None or call.mode is not Mode.EXECUTE or call.name == CAPTURE or outcome is None:
        return
    data: dict[str, Any] = {
        "arguments": {name: _short(value) for name, value in call.arguments.items()},
        "is_async": call.is_async,
        "run_id": call.run_id,
        "origin": call.origin,
        "milliseconds": round(outcome.duration * 1000, 3),
    }
    if error is not None:
        data["error"] = type(error).__name__
    level = "info" if error is None else "error"
    sdk.add_breadcrumb(category="side_effect", message=call.name, level=level, data=data)


def _short(value: Any) -> str:
    """A redacted value, in few words: Sentry keeps the last hundred breadcrumbs."""
    kind = type(value)
    if kind is str or kind is bytes:
        value = value[:_LONGEST]
    return describe.describe(value, _LONGEST)


_LONGEST: Final = 200
