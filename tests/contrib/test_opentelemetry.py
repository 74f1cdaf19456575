"""OpenTelemetry, with the real SDK and its exporters in memory."""

import asyncio
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from sideeffects import SideEffectBlocked, forbid, force_run, side_effect
from sideeffects._core.calls.origins import originating

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sideeffects.contrib.opentelemetry import instrument, uninstrument

pytestmark = pytest.mark.usefixtures("own_registry")
SECRET = "tok-5f3759df"
BY = ("side_effect.name", "side_effect.mode", "error.type")


class Telemetry(NamedTuple):
    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader
    tracer: Any

    def spans(self) -> list[Any]:
        return list(self.exporter.get_finished_spans())

    def points(self, metric: str) -> dict[tuple[str, ...], Any]:
        """The points of a metric, by the effect, the mode and the type of the error."""
        data: Any = self.reader.get_metrics_data()
        parts = [] if data is None else data.resource_metrics
        metrics = [one for part in parts for scope in part.scope_metrics for one in scope.metrics]
        points = [point for one in metrics if one.name == metric for point in one.data.data_points]
        return {tuple(str(point.attributes.get(key, "")) for key in BY): point for point in points}


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrument(provider, MeterProvider([reader]))
    try:
        yield Telemetry(exporter, reader, provider.get_tracer("tests"))
    finally:
        uninstrument()


def test_an_executed_call_is_a_span_between_its_caller_and_what_it_does(telemetry: Telemetry) -> None:
    """It says which effect, who called it, where, and what set that going; what the effect does is below it."""

    @side_effect(name="sms.send")
    def send(to: str, token: str) -> None:
        with telemetry.tracer.start_as_current_span("POST"):
            pass

    caller = telemetry.tracer.start_as_current_span("request")
    with force_run(send), originating("GET /orders/ (shop.views.orders)"), caller:
        send("ann", SECRET)
    inner, span, request = telemetry.spans()
    assert (inner.name, span.name, request.name) == ("POST", "sms.send", "request")
    assert inner.parent.span_id == span.context.span_id
    assert span.parent.span_id == request.context.span_id
    attributes = dict(span.attributes)
    assert attributes.pop("side_effect.caller").startswith(f"{__file__}:")
    assert attributes == {
        "side_effect.name": "sms.send",
        "side_effect.origin": "GET /orders/ (shop.views.orders)",
        "side_effect.is_async": False,
    }
    assert SECRET not in span.to_json()


def test_a_failed_call_is_an_error_without_its_secrets(telemetry: Telemetry) -> None:
    """The error keeps its type and its text; what it quotes of the arguments is redacted."""

    @side_effect(name="sms.send")
    def send(to: str, token: str) -> None:
        raise ConnectionError(f"{to} refused {token}")

    with force_run(send), pytest.raises(ConnectionError):
        send("ann", SECRET)
    (span,) = telemetry.spans()
    assert not span.status.is_ok
    assert span.status.description == "ConnectionError: ann refused [redacted]"
    assert span.attributes["error.type"] == "ConnectionError"
    assert SECRET not in span.to_json()


def test_all_calls_are_counted_by_effect_mode_and_error(telemetry: Telemetry) -> None:
    """Recorded and refused ones, too; how long it took is known of those that were executed."""

    @side_effect(name="sms.send")
    def send(to: str) -> None:
        if to == "ben":
            raise LookupError(to)

    send("recorded")
    with forbid(send), pytest.raises(SideEffectBlocked):
        send("refused")
    with force_run(send):
        send("ann")
        send("ann")
        with pytest.raises(LookupError):
            send("ben")
    counted = {about: point.value for about, point in telemetry.points("sideeffects.calls").items()}
    assert counted == {
        ("sms.send", "record", ""): 1,
        ("sms.send", "raise", "SideEffectBlocked"): 1,
        ("sms.send", "execute", ""): 2,
        ("sms.send", "execute", "LookupError"): 1,
    }
    times = telemetry.points("sideeffects.duration")
    assert {about: point.count for about, point in times.items()} == {
        ("sms.send", "execute", ""): 2,
        ("sms.send", "execute", "LookupError"): 1,
    }
    assert [span.name for span in telemetry.spans()] == ["sms.send"] * 3


async def test_coroutines_that_take_turns_keep_their_spans_apart(telemetry: Telemetry) -> None:
    """What each does in between is below its own span; a generator's span is nobody's parent."""
    turn = asyncio.Barrier(2)

    @side_effect(name="sms.send")
    async def send(to: str) -> None:
        await turn.wait()
        with telemetry.tracer.start_as_current_span(to):
            await turn.wait()

    @side_effect(name="feed.read")
    def read() -> Iterator[int]:
        yield 1
        yield 2

    with force_run(send, read):
        await asyncio.gather(send("ann"), send("ben"))
        for _ in read():
            with telemetry.tracer.start_as_current_span("between"):
                pass
    spans = {span.context.span_id: span for span in telemetry.spans()}
    below = {span.name: span.parent and spans[span.parent.span_id].name for span in spans.values()}
    assert below == {"ann": "sms.send", "ben": "sms.send", "sms.send": None, "between": None, "feed.read": None}
    ann, ben = (next(s for s in spans.values() if s.name == name).parent.span_id for name in ("ann", "ben"))
    assert ann != ben


def test_it_can_be_ended_and_begun_again(telemetry: Telemetry) -> None:
    """Begun twice it counts once; ended, not at all."""

    @side_effect(name="sms.send")
    def send() -> None:
        pass

    reader = InMemoryMetricReader()
    instrument(meter_provider=MeterProvider([reader]))
    send()
    uninstrument()
    send()
    assert telemetry.points("sideeffects.calls") == {}
    again = telemetry._replace(reader=reader)
    assert {point.value for point in again.points("sideeffects.calls").values()} == {1}
