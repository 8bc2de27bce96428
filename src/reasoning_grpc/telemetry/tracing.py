"""The seam to OpenTelemetry: which trace a call belongs to, how it goes on upstream, how a span ends.

It needs the API alone. Where no SDK was set up there are no spans, and a caller's trace
context goes through as it came.
"""

import asyncio
import os
from collections.abc import Mapping
from functools import cache
from typing import Final

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import Span, StatusCode, format_trace_id, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from reasoning_grpc.domain.errors import ReasoningError, UpstreamError

PREFIX: Final = "reasoning_grpc."
"""Of attributes that no convention has; what follows is the name that the log line uses."""
ERROR_TYPE: Final = "error.type"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
_HTTP_STATUS: Final = "http.response.status_code"
_UNFORESEEN: Final = "INTERNAL"
"""The reason of a failure that no error of ours names."""


@cache
def propagator() -> TextMapPropagator:
    """What reads and writes trace contexts: W3C's, or those that OTEL_PROPAGATORS names.

    OpenTelemetry's own default has baggage as well; what callers put there is not for
    providers to see unless an operator says so. Raises ValueError for an unknown name.
    """
    if not os.environ.get("OTEL_PROPAGATORS"):
        return TraceContextTextMapPropagator()
    from opentelemetry.propagate import get_global_textmap

    return get_global_textmap()


def incoming(metadata: Mapping[str, str]) -> Context:
    """The trace context that a caller sent; empty when there is none, or none that is valid."""
    return propagator().extract(metadata, Context())


def trace_headers(context: Context | None) -> dict[str, str]:
    """The headers that let an upstream go on with this trace; none outside of any trace."""
    headers: dict[str, str] = {}
    if context:
        propagator().inject(headers, context)
    return headers


def trace_id(context: Context) -> str:
    """The id of the trace, 32 hexadecimal digits; empty outside of any trace."""
    span_context = get_current_span(context).get_span_context()
    return format_trace_id(span_context.trace_id) if span_context.is_valid else ""


def mark_failed(span: Span, reason: str) -> None:
    """Says on a span why it failed: by a word of ours, never by the text of an exception."""
    span.set_attribute(ERROR_TYPE, reason)
    span.set_status(StatusCode.ERROR, reason)


def mark_error(span: Span, error: BaseException, *, cancelled: str = "CANCELLED") -> None:
    """The same, for what has ended the work of a span; `cancelled` is the word for being cut short from outside."""
    match error:
        case ReasoningError():
            mark_failed(span, error.reason)
        case GeneratorExit() | asyncio.CancelledError():
            mark_failed(span, cancelled)
        case _:
            mark_failed(span, _UNFORESEEN)
    if isinstance(error, UpstreamError) and error.http_status:
        span.set_attribute(_HTTP_STATUS, error.http_status)
