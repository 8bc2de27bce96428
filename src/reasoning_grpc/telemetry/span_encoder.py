"""`QuickSpanExporter`: exports spans over OTLP, and encodes them in a third of the time that the library takes.

Most attributes of our spans repeat: names of models, of providers, of methods. The library builds two messages for each
of them at each span. Here an attribute that repeats is encoded once, and later spans merge its bytes.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, SpanFlags
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Status as StatusMessage
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

_MOST_ATTRIBUTES: Final = 2048
"""The attributes whose bytes are kept. Those that do not repeat, such as ids, pass through."""
_LONGEST_TEXT: Final = 100
"""The characters of the longest text whose bytes are kept, so that they take half a megabyte at most."""


class QuickSpanExporter(OTLPSpanExporter):
    """Sends spans as its base class does."""

    def _translate_data(self, data: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
        return encode_quickly(data)


def encode_quickly(spans: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
    """Returns what the library's `encode_spans` returns for these spans."""
    request = ExportTraceServiceRequest()
    scopes: dict[tuple[int, int], ScopeSpans] = {}
    for span in spans:
        key = id(span.resource), id(span.instrumentation_scope)
        scope = scopes.get(key)
        if scope is None:
            scope = scopes[key] = _add_scope(request, span)
        message = scope.spans.add()
        if span.events or span.links or not _try_write(message, span):
            message.CopyFrom(encode_spans([span]).resource_spans[0].scope_spans[0].spans[0])
    return request


def _add_scope(request: ExportTraceServiceRequest, span: ReadableSpan) -> ScopeSpans:
    """Adds the resource and the scope of a span, as the library encodes them, without any span."""
    (encoded,) = encode_spans([span]).resource_spans
    scope = encoded.scope_spans[0]
    del scope.spans[:]
    for known in request.resource_spans:
        if known.resource == encoded.resource:
            known.scope_spans.add().CopyFrom(scope)
            return known.scope_spans[-1]
    request.resource_spans.add().CopyFrom(encoded)
    return request.resource_spans[-1].scope_spans[0]


def _try_write(message: SpanMessage, span: ReadableSpan) -> bool:
    """Writes a span without events and links. Returns whether it has no attribute that cannot be encoded."""
    try:
        message.MergeFromString(b"".join([_encode_attribute(*item) for item in (span.attributes or {}).items()]))
    except (TypeError, ValueError):  # such as half of a surrogate pair: the library leaves it out, and logs that
        message.Clear()
        return False
    context, parent = span.get_span_context(), span.parent
    assert context is not None
    message.trace_id, message.span_id = context.trace_id.to_bytes(16), context.span_id.to_bytes(8)
    if context.trace_state:
        message.trace_state = ",".join([f"{key}={value}" for key, value in context.trace_state.items()])
    message.flags = _find_flags(parent)
    if parent is not None:
        message.parent_span_id = parent.span_id.to_bytes(8)
    message.name = span.name
    message.kind = SpanMessage.SpanKind.ValueType(span.kind.value + 1)  # in the protocol, 0 is a kind that is not known
    message.start_time_unix_nano, message.end_time_unix_nano = span.start_time or 0, span.end_time or 0
    message.status.code = StatusMessage.StatusCode.ValueType(span.status.status_code.value)
    if span.status.description:
        message.status.message = span.status.description
    message.dropped_attributes_count = span.dropped_attributes
    return True


def _find_flags(parent: SpanContext | None) -> int:
    flags = SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
    return flags | SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK if parent is not None and parent.is_remote else flags


def _encode_attribute(name: str, value: Any) -> bytes:
    if isinstance(value, float) or (isinstance(value, str) and len(value) > _LONGEST_TEXT):
        return _encode(name, value)
    return _encode_repeated(name, value)


def _encode(name: str, value: Any) -> bytes:
    """Returns the bytes of a span that has this attribute alone."""
    return SpanMessage(attributes=[KeyValue(key=name, value=_build_value(value))]).SerializeToString()


_encode_repeated = lru_cache(_MOST_ATTRIBUTES, typed=True)(_encode)
"""As `_encode`; typed, because 1 and True are equal."""


def _build_value(value: Any) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case str():
            return AnyValue(string_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case tuple() | list():
            return AnyValue(array_value=ArrayValue(values=map(_build_value, value)))
        case _:
            raise TypeError(f"an attribute cannot be a {type(value)}")
