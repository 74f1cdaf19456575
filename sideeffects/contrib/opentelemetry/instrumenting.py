"""An observer of all calls, which makes spans of those that are executed and counts all of them.

Spans and metrics hold no argument: these would be secrets in the wrong place, and a time series for each customer.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, metrics, trace

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Mode
from sideeffects._core.runtime.async_and_streams import SHAPES
from sideeffects._core.state.state import state
from sideeffects._core.state.switches import Restorer
from sideeffects._core.values import describe

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

#: The name of our tracer and of our meter.
SCOPE: Final = "sideeffects"

_stops: Final[list[Restorer]] = []


def instrument(tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None) -> None:
    """Make spans and metrics of the calls of this process from now on; in place of what an earlier call began.

    Each executed call is a span named after its effect, with the attributes `side_effect.name`, `side_effect.origin`,
    `side_effect.caller`, `side_effect.is_async` and `side_effect.run_id`; a failed one has the status ERROR and
    `error.type`. Spans that the effect makes are its children. All calls are counted by `sideeffects.calls`, and
    the durations of executed ones are in the histogram `sideeffects.duration`, in seconds; both by
    `side_effect.name`, `side_effect.mode` and `error.type`.

    Args:
        tracer_provider: where the spans go; the global provider when left out.
        meter_provider: where the metrics go; the global provider when left out.

    Example:
        ```python
        class ShopConfig(AppConfig):
            def ready(self):
                instrument()
        ```
    """
    uninstrument()
    watching = _Watching(trace.get_tracer(SCOPE, tracer_provider=tracer_provider), meter_provider)
    with state.lock:
        _stops.append(state.add_observer(watching.finished, at_start=watching.started))


def uninstrument() -> None:
    """Make no further spans and metrics. Without `instrument` before it, nothing happens."""
    with state.lock:
        while _stops:
            _stops.pop()()


class _Span:
    """The span of one call that is being executed."""

    def __init__(self, tracer: trace.Tracer, call: Call) -> None:
        self.span = tracer.start_span(call.name, attributes=_about(call), record_exception=False)
        self._block = contextlib.ExitStack()
        if call.effect.kind not in SHAPES or call.effect.kind == "coroutine function":
            # Spans that the effect starts belong below. Others (generators) run in pieces, between which this one must
            # not be the current span.
            token = context.attach(trace.set_span_in_context(self.span))
            self._block.callback(context.detach, token)

    def end(self, call: Call, error: BaseException | None) -> None:
        self._block.close()
        if error is not None:
            kind = type(error).__qualname__
            # Not `record_exception`: its message and its traceback may quote what is secret.
            said = call.scrubbed(describe.text_of(error))
            self.span.add_event("exception", {"exception.type": kind, "exception.message": said})
            self.span.set_attribute("error.type", kind)
            self.span.set_status(trace.Status(trace.StatusCode.ERROR, f"{kind}: {said}"))
        self.span.end()


class _Watching:
    """What is told of the calls of this process.

    Args:
        tracer: makes the spans.
        meter_provider: where the metrics go; the global provider when left out.
    """

    def __init__(self, tracer: trace.Tracer, meter_provider: MeterProvider | None) -> None:
        meter = metrics.get_meter(SCOPE, meter_provider=meter_provider)
        self._tracer = tracer
        self._calls = meter.create_counter("sideeffects.calls", "{call}", "Calls of effects.")
        self._duration = meter.create_histogram("sideeffects.duration", "s", "How long executed effects took.")
        self._spans: weakref.WeakKeyDictionary[Call, _Span] = weakref.WeakKeyDictionary()

    def started(self, call: Call) -> None:
        self._spans[call] = _Span(self._tracer, call)

    def finished(self, call: Call) -> None:
        outcome = call.outcome
        error = None if outcome is None else outcome.error
        span = self._spans.pop(call, None)
        if span is not None:
            span.end(call, error)
        about: dict[str, str] = {"side_effect.name": call.name, "side_effect.mode": call.mode.value}
        if error is not None:
            about["error.type"] = type(error).__qualname__
        self._calls.add(1, about)
        if call.mode is Mode.EXECUTE and outcome is not None:
            self._duration.record(outcome.duration, about)


def _about(call: Call) -> Mapping[str, Any]:
    about: dict[str, Any] = {
        "side_effect.name": call.name,
        "side_effect.origin": call.origin,
        "side_effect.caller": call.caller,
        "side_effect.is_async": call.is_async,
        "side_effect.run_id": call.run_id,
    }
    return {key: value for key, value in about.items() if value is not None and value != ""}
