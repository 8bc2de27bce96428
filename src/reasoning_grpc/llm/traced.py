"""`TracedModel`: wraps a `LanguageModel` and makes a span of each call.

It stands inside the retries, so each attempt has a span: each attempt is a request of its own to an upstream, which
continues the trace from there, and has its own model, status and duration. `stack` shows the order of the wrappers.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from msgspec.structs import replace
from opentelemetry.trace import Span, SpanKind, Tracer, set_span_in_context

from reasoning_grpc.domain import CallContext, Caller, Deployment
from reasoning_grpc.domain.errors import UpstreamError
from reasoning_grpc.domain.events import ModelEvent, ModelFinished
from reasoning_grpc.domain.fold import MessageBuilder
from reasoning_grpc.llm import genai
from reasoning_grpc.llm.port import LanguageModel, ModelCall, WrappedModel
from reasoning_grpc.telemetry import mark_error


class TracedModel(WrappedModel):
    """Calls the inner model; a call without a deployment, because no model can answer it, makes no span."""

    def __init__(
        self,
        inner: LanguageModel,
        tracer: Tracer,
        find_deployment: Callable[[str, Caller], Deployment],
        *,
        captures_content: bool = False,
    ) -> None:
        """`find_deployment` returns how a caller reaches a model now; `captures_content` puts texts on the spans."""
        super().__init__(inner)
        self._tracer = tracer
        self._find_deployment = find_deployment
        self._captures_content = captures_content

    async def stream(self, call: ModelCall, context: CallContext) -> AsyncGenerator[ModelEvent, None]:
        """See `LanguageModel.stream`. The inner call gets the span as its trace context."""
        deployment = self._find_deployment(call.model, context.caller)
        # The span is not made current: a `yield` would leak it to the code that reads this generator.
        span = self._tracer.start_span(
            f"{genai.OPERATION} {genai.read_request_model(deployment)}",
            context.trace,
            SpanKind.CLIENT,
            genai.build_request_attributes(call, deployment),
        )
        recorder = _SpanRecorder(span, call, captures_content=self._captures_content and span.is_recording())
        inner = replace(context, trace=set_span_in_context(span, context.trace))
        try:
            async with aclosing(self._inner.stream(call, inner)) as events:
                async for event in events:
                    recorder.record(event)
                    yield event
        except BaseException as error:
            recorder.record_error(error, context)
            raise
        finally:
            recorder.end()


class _SpanRecorder:
    """Records one call on its span."""

    def __init__(self, span: Span, call: ModelCall, *, captures_content: bool) -> None:
        self._span = span
        self._call = call
        self._answer = MessageBuilder() if captures_content else None
        self._finish_reason = ""
        self._clock = asyncio.get_running_loop().time
        self._started = self._clock()
        self._awaits_first = True

    def record(self, event: ModelEvent) -> None:
        """Records one event of the call."""
        if isinstance(event, ModelFinished):
            self._finish_reason = event.finish_reason.value.lower()
            self._span.set_attributes(genai.build_finish_attributes(event))
            return
        if self._awaits_first:
            self._awaits_first = False
            self._span.set_attribute(genai.TIME_TO_FIRST_CHUNK, self._clock() - self._started)
        if self._answer is not None:
            self._answer.record(event)

    def record_error(self, error: BaseException, context: CallContext) -> None:
        """Records what ended the call; after its last event, that is no failure."""
        if self._finish_reason:
            return
        mark_error(self._span, error, cancelled=context.infer_end_status())
        usage = error.usage if isinstance(error, UpstreamError) else context.meter.read()
        if usage is not None:
            self._span.set_attributes(genai.build_usage_attributes(usage))

    def end(self) -> None:
        """Ends the span."""
        if self._answer is not None:
            message = self._answer.build_message()
            self._span.set_attribute(genai.INPUT_MESSAGES, genai.format_input_messages(self._call.messages))
            self._span.set_attribute(genai.OUTPUT_MESSAGES, genai.format_output_messages(message, self._finish_reason))
        self._span.end()
