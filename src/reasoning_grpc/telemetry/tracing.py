"""The seam to OpenTelemetry: reads a caller's trace context, passes it to upstreams, and marks failed spans.

Only OpenTelemetry's API is needed. When no SDK was set up there are no spans, and a caller's trace context reaches
the upstream unchanged.
"""

import asyncio
import os
from collections.abc import Mapping
from functools import cache
from typing import Final

from opentelemetry.context import Context, get_current
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import Span, StatusCode, format_trace_id, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from reasoning_grpc.domain.errors import ReasoningError, UpstreamError, find_shortage
from reasoning_grpc.telemetry.openinference import SYSTEMS_BY_WIRE, OpenInference

PREFIX: Final = "reasoning_grpc."
"""The beginning of our own attributes, which no convention has; the rest of a name is the key of the log line."""
ERROR_TYPE: Final = "error.type"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
_TRACE_PARENT: Final = "traceparent"
"""The header without which W3C's trace context is empty."""
_NO_CONTEXT: Final = Context()
_HTTP_STATUS: Final = "http.response.status_code"
_OPENAI_API_TYPE: Final = "openai.api.type"
_OPENAI_API_TYPES: Final = {"chat": "chat_completions", "responses": "responses"}
"""The conventions' names of OpenAI's APIs."""
_UNEXPECTED: Final = "INTERNAL"
"""The reason of a failure that is none of our own errors."""


@cache
def get_propagator() -> TextMapPropagator:
    """Returns what reads and writes trace contexts: W3C's, or those that OTEL_PROPAGATORS names.

    OpenTelemetry's own default also passes baggage on; providers must not see what callers put there, unless an
    operator names it. Raises ValueError for an unknown name.
    """
    if not os.environ.get("OTEL_PROPAGATORS"):
        return TraceContextTextMapPropagator()
    from opentelemetry.propagate import get_global_textmap

    return get_global_textmap()


def read_trace_context(metadata: Mapping[str, str]) -> Context:
    """Returns the trace context that a caller sent; empty when there is none, or when it is not valid."""
    propagator = get_propagator()
    if isinstance(propagator, TraceContextTextMapPropagator) and _TRACE_PARENT not in metadata:
        return _NO_CONTEXT
    return propagator.extract(metadata, _NO_CONTEXT)


def build_trace_headers(context: Context | None) -> dict[str, str]:
    """Returns the headers with which an upstream continues this trace; empty when there is no trace."""
    headers: dict[str, str] = {}
    if context:
        get_propagator().inject(headers, context)
    return headers


def find_trace(metadata: Mapping[str, str]) -> tuple[Context, str]:
    """Returns the trace that a call is part of and its id, 32 hexadecimal digits; both are empty when there is none.

    With tracing, the current span is that of the call, and the parent of all further spans. Without tracing, the trace
    that the caller sent goes on.
    """
    current = get_current()
    if current and (trace_id := _read_trace_id(current)):
        return current, trace_id
    sent = read_trace_context(metadata)
    return (sent, _read_trace_id(sent)) if sent else (_NO_CONTEXT, "")


def _read_trace_id(context: Context) -> str:
    span_context = get_current_span(context).get_span_context()
    return format_trace_id(span_context.trace_id) if span_context.is_valid else ""


def find_recording_span(trace: Context | None) -> Span | None:
    """Returns the span of a trace context if there is one that takes attributes, and None otherwise."""
    if not trace:
        return None
    span = get_current_span(trace)
    return span if span.is_recording() else None


def name_wire(trace: Context | None, wire: str) -> None:
    """Says on the current span of a trace through which API of its provider a model call goes."""
    span = find_recording_span(trace)
    if span is None:
        return
    attributes = {PREFIX + "wire": wire}
    if wire in _OPENAI_API_TYPES:
        attributes[_OPENAI_API_TYPE] = _OPENAI_API_TYPES[wire]
    if wire in SYSTEMS_BY_WIRE:
        attributes[OpenInference.LLM_SYSTEM] = SYSTEMS_BY_WIRE[wire]
    span.set_attributes(attributes)


def mark_failed(span: Span, reason: str) -> None:
    """Marks a span as failed, with an error reason of ours, never with the text of an exception."""
    span.set_attribute(ERROR_TYPE, reason)
    span.set_status(StatusCode.ERROR, reason)


def mark_error(span: Span, error: BaseException, *, cancelled: str = "CANCELLED") -> None:
    """Marks a span as failed by the exception that ended its work; `cancelled` is the reason for a cancellation."""
    match error:
        case ReasoningError():
            mark_failed(span, error.reason)
        case GeneratorExit() | asyncio.CancelledError():
            mark_failed(span, cancelled)
        case _:
            shortage = find_shortage(error)
            mark_failed(span, _UNEXPECTED if shortage is None else shortage.reason)
    if isinstance(error, UpstreamError) and error.http_status:
        span.set_attribute(_HTTP_STATUS, error.http_status)
