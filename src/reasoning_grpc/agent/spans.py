"""`AgentSpans`: records a span for each step and each tool call. Spans carry no prompt, argument or result."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, Tracer, set_span_in_context

from reasoning_grpc.domain import CallContext, StepOutcome, ToolCall, ToolExecution, ToolStatus
from reasoning_grpc.telemetry import PREFIX, mark_error, mark_failed

_OPERATION: Final = "gen_ai.operation.name"
_TOOL_NAME: Final = "gen_ai.tool.name"
_TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
_EXECUTE: Final = "execute_tool"


@dataclass(frozen=True, slots=True)
class StepSpan:
    """The span of a step."""

    context: CallContext
    """The context for what happens within the step."""
    _span: Span

    def record_outcome(self, outcome: StepOutcome, tool_calls: int) -> None:
        """Records how the step ended. A step without use is no error of the call, so the status stays unset."""
        self._span.set_attributes({PREFIX + "step_outcome": outcome.value, PREFIX + "tool_calls": tool_calls})


@dataclass(frozen=True, slots=True)
class ToolSpan:
    """The span of a tool call."""

    context: CallContext
    _span: Span

    def record_execution(self, execution: ToolExecution) -> None:
        """Records how the call ended."""
        self._span.set_attribute(PREFIX + "tool_status", execution.status.value)
        if execution.status is not ToolStatus.OK:
            mark_failed(self._span, execution.status.value)


class AgentSpans:
    """Starts and ends the spans of runs. Without a tracer it does nothing."""

    def __init__(self, tracer: Tracer | None) -> None:
        self._tracer = tracer

    @contextmanager
    def step(self, number: int, context: CallContext) -> Iterator[StepSpan]:
        """Starts the span of a step, which ends with the block."""
        with self._span(f"step {number}", context, {PREFIX + "step": number}) as (span, inner):
            yield StepSpan(inner, span)

    @contextmanager
    def tool(self, call: ToolCall, context: CallContext) -> Iterator[ToolSpan]:
        """Starts the span of a tool call, which ends with the block."""
        facts = {_OPERATION: _EXECUTE, _TOOL_NAME: call.name, _TOOL_CALL_ID: call.id}
        with self._span(f"{_EXECUTE} {call.name}", context, facts) as (span, inner):
            yield ToolSpan(inner, span)

    @contextmanager
    def _span(
        self, name: str, context: CallContext, facts: Mapping[str, str | int]
    ) -> Iterator[tuple[Span, CallContext]]:
        if self._tracer is None:
            yield INVALID_SPAN, context
            return
        # The span is not made current: around the `yield` of a generator it would leak into the code that reads it.
        span = self._tracer.start_span(name, context.trace, SpanKind.INTERNAL, facts)
        try:
            yield span, replace(context, trace=set_span_in_context(span, context.trace))
        except BaseException as error:
            mark_error(span, error, cancelled=context.infer_end_status())
            raise
        finally:
            span.end()
