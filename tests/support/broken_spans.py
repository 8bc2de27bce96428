"""`break_spans`: lets the server's own code raise an exception in the midst of a call, through its tracer."""

from collections.abc import Callable
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider

from reasoning_grpc.telemetry.export import Telemetry

Fault = Callable[[], BaseException]
CHAT: Final = "chat "
"""How the span of an attempt at a model call begins; the name of the model follows."""


class _BreakingProcessor(SpanProcessor):
    """Raises an exception at the start, or at a certain end, of the spans of one name."""

    def __init__(self, name: str, fault: Fault, end: int) -> None:
        self._name = name
        self._fault = fault
        self._end = end
        self._ends = 0

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the SDK's name
        """See the SDK."""
        if span.name == self._name and not self._end:
            raise self._fault()

    def on_end(self, span: ReadableSpan) -> None:
        """See the SDK."""
        if span.name == self._name:
            self._ends += 1
            if self._ends == self._end:
                raise self._fault()


def break_spans(name: str, fault: Fault, end: int = 1) -> Telemetry:
    """Builds telemetry with which the span of this name raises when it ends for this time; 0: when it starts."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(_BreakingProcessor(name, fault, end))
    telemetry = Telemetry()
    telemetry.tracer = provider.get_tracer("tests")
    return telemetry
