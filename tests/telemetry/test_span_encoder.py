"""Spans are encoded for OTLP in less time than the library takes, and to the same message."""

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

from reasoning_grpc.telemetry.span_encoder import encode_quickly

REMOTE = SpanContext(2**127 + 5, 2**63 + 3, True, TraceFlags(1), TraceState([("vendor", "a"), ("other", "b")]))
ATTRIBUTES: dict[str, AttributeValue] = {
    "text": "words",
    "long": "x" * 5000,
    "unicode": "größer \u2028 😀",
    "empty": "",
    "true": True,
    "one": 1,
    "float": 1.0,
    "negative": -(2**60),
    "list": ["a", "b"],
    "numbers": (1, 2),
    "flags": [True, False],
}


def make_spans() -> list[ReadableSpan]:
    """Makes spans of all kinds, with all that a span may have, of two resources and two scopes."""
    exporter = InMemorySpanExporter()
    for name in ("one", "two"):
        provider = TracerProvider(resource=Resource({"service.name": name}), span_limits=SpanLimits(max_attributes=20))
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        for scope in ("ours", "other"):
            tracer = provider.get_tracer(scope, "1", attributes={"scope": scope})
            for kind in SpanKind:
                span = tracer.start_span(f"a {kind}", kind=kind, attributes=ATTRIBUTES)
                child = tracer.start_span("child", set_span_in_context(span))
                child.set_status(Status(StatusCode.ERROR, "MODEL_NOT_FOUND"))
                child.end()
                span.set_status(StatusCode.OK)
                span.end()
            remote = tracer.start_span("remote", set_span_in_context(NonRecordingSpan(REMOTE)))
            remote.set_attributes({f"number {number}": number for number in range(30)})  # more than the limit
            remote.end()
            linked = tracer.start_span("linked", links=[Link(REMOTE, {"why": "test"})], attributes={"a": 1})
            linked.add_event("event", {"b": 2})
            linked.end()
    return list(exporter.get_finished_spans())


def test_a_batch_becomes_the_message_of_the_library() -> None:
    """Also a second time, when the bytes of its attributes are known."""
    spans = make_spans()

    assert encode_quickly(spans) == encode_spans(spans)
    assert encode_quickly(spans[::-1]) == encode_spans(spans[::-1])
    assert encode_quickly([]) == encode_spans([])


def test_an_attribute_that_cannot_be_encoded_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """Half of a surrogate pair is no text of the protocol; the other attributes of the span are exported."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.get_tracer("ours").start_span("broken", attributes={"half": "\ud83d", "whole": "text"}).end()

    encoded = encode_quickly(exporter.get_finished_spans())

    (span,) = encoded.resource_spans[0].scope_spans[0].spans
    assert [attribute.key for attribute in span.attributes] == ["whole"]
    assert span.name == "broken"
    assert "Failed to encode key half" in caplog.text
