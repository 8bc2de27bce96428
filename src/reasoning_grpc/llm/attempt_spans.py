"""`AttemptSpans`: makes a span of each attempt at a model call.

Each attempt is a request of its own to an upstream, which continues the trace from there, and has its own model,
status and duration.
"""

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Tracer, set_span_in_context

from reasoning_grpc.domain import CallContext, Deployment, UsageMeter, read_clock
from reasoning_grpc.domain.errors import UpstreamError
from reasoning_grpc.domain.events import ModelEvent, ModelFinished
from reasoning_grpc.domain.fold import MessageBuilder
from reasoning_grpc.llm import genai, viewer_attributes
from reasoning_grpc.llm.port import ModelCall
from reasoning_grpc.telemetry import mark_error


class AttemptSpans:
    """Starts the spans of attempts."""

    def __init__(
        self,
        tracer: Tracer,
        *,
        captures_content: bool = False,
    ) -> None:
        """`captures_content` puts texts on the spans."""
        self._tracer = tracer
        self._captures_content = captures_content

    def start(self, call: ModelCall, deployment: Deployment, context: CallContext) -> "AttemptSpan":
        """Starts the span of an attempt."""
        # The span is not made current: a `yield` would leak it to the code that reads the generator of the attempt.
        span = self._tracer.start_span(
            f"{genai.OPERATION} {genai.read_request_model(deployment)}",
            context.trace,
            SpanKind.CLIENT,
            {
                **genai.build_request_attributes(call, deployment),
                **viewer_attributes.build_request_attributes(call, deployment),
            },
        )
        trace = set_span_in_context(span, context.trace)
        return AttemptSpan(span, trace, call, captures_content=self._captures_content and span.is_recording())


class AttemptSpan:
    """Records one attempt on its span."""

    def __init__(self, span: Span, trace: Context, call: ModelCall, *, captures_content: bool) -> None:
        self.trace = trace
        """The trace context of the attempt, which is sent upstream."""
        self._span = span
        self._call = call
        self._attributes: genai.Attributes = {}
        """What is known of the attempt since it began. The span gets it at once: each step of the SDK takes time."""
        self._answer = MessageBuilder() if captures_content else None
        self._finish_reason = ""
        self._clock = read_clock
        self._started = self._clock()
        self._awaits_first = True

    def record(self, event: ModelEvent) -> None:
        """Records one event of the attempt."""
        if isinstance(event, ModelFinished):
            self._finish_reason = event.finish_reason.value.lower()
            self._attributes |= genai.build_finish_attributes(event)
            self._attributes |= viewer_attributes.build_finish_attributes(event)
            return
        if self._awaits_first:
            self._awaits_first = False
            self._attributes[genai.TIME_TO_FIRST_CHUNK] = self._clock() - self._started
        if self._answer is not None:
            self._answer.record(event)

    def end(self, error: BaseException | None, context: CallContext, meter: UsageMeter) -> None:
        """Ends the span of an attempt that this error ended; None when it ended otherwise."""
        if error is not None and not self._finish_reason:  # after its last event, what ends an attempt is no failure
            mark_error(self._span, error, cancelled=context.infer_end_status())
            usage = error.usage if isinstance(error, UpstreamError) else meter.read()
            if usage is not None:
                self._attributes |= genai.build_usage_attributes(usage)
                self._attributes |= viewer_attributes.build_usage_attributes(usage)
        if self._answer is not None:
            message = self._answer.build_message()
            self._attributes |= genai.build_content_attributes(self._call, message, self._finish_reason)
            self._attributes |= viewer_attributes.build_content_attributes(self._call, message)
        self._span.set_attributes(self._attributes)
        self._span.end()
